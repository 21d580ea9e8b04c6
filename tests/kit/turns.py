"""Chats and replies with thoughts, seals, marks, calls and media, made by Hypothesis; `kit.chats` has plainer ones."""

import json
import string

from hypothesis import strategies as st

from kpgate.domain.chat import (
    Audio,
    Chat,
    Choosing,
    File,
    Format,
    Image,
    Part,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from kpgate.domain.reply import Choice, Finish, Reply
from kpgate.domain.seals import ANTHROPIC, GOOGLE, OPENAI
from kpgate.domain.usage import Usage
from tests.kit.chats import ASKED, asking

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
NAMES = st.text(string.ascii_letters + "_", min_size=1, max_size=12)
DATA = ("aGVsbG8=", "d29ybGQh", "c2lnbmF0dXJl")
BASE64 = st.sampled_from(DATA)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(NAMES, JSON, max_size=3).map(json.dumps)
SCHEMAS = st.dictionaries(NAMES, st.sampled_from(("string", "integer", "boolean")), max_size=3).map(
    lambda found: {"type": "object", "properties": {name: {"type": kind} for name, kind in found.items()}}
)
IMAGES = st.builds(lambda data: Image(media_type="image/png", data=data), BASE64)
LINKS = st.builds(lambda name: Image(media_type="image/png", url=f"https://there.example/{name}.png"), NAMES)
FILES = st.builds(lambda data: File(media_type="application/pdf", data=data), BASE64)


SOUNDS = st.builds(lambda data: Audio("wav", data), BASE64)
TTLS = st.sampled_from(("", "5m", "1h"))
SEALS = {
    ANTHROPIC: st.sampled_from(("RXFRQg==", "RW13")),
    GOOGLE: BASE64,
    OPENAI: st.builds("rs_{}.gAAA{}".format, NAMES, NAMES),
}
"""Seals as each vendor makes them."""


@st.composite
def thoughts(draw: st.DrawFn, vendors: tuple[str, ...] = (GOOGLE,)) -> Thinking:
    """A thought under the seal of one of the vendors; of some vendors' there may be nothing else."""
    vendor = draw(st.sampled_from(vendors))
    seal = draw(SEALS[vendor])
    if vendor != GOOGLE and draw(st.booleans()):
        return Thinking("", "", seal, vendor)
    return Thinking(draw(WORDS), seal, "", vendor)


@st.composite
def chats(draw: st.DrawFn, vendors: tuple[str, ...] = (GOOGLE,), marked: bool = False) -> Chat:
    """A chat whose turns follow each other as every vendor wants them, results of tools after their calls.

    Shape: thoughts are under seals of `vendors`; `marked` has some parts and tools ask for the cache, and sound.
    """
    turns: list[Turn] = []
    if draw(st.booleans()):
        turns.append(Turn(Role.SYSTEM, [Text(draw(WORDS))]))
    turns.append(_user(draw))
    for number in range(draw(st.integers(0, 2))):
        turns += _round(draw, number, vendors)
    tools = draw(st.lists(st.builds(Tool, NAMES, st.just("") | WORDS, st.none() | SCHEMAS), max_size=2))
    if marked:
        turns[-1].parts += draw(st.lists(SOUNDS, max_size=1))
        for one in [*tools, *(part for turn in turns for part in turn.parts)]:
            if hasattr(one, "cached") and draw(st.booleans()):
                one.cached, one.ttl = True, draw(TTLS)
    return Chat(
        turns,
        tools=tools,
        tool_choice=draw(
            st.none()
            | st.builds(ToolChoice, st.sampled_from((Choosing.AUTO, Choosing.NONE, Choosing.REQUIRED)))
            | st.builds(ToolChoice, st.just(Choosing.NAMED), NAMES)
        ),
        format=draw(st.none() | st.builds(Format, st.none() | SCHEMAS)),
        output_cap=draw(st.none() | st.integers(1, 9999)),
        temperature=draw(st.none() | st.sampled_from((0.0, 0.5, 1.0))),
        top_p=draw(st.none() | st.sampled_from((0.1, 1.0))),
        stop=draw(st.lists(WORDS, max_size=2)),
        stream=draw(st.booleans()),
    )


def anything() -> st.SearchStrategy[Chat]:
    """A chat of anything that the neutral form has, under seals of any vendor's."""
    return asking(chats(vendors=(ANTHROPIC, GOOGLE, OPENAI), marked=True), *ASKED)


def _user(draw: st.DrawFn) -> Turn:
    parts = draw(st.lists(WORDS.map(Text) | IMAGES | LINKS | FILES, min_size=1, max_size=3))
    return Turn(Role.USER, list(parts))


def _round(draw: st.DrawFn, number: int, vendors: tuple[str, ...]) -> list[Turn]:
    """What the assistant says, what its calls come to, and what the user says then."""
    parts: list[Part] = []
    if draw(st.booleans()):
        parts.append(draw(thoughts(vendors)))
    parts.append(Text(draw(WORDS)))
    calls = [
        ToolCall(f"call_{number}_{place}", draw(NAMES), draw(ARGUMENTS), draw(st.just("") | BASE64))
        for place in range(draw(st.integers(0, 2)))
    ]
    turns = [Turn(Role.ASSISTANT, [*parts, *calls])]
    if calls:
        results: list[Part] = [
            ToolResult(call.id, [Text(draw(WORDS))], call.name, draw(st.booleans())) for call in calls
        ]
        turns.append(Turn(Role.TOOL, results))
    return [*turns, _user(draw)]


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """What a provider says was used."""
    taken, given = draw(st.integers(1, 10**6)), draw(st.integers(1, 10**6))
    return Usage(taken, given, draw(st.integers(0, taken)), draw(st.integers(0, given)), source="provider")


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    """A whole reply."""
    choices = []
    for number in range(draw(st.integers(1, 3))):
        parts: list[Part] = []
        if draw(st.booleans()):
            parts.append(draw(thoughts() | WORDS.map(Thinking)))
        parts += draw(st.lists(WORDS.map(Text), max_size=2))
        calls = [
            ToolCall(f"call_{number}_{place}", draw(NAMES), draw(ARGUMENTS), draw(st.just("") | BASE64))
            for place in range(draw(st.integers(0, 2)))
        ]
        ends = (Finish.TOOL_CALLS,) if calls else (Finish.STOP, Finish.LENGTH, Finish.FILTERED)
        choices.append(Choice([*parts, *calls], draw(st.sampled_from(ends))))
    return Reply(draw(NAMES), draw(NAMES), choices, draw(usages()))

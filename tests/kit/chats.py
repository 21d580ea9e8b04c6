"""Chats, replies and streams of any shape, for tests of what translates them."""

from typing import Any

import msgspec
from hypothesis import strategies as st

from kpgate.domain.chat import (
    Chat,
    Choosing,
    Format,
    Image,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
NAMES = st.text("abcxyz_0189", min_size=1, max_size=12)
OBJECTS = st.dictionaries(NAMES, st.none() | st.booleans() | st.integers(-9, 9) | WORDS, max_size=3)
ARGUMENTS = OBJECTS.map(lambda value: msgspec.json.encode(value).decode())
TEXTS = WORDS.map(Text)
IMAGES = st.one_of(
    st.builds(Image, media_type=st.just("image/png"), data=st.just("iVBORw0KGgo=")),
    st.builds(Image, url=st.just("https://example.com/a.png")),
)
TOOLS = st.lists(
    st.builds(Tool, NAMES, st.just("") | WORDS, st.none() | st.just({"type": "object", "properties": {}})),
    max_size=3,
    unique_by=lambda tool: tool.name,
)
CHOICES = st.none() | st.sampled_from(
    [
        ToolChoice(Choosing.AUTO),
        ToolChoice(Choosing.NONE),
        ToolChoice(Choosing.REQUIRED),
        ToolChoice(Choosing.NAMED, "f"),
    ]
)
FORMATS = st.none() | st.just(Format()) | st.just(Format({"type": "object"}, "shape", "", True))


@st.composite
def turns(draw: st.DrawFn) -> list[Turn]:
    """A conversation as it may really be: instructions, then users and assistants, calls answered at once."""
    made = [Turn(Role.SYSTEM, [draw(TEXTS)])] if draw(st.booleans()) else []
    calls = 0
    for _ in range(draw(st.integers(1, 4))):
        made.append(Turn(Role.USER, draw(st.lists(TEXTS | IMAGES, min_size=1, max_size=3))))
        if draw(st.booleans()):
            names = draw(st.lists(NAMES, max_size=2))
            asked = [ToolCall(f"call_{calls + at}", name, draw(ARGUMENTS)) for at, name in enumerate(names)]
            said: list[Any] = [draw(TEXTS)] if draw(st.booleans()) or not asked else []
            made.append(Turn(Role.ASSISTANT, said + asked))
            made += [Turn(Role.TOOL, [ToolResult(call.id, [draw(TEXTS)])]) for call in asked]
            calls += len(asked)
    return made


CHATS = st.builds(
    Chat,
    turns=turns(),
    tools=TOOLS,
    tool_choice=CHOICES,
    parallel_tools=st.none() | st.booleans(),
    format=FORMATS,
    output_cap=st.none() | st.integers(1, 4096),
    temperature=st.none() | st.sampled_from([0.0, 0.5, 1.0]),
    top_p=st.none() | st.sampled_from([0.1, 1.0]),
    stop=st.lists(WORDS, max_size=3),
    reasoning=st.none() | st.sampled_from([Reasoning("low"), Reasoning("high")]),
)
"""Chats of what every dialect can say."""

REASONINGS = st.builds(
    Reasoning,
    st.sampled_from(("", "none", "minimal", "low", "medium", "high", "xhigh")),
    st.none() | st.sampled_from((-1, 0, 1, 1024, 8192, 31_999, 1 << 20)),
    st.none() | st.booleans(),
    st.booleans(),
)
ASKED: dict[str, st.SearchStrategy[Any]] = {
    "top_k": st.integers(1, 64),
    "frequency_penalty": st.sampled_from((-1.5, 0.0, 0.25)),
    "presence_penalty": st.sampled_from((-1.5, 0.0, 0.25)),
    "seed": st.integers(0, 2**31 - 1),
    "logit_bias": st.just({"50256": -100.0}),
    "logprobs": st.just(True),
    "top_logprobs": st.integers(1, 5),
    "choices": st.integers(1, 4),
    "modalities": st.just(["text", "audio"]),
    "voice": st.just({"voice": "alloy", "format": "wav"}),
    "verbosity": st.sampled_from(("low", "high")),
    "user": NAMES,
    "metadata": st.dictionaries(NAMES, NAMES, min_size=1, max_size=2),
    "reasoning": REASONINGS,
}
"""What a chat may ask for that not every dialect has, by the neutral form's name."""


def asking(chats: st.SearchStrategy[Chat], *names: str) -> st.SearchStrategy[Chat]:
    """The chats, with these of `ASKED` each asked for or not."""
    more = st.fixed_dictionaries({}, optional={name: ASKED[name] for name in names})
    return st.builds(_asking, chats, more)


def _asking(chat: Chat, more: dict[str, Any]) -> Chat:
    for name, value in more.items():
        setattr(chat, name, value)
    if chat.top_logprobs is not None:
        # No vendor gives the likeliest tokens of a text without its own.
        chat.logprobs = True
    return chat


ANY = asking(CHATS, *ASKED)
"""Chats of everything that the neutral form has beside its turns."""

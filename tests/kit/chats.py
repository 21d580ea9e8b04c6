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

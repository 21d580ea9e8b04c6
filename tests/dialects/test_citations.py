"""What a model's text is from, by every vendor and for every caller: whole, streamed however it is cut, and there and
back."""

import json
from typing import Any

import anthropic.types
import openai.types.chat
import openai.types.responses
import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kpgate.app.ways import ENDPOINTS, VENDORS
from kpgate.dialects.bridge import Allowance, Translator, bridge
from kpgate.domain.call import Call
from kpgate.domain.chat import Text, ToolCall
from kpgate.domain.dialect import Endpoint, Heads, Tongue
from kpgate.domain.reply import Choice, Citation, Cited, Piece, Reply, Said
from tests.kit.vendors import cited

Json = dict[str, Any]

CHAT, RESPONSES, CLAUDE = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GEMINI = "/v1beta/models/{model}:generateContent"
ASKS: dict[str, Json] = {
    CHAT: {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    RESPONSES: {"model": "m", "input": "hi"},
    CLAUDE: {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    GEMINI: {"contents": [{"parts": [{"text": "hi"}]}]},
}
CALLERS = tuple(ASKS)


def endpoint(path: str) -> Endpoint:
    wanted = path.partition("{")[0]
    return next(one for one in ENDPOINTS if one.path.startswith(wanted) and one.generates and one.neutral)


def tongue(vendor: str) -> Tongue:
    found = VENDORS[vendor].tongue
    assert found is not None
    return found


def called(path: str, streamed: bool = False) -> Call:
    body = ASKS[path] | ({"stream": True} if streamed and path != GEMINI else {})
    return endpoint(path).decode(json.dumps(body).encode(), 64)


def turned(vendor: str, path: str) -> tuple[Json, Call]:
    """A vendor's whole reply as a caller gets it."""
    way = bridge(endpoint(path), tongue(vendor), Heads(b"", b""), Allowance())
    assert way is not None and way.turn is not None
    call = called(path)
    found: Json = json.loads(way.turn(200, json.dumps(cited.whole(vendor)).encode(), call).body)
    return found, call


def pieces(vendor: str, cuts: tuple[int, ...] = ()) -> list[Piece]:
    """A vendor's stream in the neutral form."""
    reader, events, raw = tongue(vendor).reader(), tongue(vendor).split(1 << 20), cited.stream(vendor)
    found: list[Piece] = []
    for start, end in zip((0, *cuts), (*cuts, len(raw)), strict=True):
        for name, data in events.feed(raw[start:end]):
            found += reader.read(name, data)
    return [*found, *reader.end()]


def streamed(vendor: str, path: str) -> list[Json]:
    """The events of a vendor's stream as a caller gets them."""
    way = bridge(endpoint(path), tongue(vendor), Heads(b"", b""), Allowance())
    assert way is not None
    framer = way.framer(called(path, True))
    assert isinstance(framer, Translator)
    lines = (framer.feed(cited.stream(vendor)) + framer.finish()).replace(b"\r\n", b"\n").split(b"\n")
    found = [line[6:] for line in lines if line.startswith(b"data: ") and line != b"data: [DONE]"]
    return [json.loads(one) for one in found]


def url_of(found: list[Json]) -> list[tuple[int, int, str, str]]:
    """Annotations of OpenAI's, of either API."""
    flat = [one.get("url_citation", one) for one in found]
    return [(one["start_index"], one["end_index"], one["url"], one["title"]) for one in flat]


PAGE = [(*cited.BIG, cited.URL, cited.PAGE)]


@pytest.mark.parametrize("vendor", cited.VENDORS)
def test_what_each_vendor_says_is_read_whole_and_streamed_alike(vendor: str) -> None:
    choice = tongue(vendor).decode_reply(json.dumps(cited.whole(vendor)).encode()).choices[0]
    assert "".join(part.text for part in choice.parts if isinstance(part, Text)) == cited.TEXT
    assert choice.citations == cited.CITES[vendor]
    found = pieces(vendor)
    assert "".join(piece.text for piece in found if isinstance(piece, Said)) == cited.TEXT
    assert [piece.citation for piece in found if isinstance(piece, Cited)] == cited.CITES[vendor]


@pytest.mark.parametrize("vendor", cited.VENDORS)
def test_openai_s_callers_see_pages_where_the_message_has_them(vendor: str) -> None:
    said, call = turned(vendor, CHAT)
    shown = openai.types.chat.ChatCompletion.model_validate(said, strict=True)
    message = shown.choices[0].message
    assert message.content == cited.TEXT and message.annotations is not None
    assert url_of([one.model_dump() for one in message.annotations]) == PAGE
    # A book has no address, and OpenAI's form nothing else for it.
    assert call.dropped == ("" if len(cited.CITES[vendor]) == 1 else "citations")
    chunks = streamed(vendor, CHAT)
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert url_of([note for one in deltas for note in one.get("annotations", ())]) == PAGE
    for chunk in chunks:
        openai.types.chat.ChatCompletionChunk.model_validate(chunk, strict=True)


@pytest.mark.parametrize("vendor", cited.VENDORS)
def test_callers_of_responses_see_them_by_events_and_in_the_end(vendor: str) -> None:
    said, call = turned(vendor, RESPONSES)
    openai.types.responses.Response.model_validate(said)
    (item,) = said["output"]
    notes = [note for part in item["content"] for note in part["annotations"]]
    at = {"anthropic": 10, "bedrock": 10}.get(vendor, 0)
    assert url_of(notes) == [(cited.BIG[0] - at, cited.BIG[1] - at, cited.URL, cited.PAGE)]
    assert call.dropped == ("" if len(cited.CITES[vendor]) == 1 else "citations")
    events = streamed(vendor, RESPONSES)
    added = [one for one in events if one["type"] == "response.output_text.annotation.added"]
    assert url_of([one["annotation"] for one in added]) == PAGE and added[0]["annotation_index"] == 0
    openai.types.responses.ResponseOutputTextAnnotationAddedEvent.model_validate(added[0])
    (last,) = [one["response"] for one in events if one["type"] == "response.completed"]
    assert url_of(last["output"][0]["content"][0]["annotations"]) == PAGE
    assert [one["sequence_number"] for one in events] == list(range(len(events)))


@pytest.mark.parametrize("vendor", cited.VENDORS)
def test_anthropic_s_callers_see_blocks_by_what_they_are_from(vendor: str) -> None:
    said, call = turned(vendor, CLAUDE)
    message = anthropic.types.Message.model_validate(said)
    blocks = [block for block in message.content if block.type == "text"]
    assert "".join(block.text for block in blocks) == cited.TEXT
    (block,) = [block for block in blocks if block.citations]
    assert block.text == cited.FIRST and block.citations is not None
    (page,) = block.citations
    assert page.type == "web_search_result_location" and (page.url, page.title) == (cited.URL, cited.PAGE)
    assert call.dropped == ("" if len(cited.CITES[vendor]) == 1 else "citations")
    events = streamed(vendor, CLAUDE)
    deltas = [one["delta"] for one in events if one["type"] == "content_block_delta"]
    (told,) = [one["citation"] for one in deltas if one["type"] == "citations_delta"]
    assert told["url"] == cited.URL
    assert "".join(one.get("text", "") for one in deltas) == cited.TEXT
    started = [one["index"] for one in events if one["type"] == "content_block_start"]
    stopped = [one["index"] for one in events if one["type"] == "content_block_stop"]
    assert started == stopped == list(range(len(started)))


@pytest.mark.parametrize("vendor", cited.VENDORS)
def test_gemini_s_callers_see_chunks_and_the_segments_they_support(vendor: str) -> None:
    said, call = turned(vendor, GEMINI)
    assert call.dropped == ""
    for found, whole in ((said, True), (streamed(vendor, GEMINI)[-1], False)):
        shown = types.GenerateContentResponse.model_validate(found)
        assert shown.candidates is not None
        grounds = shown.candidates[0].grounding_metadata
        assert grounds is not None and grounds.grounding_chunks is not None
        web = grounds.grounding_chunks[0].web
        assert web is not None and (web.uri, web.title) == (cited.URL, cited.PAGE)
        assert grounds.grounding_supports is not None
        segment = grounds.grounding_supports[0].segment
        assert segment is not None and segment.text == cited.FIRST
        text = (
            said["candidates"][0]["content"]["parts"][segment.part_index or 0]["text"]
            if whole
            else cited.TEXT
        )
        raw = text.encode()[segment.start_index or 0 : segment.end_index]
        assert raw.decode() == cited.FIRST
        if len(cited.CITES[vendor]) == 2:
            book = grounds.grounding_chunks[1].retrieved_context
            assert book is not None and (book.title, book.text) == (cited.ATLAS, cited.QUOTE)


@pytest.mark.parametrize("vendor", cited.VENDORS)
@given(data=st.data())
def test_a_stream_says_the_same_however_it_was_cut(vendor: str, data: st.DataObject) -> None:
    size = len(cited.stream(vendor))
    cuts = tuple(sorted(data.draw(st.lists(st.integers(1, size - 1), unique=True, max_size=6))))
    assert pieces(vendor, cuts) == pieces(vendor)


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@st.composite
def choices(draw: st.DrawFn, kinds: tuple[str, ...]) -> Choice:
    """Texts with calls between them, and citations that do not overlap, each within one of the texts."""
    parts: list[Any] = []
    found: list[Citation] = []
    at = 0
    for number in range(draw(st.integers(1, 3))):
        text = draw(words)
        edges = sorted(draw(st.lists(st.integers(0, len(text)), unique=True, max_size=4)))
        for start, end in zip(edges[::2], edges[1::2], strict=False):
            name = draw(st.sampled_from(("a", "b", "c")))
            kind = draw(st.sampled_from(kinds))
            said = Citation(at + start, at + end, kind, f"https://{name}.example/", name.upper())
            if kind == "document":
                said.url, said.quoted = "", f"of {name}"
            found.append(said)
        parts.append(Text(text))
        at += len(text)
        if draw(st.booleans()):
            parts.append(ToolCall(f"call_{number}", "f", '{"a":1}'))
    return Choice(parts, citations=found)


@pytest.mark.parametrize("path", CALLERS)
@given(data=st.data())
def test_what_was_encoded_is_decoded_as_it_was(path: str, data: st.DataObject) -> None:
    choice = data.draw(choices(("url", "document") if path == GEMINI else ("url",)))
    if path in (CHAT, RESPONSES):
        # A message of OpenAI's has one text; and a response's calls stand apart from it.
        choice.parts = [Text("".join(one.text for one in choice.parts if isinstance(one, Text)))]
    spoken = endpoint(path)
    assert spoken.encode_reply is not None and spoken.tongue is not None
    call = called(path)
    again = spoken.tongue.decode_reply(spoken.encode_reply(Reply("r", "m", [choice]), call))
    assert again.choices[0].citations == choice.citations and call.dropped == ""


@given(choices(("url",)), st.sampled_from(CALLERS))
def test_places_that_are_nowhere_harm_nobody(choice: Choice, path: str) -> None:
    choice.citations += [
        replace(one, start=one.start + shift, end=one.end + more)
        for one in choice.citations
        for shift, more in ((0, 99), (-99, 0), (99, 199), (5, -5))
    ]
    spoken = endpoint(path)
    assert spoken.encode_reply is not None and spoken.tongue is not None
    again = spoken.tongue.decode_reply(spoken.encode_reply(Reply("r", "m", [choice]), called(path)))
    said = "".join(part.text for part in choice.parts if isinstance(part, Text))
    assert "".join(part.text for part in again.choices[0].parts if isinstance(part, Text)) == said
    assert all(0 <= one.start < one.end <= len(said) for one in again.choices[0].citations)


@pytest.mark.parametrize("vendor", cited.VENDORS)
@pytest.mark.parametrize("odd", [None, [], {}, "x", [None], [{"type": "url_citation"}], [1, {"start": "a"}]])
def test_citations_that_make_no_sense_are_nobody_s_trouble(vendor: str, odd: Any) -> None:
    said = cited.whole(vendor)
    _put(said, odd)
    choice = tongue(vendor).decode_reply(json.dumps(said).encode()).choices[0]
    assert choice.citations == [] and choice.parts


def _put(said: Any, odd: Any) -> None:
    for name, value in said.items() if isinstance(said, dict) else enumerate(said):
        if name in ("annotations", "citations", "groundingMetadata"):
            said[name] = odd
        elif isinstance(value, dict | list):
            _put(value, odd)


EARLIER: dict[str, tuple[Json, str]] = {
    CHAT: (
        {
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "so", "annotations": [{}]},
            ]
        },
        "messages.annotations",
    ),
    RESPONSES: (
        {
            "input": [
                {"role": "user", "content": "hi"},
                {
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "so", "annotations": [{}]}],
                },
            ]
        },
        "input.annotations",
    ),
    CLAUDE: (
        {
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [{"type": "text", "text": "so", "citations": [{}]}]},
            ]
        },
        "messages.citations",
    ),
}


@pytest.mark.parametrize("path", EARLIER)
def test_what_earlier_answers_were_from_is_left_out_and_named(path: str) -> None:
    said, name = EARLIER[path]
    body = json.dumps(ASKS[path] | said).encode()
    call = endpoint(path).decode(body, 64)
    way = bridge(endpoint(path), tongue("gemini"), Heads(b"", b""), Allowance())
    assert way is not None and b"so" in way.forward(body, call, "m", 0)
    assert call.dropped == name

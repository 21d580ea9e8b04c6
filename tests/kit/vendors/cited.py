"""Every vendor's answer that says what it is from, whole and streamed: one text, a page of the web and a document.

Shapes by: OpenAI API reference, chat completions and responses, guide "Web search"; platform.claude.com, "Citations",
"Web search tool", "Streaming messages"; ai.google.dev, "Grounding with Google Search", "GroundingMetadata";
docs.cohere.com, "Chat" (v2), "Chat with Streaming", citations; Bedrock API reference, "Converse", "ConverseStream",
"CitationsContentBlock", by botocore 1.44's model (all checked November 2026).
"""

import json
from typing import Any

from kpgate.domain.reply import Citation
from tests.kit.vendors import bedrock
from tests.kit.vendors.server import Answer, Asked, sse

Json = dict[str, Any]

FIRST, SECOND = "Paris is big — très.", "It lies on the Seine."
TEXT = f"Übrigens: {FIRST} {SECOND}"
BIG = (TEXT.index(FIRST), TEXT.index(FIRST) + len(FIRST))
SEINE = (TEXT.index(SECOND), len(TEXT))
URL, PAGE, ATLAS, QUOTE = "https://paris.example/big", "On Paris", "Atlas", "Paris lies on the Seine."
WEB = Citation(*BIG, "url", URL, PAGE)
BOOK = Citation(*SEINE, "document", "", ATLAS, QUOTE)
PIECES = (TEXT[:14], TEXT[14:32], TEXT[32:])
VENDORS = ("openai", "responses", "anthropic", "gemini", "cohere", "bedrock")
CITES: dict[str, list[Citation]] = {
    "openai": [WEB],
    "responses": [WEB],
    "anthropic": [Citation(*BIG, "url", URL, PAGE, "Paris: big"), BOOK],
    "gemini": [WEB, BOOK],
    "cohere": [WEB, BOOK],
    "bedrock": [Citation(*BIG, "url", URL, PAGE, "Paris: big"), BOOK],
}
"""What each vendor says of it: OpenAI knows pages alone."""


def whole(vendor: str) -> Json:
    """A vendor's whole reply."""
    return _WHOLE[vendor]()


def stream(vendor: str) -> bytes:
    """A vendor's stream."""
    if vendor == "bedrock":
        return b"".join(_bedrock_stream())
    return b"".join(sse(*_STREAMS[vendor](), named=vendor in ("responses", "anthropic", "cohere")))


def answer(asked: Asked) -> Answer:
    """The answer of whichever vendor's path is asked for."""
    vendor = next(name for name, ends in _PATHS.items() if any(end in asked.path for end in ends))
    streamed = "tream" in asked.path or bool(asked.body.get("stream"))
    if not streamed:
        return Answer(200, "application/json", [json.dumps(whole(vendor)).encode()])
    kind = bedrock.STREAM if vendor == "bedrock" else "text/event-stream"
    return Answer(200, kind, [stream(vendor)])


_PATHS = {
    "openai": ("/chat/completions",),
    "responses": ("/responses",),
    "anthropic": ("/messages",),
    "gemini": ("enerateContent",),
    "cohere": ("/v2/chat",),
    "bedrock": ("/converse",),
}


def _annotation() -> Json:
    return {"type": "url_citation", "start_index": BIG[0], "end_index": BIG[1], "title": PAGE, "url": URL}


def _nested() -> Json:
    said: Json = _annotation()
    return {"type": said.pop("type"), "url_citation": said}


def _openai() -> Json:
    message = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": [_nested()]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    return _frame("chat.completion") | {"choices": [choice], "usage": usage}


def _frame(kind: str) -> Json:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_795_000_000, "model": "up"}


def _openai_stream() -> list[Any]:
    deltas: list[Json] = [{"role": "assistant", "content": ""}, *({"content": one} for one in PIECES)]
    deltas.append({"annotations": [_nested()]})
    said: list[tuple[Json, str | None]] = [*((delta, None) for delta in deltas), ({}, "stop")]
    chunks = [
        _frame("chat.completion.chunk")
        | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}]}
        for delta, end in said
    ]
    return [*chunks, "[DONE]"]


def _file() -> Json:
    return {"type": "file_citation", "file_id": "file-1", "filename": "atlas.pdf", "index": len(TEXT)}


def _part() -> Json:
    return {"type": "output_text", "text": TEXT, "logprobs": [], "annotations": [_annotation(), _file()]}


def _response(output: list[Json], status: str) -> Json:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_795_000_000,
        "status": status,
        "model": "up",
        "output": output,
        "error": None,
        "incomplete_details": None,
        "usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
    }


def _item(status: str, content: list[Json]) -> Json:
    return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content}


def _responses() -> Json:
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    return _response([search, _item("completed", [_part()])], "completed")


def _responses_stream() -> list[Json]:
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    kind = "response.output_text."
    events: list[Json] = [{"type": "response.created", "response": _response([], "in_progress")}]
    item = {"type": "response.output_item.added", "output_index": 0, "item": _item("in_progress", [])}
    empty = {"type": "output_text", "text": "", "annotations": []}
    events += [item, {"type": "response.content_part.added", **where, "part": empty}]
    events += [{"type": f"{kind}delta", **where, "delta": one, "logprobs": []} for one in PIECES]
    notes = enumerate((_annotation(), _file()))
    events += [
        {"type": f"{kind}annotation.added", **where, "annotation_index": at, "annotation": one}
        for at, one in notes
    ]
    done = _item("completed", [_part()])
    events += [
        {"type": f"{kind}done", **where, "text": TEXT, "logprobs": []},
        {"type": "response.content_part.done", **where, "part": _part()},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": _response([done], "completed")},
    ]
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def _blocks() -> list[Json]:
    page = {"type": "web_search_result_location", "url": URL, "title": PAGE, "cited_text": "Paris: big"}
    page["encrypted_index"] = "RW5jcnlwdGVk"
    book = {"type": "char_location", "document_index": 0, "document_title": ATLAS, "cited_text": QUOTE}
    book |= {"start_char_index": 0, "end_char_index": len(QUOTE)}
    return [
        {"type": "text", "text": "Übrigens: "},
        {"type": "text", "text": FIRST, "citations": [page]},
        {"type": "text", "text": " "},
        {"type": "text", "text": SECOND, "citations": [book]},
    ]


def _anthropic(content: list[Json] | None = None) -> Json:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "up",
        "content": _blocks() if content is None else content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 3},
    }


def _anthropic_stream() -> list[Json]:
    events: list[Json] = [{"type": "message_start", "message": _anthropic([])}]
    for index, block in enumerate(_blocks()):
        text, cites = block["text"], block.get("citations", [])
        empty = block | {"text": ""} | ({"citations": []} if cites else {})
        deltas = [{"type": "citations_delta", "citation": one} for one in cites]
        deltas += [{"type": "text_delta", "text": one} for one in (text[:1], text[1:]) if one]
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": 3}})
    return [*events, {"type": "message_stop"}]


def _grounds() -> Json:
    def segment(place: tuple[int, int], text: str) -> Json:
        start, end = (len(TEXT[:one].encode()) for one in place)
        return {"startIndex": start, "endIndex": end, "text": text}

    return {
        "webSearchQueries": ["paris size"],
        "searchEntryPoint": {"renderedContent": "<style>"},
        "groundingChunks": [
            {"web": {"uri": URL, "title": PAGE}},
            {"retrievedContext": {"title": ATLAS, "text": QUOTE}},
        ],
        "groundingSupports": [
            {"segment": segment(BIG, FIRST), "groundingChunkIndices": [0], "confidenceScores": [0.9]},
            {"segment": segment(SEINE, SECOND), "groundingChunkIndices": [1]},
        ],
    }


def _candidate(text: str, **more: Any) -> Json:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0} | more
    used = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}
    return {
        "candidates": [candidate],
        "usageMetadata": used,
        "modelVersion": "up",
        "responseId": "r1",
    }


def _gemini() -> Json:
    return _candidate(TEXT, finishReason="STOP", groundingMetadata=_grounds())


def _gemini_stream() -> list[Json]:
    first, second, third = PIECES
    last = _candidate(third, finishReason="STOP", groundingMetadata=_grounds())
    return [_candidate(first), _candidate(second), last]


def _sources() -> list[Json]:
    page = {"id": "tool:0", "type": "tool", "tool_output": {"url": URL, "title": PAGE, "rank": 1}}
    book = {"id": "doc:0", "type": "document", "document": {"id": "doc:0", "title": ATLAS, "snippet": QUOTE}}
    return [
        {"start": start, "end": end, "text": TEXT[start:end], "sources": [source], "type": "TEXT_CONTENT"}
        for (start, end), source in ((BIG, page), (SEINE, book))
    ]


def _cohere() -> Json:
    message = {"role": "assistant", "content": [{"type": "text", "text": TEXT}], "citations": _sources()}
    usage = {"billed_units": {"input_tokens": 9, "output_tokens": 3}}
    return {"id": "c1", "finish_reason": "COMPLETE", "message": message, "usage": usage}


def _cohere_stream() -> list[Json]:
    def told(kind: str, index: int, message: Json) -> Json:
        return {"type": kind, "index": index, "delta": {"message": message}}

    begun: Json = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    events: list[Json] = [{"type": "message-start", "id": "c1", "delta": {"message": begun}}]
    events.append(told("content-start", 0, {"content": {"type": "text", "text": ""}}))
    events += [told("content-delta", 0, {"content": {"text": one}}) for one in PIECES]
    for index, one in enumerate(_sources()):
        events += [
            told("citation-start", index, {"citations": one}),
            {"type": "citation-end", "index": index},
        ]
    events.append({"type": "content-end", "index": 0})
    usage = {"billed_units": {"input_tokens": 9, "output_tokens": 3}}
    return [*events, {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}}]


def _bedrock_cites() -> list[tuple[str, Json | None]]:
    page: Json = {"title": PAGE, "sourceContent": [{"text": "Paris: big"}], "location": {"web": {"url": URL}}}
    place = {"documentChar": {"documentIndex": 0, "start": 0, "end": len(QUOTE)}}
    book: Json = {"title": ATLAS, "sourceContent": [{"text": QUOTE}], "location": place}
    return [("Übrigens: ", None), (FIRST, page), (" ", None), (SECOND, book)]


def _bedrock() -> Json:
    content = [
        {"text": text}
        if cite is None
        else {"citationsContent": {"content": [{"text": text}], "citations": [cite]}}
        for text, cite in _bedrock_cites()
    ]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12},
        "metrics": {"latencyMs": 1},
    }


def _bedrock_stream() -> list[bytes]:
    sent = [bedrock.event("messageStart", {"role": "assistant"})]
    for index, (text, cite) in enumerate(_bedrock_cites()):
        for delta in ({"text": text}, *([{"citation": cite}] if cite is not None else [])):
            sent.append(bedrock.event("contentBlockDelta", {"delta": delta, "contentBlockIndex": index}))
        sent.append(bedrock.event("contentBlockStop", {"contentBlockIndex": index}))
    sent.append(bedrock.event("messageStop", {"stopReason": "end_turn"}))
    usage = {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12}
    return [*sent, bedrock.event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})]


_WHOLE = {
    "openai": _openai,
    "responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "cohere": _cohere,
    "bedrock": _bedrock,
}
_STREAMS: dict[str, Any] = {
    "openai": _openai_stream,
    "responses": _responses_stream,
    "anthropic": _anthropic_stream,
    "gemini": _gemini_stream,
    "cohere": _cohere_stream,
}

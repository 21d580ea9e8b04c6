"""Cohere's v2 API for tests: chats, whole and streamed.

Source: docs.cohere.com, API reference, "Chat", "Chat with Streaming", "Errors" (all v2), and the types of
Cohere's own client 7.3 (checked November 2026).
"""

import json
from typing import Any

from tests.kit.vendors.server import (
    CACHED,
    CALLS,
    INPUT,
    OBJECT,
    OUTPUT,
    PIECES,
    TEXT,
    THOUGHT,
    Answer,
    Asked,
    sse,
)

ID = "c14c80c3-18eb-4519-9460-6c92edd8cfb4"
PLAN = "I will look both up."
PREAMBLE = 400
"""Units: tokens that Cohere puts before a prompt, and does not bill."""
ERRORS = {
    400: "invalid request: temperature must be between 0 and 1.0 inclusive.",
    429: "You are past the per minute request limit, please wait and try again later.",
    500: "internal server error",
}
FIELDS = {
    *("model", "messages", "stream", "tools", "strict_tools", "tool_choice", "documents", "citation_options"),
    *("response_format", "safety_mode", "max_tokens", "stop_sequences", "temperature", "seed", "k", "p"),
    *("frequency_penalty", "presence_penalty", "logprobs", "thinking", "priority"),
}
"""Every field of a chat: another one would be invented."""

Json = dict[str, Any]


def answer(asked: Asked) -> Answer:
    """What the model of a scenario's name answers."""
    scenario = asked.body["model"]
    if scenario.startswith("error-"):
        return error(int(scenario.removeprefix("error-")))
    assert asked.path.endswith("/chat"), f"Cohere has no such path: {asked.path}"
    assert set(asked.body) <= FIELDS, f"Cohere has no such fields: {set(asked.body) - FIELDS}"
    check(asked.body)
    if scenario == "html":
        return Answer(200, "application/json", [b"<html>"])
    if asked.body.get("stream"):
        return Answer(200, "text/event-stream", _events(scenario), cut=scenario == "cut")
    message: Json = {"role": "assistant"}
    if scenario == "tools":
        message |= {"tool_plan": PLAN, "tool_calls": _calls()}
    elif scenario == "refusal":
        message["content"] = [{"type": "text", "text": "I can't help with that."}]
    else:
        message["content"] = _content(scenario)
    said: Json = {"id": ID, "finish_reason": _reason(scenario), "message": message}
    if scenario != "silent":
        said["usage"] = usage()
    return Answer(200, "application/json", [json.dumps(said).encode()])


def usage(output: int = OUTPUT) -> Json:
    """What every answer used: what Cohere itself put into the prompt is not billed."""
    return {
        "billed_units": {"input_tokens": INPUT, "output_tokens": output},
        "tokens": {"input_tokens": INPUT + PREAMBLE, "output_tokens": output + 2},
        "cached_tokens": CACHED,
    }


def error(status: int) -> Answer:
    """A refusal in Cohere's shape."""
    headers = {"retry-after": "7"} if status == 429 else {}
    body = json.dumps({"id": ID, "message": ERRORS[status]}).encode()
    return Answer(status, "application/json", [body], headers)


def check(body: Json) -> None:
    """Messages are as Cohere takes them."""
    for at, message in enumerate(body["messages"]):
        role, content = message["role"], message.get("content")
        assert role in ("system", "user", "assistant", "tool") and (role != "system" or at == 0)
        assert content is not None or message.get("tool_calls"), "a message says something"
        if role == "tool":
            assert message["tool_call_id"] and all(part["type"] == "text" for part in content)


def _reason(scenario: str) -> str:
    return {"tools": "TOOL_CALL", "length": "MAX_TOKENS", "broken": "ERROR"}.get(scenario, "COMPLETE")


def _content(scenario: str) -> list[Json]:
    text = json.dumps(OBJECT) if scenario == "schema" else TEXT
    thought = [{"type": "thinking", "thinking": THOUGHT}] if scenario == "thinking" else []
    return [*thought, {"type": "text", "text": text}]


def _calls() -> list[Json]:
    return [
        {
            "id": f"{name}_{at}k2m",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(given)},
        }
        for at, (name, given) in enumerate(CALLS)
    ]


def _events(scenario: str) -> list[bytes]:
    begun = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    events: list[Json] = [{"type": "message-start", "id": ID, "delta": {"message": begun}}]
    if scenario == "tools":
        events += [
            {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}}
            for piece in (PLAN[:7], PLAN[7:])
        ]
        for at, call in enumerate(_calls()):
            events += _call_events(at, call)
    elif scenario == "endless":
        events += [_delta(0, {"text": "word "})] * 400
        return sse(*events, named=True)
    else:
        blocks = [("thinking", [THOUGHT[:4], THOUGHT[4:]])] if scenario == "thinking" else []
        text = json.dumps(OBJECT)
        blocks.append(("text", [text[:9], text[9:]] if scenario == "schema" else list(PIECES)))
        for at, (kind, pieces) in enumerate(blocks):
            opened = {"type": "content-start", "index": at}
            events.append(opened | {"delta": {"message": {"content": {"type": kind, kind: ""}}}})
            events += [_delta(at, {kind: piece}) for piece in pieces]
            if scenario == "cut":
                return sse(*events[:-1], named=True)
            events.append({"type": "content-end", "index": at})
    ended: Json = {"finish_reason": _reason(scenario)}
    if scenario == "broken":
        ended["error"] = "the model is gone"
    if scenario != "silent":
        ended["usage"] = usage()
    return sse(*events, {"type": "message-end", "id": ID, "delta": ended}, named=True)


def _delta(at: int, content: Json) -> Json:
    return {"type": "content-delta", "index": at, "delta": {"message": {"content": content}}}


def _call_events(at: int, call: Json) -> list[Json]:
    arguments = call["function"]["arguments"]
    begun = call | {"function": call["function"] | {"arguments": ""}}
    more = [
        {"type": "tool-call-delta", "index": at, "delta": {"message": {"tool_calls": {"function": bit}}}}
        for bit in ({"arguments": arguments[:5]}, {"arguments": arguments[5:]})
    ]
    start = {"type": "tool-call-start", "index": at, "delta": {"message": {"tool_calls": begun}}}
    return [start, *more, {"type": "tool-call-end", "index": at}]

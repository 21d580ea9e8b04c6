"""An Anthropic API for tests: whole messages, event streams, counts, errors.

Source: platform.claude.com, API reference, "Create a Message", "Count tokens in a Message", "Errors", "Versions";
"Streaming messages", "Thinking" (checked November 2026).
"""

import json
from collections.abc import Iterator
from threading import Event
from typing import Any

from tests.kit.vendors.server import (
    CACHED,
    CALLS,
    INPUT,
    OBJECT,
    OUTPUT,
    PIECES,
    REASONING,
    SCENARIOS,
    SIGNATURE,
    TEXT,
    THOUGHT,
    Answer,
    Asked,
    sse,
)

Json = dict[str, Any]

EXTRA = (
    "error-401",
    "error-404",
    "error-413",
    "error-529",
    "bare-call",
    "broken",
    "cut",
    "early",
    "endless",
    "full",
    "malformed",
    "odd",
    "paused",
    "search",
    "stalled",
    "stopped",
    "unmetered",
)
"""What it knows beside what every vendor's fake does."""
WORD = "word "
"""What `endless` says, again and again."""

ID = "msg_01XFDUDYJgAACzvnptvVoYEL"
WRITTEN = 3
"""Tokens that a cache was written for: a part of INPUT, as those read from one are."""
COUNTED = 77
REFUSED = "It could cause harm."
ERRORS = {
    400: ("invalid_request_error", "messages: roles must alternate"),
    401: ("authentication_error", "invalid x-api-key"),
    404: ("not_found_error", "model: claude-none"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit"),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}
FIELDS = frozenset(
    (
        "model",
        "messages",
        "max_tokens",
        "system",
        "stream",
        "tools",
        "tool_choice",
        "thinking",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "metadata",
        "output_config",
        "cache_control",
        "service_tier",
        "container",
        "inference_geo",
        "speed",
        "diagnostics",
        "context_management",
    )
)
"""What a request may have at its top."""
VERSIONS = ("2023-06-01", "2026-10-21")
SAMPLING = frozenset(("temperature", "top_p", "top_k"))
"""What a request may not have at its top any more since the second version."""


def settings(url: str, more: str = "") -> str:
    """A configuration's provider `a` and a model for each scenario, with more of its lines."""
    models = "".join(
        f'[[models]]\nname = "{name}"\ndeployments = [{{provider = "a", model = "{model}"}}]\n{more}'
        for name, model in [("alias", "plain"), *((one, one) for one in (*SCENARIOS, *EXTRA))]
    )
    return (
        f'[[providers]]\nname = "a"\ndialect = "anthropic"\nbase_url = "{url}/v1"\n'
        f'api_key = "env:KPGATE_TEST_UPSTREAM"\n[retries]\nmax = 0\n{models}'
    )


def answer(asked: Asked) -> Answer:
    """What the model of a scenario's name answers."""
    path = asked.path.partition("?")[0]
    assert path in ("/v1/messages", "/v1/messages/count_tokens"), path
    version = asked.headers["anthropic-version"]
    assert version in VERSIONS, version
    body = asked.body
    wrong = check(body, path.endswith("count_tokens"), version)
    if wrong:
        return _error(400, wrong)
    model = body["model"]
    if model.startswith("error-"):
        return _error(int(model.removeprefix("error-")))
    if path.endswith("count_tokens"):
        return _json({"input_tokens": COUNTED})
    if model == "malformed":
        return Answer(200, "application/json", [b'{"type":"message","content":['])
    if model == "odd":
        return _json({"type": "message", "content": "Hello"})
    blocks, reason = _said(model)
    usage = _usage(model)
    if not body.get("stream"):
        message = _message(blocks, usage) | {"stop_reason": reason}
        if reason == "refusal":
            message["stop_details"] = {"type": "refusal", "category": "cyber", "explanation": REFUSED}
        if model == "stopped":
            message["stop_sequence"] = "END"
        return _json(message)
    events = _events(blocks, reason, usage)
    if model == "broken":
        events = [
            *events[:3],
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ]
    pieces = sse(*events, named=True)
    if model == "cut":
        return Answer(200, "text/event-stream; charset=utf-8", pieces[:4], cut=True)
    if model in ("endless", "stalled"):
        return Answer(200, "text/event-stream", _go_on(pieces, forever=model == "endless"))
    if model == "early":
        return Answer(200, "text/event-stream; charset=utf-8", pieces[:4])
    return Answer(200, "text/event-stream; charset=utf-8", pieces)


def _go_on(pieces: list[bytes], *, forever: bool) -> Iterator[bytes]:
    """A stream that has no end: it says more, or nothing more, until nobody listens."""
    yield from pieces[:5]
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORD}}
    more = sse(delta, named=True)[0]
    while forever:
        yield more
    Event().wait(30)


def check(
    body: Any, counting: bool = False, version: str = VERSIONS[0], seals: tuple[str, ...] = (SIGNATURE,)
) -> str:
    """What is wrong with a request, as far as Anthropic says; else empty. Shape: `seals` are those that it made."""
    if not isinstance(body, dict):
        return "The request body is not valid JSON"
    if unknown := set(body) - FIELDS | (set(body) & SAMPLING if version == VERSIONS[1] else set()):
        return f"{min(unknown)}: Extra inputs are not permitted"
    if not counting and "max_tokens" not in body:
        return "max_tokens: Field required"
    before = ""
    for number, message in enumerate(body["messages"]):
        content = message["content"]
        if message["role"] == before:
            return f"messages.{number}: roles must alternate between user and assistant"
        before = message["role"]
        kinds = [block["type"] for block in content] if isinstance(content, list) else []
        for place, block in enumerate(content if isinstance(content, list) else ()):
            if block["type"] == "thinking" and block["signature"] not in seals:
                return f"messages.{number}.content.{place}: Invalid `signature` in `thinking` block"
        results = kinds.count("tool_result")
        if results and kinds[:results] != ["tool_result"] * results:
            return f"messages.{number}: tool_result blocks come first"
        if any(block["type"] == "text" and not block["text"] for block in content if isinstance(block, dict)):
            return f"messages.{number}: text content blocks must be non-empty"
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled" and thinking["budget_tokens"] >= body["max_tokens"]:
        return "max_tokens: must be greater than thinking.budget_tokens"
    return ""


def _said(model: str) -> tuple[list[Json], str]:
    """The blocks of a scenario's answer, and why it ended."""
    text: Json = {"type": "text", "text": TEXT}
    if model == "tools":
        calls = [
            {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": input}
            for number, (name, input) in enumerate(CALLS)
        ]
        return [text, *calls], "tool_use"
    if model == "bare-call":
        return [{"type": "tool_use", "id": "toolu_0", "name": "now", "input": {}}], "tool_use"
    if model == "schema":
        return [text | {"text": json.dumps(OBJECT)}], "end_turn"
    if model == "thinking":
        thought = {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE}
        return [thought, {"type": "redacted_thinking", "data": "ZW5j"}, text], "end_turn"
    if model == "search":
        used = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
        error = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
        found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": error}
        return [used, found, text], "end_turn"
    if model == "refusal":
        return [], "refusal"
    reasons = {
        "length": "max_tokens",
        "stopped": "stop_sequence",
        "paused": "pause_turn",
        "full": "model_context_window_exceeded",
    }
    return [text], reasons.get(model, "end_turn")


def _usage(model: str) -> Json:
    if model == "unmetered":
        return {}
    usage: Json = {
        "input_tokens": INPUT - CACHED - WRITTEN,
        "cache_creation_input_tokens": WRITTEN,
        "cache_read_input_tokens": CACHED,
        "cache_creation": {"ephemeral_5m_input_tokens": WRITTEN, "ephemeral_1h_input_tokens": 0},
        "output_tokens": OUTPUT,
        "service_tier": "standard",
    }
    if model == "thinking":
        usage["output_tokens_details"] = {"thinking_tokens": REASONING}
    return usage


def _message(blocks: list[Json], usage: Json) -> Json:
    return {
        "id": ID,
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": blocks,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _events(blocks: list[Json], reason: str, usage: Json) -> list[Json]:
    begun = usage | {"output_tokens": 1} if usage else {}
    events: list[Json] = [{"type": "message_start", "message": _message([], begun)}, {"type": "ping"}]
    for index, block in enumerate(blocks):
        empty, deltas = _deltas(block)
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta: Json = {"stop_reason": reason, "stop_sequence": None}
    if reason == "refusal":
        delta["stop_details"] = {"type": "refusal", "category": "cyber", "explanation": REFUSED}
    if reason == "stop_sequence":
        delta["stop_sequence"] = "END"
    last: Json = {"type": "message_delta", "delta": delta}
    if usage:
        last["usage"] = usage
    return [*events, last, {"type": "message_stop"}]


def _deltas(block: Json) -> tuple[Json, list[Json]]:
    """A block as it begins, and what is added to it."""
    if block["type"] == "text":
        pieces = PIECES if block["text"] == TEXT else (block["text"][:7], block["text"][7:])
        return block | {"text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]
    if block["type"] == "thinking":
        thought = {"type": "thinking_delta", "thinking": block["thinking"]}
        seal = {"type": "signature_delta", "signature": block["signature"]}
        return block | {"thinking": "", "signature": ""}, [thought, seal]
    if block["type"] in ("tool_use", "server_tool_use"):
        written = json.dumps(block["input"]) if block["input"] else ""
        pieces = ("", written[:9], written[9:])
        return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": one} for one in pieces]
    return block, []


def _json(body: Json) -> Answer:
    return Answer(200, "application/json", [json.dumps(body).encode()], {"request-id": "req_upstream"})


def _error(status: int, message: str = "") -> Answer:
    kind, usual = ERRORS[status]
    body = {
        "type": "error",
        "error": {"type": kind, "message": message or usual},
        "request_id": "req_upstream",
    }
    return Answer(status, "application/json", [json.dumps(body).encode()], {"request-id": "req_upstream"})

"""An OpenAI chat completions API for tests, at OpenAI's paths and at Azure's.

Source: OpenAI API reference, chat completions: the object, streaming, error codes (checked November 2026); the pieces
that other vendors leave out or add are named by scenario.
"""

import json
from typing import Any, get_type_hints

from openai.types.chat import completion_create_params

from tests.kit.vendors import responses
from tests.kit.vendors.server import (
    CACHED,
    CALLS,
    INPUT,
    OBJECT,
    OUTPUT,
    PIECES,
    REASONING,
    TEXT,
    THOUGHT,
    Answer,
    Asked,
    sse,
)

ID = "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT"
CREATED_S = 1_741_569_952
ERRORS = {
    400: ("Invalid 'temperature'.", "invalid_request_error", "temperature", "invalid_value"),
    429: ("Rate limit reached.", "requests", None, "rate_limit_exceeded"),
    500: ("The server had an error.", "server_error", None, None),
}
REFUSAL = "I can't help with that."

Json = dict[str, Any]

FIELDS = frozenset(get_type_hints(completion_create_params.CompletionCreateParamsStreaming))
"""What a request may have: what the vendor's own client knows. Anything else is an error there."""


def unknown(body: Json, fields: frozenset[str]) -> Answer | None:
    """The refusal of a field that the API does not have."""
    for name in body:
        if name not in fields:
            message = f"Unrecognized request argument supplied: {name}"
            error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
            return Answer(400, "application/json", [json.dumps({"error": error}).encode()])
    return None


def answer(asked: Asked) -> Answer:
    """What the model of a scenario's name answers, on either of OpenAI's APIs."""
    path = asked.path.partition("?")[0]
    if path.endswith("/responses"):
        return responses.answer(asked)
    assert path.endswith("/chat/completions"), f"OpenAI has no such path: {asked.path}"
    body = asked.body
    refused = unknown(body, FIELDS)
    if refused is not None:
        return refused
    scenario = body["model"]
    if scenario.startswith("error-"):
        return error(int(scenario.removeprefix("error-")))
    if scenario == "html":
        return Answer(200, "application/json", [b"<html>"])
    if body.get("stream"):
        include = (body.get("stream_options") or {}).get("include_usage")
        return _stream(scenario, bool(include))
    choices = [
        {"index": 0, "message": _message(scenario), "logprobs": None, "finish_reason": _reason(scenario)}
    ]
    if scenario == "empty":
        choices = []
    reply = _frame("chat.completion") | {"choices": choices}
    if scenario != "silent":
        reply["usage"] = usage(scenario)
    return Answer(200, "application/json", [json.dumps(reply).encode()])


def answer_azure(asked: Asked) -> Answer:
    """The same at Azure's dated addresses, with the model in the path and a key of Azure's own.

    Source: Microsoft Learn, "Azure OpenAI REST API reference", chat completions (checked November 2026).
    """
    path, _, query = asked.path.partition("?")
    assert query.startswith("api-version=2") and asked.headers.get("api-key"), asked.path
    if not path.endswith("/responses"):
        named = path.removeprefix("/openai/deployments/").partition("/")[0]
        asked.body["model"] = named
    given = answer(asked)
    if given.content_type == "text/event-stream" and not path.endswith("/responses"):
        # The prompt's filter results come first, in a chunk without choices, id or model.
        frame: Json = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        filtered = frame | {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
        given.pieces = [*sse(filtered), *given.pieces]
    return given


def error(status: int) -> Answer:
    """A refusal in OpenAI's shape."""
    message, kind, param, code = ERRORS[status]
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    headers = {"retry-after": "7"} if status == 429 else {}
    return Answer(status, "application/json", [json.dumps(body).encode()], headers)


def usage(scenario: str) -> Json:
    """What every answer used."""
    return {
        "prompt_tokens": INPUT,
        "completion_tokens": OUTPUT,
        "total_tokens": INPUT + OUTPUT,
        "prompt_tokens_details": {"cached_tokens": CACHED, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": REASONING if scenario == "thinking" else 0,
            "audio_tokens": 0,
        },
    }


def _frame(kind: str) -> Json:
    return {"id": ID, "object": kind, "created": CREATED_S, "model": "up-2026-11-01"}


def _reason(scenario: str) -> str:
    return {"tools": "tool_calls", "length": "length", "bad-arguments": "tool_calls"}.get(scenario, "stop")


def _calls(scenario: str) -> list[Json]:
    if scenario == "bad-arguments":
        return [{"id": "call_0", "type": "function", "function": {"name": "f", "arguments": "{oops"}}]
    return [
        {
            "id": f"call_{at}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for at, (name, arguments) in enumerate(CALLS)
    ]


def _message(scenario: str) -> Json:
    said: Json = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    if scenario in ("tools", "bad-arguments"):
        said |= {"content": None, "tool_calls": _calls(scenario)}
    elif scenario == "schema":
        said["content"] = json.dumps(OBJECT)
    elif scenario == "refusal":
        said |= {"content": None, "refusal": REFUSAL}
    elif scenario == "thinking":
        said["reasoning_content"] = THOUGHT
    return said


def _deltas(scenario: str) -> list[Json]:
    """What each chunk says."""
    if scenario in ("tools", "bad-arguments"):
        deltas: list[Json] = []
        for at, call in enumerate(_calls(scenario)):
            arguments = call["function"]["arguments"]
            begun = {**call, "index": at, "function": {"name": call["function"]["name"], "arguments": ""}}
            deltas.append({"tool_calls": [begun]})
            deltas += [
                {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}
                for piece in (arguments[:5], arguments[5:])
            ]
        return deltas
    if scenario == "refusal":
        return [{"refusal": REFUSAL[:8]}, {"refusal": REFUSAL[8:]}]
    if scenario == "schema":
        text = json.dumps(OBJECT)
        return [{"content": text[:9]}, {"content": text[9:]}]
    thoughts: list[Json] = [{"reasoning_content": THOUGHT[:4]}, {"reasoning_content": THOUGHT[4:]}]
    spoken: list[Json] = [{"content": piece} for piece in PIECES]
    return thoughts + spoken if scenario == "thinking" else spoken


def _stream(scenario: str, usage_wanted: bool) -> Answer:
    frame = _frame("chat.completion.chunk")
    more = {"usage": None} if usage_wanted else {}

    def chunk(delta: Json, reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return frame | {"choices": [choice]} | more

    events: list[Any] = [chunk({"role": "assistant", "content": "", "refusal": None})]
    events += [chunk(delta) for delta in _deltas(scenario)]
    if scenario == "broken":
        events.append(
            {"error": {"message": "Overloaded.", "type": "server_error", "param": None, "code": None}}
        )
        return Answer(200, "text/event-stream", sse(*events))
    if scenario == "cut":
        return Answer(200, "text/event-stream", sse(*events), cut=True)
    if scenario == "endless":
        return Answer(200, "text/event-stream", sse(*[chunk({"content": "word "})] * 400))
    events.append(chunk({}, _reason(scenario)))
    if usage_wanted and scenario != "silent":
        events.append(frame | {"choices": [], "usage": usage(scenario)})
    return Answer(200, "text/event-stream", [b": keep-alive\n\n", *sse(*events, "[DONE]")])

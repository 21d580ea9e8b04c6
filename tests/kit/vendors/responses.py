"""An OpenAI Responses API for tests: whole replies and the typed events of streams.

Source: OpenAI API reference, responses: the object, streaming events (checked November 2026).
"""

import json
from typing import Any, get_type_hints

from openai.types.responses import response_create_params

from tests.kit.vendors.server import (
    CACHED,
    CALLS,
    INPUT,
    OBJECT,
    OUTPUT,
    PIECES,
    REASONING,
    SIGNATURE,
    TEXT,
    THOUGHT,
    Answer,
    Asked,
    sse,
)

ID = "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b"
CREATED_S = 1_741_476_542
REFUSAL = "I can't help with that."
ERRORS = {
    400: ("Invalid 'temperature'.", "invalid_request_error", "temperature", "invalid_value"),
    429: ("Rate limit reached.", "requests", None, "rate_limit_exceeded"),
    500: ("The server had an error.", "server_error", None, None),
}

FIELDS = frozenset((*get_type_hints(response_create_params.ResponseCreateParamsStreaming), "new_field"))
"""What a request may have: what the vendor's own client knows, and one of tomorrow. Anything else is an error there."""

Json = dict[str, Any]


def answer(asked: Asked) -> Answer:
    """What the model of a scenario's name answers."""
    assert asked.path.partition("?")[0].endswith("/responses"), f"there is no such path: {asked.path}"
    body = asked.body
    for name in body:
        if name not in FIELDS:
            error = {"message": f"Unknown parameter: '{name}'.", "type": "invalid_request_error"}
            more = {"param": name, "code": "unknown_parameter"}
            return Answer(400, "application/json", [json.dumps({"error": error | more}).encode()])
    scenario = body["model"]
    if scenario.startswith("error-"):
        return _error(int(scenario.removeprefix("error-")))
    if scenario == "html":
        return Answer(200, "application/json", [b"<html>"])
    if body.get("stream"):
        return _stream(scenario, body)
    status, why = _status(scenario)
    output = (
        [] if scenario == "empty" else _output(scenario, "completed" if status == "completed" else status)
    )
    used = None if scenario == "silent" else usage(scenario)
    reply = _response(body, status, output, used) | {"incomplete_details": why}
    if scenario == "empty":
        del reply["output"]
    if scenario == "failed":
        reply["error"] = {"code": "server_error", "message": "The model failed."}
    return Answer(200, "application/json", [json.dumps(reply).encode()])


def usage(scenario: str) -> Json:
    """What every answer used."""
    return {
        "input_tokens": INPUT,
        "input_tokens_details": {"cached_tokens": CACHED, "cache_write_tokens": 0},
        "output_tokens": OUTPUT,
        "output_tokens_details": {"reasoning_tokens": REASONING if scenario == "thinking" else 0},
        "total_tokens": INPUT + OUTPUT,
    }


def _error(status: int) -> Answer:
    message, kind, param, code = ERRORS[status]
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    headers = {"retry-after": "7"} if status == 429 else {}
    return Answer(status, "application/json", [json.dumps(body).encode()], headers)


def _status(scenario: str) -> tuple[str, Json | None]:
    if scenario == "failed":
        return "failed", None
    return ("incomplete", {"reason": "max_output_tokens"}) if scenario == "length" else ("completed", None)


def _response(body: Json, status: str, output: list[Json], used: Json | None) -> Json:
    return {
        "id": ID,
        "object": "response",
        "created_at": CREATED_S,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": "up-2026-11-01",
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "store": body.get("store", True),
        "temperature": 1.0,
        "text": body.get("text", {"format": {"type": "text"}}),
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": used,
        "user": None,
        "metadata": body.get("metadata", {}),
    }


def _message(part: Json | None, status: str) -> Json:
    content = [] if part is None else [part]
    return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content}


def _text(text: str) -> Json:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _call(at: int, arguments: str, status: str) -> Json:
    return {
        "id": f"fc_{at}",
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": f"call_{at}",
        "name": CALLS[at][0],
    }


def _reasoning(text: str) -> Json:
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": SIGNATURE}


def _said(scenario: str) -> str:
    return json.dumps(OBJECT) if scenario == "schema" else TEXT


def _output(scenario: str, status: str) -> list[Json]:
    if scenario == "tools":
        return [_call(at, json.dumps(arguments), status) for at, (_, arguments) in enumerate(CALLS)]
    if scenario == "bad-arguments":
        return [_call(0, "{oops", status)]
    if scenario == "refusal":
        return [_message({"type": "refusal", "refusal": REFUSAL}, status)]
    thought = [_reasoning(THOUGHT)] if scenario == "thinking" else []
    return [*thought, _message(_text(_said(scenario)), status)]


class _Script:
    """Events, numbered as they are made."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def say(self, kind: str, **fields: Any) -> None:
        self.events.append({"type": kind, "sequence_number": len(self.events), **fields})


def _stream(scenario: str, body: Json) -> Answer:
    script = _Script()
    begun = _response(body, "in_progress", [], None)
    script.say("response.created", response=begun)
    script.say("response.in_progress", response=begun)
    if scenario in ("broken", "failing"):
        _play_text(script, 0, PIECES[:1], TEXT, ends=False)
        return _break(script, body, scenario)
    if scenario == "endless":
        _play_text(script, 0, ["word "] * 400, "", ends=False)
        return Answer(200, "text/event-stream", sse(*script.events, named=True))
    if scenario == "cut":
        _play_text(script, 0, PIECES[:1], TEXT, ends=False)
        return Answer(200, "text/event-stream", sse(*script.events, named=True), cut=True)
    if scenario in ("tools", "bad-arguments"):
        for at, (_, arguments) in enumerate(CALLS):
            _play_call(script, at, "{oops" if scenario == "bad-arguments" else json.dumps(arguments))
    elif scenario == "refusal":
        _play_refusal(script)
    else:
        if scenario == "thinking":
            _play_thought(script)
        text = _said(scenario)
        pieces = (text[:9], text[9:]) if scenario == "schema" else PIECES
        _play_text(script, int(scenario == "thinking"), pieces, text)
    status, why = _status(scenario)
    used = None if scenario == "silent" else usage(scenario)
    whole = _response(body, status, _output(scenario, status), used) | {"incomplete_details": why}
    script.say(f"response.{status}", response=whole)
    return Answer(200, "text/event-stream", sse(*script.events, named=True))


def _break(script: _Script, body: Json, scenario: str) -> Answer:
    if scenario == "broken":
        error = {"type": "server_error", "code": "server_error", "message": "Overloaded.", "param": None}
        script.say("error", error=error)
    whole = _response(body, "failed", [], None)
    script.say(
        "response.failed", response=whole | {"error": {"code": "server_error", "message": "Overloaded."}}
    )
    return Answer(200, "text/event-stream", sse(*script.events, named=True))


def _play_text(script: _Script, output: int, pieces: Any, text: str, *, ends: bool = True) -> None:
    where = {"item_id": "msg_1", "output_index": output, "content_index": 0}
    script.say("response.output_item.added", output_index=output, item=_message(None, "in_progress"))
    script.say("response.content_part.added", **where, part=_text(""))
    for piece in pieces:
        script.say("response.output_text.delta", **where, delta=piece, logprobs=[], obfuscation="x7")
    if ends:
        script.say("response.output_text.done", **where, text=text, logprobs=[])
        script.say("response.content_part.done", **where, part=_text(text))
        script.say("response.output_item.done", output_index=output, item=_message(_text(text), "completed"))


def _play_refusal(script: _Script) -> None:
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "refusal", "refusal": REFUSAL}
    script.say("response.output_item.added", output_index=0, item=_message(None, "in_progress"))
    script.say("response.content_part.added", **where, part={"type": "refusal", "refusal": ""})
    for piece in (REFUSAL[:8], REFUSAL[8:]):
        script.say("response.refusal.delta", **where, delta=piece)
    script.say("response.refusal.done", **where, refusal=REFUSAL)
    script.say("response.content_part.done", **where, part=part)
    script.say("response.output_item.done", output_index=0, item=_message(part, "completed"))


def _play_thought(script: _Script) -> None:
    where = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    script.say("response.output_item.added", output_index=0, item=_reasoning(""))
    script.say("response.reasoning_summary_part.added", **where, part={"type": "summary_text", "text": ""})
    for piece in (THOUGHT[:4], THOUGHT[4:]):
        script.say("response.reasoning_summary_text.delta", **where, delta=piece)
    script.say("response.reasoning_summary_text.done", **where, text=THOUGHT)
    script.say(
        "response.reasoning_summary_part.done", **where, part={"type": "summary_text", "text": THOUGHT}
    )
    script.say("response.output_item.done", output_index=0, item=_reasoning(THOUGHT))


def _play_call(script: _Script, at: int, arguments: str) -> None:
    where = {"item_id": f"fc_{at}", "output_index": at}
    script.say("response.output_item.added", output_index=at, item=_call(at, "", "in_progress"))
    for piece in (arguments[:5], arguments[5:]):
        script.say("response.function_call_arguments.delta", **where, delta=piece)
    script.say("response.function_call_arguments.done", **where, arguments=arguments)
    script.say("response.output_item.done", output_index=at, item=_call(at, arguments, "completed"))

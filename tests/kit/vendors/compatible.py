"""Vendors that speak OpenAI with a difference, on one server: the first part of the path is the vendor.

Each refuses what its own API refuses and says usage where its own API says it (shapes as in `domain/presets`, checked
November 2026): Mistral is strict about fields, Groq has a stream's usage in `x_groq`, Moonshot in the last choice,
DeepSeek and Moonshot name cached tokens their own way, xAI counts reasoning beside the completion.
"""

import json
from typing import Any

from tests.kit.vendors.server import Answer, Asked, sse

INPUT, CACHED, OUTPUT, REASONING = 100, 40, 10, 30
TEXT = "Hello there"

USAGE: dict[str, dict[str, Any]] = {
    "": {},
    "deepseek": {"prompt_cache_hit_tokens": CACHED, "prompt_cache_miss_tokens": INPUT - CACHED},
    "moonshot": {"cached_tokens": CACHED},
    "xai": {
        "total_tokens": INPUT + OUTPUT + REASONING,
        "completion_tokens_details": {"reasoning_tokens": REASONING},
    },
}
ONLY_MAX_TOKENS = ("mistral", "moonshot", "deepseek")


def answer(asked: Asked) -> Answer:
    """What the vendor answers. Shape: as `VendorServer` wants it."""
    vendor, body = asked.path.split("/")[1], asked.body
    if vendor == "mistral" and "stream_options" in body:
        return _refusal(422, "Extra inputs are not permitted", "stream_options")
    if vendor in ONLY_MAX_TOKENS and "max_completion_tokens" in body:
        return _refusal(422, "Extra inputs are not permitted", "max_completion_tokens")
    if vendor == "groq" and body.get("n", 1) != 1:
        return _refusal(400, "'n' : number must be at most 1", "n")
    usage = {
        "prompt_tokens": INPUT,
        "completion_tokens": OUTPUT,
        "total_tokens": INPUT + OUTPUT,
        **USAGE.get(vendor, {}),
    }
    shell = {"id": "c-1", "created": 1, "model": body["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
        whole = {**shell, "object": "chat.completion", "choices": [choice], "usage": usage}
        return Answer(200, "application/json", [json.dumps(whole).encode()])
    return Answer(200, "text/event-stream", sse(*_events(vendor, body, shell, usage), "[DONE]"))


def _events(
    vendor: str, body: dict[str, Any], shell: dict[str, Any], usage: dict[str, Any]
) -> list[dict[str, Any]]:
    shell = {**shell, "object": "chat.completion.chunk"}
    said = [{"index": 0, "delta": {"content": word}, "finish_reason": None} for word in ("Hello", " there")]
    end: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": "stop"}
    last: dict[str, Any] = {**shell, "choices": [end]}
    more: list[dict[str, Any]] = []
    if vendor == "groq":
        last["x_groq"] = {"id": "req_1", "usage": usage}
    elif vendor == "moonshot":
        end["usage"] = usage
    elif vendor == "mistral":
        last["usage"] = usage
    elif (body.get("stream_options") or {}).get("include_usage"):
        more = [{**shell, "choices": [], "usage": usage}]
    return [*({**shell, "choices": [one]} for one in said), last, *more]


def _refusal(status: int, message: str, param: str) -> Answer:
    said = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}
    return Answer(status, "application/json", [json.dumps(said).encode()])

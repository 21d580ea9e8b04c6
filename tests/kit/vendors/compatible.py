"""Vendors that speak OpenAI with a difference, on one server: the first part of the path is the vendor.

Each refuses what its own API refuses and says usage where its own API says it (checked November 2026). The rules are
written down here once more, from the vendors' own clients and what they answer, so that a row of `domain/presets` that
is wrong is met by a refusal.
"""

import json
import re
from typing import Any, NamedTuple

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
ROLES = frozenset(("system", "user", "assistant", "tool"))
COMMON = frozenset(
    (
        *("model", "messages", "stream", "stop", "temperature", "top_p", "tools", "tool_choice", "n"),
        *("response_format", "frequency_penalty", "presence_penalty", "parallel_tool_calls"),
        "reasoning_effort",
    )
)
SPOKEN = frozenset(("role", "content", "tool_calls", "tool_call_id"))


class Rules(NamedTuple):
    """What a vendor takes, and only that. Shape: None is anything; `ids` is what a call's id must look like."""

    roles: frozenset[str] | None = ROLES
    fields: frozenset[str] | None = None
    refused: frozenset[str] = frozenset()
    members: frozenset[str] | None = None
    texts: bool = False
    ids: str = ""
    stops: int = 0
    choices: frozenset[str] | None = None
    schema: bool = True
    thoughts: bool = False
    one: bool = False


NEWER = frozenset(("max_completion_tokens",))
KNOWN_CHOICES = frozenset(("auto", "none", "required", "named"))
GLM = Rules(refused=NEWER | {"top_k"}, stops=1, choices=frozenset(("auto",)), schema=False)
RULES: dict[str, Rules] = {
    "openai": Rules(ROLES | {"developer"}, refused=frozenset(("top_k",))),
    "cerebras": Rules(
        ROLES | {"developer"},
        COMMON
        | {
            *(
                "max_completion_tokens",
                "max_tokens",
                "stream_options",
                "seed",
                "user",
                "logit_bias",
                "logprobs",
            ),
            *("top_logprobs", "prediction", "prompt_cache_key", "service_tier"),
        },
        members=SPOKEN | {"name", "reasoning"},
    ),
    "groq": Rules(
        ROLES | {"developer"},
        COMMON
        | {
            *("max_completion_tokens", "max_tokens", "stream_options", "seed", "user", "metadata", "store"),
            *("service_tier", "functions", "function_call", "include_reasoning", "reasoning_format"),
        },
        members=SPOKEN | {"reasoning"},
        one=True,
    ),
    "fireworks": Rules(
        ROLES,
        COMMON
        | {
            *(
                "max_tokens",
                "seed",
                "user",
                "metadata",
                "service_tier",
                "prompt_cache_key",
                "prediction",
                "top_k",
            ),
            *(
                "logit_bias",
                "logprobs",
                "top_logprobs",
                "functions",
                "function_call",
                "min_p",
                "stream_options",
            ),
        },
    ),
    "mistral": Rules(
        ROLES,
        COMMON
        | {
            *(
                "max_tokens",
                "random_seed",
                "metadata",
                "min_tokens",
                "repetition_penalty",
                "top_k",
                "logprobs",
            ),
            *("top_logprobs", "prediction", "prompt_mode", "guardrails", "prompt_cache_key", "safe_prompt"),
        },
        members=SPOKEN | {"prefix"},
        ids="[a-zA-Z0-9]{9}",
    ),
    "deepseek": Rules(refused=NEWER, texts=True, stops=16, schema=False, thoughts=True),
    "deepinfra": Rules(refused=NEWER, texts=True),
    "moonshot": Rules(refused=NEWER | {"top_k"}, choices=KNOWN_CHOICES - {"required"}, thoughts=True),
    "perplexity": Rules(refused=NEWER | {"stream_options"}, choices=KNOWN_CHOICES - {"named"}),
    "ollama": Rules(refused=NEWER | {"top_k"}, one=True),
    "openrouter": Rules(ROLES | {"developer"}, refused=NEWER),
    "litellm": Rules(ROLES | {"developer"}),
    "zai": GLM,
    "zhipu": GLM,
    **{
        name: Rules(refused=NEWER)
        for name in (
            *("dashscope", "databricks", "llamacpp", "lmstudio", "localai", "novita"),
            *("sambanova", "siliconflow", "together"),
        )
    },
    **{
        name: Rules(refused=NEWER | {"top_k"})
        for name in ("cloudflare", "huggingface", "hyperbolic", "nebius", "nvidia", "tgi")
    },
    **{
        name: Rules(refused=frozenset(("top_k",)))
        for name in ("baidu", "meta", "minimax", "volcengine", "xai")
    },
    **{name: Rules() for name in ("sglang", "vllm")},
}
ANY = Rules(None)


def answer(asked: Asked) -> Answer:
    """What the vendor answers. Shape: as `VendorServer` wants it."""
    vendor, body = asked.path.split("/")[1], asked.body
    wrong = _wrong(RULES.get(vendor, ANY), body)
    if wrong:
        return _refusal(422 if vendor in ("mistral", "deepinfra") else 400, wrong)
    if body["model"] == "down":
        return _refusal(500, "It is down.")
    usage = {
        "prompt_tokens": INPUT,
        "completion_tokens": OUTPUT,
        "total_tokens": INPUT + OUTPUT,
        **USAGE.get(vendor, {}),
    }
    shell = {"id": "c-1", "created": 1, "model": body["model"]}
    if not body.get("stream"):
        content: Any = TEXT
        if body["model"] == "thinking":
            content = [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                {"type": "text", "text": TEXT},
            ]
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        whole = {**shell, "object": "chat.completion", "choices": [choice], "usage": usage}
        return Answer(200, "application/json", [json.dumps(whole).encode()])
    return Answer(200, "text/event-stream", sse(*_events(vendor, body, shell, usage), "[DONE]"))


def _wrong(rules: Rules, body: dict[str, Any]) -> str:
    """What the vendor does not take, empty for nothing."""
    extra = set(body) & rules.refused if rules.fields is None else set(body) - rules.fields
    if extra:
        return f"Extra inputs are not permitted: {sorted(extra)}"
    if rules.one and body.get("n", 1) != 1:
        return "'n' : number must be at most 1"
    stop = body.get("stop") or []
    if rules.stops and isinstance(stop, list) and len(stop) > rules.stops:
        return "stop: too many"
    choice = body.get("tool_choice", "auto")
    how = choice if isinstance(choice, str) else "named"
    if rules.choices is not None and how not in rules.choices:
        return f"tool_choice {how} is not supported"
    if not rules.schema and (body.get("response_format") or {}).get("type") == "json_schema":
        return "This response_format type is unavailable now"
    return next(filter(None, (_wrong_message(rules, one) for one in body["messages"])), "")


def _wrong_message(rules: Rules, message: dict[str, Any]) -> str:
    role, content = message["role"], message.get("content")
    if rules.roles is not None and role not in rules.roles:
        return f"unknown variant `{role}`"
    if rules.members is not None and set(message) - rules.members:
        return f"messages: property {sorted(set(message) - rules.members)} is unsupported"
    if rules.texts and isinstance(content, list) and all(part["type"] == "text" for part in content):
        return "messages: invalid type: sequence, expected a string"
    calls = message.get("tool_calls") or []
    if rules.thoughts and calls and not message.get("reasoning_content"):
        return "reasoning_content is missing in assistant tool call message"
    for id in [*(call["id"] for call in calls), message.get("tool_call_id")]:
        if id is not None and rules.ids and not re.fullmatch(rules.ids, id):
            return f"Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9."
    return ""


def _events(
    vendor: str, body: dict[str, Any], shell: dict[str, Any], usage: dict[str, Any]
) -> list[dict[str, Any]]:
    shell = {**shell, "object": "chat.completion.chunk"}
    words: list[Any] = ["Hello", " there"]
    if body["model"] == "thinking":
        words = [
            [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}],
            [{"type": "text", "text": "Hello"}],
            " there",
        ]
    said = [{"index": 0, "delta": {"content": word}, "finish_reason": None} for word in words]
    end: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": "stop"}
    last: dict[str, Any] = {**shell, "choices": [end]}
    more: list[dict[str, Any]] = []
    if vendor == "groq":
        last["x_groq"] = {"id": "req_1", "usage": usage}
    elif vendor == "moonshot":
        end["usage"] = usage
    elif vendor in ("mistral", "perplexity"):
        last["usage"] = usage
    elif (body.get("stream_options") or {}).get("include_usage"):
        more = [{**shell, "choices": [], "usage": usage}]
    return [*({**shell, "choices": [one]} for one in said), last, *more]


def _refusal(status: int, message: str) -> Answer:
    said = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
    return Answer(status, "application/json", [json.dumps(said).encode()])

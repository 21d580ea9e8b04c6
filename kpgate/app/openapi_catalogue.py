"""What the OpenAPI document says of models: OpenAI's own fields, and those that `model_card` gives."""

from kpgate.app.model_card import KINDS
from kpgate.app.openapi_parts import Json, open_to_more, ref
from kpgate.domain import usage

_FLAG: Json = {"type": ["boolean", "null"]}
_WORDS: Json = {"type": ["array", "null"], "items": {"type": "string"}}
_COUNT: Json = {"type": ["integer", "null"]}
_PRICES: Json = {name: {"type": "number"} for name in KINDS}
_LONG: Json = {"long_above": {"type": "integer"}}
_LONG |= {f"long_{name}": {"type": "number"} for name in usage.KINDS}

_SHOWN: Json = {
    "context_window": {**_COUNT, "description": "Prompt and output together, in tokens; null if not known."},
    "output_tokens_max": {**_COUNT, "description": "The most output of one choice, in tokens."},
    "modalities": {"type": "object", "properties": {"input": _WORDS, "output": _WORDS}},
    "capabilities": {
        "type": "object",
        "properties": dict.fromkeys(("vision", "tools", "json_schema", "reasoning"), _FLAG),
        "description": "What every deployment of it can; null if not known.",
    },
    "pricing": {
        "type": ["object", "null"],
        "properties": {
            "currency": {"const": "KPT"},
            "per_tokens": {"const": 1_000_000},
            **_PRICES,
            **_LONG,
        },
        "description": "What it costs this key at most, `request` for a call; null where calls cost nothing."
        " `long_` is for calls with more than `long_above` prompt tokens, where that differs.",
    },
}

_OWN: Json = {
    "id": {"type": "string"},
    "object": {"const": "model"},
    "created": {"type": "integer"},
    "owned_by": {"type": "string"},
}

SCHEMAS: Json = {
    "Model": open_to_more({**_OWN, **_SHOWN}, ("id", "object")),
    "ModelList": open_to_more(
        {"object": {"const": "list"}, "data": {"type": "array", "items": ref("Model")}}, ("object", "data")
    ),
}

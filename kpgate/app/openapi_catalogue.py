"""What the OpenAPI document says of a model beside OpenAI's own fields: as `model_card` gives them."""

from kpgate.app.model_card import KINDS
from kpgate.app.openapi_parts import Json

_FLAG: Json = {"type": ["boolean", "null"]}
_WORDS: Json = {"type": ["array", "null"], "items": {"type": "string"}}
_COUNT: Json = {"type": ["integer", "null"]}
_PRICES: Json = {name: {"type": "number"} for name in KINDS}

SHOWN: Json = {
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
        "properties": {"currency": {"const": "KPT"}, "per_tokens": {"const": 1_000_000}, **_PRICES},
        "description": "What it costs this key at most, `request` for a call; null where calls cost nothing.",
    },
}

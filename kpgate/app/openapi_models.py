"""The part of the OpenAPI document that is about lists of models in the dialects that have their own."""

from kpgate.app.openapi_parts import Json, open_to_more, ref

_COUNT: Json = {"type": ["integer", "null"]}
_WORD: Json = {"type": ["string", "null"]}

# Path, operation, summary, reply schema.
LISTS: tuple[tuple[str, str, str, str], ...] = (
    (
        "/v1beta/models",
        "listGeminiModels",
        "The models this key may use, as Gemini has them.",
        "GeminiModels",
    ),
    ("/v1beta/models/{model}", "getGeminiModel", "One model, as Gemini has it.", "GeminiModel"),
)
OTHERS = (
    "With `anthropic-version` among the headers the answer is Anthropic's, with `x-goog-api-key` Gemini's."
)
QUERIES: dict[str, tuple[tuple[str, Json, str], ...]] = {
    "listModels": (
        ("limit", {"type": "integer"}, "Anthropic's: how many at most, from 1 to 1000; 20 if absent."),
        ("after_id", {"type": "string"}, "Anthropic's: those after this one."),
        ("before_id", {"type": "string"}, "Anthropic's: those before this one."),
    ),
    "listGeminiModels": (
        ("pageSize", {"type": "integer"}, "How many at most, from 1 to 1000; 50 if absent."),
        ("pageToken", {"type": "string"}, "`nextPageToken` of the page before."),
    ),
}
SCHEMAS: Json = {
    "AnthropicModel": open_to_more(
        {
            "type": {"const": "model"},
            "id": {"type": "string"},
            "display_name": {"type": "string"},
            "created_at": {"type": "string"},
            "lifecycle": {"const": "active"},
            "max_input_tokens": _COUNT,
            "max_tokens": _COUNT,
        },
        ("type", "id", "display_name", "created_at"),
    ),
    "AnthropicModels": open_to_more(
        {
            "data": {"type": "array", "items": ref("AnthropicModel")},
            "first_id": _WORD,
            "last_id": _WORD,
            "has_more": {"type": "boolean"},
        },
        ("data", "first_id", "last_id", "has_more"),
    ),
    "GeminiModel": open_to_more(
        {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "displayName": {"type": "string"},
            "thinking": {"type": "boolean"},
            "inputTokenLimit": {"type": "integer"},
            "outputTokenLimit": {"type": "integer"},
            "supportedGenerationMethods": {"type": "array", "items": {"type": "string"}},
        },
        ("name", "supportedGenerationMethods"),
    ),
    "GeminiModels": open_to_more(
        {"models": {"type": "array", "items": ref("GeminiModel")}, "nextPageToken": {"type": "string"}},
        ("models",),
    ),
}

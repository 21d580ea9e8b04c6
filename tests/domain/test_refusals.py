"""What providers say in refusals, in the words of each: a table."""

import json

import pytest

from kpgate.domain.refusals import FILTERED, TOO_LONG, is_flagged, is_unpaid, refused_for

LONG: list[tuple[str, int, str]] = [
    (
        "openai",
        400,
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000.",
    ),
    (
        "openai responses",
        400,
        "Your input exceeds the context window of this model. Please adjust your input.",
    ),
    ("anthropic", 400, "prompt is too long: 208310 tokens > 200000 maximum"),
    (
        "anthropic",
        400,
        "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input",
    ),
    ("anthropic", 413, "Request exceeds the maximum size"),
    (
        "gemini",
        400,
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    ("bedrock", 400, "Input is too long for requested model."),
    ("bedrock", 400, "Too many input tokens. Max input tokens: 8192, request input token count: 9000"),
    (
        "cohere",
        400,
        "too many tokens: total number of tokens in the prompt cannot exceed 128000 - received 130000.",
    ),
    ("xai", 400, "This model's maximum prompt length is 131072 but the request contains 136973 tokens."),
    ("mistral", 400, "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"),
    (
        "llama.cpp",
        400,
        "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it",
    ),
    ("tgi", 422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 65537. Given: 79993"),
    ("tgi", 422, "Input validation error: `inputs` must have less than 512 tokens. Given: 600"),
    ("sglang", 400, "The input (61709 tokens) is longer than the model's context length (40960 tokens)."),
    ("sglang", 400, "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens)."),
    ("moonshot", 400, "Invalid request: Your request exceeded model token limit: 262144 (requested: 291351)"),
    ("qwen", 400, "InternalError.Algo.InvalidParameter: Range of input length should be [1, 983616]"),
    ("groq", 400, "Please reduce the length of the messages or completion."),
    ("github", 413, "Request body too large for gpt-4o model. Max size: 8000 tokens."),
    (
        "lm studio",
        400,
        "The number of tokens to keep from the initial prompt is greater than the context length",
    ),
    (
        "openrouter",
        400,
        "This endpoint's maximum context length is 32768 tokens. However, you requested about 42832",
    ),
]
TAKEN: list[tuple[str, dict[str, object]]] = [
    ("azure", {"code": "content_filter", "message": "The response was filtered", "status": 400}),
    ("openai", {"code": "content_policy_violation", "message": "Your request was rejected"}),
    ("openai images", {"code": "moderation_blocked", "message": "Your request was rejected"}),
    ("anthropic", {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}),
    ("qwen", {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."}),
    ("deepseek", {"code": "invalid_request_error", "message": "Content Exists Risk"}),
]
UNPAID: list[dict[str, object]] = [
    {
        "type": "insufficient_quota",
        "code": "insufficient_quota",
        "message": "You exceeded your current quota",
    },
    {"code": "billing_hard_limit_reached", "message": "Billing hard limit has been reached"},
    {"code": "billing_not_active", "message": "Your account is not active"},
    {
        "type": "invalid_request_error",
        "message": "Your credit balance is too low to access the Anthropic API.",
    },
]


@pytest.mark.parametrize(("vendor", "status", "message"), LONG, ids=[one[0] for one in LONG])
def test_a_prompt_is_too_long_in_the_words_of_each(vendor: str, status: int, message: str) -> None:
    for said in ({"error": {"message": message}}, {"message": message}, {"error": message}):
        assert refused_for(status, json.dumps(said).encode()) == TOO_LONG
        assert refused_for(404, json.dumps(said).encode()) == ""


@pytest.mark.parametrize(("vendor", "said"), TAKEN, ids=[one[0] for one in TAKEN])
def test_a_filter_took_it_in_the_words_of_each(vendor: str, said: dict[str, object]) -> None:
    body = json.dumps({"error": said}).encode()
    assert refused_for(400, body) == FILTERED
    assert refused_for(422, body) == refused_for(403, body) == ""


def test_any_other_refusal_is_the_caller_s() -> None:
    for message in (
        "temperature must be between 0 and 1",
        "max_tokens: 99999 > 8192",
        "no such tool: context",
    ):
        body = json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()
        assert refused_for(400, body) == refused_for(422, body) == "" and not is_unpaid(body)


@pytest.mark.parametrize("said", UNPAID, ids=lambda said: str(said.get("code")))
def test_an_account_is_not_paid_in_the_words_of_each(said: dict[str, object]) -> None:
    for indent in (None, 2):
        assert is_unpaid(json.dumps({"error": said}, indent=indent).encode())


def test_a_filter_before_the_model_is_told_from_a_refused_credential() -> None:
    metadata = {"reasons": ["violence"], "flagged_input": "how do I", "model_slug": "x/y"}
    openrouter = {"error": {"code": 403, "message": "Input was flagged", "metadata": metadata}}
    xai = {
        "code": "The caller does not have permission",
        "error": "Content violates usage guidelines. Team: t",
    }
    assert is_flagged(json.dumps(openrouter).encode()) and is_flagged(json.dumps(xai).encode())
    quoted = {"error": {"message": f"key sk-x is not allowed: {json.dumps(openrouter)} {json.dumps(xai)}"}}
    assert not is_flagged(json.dumps(quoted).encode())


def test_what_a_caller_wrote_and_a_provider_quotes_is_no_word_of_the_provider_s() -> None:
    quoted = [json.dumps({"error": one}) for one in UNPAID] + [str(one["message"]) for one in UNPAID]
    for text in (
        *quoted,
        "Your credit balance is too low",
        '"code": "insufficient_quota"',
        "insufficient_quota",
    ):
        for message in (f"Invalid value: '{text}'. Supported values are: 'a'.", f"{text!r} is no tool"):
            assert not is_unpaid(
                json.dumps({"error": {"message": message, "code": "invalid_value"}}).encode()
            )

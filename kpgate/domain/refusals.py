"""What providers mean by a refusal: that another model may well take the call, or that it is about kpgate's account.

Pure. Whatever a caller wrote may be quoted in a refusal: what others would suffer from is read where a provider alone
can have written it.
Source, each checked November 2026:
Too long: the error pages of OpenAI, Azure OpenAI, Anthropic and Gemini; docker-agent 569 (Anthropic, prompt and output
together); bedrock-chat 95 and assessment-generator 2 (Bedrock); sandbox-topically 4 (Cohere); cline 3120 (xAI);
llama.cpp 15780 and 19774; text-generation-inference 835 and UI-TARS-desktop 626 (TGI, with 422); Qwen3 1321 and
sglang 4048 (SGLang); MoonshotAI-Cookbook 18; cline 995 (GitHub Models, with 413).
Filtered: the error pages of OpenAI and Azure OpenAI; claude-code 58367 (Anthropic); what DeepSeek and DashScope answer.
Flagged: OpenRouter's docs, errors, moderation; what xAI answers.
Unpaid: OpenAI's error codes; claude-code 66314 (Anthropic answers 400).
"""

import re

TOO_LONG, FILTERED = "too_long", "filtered"
STATUSES = (400, 413, 422)
"""What says that a prompt is too long; of a filter 400 alone tells."""
_TOO_LONG = re.compile(
    rb"context_length_exceeded|maximum context length|exceeds the context window|longer than the model's context length"
    rb"|prompt is too long|input is too long|exceed context limit|too many (?:input )?tokens|maximum prompt length"
    rb"|exceeds the maximum (?:number of tokens|allowed length)|exceeded model token limit|model max length exceeded"
    rb"|exceed_context_size_error|exceeds the available context size|range of input length should be"
    rb"|`?inputs`? tokens \+ `?max_new_tokens`? must be|`?inputs`? must have less than|tokens_limit_reached"
    rb"|greater than the context length|context window exceeds limit|model_context_window_exceeded"
    rb"|exceeded max context length|reduce the length of the messages",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    rb"content_filter|content_policy_violation|moderation_blocked|blocked by content filtering policy"
    rb"|data_inspection_failed|content exists risk",
    re.IGNORECASE,
)
_FLAGGED = re.compile(rb'"flagged_input"\s*:|"(?:error|message)"\s*:\s*"Content violates usage guidelines')
_UNPAID = re.compile(
    rb'"(?:code|type)"\s*:\s*"(?:insufficient_quota|billing_hard_limit_reached|billing_not_active)"'
    rb'|"message"\s*:\s*"Your credit balance is too low',
)


def refused_for(status: int, body: bytes) -> str:
    """What a refusal says that another model may well not say: that a prompt is too long, or filtered. Else empty."""
    if status not in STATUSES:
        return ""
    if status == 400 and _FILTERED.search(body):
        return FILTERED
    # 413 is about the size alone.
    return TOO_LONG if status == 413 or _TOO_LONG.search(body) else ""


def is_flagged(body: bytes) -> bool:
    """Whether a 403 says that a filter took the content, before any model saw it."""
    return _FLAGGED.search(body) is not None


def is_unpaid(body: bytes) -> bool:
    """Whether a refusal with 400 or 429 says that kpgate's account has no money or no quota left."""
    return _UNPAID.search(body) is not None

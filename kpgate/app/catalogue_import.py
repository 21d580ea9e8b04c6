"""Rows made of the public table of models that the LiteLLM project keeps, a JSON file known as
`model_prices_and_context_window.json`: facts, put into our own form.

What it does not say for sure is left out: rows without a vendor's page, prices that give output away, names that stand
for a size or a region and not for a model. Source: the file as of November 2026.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from kpgate.app.catalogue import CatalogueUnreadable, Rows
from kpgate.domain.catalog import ModelFacts
from kpgate.domain.encodings import EXACT, encoding_for_model

Raw = dict[str, Any]

VENDORS: dict[str, tuple[str, str]] = {
    "openai": ("openai", ""),
    "anthropic": ("anthropic", ""),
    "gemini": ("gemini", "gemini/"),
    "mistral": ("mistral", "mistral/"),
    "cohere": ("cohere", "cohere/"),
    "cohere_chat": ("cohere", "cohere/"),
    "groq": ("groq", "groq/"),
    "deepseek": ("deepseek", "deepseek/"),
    "together_ai": ("together", "together_ai/"),
    "fireworks_ai": ("fireworks", "fireworks_ai/"),
    "xai": ("xai", "xai/"),
    "perplexity": ("perplexity", "perplexity/"),
    "cerebras": ("cerebras", "cerebras/"),
    "sambanova": ("sambanova", "sambanova/"),
    "moonshot": ("moonshot", "moonshot/"),
    "zai": ("zai", "zai/"),
    "dashscope": ("dashscope", "dashscope/"),
    "volcengine": ("volcengine", "volcengine/"),
    "novita": ("novita", "novita/"),
    "deepinfra": ("deepinfra", "deepinfra/"),
    "bedrock": ("bedrock", ""),
    "bedrock_converse": ("bedrock", ""),
    "azure": ("azure", "azure/"),
    "azure_ai": ("azure-foundry", "azure_ai/"),
    "databricks": ("databricks", "databricks/"),
    "voyage": ("voyage", "voyage/"),
    "jina_ai": ("jina", "jina_ai/"),
    "minimax": ("minimax", "minimax/"),
    "cloudflare": ("cloudflare", "cloudflare/"),
    "nebius": ("nebius", "nebius/"),
    "meta": ("meta", "meta/"),
}
"""Whose rows are taken, by the table's name for the vendor: ours, and what stands before its models' names."""

KINDS = {
    "chat": "chat",
    "responses": "chat",
    "completion": "completion",
    "embedding": "embedding",
    "rerank": "rerank",
    "moderation": "moderation",
    "image_generation": "image",
    "audio_speech": "speech",
    "audio_transcription": "transcription",
    "video_generation": "video",
}
PROMPT_ONLY = ("embedding", "rerank", "moderation")
RATES = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_long": "cache_creation_input_token_cost_above_1hr",
    "reasoning": "output_cost_per_reasoning_token",
    "audio_input": "input_cost_per_audio_token",
    "audio_output": "output_cost_per_audio_token",
    "image": "input_cost_per_image_token",
}
WHOLES = {
    "cached": "input",
    "cache_write": "input",
    "cache_write_long": "cache_write",
    "audio_input": "input",
    "image": "input",
    "reasoning": "output",
    "audio_output": "output",
}
"""A kind that costs what its whole costs is not said."""
LONG = {f"long_{kind}": kind for kind in RATES}
FLAGS = {
    "tools": "supports_function_calling",
    "json_schema": "supports_response_schema",
    "reasoning": "supports_reasoning",
}
SENSES = {"text": "text", "image": "image", "audio": "audio", "video": "video", "pdf": "file", "file": "file"}
HINTS = {
    "image": "supports_vision",
    "audio": "supports_audio_input",
    "video": "supports_video_input",
    "file": "supports_pdf_input",
}
ORDER = ("text", "image", "audio", "video", "file")

_ABOVE = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")
_PAGE = re.compile(r"https?://[^\s|]+")
_DAY = re.compile(r"20\d\d-\d\d-\d\d")
# A size, quality, region or commitment before the name, or a way to speak that no endpoint here has.
_NO_MODEL = re.compile(
    r"(low|medium|high|standard|hd|\d+-x-\d+|[a-z]{2}(-[a-z]+)+-\d|global|us|eu|bedrock|\d+-month)(-[a-z]+)*/"
    r"|(us|eu|ap|apac|au|jp|ca|global|us-gov)\.|ft:|.*(realtime|-live|/container)"
)


def read_public(content: bytes, name: str, month: str) -> Rows:
    """The rows of a copy of the table. Order: the table's. Units: `month` as 2026-11, when it was taken.

    Errors: CatalogueUnreadable for what is no such table.
    """
    try:
        table = msgspec.json.decode(content, type=dict[str, dict[str, Any]])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CatalogueUnreadable(f"{name}: not a table of models: {error}") from None
    if not any("litellm_provider" in row for row in table.values()):
        raise CatalogueUnreadable(f"{name}: not a table of models: no row says litellm_provider")
    return tuple(_rows(table, month))


def _rows(table: dict[str, Raw], month: str) -> Iterator[ModelFacts]:
    for key, raw in table.items():
        vendor, prefix = VENDORS.get(str(raw.get("litellm_provider")), ("", ""))
        kind, page = KINDS.get(str(raw.get("mode"))), raw.get("source")
        name = key.removeprefix(prefix)
        if not vendor or not kind or _NO_MODEL.match(name):
            continue
        if not isinstance(page, str) or not _PAGE.fullmatch(page):
            continue
        found: Raw = {"name": name, "vendor": vendor, "kind": kind, "source": page, "checked": month}
        found |= _facts(raw, kind) | {"price": _price(raw, kind)}
        if (found["retires"] or month) < month or not (found["price"] or found["context_window"]):
            continue
        if vendor in ("openai", "azure") and kind in ("chat", "completion", "embedding"):
            encoding, grade = encoding_for_model(name)
            found["encoding"] = encoding if grade == EXACT else None
        try:
            yield msgspec.convert(found, ModelFacts)
        except msgspec.ValidationError:
            continue


def _facts(raw: Raw, kind: str) -> Raw:
    found: Raw = {"context_window": _count(raw.get("max_input_tokens"))}
    if kind in ("chat", "completion"):
        found["output_tokens_max"] = _count(raw.get("max_output_tokens"))
        found |= {name: raw[flag] for name, flag in FLAGS.items() if isinstance(raw.get(flag), bool)}
    senses = _senses(raw.get("supported_modalities"))
    hints = {name: raw.get(flag) for name, flag in HINTS.items()}
    if not senses and kind in ("chat", "completion") and isinstance(hints["image"], bool):
        senses = {"text"}
    if senses:
        senses |= {name for name, there in hints.items() if there is True}
    found["inputs"] = [one for one in ORDER if one in senses]
    spoken = _senses(raw.get("supported_output_modalities"))
    found["outputs"] = [one for one in ORDER if one in spoken]
    ends = raw.get("deprecation_date")
    found["retires"] = ends if isinstance(ends, str) and _DAY.fullmatch(ends) else None
    return found


def _price(raw: Raw, kind: str) -> Raw | None:
    """Rates for a million tokens; None where a kind would be given away."""
    tiers = raw.get("tiered_pricing")
    rates = {name: _rate(raw.get(field)) for name, field in RATES.items()}
    if rates["input"]:
        above = min((int(found[1]) for key in raw if (found := _ABOVE.fullmatch(key))), default=0)
        if above:
            rates |= {
                name: _rate(raw.get(f"{RATES[base]}_above_{above}k_tokens")) for name, base in LONG.items()
            }
            rates["long_above"] = above * 1000
    elif isinstance(tiers, list) and tiers and all(map(_is_tier, tiers)):
        rates = _tiered(tiers)
    if kind in PROMPT_ONLY:
        rates = {name: rates.get(name) for name in ("input", "image", "audio_input")}
    if not rates.get("input") or (kind not in PROMPT_ONLY and not rates.get("output")):
        return None
    return {name: rate for name, rate in rates.items() if rate and rate != rates.get(WHOLES.get(name, ""))}


def _tiered(tiers: list[Raw]) -> Raw:
    """Of several tiers the first, and the last for everything above it: it is the dearest."""
    first, last = tiers[0], tiers[-1]
    rates: Raw = {name: _rate(first.get(field)) for name, field in RATES.items()}
    if last is not first:
        rates |= {name: _rate(last.get(RATES[base])) for name, base in LONG.items()}
        rates["long_above"] = _count(first["range"][1])
    return rates


def _is_tier(tier: Any) -> bool:
    return isinstance(tier, dict) and isinstance(tier.get("range"), list) and len(tier["range"]) == 2


def _senses(listed: Any) -> set[str]:
    found = listed if isinstance(listed, list) else []
    return {SENSES[one] for one in found if isinstance(one, str) and one in SENSES}


def _rate(value: Any) -> float | None:
    """For a million tokens. To a billionth: a float's last digits are no price."""
    return round(value * 1e6, 6) if _is_number(value) and value > 0 else None


def _count(value: Any) -> int | None:
    return int(value) if _is_number(value) and value >= 1 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

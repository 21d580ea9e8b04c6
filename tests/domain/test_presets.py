"""The table of providers known by name."""

import re

import pytest

from kpgate.app.catalogue import vendors
from kpgate.app.ways import VENDORS
from kpgate.domain.presets import PRESETS, named_by
from kpgate.domain.quirks import NONE, Quirks
from kpgate.domain.upstream import parse_origin

WANTED = [
    "openai",
    "anthropic",
    "gemini",
    "cohere",
    "bedrock",
    "azure",
    "mistral",
    "groq",
    "deepseek",
    "together",
    "fireworks",
    "openrouter",
    "xai",
    "perplexity",
    "cerebras",
    "nvidia",
    "huggingface",
    "sambanova",
    "moonshot",
    "zhipu",
    "zai",
    "dashscope",
    "volcengine",
    "baidu",
    "siliconflow",
    "novita",
    "deepinfra",
    "hyperbolic",
    "github",
    "cloudflare",
    "databricks",
    "vertex",
    "azure-foundry",
    "ollama",
    "vllm",
    "sglang",
    "lmstudio",
    "llamacpp",
    "litellm",
    "tgi",
    "localai",
]
OWN = ("anthropic", "gemini", "cohere", "bedrock", "azure")


def test_every_provider_that_was_promised_is_there() -> None:
    assert set(WANTED) <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_row_can_be_used(name: str) -> None:
    preset = PRESETS[name]
    filled = preset.address(dict.fromkeys(preset.places, "x"))
    origin = parse_origin(filled)
    assert "{" not in filled and not filled.endswith("/")
    assert origin.secure or (preset.local and origin.host == "127.0.0.1")
    assert re.match(r"https://\S+$", preset.source)
    assert preset.dialect == ("azure" if name == "azure-foundry" else name if name in OWN else "openai")
    assert preset.dialect in OWN or preset.dialect in VENDORS
    assert not preset.catalogue or preset.catalogue in vendors()
    assert preset.quirks == NONE or preset.dialect == "openai", "quirks are the OpenAI dialect's"


def test_the_catalogue_has_no_vendor_without_a_preset() -> None:
    assert {preset.catalogue for preset in PRESETS.values()} - {""} == set(vendors())


def test_an_address_names_its_preset() -> None:
    assert named_by("https://api.openai.com/v1") == "openai"
    assert named_by("https://API.mistral.ai/v1/") == "mistral"
    assert named_by("http://127.0.0.1:8000/v1") == "", "anything may be on this machine"
    assert named_by("https://example.com/v1") == ""
    assert named_by("") == ""


def test_every_quirk_is_said_in_words() -> None:
    assert NONE.said == []
    each = (
        Quirks(stream_options=False),
        Quirks(cap="max_tokens"),
        Quirks(usage_in="x_groq"),
        Quirks(usage_in="choice"),
        Quirks(cached="cached_tokens"),
        Quirks(reasoning_apart=True),
        Quirks(choices=False),
    )
    assert all(len(quirks.said) == 1 for quirks in each)
    assert len({quirks.said[0] for quirks in each}) == len(each)

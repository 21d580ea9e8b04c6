"""Which encoding counts a model's tokens: as tiktoken says, and said to be a guess where it says nothing."""

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tiktoken.model import MODEL_PREFIX_TO_ENCODING, MODEL_TO_ENCODING

from kpgate._fast.tokens import PATTERNS
from kpgate.domain.encodings import CALIBRATED, DEFAULT, ENCODINGS, EXACT, encoding_for_model
from kpgate.stores.vocabulary import CACHED_NAMES

OURS = {name: encoding for name, encoding in MODEL_TO_ENCODING.items() if encoding in ENCODINGS}


def test_every_encoding_is_known_everywhere_by_the_same_name() -> None:
    assert set(ENCODINGS) == set(PATTERNS) == set(CACHED_NAMES)
    assert ENCODINGS.keys() <= set(tiktoken.list_encoding_names())
    assert encoding_for_model("") == (DEFAULT, CALIBRATED) and DEFAULT in ENCODINGS


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_model_of_tiktoken_s_table_has_its_encoding(name: str) -> None:
    assert encoding_for_model(name) == (OURS[name], EXACT)


@pytest.mark.parametrize("prefix", sorted(MODEL_PREFIX_TO_ENCODING))
def test_a_dated_or_fine_tuned_model_has_its_family_s_encoding(prefix: str) -> None:
    encoding = MODEL_PREFIX_TO_ENCODING[prefix].replace("o200k_harmony", "o200k_base")
    model = f"{prefix}:acme::id" if prefix.startswith("ft:") else f"{prefix.removesuffix('-')}-2026-01-01"
    assert encoding_for_model(model) == (encoding, EXACT)


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("openai/gpt-4o-mini", "o200k_base"),
        ("azure/eu/gpt-4", "cl100k_base"),
        ("GPT-4o", "o200k_base"),
        ("ft:gpt-4o:acme::id", "o200k_base"),
        ("ft:gpt-3.5-turbo:acme", "cl100k_base"),
        ("openai/ft:gpt-4", "cl100k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("o200k_base", "o200k_base"),
        ("cl100k_base", "cl100k_base"),
    ],
)
def test_what_stands_before_a_name_and_its_case_are_passed_over(model: str, encoding: str) -> None:
    assert encoding_for_model(model) == (encoding, EXACT)


@pytest.mark.parametrize(
    "model",
    ["claude-sonnet-4", "gpt-4oo", "gpt-40", "o12", "my-gpt-4o", "text-embedding-ada-001", "gpt-4o/", "ft:"],
)
def test_a_name_that_only_looks_like_one_is_a_guess(model: str) -> None:
    assert encoding_for_model(model) == (DEFAULT, CALIBRATED)


@given(st.text())
def test_every_name_has_an_encoding(model: str) -> None:
    encoding, grade = encoding_for_model(model)
    assert encoding in ENCODINGS and grade in (EXACT, CALIBRATED)

"""Google's schemas as JSON schema: what is a number becomes one, and nothing that a caller writes breaks it."""

import pytest

from kpgate.dialects.gemini.schema import json_schema


def test_numbers_in_quotes_are_numbers() -> None:
    shape = {
        "type": "ARRAY",
        "minItems": "1",
        "maxItems": "12",
        "items": {"type": "STRING", "maxLength": "7"},
    }
    said = {"type": "array", "minItems": 1, "maxItems": 12, "items": {"type": "string", "maxLength": 7}}
    assert json_schema(shape) == said


@pytest.mark.parametrize("written", ["\u00b2", "1\u00b3", "", "-1", "1.5", "\u0663", "9" * 5000])
def test_what_only_looks_like_a_number_stays_what_it_was(written: str) -> None:
    assert json_schema({"type": "STRING", "maxLength": written}) == {"type": "string", "maxLength": written}

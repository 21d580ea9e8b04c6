"""The catalogue's rows and looking them up."""

import msgspec
import pytest

from kpgate.domain.catalog import Catalog, ModelFacts, Rates, by_name

PAGE = {"source": "https://example.com/models", "checked": "2026-11"}


def row(name: str, **more: object) -> ModelFacts:
    return msgspec.convert({"name": name, **PAGE, **more}, ModelFacts)


def test_a_vendor_is_read_once_and_only_when_it_is_asked_for() -> None:
    asked: list[str] = []

    def read(vendor: str) -> list[ModelFacts]:
        asked.append(vendor)
        return [row("large", aliases=["large-latest"])] if vendor == "acme" else []

    catalog = Catalog(read)
    assert asked == []
    assert catalog.find("acme", "large") is catalog.find("acme", "large-latest")
    assert catalog.find("acme", "small") is None
    assert catalog.find("nobody", "large") is None
    assert catalog.find("nobody", "large") is None
    assert asked == ["acme", "nobody"]


def test_a_later_row_and_a_name_come_first() -> None:
    old, new = row("a", aliases=["b"]), row("a", tools=True)
    other = row("b")
    assert by_name([old, new]) == {"a": new}
    assert by_name([old, other]) == {"a": old, "b": other}


def test_what_is_not_known_is_not_no() -> None:
    assert row("a").vision is None
    assert row("a", inputs=["text"]).vision is False
    assert row("a", inputs=["text", "image"]).vision is True
    assert row("a").tools is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a b"},
        {"context_window": 0},
        {"checked": "2026"},
        {"checked": "2026-13"},
        {"source": "two\nlines"},
        {"inputs": ["smell"]},
        {"encoding": "p50k"},
        {"price": {"output": 1.0}},
        {"price": {"input": -1.0}},
        {"price": {"input": 1.0, "currency": "EUR"}},
        {"prise": 1},
    ],
    ids=str,
)
def test_a_row_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        row(**{"name": "a", **wrong})


def test_rates_are_in_dollars_unless_they_say_otherwise() -> None:
    assert Rates(input=1.0).currency == "USD"

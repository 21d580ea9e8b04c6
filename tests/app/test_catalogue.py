"""The rows that kpgate brings, and the operator's own before them."""

import re
import tomllib
from pathlib import Path

import pytest

from kpgate.app.catalogue import (
    SHIPPED,
    CatalogueUnreadable,
    Shelf,
    open_shelf,
    origin,
    parse,
    price_table,
    shipped,
    vendors,
)
from kpgate.domain.encodings import EXACT, encoding_for_model
from kpgate.domain.settings import Prices
from tests.kit.gateway_process import ROOT

KINDS = Prices.__struct_fields__
NO_OUTPUT = ("embedding", "rerank", "moderation")


def test_there_are_two_hundred_models_of_twenty_vendors() -> None:
    assert len(vendors()) >= 20
    assert sum(len(shipped(vendor)) for vendor in vendors()) >= 200


@pytest.mark.parametrize("vendor", vendors())
def test_every_row_makes_sense(vendor: str) -> None:
    names: set[str] = set()
    for row in shipped(vendor):
        about = f"{vendor}/{row.name}"
        assert row.vendor == vendor
        assert not names & {row.name, *row.aliases}, f"{about}: a name is there twice"
        names |= {row.name, *row.aliases}
        assert re.match(r"https://\S+\.\S+", row.source), f"{about}: says nobody's page"
        assert row.checked, about
        assert row.context_window or row.price, f"{about}: says nothing"
        assert len(set(row.inputs)) == len(row.inputs) and len(set(row.outputs)) == len(row.outputs), about
        if row.encoding:
            assert (row.encoding, EXACT) == encoding_for_model(row.name), about
        if row.price is None:
            continue
        rates = row.price
        assert rates.input > 0, f"{about}: is free"
        assert (rates.output or 0) > 0 or row.kind in NO_OUTPUT, f"{about}: gives output away"
        assert rates.currency == "USD", about
        # A misplaced decimal point shows: no vendor asks more than these for a million tokens.
        assert rates.input <= 200 and (rates.output or 0) <= 1000, about
        assert rates.cached is None or rates.cached <= rates.input, about
        assert (rates.long_above is None) == (rates.long_input is None), about
        assert rates.long_input is None or rates.long_input >= rates.input, about
        assert price_table(row, dict.fromkeys(KINDS)), about


@pytest.mark.parametrize("vendor", vendors())
def test_every_file_says_what_its_prices_are_in(vendor: str) -> None:
    page = tomllib.loads((SHIPPED / f"{vendor}.toml").read_text(encoding="utf-8"))
    assert page["currency"] == "USD"


def test_the_page_says_how_many_rows_have_no_price() -> None:
    rows = [row for vendor in vendors() for row in shipped(vendor)]
    unpriced = sum(row.price is None for row in rows)
    assert f"{unpriced} of the {len(rows):,} rows have none" in (ROOT / "docs" / "catalogue.md").read_text()


def test_a_file_s_currency_is_that_of_the_rows_that_say_none() -> None:
    text = """currency = "KPT"
    [[models]]
    vendor = "v"
    name = "plain"
    price = { input = 1, output = 2 }
    [[models]]
    vendor = "v"
    name = "dollars"
    price = { input = 1, output = 2, currency = "USD" }
    [[models]]
    vendor = "v"
    name = "unpriced"
    """
    found = [row.price and row.price.currency for row in parse(text, "own.toml")]
    assert found == ["KPT", "USD", None]
    plain = parse(text.replace('currency = "KPT"', ""), "own.toml")[0].price
    assert plain is not None and plain.currency == "USD"


def test_what_is_known_of_a_model() -> None:
    shelf = Shelf()
    facts = shelf.facts("anything", "openai", "gpt-4o-mini")
    assert facts is not None and facts.price is not None
    assert (facts.context_window, facts.output_tokens_max, facts.encoding) == (128_000, 16_384, "o200k_base")
    assert (facts.price.input, facts.price.output, facts.price.cached) == (0.15, 0.6, 0.075)
    assert facts.vision and facts.tools and facts.json_schema
    assert shelf.facts("anything", "openai", facts.aliases[0]) is facts
    assert shelf.facts("anything", "openai", "gpt-0") is None
    assert shelf.facts("openai", "", "gpt-4o-mini") is None, "a provider's name alone is no vendor"


def test_only_vendors_that_are_asked_for_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped.cache_clear()
    shelf = Shelf()
    assert shipped.cache_info().currsize == 0
    shelf.facts("p", "mistral", "mistral-large-latest")
    shelf.facts("p", "", "anything")
    assert shipped.cache_info().currsize == 2
    assert shipped("../../etc/passwd") == ()


OWN = """
vendor = "openai"
source = "our contract"

[[models]]
name = "gpt-4o-mini"
context_window = 64000
price = { input = 0.1, output = 0.5 }

[[models]]
vendor = "house"
name = "tuned"
context_window = 8192
price = { input = 1, output = 2, currency = "KPT" }
"""


def test_the_operator_s_rows_come_first(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(OWN)
    shelf = open_shelf(str(file))
    changed = shelf.facts("p", "openai", "gpt-4o-mini")
    assert changed is not None and changed.context_window == 64_000
    assert origin(changed) == "catalogue openai, our contract"
    assert changed.tools is None, "a row is the operator's whole, not mixed with another"
    other = shelf.facts("p", "openai", "gpt-4o")
    assert other is not None and other.context_window == 128_000
    assert shelf.facts("house", "", "tuned") is not None, "rows may be of a provider"
    assert shelf.facts("house", "openai", "gpt-4o") is other
    assert "house" in shelf.vendors and "openai" in shelf.vendors
    names = [row.name for row in shelf.rows("openai")]
    assert names.count("gpt-4o-mini") == 1 and names == sorted(names)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models = 3", "models: expected"),
        ("[[models]]\nname = 'x'", "x: vendor: missing"),
        ("vendor='v'\n[[models]]\nname = 'x'\ncontext_window = 'big'", "x: context_window: expected"),
        ("vendor='v'\n[[models]]\nname = 'x'\nprize = 1", "x: object contains unknown field `prize`"),
        ("vendor='v'\n[[models]]\ncontext_window = 8", "model 0: object missing required field `name`"),
        ("vendor='v'\n[[models]]\nname = 'x'\nprice = { output = 1 }", "x: price: object missing required"),
        ("vendor = ", "not TOML"),
        ("currency = 'EUR'", "currency: invalid enum value"),
        ("[[models]]\nvendor='../v'\nname='x'", "x: vendor: expected"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(CatalogueUnreadable) as caught:
        parse(text, "own.toml")
    assert str(caught.value).startswith("own.toml: ") and said in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"# \xff\n")
    for name in ("absent.toml", "latin.toml"):
        with pytest.raises(CatalogueUnreadable, match=name):
            open_shelf(str(tmp_path / name))


def test_a_price_that_would_give_something_away_is_none() -> None:
    known = dict.fromkeys(KINDS)
    text = "vendor='v'\n[[models]]\nname='x'\nkind='{kind}'\nprice = {price}"
    for kind, price, taken in (
        ("chat", "{ input = 1 }", False),
        ("chat", "{ input = 0, output = 1 }", False),
        ("embedding", "{ input = 1 }", True),
        ("chat", "{ input = 1, output = 2, cache_write = 3 }", True),
    ):
        (row,) = parse(text.replace("{kind}", kind).replace("{price}", price), "own.toml")
        table = price_table(row, known)
        assert (table is not None) is taken
        assert table is None or set(table) <= {*KINDS, "source"}

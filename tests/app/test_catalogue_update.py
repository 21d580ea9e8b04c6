"""`kpgate catalogue`: what a file would change, taken over into the operator's own; and the public table read."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from kpgate.app.catalogue import CatalogueUnreadable, Shelf, parse, shipped, vendors
from kpgate.app.catalogue_import import read_public
from kpgate.app.catalogue_update import changes, merge, spell
from kpgate.app.cli import cli

PAGE = "https://example.com/models"
CHAT = {
    "litellm_provider": "mistral",
    "mode": "chat",
    "source": PAGE,
    "max_input_tokens": 100_000,
    "max_output_tokens": 8_000,
    "input_cost_per_token": 5e-07,
    "output_cost_per_token": 1.5e-06,
    "cache_read_input_token_cost": 5e-08,
    "supports_function_calling": True,
    "supports_vision": True,
    "supports_pdf_input": True,
    "supports_reasoning": False,
}


def public(**rows: Any) -> bytes:
    return json.dumps({name.replace("__", "/"): row for name, row in rows.items()}).encode()


def only(row: dict[str, Any], name: str = "mistral__x") -> Any:
    found = read_public(public(**{name: row}), "table.json", "2026-11")
    return found[0] if found else None


def test_a_row_of_the_public_table_is_put_into_our_form() -> None:
    row = only(CHAT)
    assert (row.vendor, row.name, row.kind) == ("mistral", "x", "chat")
    assert (row.context_window, row.output_tokens_max) == (100_000, 8_000)
    assert row.inputs == ("text", "image", "file")
    assert (row.tools, row.json_schema, row.reasoning) == (True, None, False)
    assert (row.price.input, row.price.output, row.price.cached) == (0.5, 1.5, 0.05)
    assert (row.source, row.checked) == (PAGE, "2026-11")


@pytest.mark.parametrize(
    "change",
    [
        {"litellm_provider": "nobody"},
        {"mode": "search"},
        {"source": None},
        {"source": "we heard"},
        {"deprecation_date": "2026-10-31"},
    ],
    ids=str,
)
def test_what_is_not_said_for_sure_is_left_out(change: dict[str, Any]) -> None:
    assert only(CHAT | change) is None


@pytest.mark.parametrize(
    "name",
    ["low/1024-x-1024/image", "ft:gpt-4o", "us-east-1/model", "eu.model", "gpt-realtime", "6-month/model"],
)
def test_a_size_a_region_or_a_commitment_is_no_model(name: str) -> None:
    assert only(CHAT, f"mistral/{name}".replace("/", "__")) is None


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"input_cost_per_token": 0}, None),
        ({"output_cost_per_token": 0}, None),
        ({"cache_read_input_token_cost": 5e-07}, {"input": 0.5, "output": 1.5}),
        ({"mode": "embedding", "output_cost_per_token": 0}, {"input": 0.5}),
        (
            {
                "input_cost_per_token_above_200k_tokens": 1e-06,
                "output_cost_per_token_above_200k_tokens": 3e-06,
            },
            {
                "input": 0.5,
                "output": 1.5,
                "cached": 0.05,
                "long_above": 200_000,
                "long_input": 1.0,
                "long_output": 3.0,
            },
        ),
        (
            {
                "input_cost_per_token": None,
                "tiered_pricing": [
                    {"range": [0, 32000], "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
                    {"range": [32000, 99000], "input_cost_per_token": 2e-06, "output_cost_per_token": 4e-06},
                    {"range": [99000, 1e9], "input_cost_per_token": 3e-06, "output_cost_per_token": 6e-06},
                ],
            },
            {"input": 1.0, "output": 2.0, "long_above": 32_000, "long_input": 3.0, "long_output": 6.0},
        ),
    ],
)
def test_prices_are_for_a_million_and_give_nothing_away(
    change: dict[str, Any], wanted: dict[str, float] | None
) -> None:
    price = only(CHAT | change).price
    said = (
        None if price is None else {n: getattr(price, n) for n in price.__struct_fields__ if n != "currency"}
    )
    assert (said and {name: rate for name, rate in said.items() if rate is not None}) == wanted


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"a": 1}', b'{"a": {}}', b"[" * 5000])
def test_what_is_no_such_table_is_refused(content: bytes) -> None:
    with pytest.raises(CatalogueUnreadable, match=r"table\.json"):
        read_public(content, "table.json", "2026-11")


field = st.sampled_from([*CHAT, "tiered_pricing", "supported_modalities", "deprecation_date"])
value = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers()
    | st.text(max_size=5)
    | st.lists(st.text(max_size=3))
)


@given(change=st.dictionaries(field, value, max_size=5))
def test_no_row_of_the_table_breaks_the_rest(change: dict[str, Any]) -> None:
    content = public(mistral__odd=CHAT | change, mistral__x=CHAT)
    assert "x" in [row.name for row in read_public(content, "table.json", "2026-11")]


@pytest.mark.parametrize("vendor", vendors())
def test_rows_read_what_was_written(vendor: str) -> None:
    assert parse(spell(shipped(vendor)), "own.toml") == shipped(vendor)


def test_only_what_changes_something_is_a_change() -> None:
    shelf = Shelf()
    row = shelf.facts("", "openai", "gpt-4o-mini")
    assert row is not None and changes([row], shelf) == []
    text = 'vendor="openai"\n[[models]]\nname="gpt-4o-mini"\nprice={input=0.2,output=0.6}\n[[models]]\nname="gpt-0"\n'
    found = changes(parse(text, "f"), shelf)
    assert [(one.row.name, one.new) for one in found] == [("gpt-0", True), ("gpt-4o-mini", False)]
    assert found[1].fields["price.input"] == (0.15, 0.2)
    assert "source" not in found[1].fields and "aliases" not in found[1].fields
    assert [row.name for row in merge((row,), found)] == ["gpt-0", "gpt-4o-mini"]


class Place:
    """A directory with a configuration that names a file of one's own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.own = folder / "own.toml"
        self.config = folder / "kpgate.toml"
        self.config.write_text(f'[catalogue]\nfile = "{self.own}"\n')
        self.file = folder / "table.json"
        self.file.write_bytes(public(mistral__new=CHAT, groq__new=CHAT | {"litellm_provider": "groq"}))
        monkeypatch.chdir(folder)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["catalogue", *words])

    def said(self, *words: str) -> Any:
        result = self.run(*words, "--config", str(self.config))
        assert result.exit_code == 0, result.output
        return json.loads(result.output)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_a_file_s_changes_are_shown_and_taken_over_once(place: Place) -> None:
    shown = place.said("diff", str(place.file), "--vendor", "mistral")
    assert shown == [{"vendor": "mistral", "model": "new", "new": True, "fields": {}}]
    assert not place.own.exists()
    assert place.said("update", str(place.file), "--vendor", "mistral") == shown
    assert place.said("diff", str(place.file), "--vendor", "mistral") == []
    assert place.said("show", "mistral", "new")["price.input"] == 0.5
    assert len(place.said("update", str(place.file))) == 1
    assert [row.vendor for row in parse(place.own.read_text(), "own")] == ["groq", "mistral"]
    assert list(place.own.parent.glob(".own.toml*")) == [], "nothing is left beside it"
    place.file.write_bytes(public(mistral__new=CHAT | {"input_cost_per_token": 1e-06}))
    (change,) = place.said("diff", str(place.file))
    assert change["fields"] == {"price.input": {"now": 0.5, "then": 1.0}}


def test_models_are_listed_by_what_they_can(place: Place) -> None:
    rows = place.said("list", "--vendor", "openai", "--vendor", "voyage", "--kind", "embedding")
    assert {row["vendor"] for row in rows} == {"openai", "voyage"}
    assert {row["kind"] for row in rows} == {"embedding"}
    seeing = place.said("list", "--vendor", "deepseek", "--can", "vision", "--can", "tools")
    assert seeing and all("image" in row["inputs"] and row["tools"] for row in seeing)
    assert len(place.said("list")) >= 1000


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["show", "openai", "gpt4o-mini"], 'did you mean "gpt-4o-mini"?'),
        (["show", "opnai", "gpt-4o"], 'did you mean "openai"?'),
        (["list", "--vendor", "nobody"], "no vendor is named"),
        (["diff", "absent.toml"], "absent.toml cannot be read"),
        (["diff", "absent.json"], "absent.json cannot be read"),
        (["diff", "kpgate.toml"], "unknown field"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_trace(place: Place, words: list[str], wanted: str) -> None:
    result = place.run(*words, "--config", str(place.config))
    assert result.exit_code == 1 and wanted in result.output and "Traceback" not in result.output


def test_there_is_nowhere_to_write_to_without_a_file(place: Place) -> None:
    place.config.write_text("")
    result = place.run("update", str(place.file))
    assert result.exit_code == 1 and "[catalogue] file" in result.output
    place.config.write_text('[catalogue]\nfile = "no/such/folder/own.toml"\n')
    result = place.run("update", str(place.file))
    assert result.exit_code == 1 and "cannot be written" in result.output


def test_tables_stand_at_a_terminal(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kpgate.app.catalogue_cli._is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "140")
    listed = place.run("list", "--vendor", "openai").output
    assert "gpt-4o-mini" in listed and "128,000" in listed and "models;" in listed
    assert "price.input" in place.run("show", "openai", "gpt-4o-mini").output
    assert "2 new, 0 changed" in place.run("diff", str(place.file)).output
    assert "Reload the gateway" in place.run("update", str(place.file)).output

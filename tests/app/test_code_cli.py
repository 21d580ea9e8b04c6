"""`kpgate code`, alone with a data directory."""

import json
from pathlib import Path

import pytest

from tests.kit.command import run, said


def test_codes_are_made_listed_and_revoked(tmp_path: Path):
    made = said(tmp_path, "code", "create", "12.5", "--count", "2", "--expires", "30d", "--memo", "spring")
    assert made["amount_microkpt"] == 12_500_000 and len(made["codes"]) == 2
    listed = said(tmp_path, "code", "list")
    assert [one["id"] for one in listed] == [one["id"] for one in made["codes"]]
    assert made["codes"][0]["code"] not in json.dumps(listed)
    assert said(tmp_path, "code", "revoke", listed[0]["id"])["state"] == "revoked"
    assert [one["state"] for one in said(tmp_path, "code", "list")] == ["revoked", "active"]


@pytest.mark.parametrize(
    "words",
    [
        ["create", "none"],
        ["create", "1", "--count", "0"],
        ["create", "1", "--expires", "soon"],
        ["revoke", "x"],
    ],
)
def test_what_cannot_be_done_is_said_without_a_trace(tmp_path: Path, words: list[str]):
    result = run(tmp_path, "code", *words)
    assert result.exit_code in (1, 2) and "Error" in result.output and "Traceback" not in result.output


def test_tables_stand_at_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("kpgate.app.keys_cli._is_terminal", lambda: True)
    made = run(tmp_path, "code", "create", "3").output
    assert "KPC-" in made and "only time" in made and "3 KPT" in made
    assert "active" in run(tmp_path, "code", "list").output

"""`kpgate tier` and `kpgate party`, alone with a data directory."""

from pathlib import Path

import pytest

from tests.kit.command import run, said


def test_a_tier_is_set_listed_given_and_deleted(tmp_path: Path):
    words = [
        "--models",
        "a, b*",
        "--priority",
        "7",
        "--price-factor",
        "5000",
        "--holding-min",
        "2.5",
        "--requests",
        "600/min",
    ]
    made = said(tmp_path, "tier", "set", "gold", *words)
    assert made == {
        "name": "gold",
        "number": 1,
        "limits": {"requests": "600/min"},
        "models": ["a", "b*"],
        "priority": 7,
        "price_factor": 5_000,
        "holding_min_microkpt": 2_500_000,
    }
    assert said(tmp_path, "tier", "list") == [made] and said(tmp_path, "tier", "show", "gold") == made
    assert said(tmp_path, "party", "set", "acme", "--tier", "gold")["tier"] == "gold"
    refused = run(tmp_path, "tier", "delete", "gold")
    assert refused.exit_code == 1 and "parties of the tier" in refused.output
    assert said(tmp_path, "party", "set", "acme", "--tier", "")["tier"] is None
    assert said(tmp_path, "tier", "delete", "gold") == made
    assert said(tmp_path, "tier", "list") == []


def test_a_party_keeps_what_is_not_said(tmp_path: Path):
    said(tmp_path, "tier", "set", "gold")
    said(tmp_path, "party", "set", "acme", "--tier", "gold", "--tokens", "9/s")
    assert said(tmp_path, "party", "set", "acme", "--concurrency", "3")["tier"] == "gold"
    shown = said(tmp_path, "party", "show", "acme")
    assert (shown["tier"], shown["limits"]) == ("gold", {"concurrency": 3})
    assert said(tmp_path, "party", "set", "acme", "--tier", "")["limits"] == {"concurrency": 3}
    assert said(tmp_path, "party", "set", "acme", "--unlimited")["limits"] == {}
    said(tmp_path, "party", "set", "other")
    assert [one["name"] for one in said(tmp_path, "party", "list")] == ["acme", "other"]


def test_a_plan_is_set_given_and_deleted(tmp_path: Path):
    said(tmp_path, "tier", "set", "gold")
    made = said(tmp_path, "plan", "set", "monthly", "subscription", "--grant", "5", "--tier", "gold")
    assert (made["kind"], made["grant_microkpt"], made["tier"]) == ("subscription", 5_000_000, "gold")
    assert said(tmp_path, "plan", "list") == [made] and said(tmp_path, "plan", "show", "monthly") == made
    member = said(tmp_path, "party", "set", "acme", "--plan", "monthly")
    assert (member["plan"], member["tier"]) == ("monthly", "gold")
    assert run(tmp_path, "plan", "delete", "monthly").exit_code == 1
    assert said(tmp_path, "party", "set", "acme", "--plan", "", "--tier", "")["plan"] is None
    refused = run(tmp_path, "tier", "delete", "gold")
    assert refused.exit_code == 1 and "there is a plan" in refused.output
    assert said(tmp_path, "plan", "delete", "monthly") == made
    assert said(tmp_path, "tier", "delete", "gold")["name"] == "gold"


@pytest.mark.parametrize(
    "words",
    [
        ["tier", "show", "none"],
        ["tier", "delete", "none"],
        ["tier", "set", "x", "--priority", "10"],
        ["tier", "set", "x", "--price-factor", "0"],
        ["tier", "set", " x"],
        ["tier", "set", "x", "--requests", "many"],
        ["party", "show", "none"],
        ["plan", "show", "none"],
        ["plan", "delete", "none"],
        ["plan", "set", "x", "subscription"],
        ["plan", "set", "x", "credit_line", "--grant", "5", "--line", "5"],
        ["plan", "set", "x", "pay_per_token", "--tier", "none"],
        ["party", "set", "x", "--plan", "none"],
        ["party", "set", "x", "--tier", "none"],
        ["party", "set", "x", "--unlimited", "--concurrency", "1"],
    ],
)
def test_what_cannot_be_done_is_said_without_a_trace(tmp_path: Path, words: list[str]):
    result = run(tmp_path, *words)
    assert result.exit_code in (1, 2) and "Error" in result.output and "Traceback" not in result.output


def test_tables_stand_at_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("kpgate.app.keys_cli._is_terminal", lambda: True)
    run(tmp_path, "tier", "set", "gold", "--price-factor", "5000")
    assert "5000" in run(tmp_path, "tier", "list").output
    run(tmp_path, "party", "set", "acme", "--tier", "gold")
    assert "gold" in run(tmp_path, "party", "list").output

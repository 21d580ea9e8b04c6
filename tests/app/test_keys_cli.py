"""`kpgate keys`, alone with a data directory and beside a running clerk."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kpgate.app.directory import Directory
from kpgate.app.keys_cli import keys
from kpgate.services.auth import Auth, Keyring, Terms
from kpgate.stores.sqlite import SqliteReader
from tests.kit.keyrings import Ring
from tests.kit.real_clerk import gateway


def run(data: Path, *words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(keys, [*words, "--data", str(data)], input=typed)


def said(data: Path, *words: str, typed: str | None = None) -> Any:
    result = run(data, *words, typed=typed)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def auth(data: Path) -> Auth:
    directory = Directory(data)
    return Auth(Terms(), Keyring(SqliteReader(directory.store), Ring(), directory.pepper(), lambda: 1))


def test_a_key_is_made_listed_shown_rotated_and_revoked(tmp_path: Path) -> None:
    words = ["create", "--party", "acme", "--label", "ci", "--role", "admin", "--models", "a, b*"]
    words += ["--networks", "127.0.0.0/8", "--expires", "30d", "--requests", "600/min", "--concurrency", "4"]
    made = said(tmp_path, *words)
    caller = auth(tmp_path).identify(made["key"].encode(), "127.0.0.1")
    assert (caller.party.name, caller.role, caller.models) == ("acme", "admin", ("a", "b*"))
    assert (caller.limits.requests, caller.limits.concurrency) == ("600/min", 4)
    assert [one["id"] for one in said(tmp_path, "list")] == [made["id"]]
    assert said(tmp_path, "show", made["id"])["label"] == "ci"
    rotated = said(tmp_path, "rotate", made["id"], "--grace", "24h")
    assert (
        rotated["key"] != made["key"] and auth(tmp_path).identify(made["key"].encode(), "127.0.0.1") == caller
    )
    assert said(tmp_path, "revoke", made["id"])["revoked_at"]
    assert said(tmp_path, "list") == [] and len(said(tmp_path, "list", "--all")) == 1


def test_a_secret_is_shown_once(tmp_path: Path) -> None:
    made = said(tmp_path, "create")
    for words in (["list"], ["show", made["id"]]):
        assert made["key"][17:] not in run(tmp_path, *words).output
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert made["key"].encode() not in kept and made["key"][17:].encode() not in kept


def test_a_literal_key_is_imported_from_standard_input(tmp_path: Path) -> None:
    made = said(tmp_path, "create", "--import-stdin", typed="an application's key\n")
    assert "key" not in made
    assert auth(tmp_path).identify(b"an application's key", "").key_id == made["id"]
    refused = run(tmp_path, "create", "--import-stdin", typed="short\n")
    assert refused.exit_code == 1 and "short" not in refused.output


def test_the_same_commands_go_through_the_clerk_of_a_running_gateway(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        generation = made.region.generation
        key = said(made.directory.root, "create", "--party", "acme")
        assert made.region.generation > generation, "its workers were told"
        assert said(made.directory.root, "revoke", key["id"])["revoked_at"]
        assert said(made.directory.root, "party", "acme", "--tokens", "9/min")["limits"] == {
            "tokens": "9/min"
        }


@pytest.mark.parametrize(
    "words",
    [
        ["create", "--expires", "soon"],
        ["create", "--requests", "many"],
        ["create", "--networks", "here"],
        ["create", "--role", "root"],
        ["rotate", "nobody"],
        ["rotate", "nobody", "--grace", "x"],
        ["revoke", "nobody"],
        ["show", "nobody"],
    ],
)
def test_what_cannot_be_done_is_said_without_a_trace(tmp_path: Path, words: list[str]) -> None:
    result = run(tmp_path, *words)
    assert result.exit_code in (1, 2) and "Error" in result.output and "Traceback" not in result.output


def test_tables_stand_at_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kpgate.app.keys_cli._is_terminal", lambda: True)
    made = run(tmp_path, "create", "--party", "acme", "--requests", "5/s")
    assert "sk-kp-" in made.output and "only time" in made.output and "5/s" in made.output
    assert "acme" in run(tmp_path, "list").output and "sk-kp-" not in run(tmp_path, "list").output
    assert json.loads(run(tmp_path, "list", "--json").output)

"""Signing keys over a whole gateway: rotated while it serves, without it, and lost."""

import json
import shutil
from pathlib import Path

import pytest

from kpgate.app.control import new_id
from kpgate.app.directory import Directory
from kpgate.app.doctor import Status, data_directory
from kpgate.app.ledger_cli import prove
from kpgate.app.verify import problems, read
from kpgate.domain.money import RotateSigner, ShowReceipt
from tests.kit.command import said
from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.receipt_verifier import verify_receipt
from tests.kit.whole import Whole

SETTINGS = "[ledger]\nenabled = true"


def receipt(gate: Whole, call: str) -> dict[str, object]:
    with gate.desk() as ask:
        return dict(ask(ShowReceipt(id=new_id(), call=call)))


def believed(shown: dict[str, object], trusted: str) -> bool:
    text = json.dumps(shown).encode()
    found = list(problems(read(text), trusted))
    if not found:
        verify_receipt(text, trusted)
    return not found


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_new_key_signs_and_whoever_trusts_the_old_one_believes_it(tmp_path: Path, transport: str):
    with Whole(tmp_path, SETTINGS, transport=transport) as gate:
        gate.fund("acme", 10**9)
        key = gate.key("acme")
        before = receipt(gate, gate.chat(key, "echo")[1]["x-kpgate-receipt"])
        first = before["signers"][0]  # type: ignore[index]
        with gate.desk() as ask:
            operation = RotateSigner(id=new_id())
            done = ask(operation)
            assert ask(operation) == done, "asked twice, done once"
        after = receipt(gate, gate.chat(key, "echo")[1]["x-kpgate-receipt"])
        assert [one["id"] for one in after["signers"]] == [first["id"], done["signer"]["id"]]  # type: ignore[attr-defined]
        assert after["head"]["key"] == done["signer"]["id"] and done["signer"]["endorsed_by"] == first["id"]  # type: ignore[index]
        for shown in (before, after):
            assert believed(shown, first["public"])
        assert believed(after, done["signer"]["public"]) and not believed(before, done["signer"]["public"])
    directory = Directory(tmp_path / "data")
    alone = said(directory.root, "ledger", "rotate-key")
    assert alone["signer"]["endorsed_by"] == done["signer"]["id"] and prove(directory)[1] == []
    with Whole(tmp_path, SETTINGS, transport=transport) as gate:
        last = receipt(gate, gate.chat(key, "echo")[1]["x-kpgate-receipt"])
        assert last["head"]["key"] == alone["signer"]["id"] and believed(last, first["public"])  # type: ignore[index]
        assert "signing_keys_lost" not in {one.get("clerk") for one in gate.said}


def test_lost_keys_are_told_of_loudly_and_what_is_signed_after_is_not_believed(tmp_path: Path):
    with Whole(tmp_path, SETTINGS) as gate:
        gate.fund("acme", 10**9)
        key = gate.key("acme")
        before = receipt(gate, gate.chat(key, "echo")[1]["x-kpgate-receipt"])
    data = tmp_path / "data"
    shutil.rmtree(data / "signing")
    found = [one for one in data_directory(data) if one.name == "signing"]
    assert [one.status for one in found] == [Status.PROBLEM]
    with Whole(tmp_path, SETTINGS) as gate:
        until(lambda: "signing_keys_lost" in {one.get("clerk") for one in gate.said})
        after = receipt(gate, gate.chat(key, "echo")[1]["x-kpgate-receipt"])
        trusted = before["signers"][0]["public"]  # type: ignore[index]
        assert believed(before, trusted) and not believed(after, trusted)
    assert said(data, "ledger", "holds") == []
    checked = said(data, "ledger", "check")
    assert checked["sound"] and checked["unendorsed_signers"] == [after["head"]["key"]]  # type: ignore[index]

"""Fifty ask for one code at once, over all workers: one party has it, once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kpgate.app.control import new_id
from kpgate.domain.code import CreateCodes
from kpgate.domain.management import build
from tests.kit.gateway_process import TRANSPORTS
from tests.kit.whole import Whole


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_code_is_one_party_s_however_many_ask_at_once(tmp_path: Path, transport: str):
    with Whole(tmp_path, "[ledger]\nenabled = true", server="workers = 2", transport=transport) as gate:
        parties = [f"party-{number}" for number in range(5)]
        keys = {party: gate.key(party) for party in parties}
        with gate.desk() as ask:
            asked = {"id": new_id(), "amount": 9_000}
            code = ask(build(CreateCodes, asked))["codes"][0]["code"]

        def redeem(party: str) -> tuple[str, int]:
            return party, gate.post("/kp/v1/redeem", keys[party], f'{{"code": "{code}"}}'.encode())[0]

        with ThreadPoolExecutor(50) as pool:
            found = list(pool.map(redeem, parties * 10))
        winners = {party for party, status in found if status == 200}
        assert len(winners) == 1
        assert {status for party, status in found if party in winners} == {200}
        assert {status for party, status in found if party not in winners} == {404}
        assert gate.balance(winners.pop())["balance_microkpt"] == 9_000

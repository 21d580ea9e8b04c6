"""Calls that are signed for, as they are tried again: each try is signed anew, for what it asks.

The provider checks every signature by code of its own (`tests/kit/vendors/bedrock`).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.kit.gateway_process import TRANSPORTS
from tests.kit.payer import Payer, read_until
from tests.kit.vendors import bedrock
from tests.kit.vendors.server import INPUT, OUTPUT, VendorServer
from tests.kit.whole import SECRET, Whole

FRESH = INPUT - bedrock.CACHED - bedrock.WRITTEN
WRITES = (bedrock.WRITTEN - bedrock.KEPT) * 500 + bedrock.KEPT * 800
PAID = FRESH * 250 + bedrock.CACHED * 100 + WRITES + OUTPUT * 1_000
CAP = 64
MODELS = {
    "again": (("amazon", "error-500"), ("amazon", "plain")),
    "thrown": (("amazon", "thrown"), ("amazon", "plain")),
    "elsewhere": (("stranger", "plain"), ("amazon", "plain")),
    "nowhere": (("stranger", "plain"),),
}


class Scene(NamedTuple):
    gate: Whole
    vendor: VendorServer
    keys: Path


@pytest.fixture(scope="module", params=TRANSPORTS)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("signed")
    keys = folder / "secret"
    keys.write_text("of-somebody-else")
    keys.chmod(0o600)
    with VendorServer(bedrock.answer) as vendor:
        said = "[ledger]\nenabled = true\n[retries]\nbudget_percent = 100\nbackoff_min_ms = 1\nbackoff_max_ms = 2\n"
        said += "[ejection]\nfailures = 1000\n"
        for name, secret in (("amazon", "env:KPGATE_TEST_UPSTREAM"), ("stranger", f"file:{keys}")):
            said += (
                f'[[providers]]\nname = "{name}"\ndialect = "bedrock"\nbase_url = "{vendor.url}"\nsigning = {{ '
                f'access_key = "env:KPGATE_TEST_UPSTREAM", secret_key = "{secret}", region = "eu-central-1" }}\n'
            )
        for name, deployments in MODELS.items():
            rows = ", ".join(
                f'{{provider = "{provider}", model = "{model}", priority = {at}}}'
                for at, (provider, model) in enumerate(deployments)
            )
            said += (
                f'[[models]]\nname = "{name}"\ndeployments = [{rows}]\noutput_tokens_max = {CAP}\n'
                "price = { input = 2.5, output = 10, cached = 1, cache_write = 5, cache_write_long = 8 }\n"
            )
        with Whole(folder, said, transport=request.param) as gate:
            yield Scene(gate, vendor, keys)


def call(scene: Scene, payer: Payer, model: str, streamed: bool) -> tuple[int, bytes]:
    """One call: its status, and what came."""
    ask: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    if streamed:
        with payer.post("/v1/chat/completions", ask | {"stream": True}) as connection:
            came = read_until(connection, b"[DONE]")
        return int(came.split(b" ", 2)[1]), came
    status, _, said = scene.gate.post("/v1/chat/completions", payer.key, json.dumps(ask).encode())
    return status, json.dumps(said).encode()


@pytest.mark.parametrize(
    ("model", "streamed"),
    [("again", False), ("again", True), ("thrown", True), ("elsewhere", False), ("elsewhere", True)],
)
def test_every_try_is_signed_for_what_it_asks_and_is_paid_once(
    scene: Scene, model: str, streamed: bool
) -> None:
    payer, before = Payer(scene.gate), len(scene.vendor.asked)
    assert call(scene, payer, model, streamed)[0] == 200
    assert payer.paid() == PAID
    tries = scene.vendor.asked[before:]
    assert len(tries) == 2 and len({one.headers["authorization"] for one in tries}) == 2
    assert [one.path.split("/")[2] for one in tries] == [name for _, name in MODELS[model]]
    # What is held for the call is a part of what is signed.
    assert [one.body["inferenceConfig"]["maxTokens"] for one in tries] == [CAP, CAP]
    assert bedrock.refusal(tries[1]) == ""
    assert ("not that of what came" in bedrock.refusal(tries[0])) is (model == "elsewhere")


def test_keys_that_do_not_hold_are_the_gateway_s_trouble_and_cost_nothing(scene: Scene) -> None:
    payer = Payer(scene.gate)
    status, said = call(scene, payer, "nowhere", False)
    assert status == 502 and b"refused kpgate's credential (403)" in said
    assert SECRET.encode() not in said and payer.paid() == 0


def test_a_reload_signs_with_new_keys(scene: Scene) -> None:
    payer, admin = Payer(scene.gate), scene.gate.key(role="admin")
    before = scene.keys.read_text()
    try:
        scene.keys.write_text(SECRET)
        assert scene.gate.post("/admin/v1/reload", admin, b"")[0] == 200
        assert call(scene, payer, "nowhere", False)[0] == 200
    finally:
        scene.keys.write_text(before)
        assert scene.gate.post("/admin/v1/reload", admin, b"")[0] == 200
    assert call(scene, payer, "nowhere", False)[0] == 502
    assert payer.paid() == PAID

"""Shadow traffic: copies of calls that another model answers for nobody; what the caller sees of it is nothing."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from kpgate._fast.commit import DEPLOYMENT
from kpgate.dialects.openai.endpoints import EMBEDDING
from kpgate.domain.errors import Draining
from kpgate.domain.limits import Limits
from kpgate.domain.routing import Shadow
from kpgate.domain.settings import Deployment, Ledger, Model, Prices, Settings
from tests.kit.equipment import Bench, bench
from tests.kit.exchange import FakeExchange
from tests.kit.gateway_process import TRANSPORTS
from tests.kit.gateway_process import until as seen
from tests.kit.loops import looped, until
from tests.kit.payer import Payer, read_until
from tests.kit.provider import Provider, answer, completion, events, page, silence, stream
from tests.kit.whole import Background, Whole
from tests.life.test_hedging import serve
from tests.life.test_routing import ask, at, provider

LABELS = '{model="m",shadow="new"'


def watched(real: Provider, shadow: Provider, dialect: str = "openai", **more: Any) -> Settings:
    """A model at one provider whose calls are all copied to another model, at another provider."""
    terms = {"model": "new", "percent": 100.0} | more.pop("terms", {})
    deployment: Deployment = at("p1", "newer", limits=Limits(concurrency=8))
    return Settings(
        providers=(provider("p0", real), provider("p1", shadow, dialect=dialect)),
        models=(
            Model(name="m", deployments=(at("p0"),), shadow=Shadow(**terms), **more),
            Model(name="new", deployments=(deployment,), price=Prices(input=1, output=2)),
        ),
        ledger=Ledger(enabled=False),
    )


def outcomes(gate: Bench) -> dict[str, float]:
    """What became of copies so far."""
    shown = gate.metrics().items()
    return {name.split('"')[5]: value for name, value in shown if name.startswith("kpgate_shadows_total{")}


async def at_rest(gate: Bench) -> None:
    """Wait until no copy is under way, nor anything that one took."""
    number = gate.gateway.equipment.routes.plans[1].targets[0].number
    await until(lambda: not gate.ground.shadows.under_way and not gate.limits.in_use(DEPLOYMENT, number))


def shadows(gate: Bench) -> list[dict[str, Any]]:
    """The lines of copies."""
    return [line for line in gate.lines if line["shadow"]]


@looped
async def test_a_copy_goes_to_the_other_model_and_the_caller_sees_nothing_of_it() -> None:
    async with Provider() as real, Provider() as shadow:
        with bench(watched(real, shadow)) as gate:
            for streamed in (False, True):
                shadow.script(
                    stream(events("by the new", usage=True)) if streamed else answer(completion("new"))
                )
                exchange = ask("m", "a secret", stream=streamed)
                said = await serve(gate, exchange)
                assert (said["status"], said["x-kpgate-attempts"], said["x-kpgate-model"]) == (
                    "200",
                    "1",
                    "m",
                )
                assert b"new" not in exchange.body
                await at_rest(gate)
                line = shadows(gate)[-1]
                assert (line["shadow"], line["model"], line["deployment"]) == ("m", "new", "newer")
                assert (line["status"], line["end"], line["stream"]) == (200, "ok@respond", streamed)
                assert (line["input_tokens"], line["output_tokens"], line["usage"]) == (9, 3, "provider")
                assert line["id"] == said["x-request-id"], "so that both can be compared"
                assert not line["asked"] and not line["said"] and not line["party"]
                assert (line["first_token_us"] > 0) == streamed
            assert [one.json()["model"] for one in shadow.requests] == ["newer", "newer"]
            assert shadow.requests[0].json()["messages"] == real.requests[0].json()["messages"]
            shown = gate.metrics()
            assert outcomes(gate) == {"200": 2}
            assert shown[f"kpgate_shadow_seconds_count{LABELS}}}"] == 2
            assert shown[f"kpgate_shadow_first_token_seconds_count{LABELS}}}"] == 1
            assert shown[f'kpgate_shadow_tokens_total{LABELS},kind="output"}}'] == 6
            assert shown['kpgate_credit_microkpt_total{kind="shadowed"}'] == 2 * (9 * 100 + 3 * 200)
            assert not [
                name for name in shown if name.startswith("kpgate_requests_total") and '"new"' in name
            ]
            assert shown['kpgate_tokens_total{model="m",kind="output"}'] == 6, "the call's own alone"


@looped
async def test_whatever_the_shadow_does_the_call_is_answered() -> None:
    faults = {
        "upstream_failed": page(503),
        "rate_limited": answer({}, status=429),
        "400": answer({"error": {"message": "no"}}, status=400),
        "upstream_timeout": silence(),
    }
    async with Provider() as real, Provider() as shadow:
        with bench(watched(real, shadow, terms={"timeout_s": 0.4})) as gate:
            for outcome, step in faults.items():
                shadow.script(step)
                assert (await serve(gate, ask("m")))["status"] == "200"
                await at_rest(gate)
                assert outcome in outcomes(gate)
            assert shadows(gate)[-1]["end"] == "upstream@upstream"
            pulse = gate.gateway.equipment.routes.plans[1].targets[0].pulse
            assert pulse.look(0)["lost"] == 0, "how a deployment does is not learnt from copies"
            assert [line["end"] for line in gate.lines if not line["shadow"]] == ["ok@respond"] * 4


@looped
async def test_a_copy_may_go_through_another_dialect() -> None:
    async with Provider() as real, Provider() as shadow:
        with bench(watched(real, shadow, dialect="anthropic")) as gate:
            said = {
                "id": "msg_1", "type": "message", "role": "assistant", "model": "newer", "stop_reason": "end_turn",
                "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 7, "output_tokens": 2},
            }  # fmt: skip
            shadow.script(answer(said))
            assert (await serve(gate, ask("m")))["status"] == "200"
            await at_rest(gate)
            assert shadow.requests[0].path == "/v1/messages"
            assert (shadows(gate)[0]["input_tokens"], shadows(gate)[0]["output_tokens"]) == (7, 2)
            # What it cannot express is counted by its code.
            assert (await serve(gate, ask("m", logit_bias={"1": 1})))["status"] == "200"
            await at_rest(gate)
            assert outcomes(gate) == {"200": 1, "invalid_request": 1}


@looped
async def test_copies_are_bounded_in_number_and_size() -> None:
    async with Provider() as real, Provider() as shadow:
        with bench(watched(real, shadow, terms={"inflight_max": 2, "body_bytes_max": 2048})) as gate:
            shadow.script(silence(), silence())
            for _ in range(4):
                assert (await serve(gate, ask("m")))["status"] == "200"
            assert outcomes(gate) == {"too_many": 2}
            await until(lambda: len(shadow.requests) == 2)
            for copy in list(gate.ground.shadows.under_way):
                copy.fail(Draining("leaving"))
            await at_rest(gate)
            await until(lambda: shadow.open == 0)
            assert outcomes(gate) == {"too_many": 2, "draining": 2}
            assert (await serve(gate, ask("m", "word " * 500)))["status"] == "200"
            assert outcomes(gate)["too_large"] == 1
            for large in (answer(completion("word " * 500)), stream(events("word " * 100))):
                shadow.script(large)
                streamed = large.__qualname__.startswith("stream")
                assert (await serve(gate, ask("m", stream=streamed)))["status"] == "200"
                await at_rest(gate)
            assert outcomes(gate)["upstream_failed"] == 2
            await until(lambda: shadow.open == 0)


@looped
async def test_a_share_is_drawn_by_chance_and_a_session_goes_whole() -> None:
    async with Provider() as real, Provider() as shadow:
        settings = watched(real, shadow, terms={"percent": 50.0}, sticky="header:x-session")
        with bench(settings) as gate:
            mirror = gate.gateway.equipment.routes.plans[0].mirror
            drawn = sum(mirror.takes(0) for _ in range(2_000))
            assert 800 < drawn < 1_200
            per = [mirror.takes(session) for session in range(1, 2_001)]
            assert 800 < sum(per) < 1_200 and per == [mirror.takes(session) for session in range(1, 2_001)]
            for name in ("a", "b", "c", "d"):
                before = len(shadow.requests)
                for _ in range(3):
                    await serve(gate, ask("m", headers={"x-session": name}))
                await at_rest(gate)
                assert len(shadow.requests) - before in (0, 3)


@looped
async def test_what_is_refused_or_embeds_is_not_copied() -> None:
    async with Provider() as real, Provider() as shadow:
        with bench(watched(real, shadow, limits=Limits(requests="1/h"))) as gate:
            assert (await serve(gate, ask("m")))["status"] == "200"
            assert (await serve(gate, ask("m")))["status"] == "429"
            await at_rest(gate)
            assert len(shadow.requests) == 1
        with bench(watched(real, shadow)) as gate:
            body = json.dumps({"model": "m", "input": "hello"}).encode()
            embedding = FakeExchange(b"/v1/embeddings", body, [(b"authorization", b"Bearer sk-test")])
            await gate.gateway.serve(embedding, EMBEDDING)
            assert embedding.status == 200 and not gate.ground.shadows.under_way and outcomes(gate) == {}


SHADOW = 'output_tokens_max = 100\nshadow = { model = "new", percent = 100 }'


@pytest.fixture(scope="module", params=TRANSPORTS)
def watch(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Whole, Background]]:
    """A gateway that spends credit and copies all calls of `m` to a second provider."""
    second = Background()
    second.start()
    settings = f"""
[ledger]
enabled = true
[[providers]]
name = "q"
base_url = "{second.provider.url}/v1"
[[models]]
name = "new"
deployments = [{{ provider = "q", model = "newer" }}]
price = {{ input = 5, output = 20 }}
"""
    folder = tmp_path_factory.mktemp("watch")
    with Whole(folder, settings, model=SHADOW, transport=request.param) as gate:
        yield gate, second
    second.stop()


def test_nobody_pays_for_a_copy_and_a_drain_ends_it(watch: tuple[Whole, Background]) -> None:
    gate, second = watch
    payer = Payer(gate)
    assert gate.chat(payer.key)[0] == 200
    with payer.send(stream=True) as connection:
        assert b"x-kpgate-attempts: 1" in read_until(connection, b"[DONE]")
    assert payer.paid() == 2 * (9 * 250 + 3 * 1_000)
    seen(lambda: gate.metric("kpgate_shadows_total") == 2)
    asked = second.provider.requests[-1].json()
    assert (asked["model"], asked["max_completion_tokens"]) == ("newer", 100), (
        "with the cap that the call got"
    )
    seen(lambda: len(copies(gate)) == 2)
    assert [(line["receipt"], line["cost_microkpt"]) for line in copies(gate)] == [("", 0)] * 2
    second.call(second.provider.script, silence())
    assert gate.chat(payer.key)[0] == 200
    seen(lambda: len(second.provider.requests) == 3)
    assert payer.paid() == 3 * (9 * 250 + 3 * 1_000)
    # No call is under way: nobody waits for the copy.
    gate.signal(signal.SIGTERM)
    assert gate.ended() == 0
    seen(lambda: len(copies(gate)) == 3)
    assert copies(gate)[-1]["code"] == "draining"
    assert not [said for said in gate.said if said.get("event") == "failure"]


def copies(gate: Whole) -> list[dict[str, Any]]:
    """The lines of copies so far."""
    return [line for line in gate.records() if line["shadow"]]

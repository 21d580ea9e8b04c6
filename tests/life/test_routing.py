"""Whole calls through the gateway: who answers, and why, by strategy, ability, rule, cost and session."""

import json
from collections import Counter
from typing import Any

import pytest

from kpgate.app.routing_api import show_health
from kpgate.dialects.openai.endpoints import ENDPOINTS
from kpgate.domain.routing import Abilities, Ejection, Rule
from kpgate.domain.settings import Deployment, Ledger, Model, Prices, Retries, Settings, Timeouts
from kpgate.domain.settings import Provider as Named
from tests.kit.equipment import Bench, bench
from tests.kit.exchange import FakeExchange
from tests.kit.loops import looped
from tests.kit.provider import Provider, answer, events, stream

CHAT, _, EMBEDDING = ENDPOINTS
QUICK = Timeouts(connect_s=1, first_byte_s=0.5, idle_s=0.5, total_s=5)
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def provider(name: str, at: Provider, **more: Any) -> Named:
    return Named(name=name, base_url=f"{at.url}/v1", timeouts=QUICK, **more)


def at(provider: str, model: str = "up", **more: Any) -> Deployment:
    return Deployment(provider=provider, model=model, **more)


def model(name: str, *deployments: Deployment, **more: Any) -> Model:
    return Model(name=name, deployments=deployments, **more)


def ask(name: str, said: Any = "hello", headers: dict[str, str] | None = None, **more: Any) -> FakeExchange:
    body = {"model": name, "messages": [{"role": "user", "content": said}]} | more
    lines = [(b"authorization", b"Bearer sk-test")]
    lines += [(key.encode(), value.encode()) for key, value in (headers or {}).items()]
    return FakeExchange(b"/v1/chat/completions", json.dumps(body).encode(), lines)


async def say(gate: Bench, exchange: FakeExchange) -> dict[str, str]:
    """Serve it; its headers, with `status` and `code` among them."""
    await gate.gateway.serve(exchange, CHAT)
    assert not gate.alarms, gate.alarms
    said = {name.decode(): value.decode() for name, value in exchange.reply_headers.items()}
    streamed = exchange.body.startswith(b"data:")
    error = {} if streamed else json.loads(exchange.body).get("error") or {}
    return said | {
        "status": str(exchange.status),
        "code": error.get("code", ""),
        "message": error.get("message", ""),
    }


PRICES = Ledger(enabled=False, kpt_per_usd=100)


def price(input: float, output: float) -> Prices:
    return Prices(input=input, output=output)


def virtual(*providers: Provider, **auto: Any) -> Settings:
    """A model `auto` before a small one and a large one."""
    named = tuple(provider(f"p{place}", one) for place, one in enumerate(providers))
    last = named[-1].name
    return Settings(
        providers=named,
        models=(
            model(
                "small",
                at("p0", "little"),
                can=Abilities(context_tokens=1_000, vision=False, tools=True, json_schema=False),
                price=price(1, 2),
            ),
            model("large", at(last, "big"), can=Abilities(context_tokens=100_000), price=price(10, 20)),
            Model(name="auto", candidates=("small", "large"), **({"route": "cost"} | auto)),
        ),
        ledger=PRICES,
    )


@looped
async def test_a_model_of_candidates_answers_by_the_cheapest_that_can() -> None:
    async with Provider() as upstream:
        with bench(virtual(upstream)) as gate:
            simple = await say(gate, ask("auto"))
            assert simple["status"] == "200"
            assert simple["x-kpgate-model"] == "small" and simple["x-kpgate-route"] == "cost"
            for asked in (
                ask("auto", [{"type": "text", "text": "what is this"}, IMAGE]),
                ask("auto", response_format=SCHEMA),
                ask("auto", "word " * 1_200),
                ask("auto", max_tokens=5_000),
            ):
                assert (await say(gate, asked))["x-kpgate-model"] == "large"
            assert (await say(gate, ask("auto", tools=[TOOL])))["x-kpgate-model"] == "small"
            assert [one.json()["model"] for one in upstream.requests] == ["little", *["big"] * 4, "little"]
            assert gate.lines[-1]["model"] == "small", "what was chosen is what is counted"


@looped
async def test_what_no_candidate_can_do_is_refused_by_name() -> None:
    async with Provider() as upstream:
        with bench(virtual(upstream)) as gate:
            said = await say(gate, ask("auto", "word " * 120_000))
            assert (said["status"], said["code"]) == ("400", "no_capable_model")
            assert "small: its context has 1000 tokens" in said["message"] and "large: " in said["message"]
            assert upstream.requests == []


@looped
async def test_the_first_rule_that_applies_decides() -> None:
    rules = (
        Rule(when='header("x-team") == "red"', use=("large",), name="reds"),
        Rule(when="complexity >= 40 or images", use=("large",), name="hard"),
        Rule(when='language == "de"', use=("p0",), name="german", route="weighted"),
    )
    hard = "Explain step by step why this fails, compare both designs and refactor:\n```\ndef f(): pass\n```"
    async with Provider() as upstream:
        with bench(virtual(upstream, rules=rules)) as gate:
            plain = await say(gate, ask("auto"))
            assert plain["x-kpgate-model"] == "small"
            assert plain["x-kpgate-route"].startswith("cost;complexity="), "what was weighed is shown"
            red = await say(gate, ask("auto", headers={"x-team": "red"}))
            assert red["x-kpgate-model"] == "large" and red["x-kpgate-route"] == "cost;rule=reds"
            knotty = await say(gate, ask("auto", hard))
            assert knotty["x-kpgate-model"] == "large" and "rule=hard" in knotty["x-kpgate-route"]
            assert "questions=24" in knotty["x-kpgate-route"] and "code=" in knotty["x-kpgate-route"]
            german = await say(gate, ask("auto", "Wie ist das Wetter in Berlin?"))
            assert german["x-kpgate-route"].startswith("weighted;rule=german")


@looped
async def test_a_cap_takes_the_cheapest_that_satisfies_or_refuses() -> None:
    async with Provider() as upstream:
        with bench(virtual(upstream, route="weighted")) as gate:
            cap = {"x-kpgate-max-cost-microkpt": "100000"}
            models = {
                (await say(gate, ask("auto", headers=cap, max_tokens=100)))["x-kpgate-model"]
                for _ in range(8)
            }
            assert models == {"small"}
            said = await say(gate, ask("auto", headers=cap, max_tokens=100))
            # A few prompt tokens at 100 and the learned output of 3 tokens at 200.
            assert int(said["x-kpgate-expected-cost-microkpt"]) == 8 * 100 + 3 * 200
            poor = await say(
                gate, ask("auto", headers={"x-kpgate-max-cost-microkpt": "1000"}, max_tokens=100)
            )
            assert (poor["status"], poor["code"], poor["x-should-retry"]) == (
                "402",
                "max_cost_exceeded",
                "false",
            )
            odd = await say(gate, ask("auto", headers={"x-kpgate-max-cost-microkpt": "1e9"}))
            assert (odd["status"], odd["code"]) == ("400", "invalid_request")
            # A model that is no more than its deployments takes the header, too.
            own = await say(gate, ask("small", headers={"x-kpgate-max-cost-microkpt": "1"}, max_tokens=100))
            assert own["code"] == "max_cost_exceeded"


@looped
async def test_a_fallback_answers_what_is_too_long_for_a_model_or_filtered_by_it() -> None:
    refusals: list[dict[str, Any]] = [
        {"error": {"message": "too long", "code": "context_length_exceeded"}},
        {"error": {"message": "filtered", "code": "content_filter"}},
    ]
    async with Provider() as first, Provider() as second:
        settings = Settings(
            providers=(provider("p0", first), provider("p1", second)),
            models=(model("m", at("p0"), fallbacks=("n",)), model("n", at("p1", "other"))),
        )
        with bench(settings) as gate:
            for refusal in refusals:
                first.reply(refusal, status=400)
                said = await say(gate, ask("m"))
                assert (said["status"], said["x-kpgate-model"], said["x-kpgate-attempts"]) == (
                    "200",
                    "n",
                    "2",
                )
            first.reply({"error": {"message": "no such field", "code": "bad"}}, status=400)
            assert (await say(gate, ask("m")))["status"] == "400", "any other refusal is the caller's"
            first.reply({}, status=500)
            assert (await say(gate, ask("m")))["x-kpgate-model"] == "n"
            assert (await say(gate, ask("m")))["x-kpgate-model"] == "m"
            assert gate.gateway.equipment.routes.plans[0].peers[0].look(0)["lost"] == 1, (
                "no refusal is a failure"
            )


@looped
async def test_a_limit_of_one_credential_rests_it_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Provider() as upstream:
        named = provider("p", upstream, api_keys=("env:A", "env:B", "env:C"))
        settings = Settings(providers=(named,), models=(model("m", at("p")),), retries=Retries(max=2))
        environ = {"A": "sk-a", "B": "sk-b", "C": "sk-c"}
        with bench(settings, environ) as gate:
            for _ in range(6):
                assert (await say(gate, ask("m")))["status"] == "200"
            assert Counter(_keys(upstream)) == {"sk-a": 2, "sk-b": 2, "sk-c": 2}, "each in turn"
            resets = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s"}
            upstream.reply({"error": {}}, status=429, headers=resets)
            said = await say(gate, ask("m"))
            assert said["status"] == "200" and "x-ratelimit-reset-requests" not in said
            limited = _keys(upstream)[6]
            upstream.reply({"error": {"code": "insufficient_quota"}}, status=429)
            assert (await say(gate, ask("m")))["status"] == "200"
            spent = _keys(upstream)[8]
            before = len(upstream.requests)
            for _ in range(4):
                assert (await say(gate, ask("m")))["status"] == "200"
            assert set(_keys(upstream)[before:]) == {"sk-a", "sk-b", "sk-c"} - {limited, spent}
            states = gate.gateway.equipment.routes.plans[0].choice.states(gate.ground.clock())
            assert sorted(states) == [0, 3, 4], "one well, one limited, one spent"
            limits = [
                target.pulse.cool_until_us - gate.ground.clock()
                for target in gate.gateway.equipment.routes.plans[0].targets
            ]
            assert 55_000_000 < max(limits) <= 60_000_000, "until the provider's own reset"


@looped
async def test_a_refused_credential_rests_alone() -> None:
    async with Provider() as upstream:
        named = provider("p", upstream, api_keys=("env:A", "env:B"))
        settings = Settings(providers=(named,), models=(model("m", at("p")),))
        with bench(settings, {"A": "sk-a", "B": "sk-b"}) as gate:
            upstream.reply({"error": {}}, status=401)
            assert (await say(gate, ask("m")))["status"] == "200"
            refused = _keys(upstream)[0]
            for _ in range(4):
                await say(gate, ask("m"))
            assert refused not in _keys(upstream)[1:]


@looped
async def test_a_session_stays_with_its_deployment() -> None:
    async with Provider() as one, Provider() as other:
        settings = Settings(
            providers=(provider("p0", one), provider("p1", other)),
            models=(
                model("m", at("p0"), at("p1"), sticky="header:x-session"),
                model("n", at("p0"), at("p1"), sticky="first_turn"),
            ),
        )
        with bench(settings) as gate:
            homes = {}
            for number in range(16):
                seen = {
                    (await say(gate, ask("m", headers={"x-session": f"s{number}"})))["x-kpgate-provider"]
                    for _ in range(3)
                }
                assert len(seen) == 1
                homes[number] = seen.pop()
            assert set(homes.values()) == {"p0", "p1"}
            without = {(await say(gate, ask("m")))["x-kpgate-provider"] for _ in range(24)}
            assert without == {"p0", "p1"}, "calls without a session are spread"
            for number in range(8):
                turns = [{"role": "user", "content": f"question {number}"}]
                first = await say(gate, ask("n", messages=turns))
                turns += [{"role": "assistant", "content": "yes"}, {"role": "user", "content": "and then?"}]
                assert (await say(gate, ask("n", messages=turns)))["x-kpgate-provider"] == first[
                    "x-kpgate-provider"
                ]


@looped
async def test_the_quicker_and_the_less_busy_are_preferred() -> None:
    async with Provider() as quick, Provider() as slow:
        settings = Settings(
            providers=(provider("p0", quick), provider("p1", slow)),
            models=(
                model("m", at("p0"), at("p1"), route="latency"),
                model("n", at("p0", "a"), at("p1", "b"), route="least_busy"),
            ),
        )
        with bench(settings) as gate:
            plans = gate.gateway.equipment.routes.plans
            for _ in range(2):
                assert (await say(gate, ask("m")))["status"] == "200"
            assert len(quick.requests) == len(slow.requests) == 1, "who is not known is tried"
            plans[0].peers[1].observe(gate.ground.clock(), 400_000, False)
            for _ in range(5):
                assert (await say(gate, ask("m")))["x-kpgate-provider"] == "p0"
            plans[1].peers[0].opened()
            for _ in range(5):
                assert (await say(gate, ask("n")))["x-kpgate-provider"] == "p1"
            plans[1].peers[0].ended()
            assert [peer.open for plan in plans for peer in plan.peers] == [0, 0, 0, 0]


@looped
async def test_a_canary_is_by_key_and_a_fallback_for_the_others() -> None:
    async with Provider() as one, Provider() as other:
        settings = Settings(
            providers=(provider("p0", one), provider("p1", other)),
            models=(
                model("m", at("p0"), at("p1", "new", canary_percent=0.01)),
                model("n", at("p0"), at("p1", "new", canary_percent=100)),
            ),
            ejection=Ejection(failures=1),
        )
        with bench(settings) as gate:
            assert {(await say(gate, ask("m")))["x-kpgate-provider"] for _ in range(6)} == {"p0"}
            assert {(await say(gate, ask("n")))["x-kpgate-provider"] for _ in range(6)} == {"p1"}
            one.reply({}, status=500)
            assert (await say(gate, ask("m")))["x-kpgate-provider"] == "p1", "when all else fails"


@looped
async def test_an_account_that_is_not_paid_is_not_the_caller_s() -> None:
    async with Provider() as one, Provider() as other:
        settings = Settings(
            providers=(provider("p0", one), provider("p1", other)),
            models=(model("m", at("p0"), at("p1", priority=1)),),
        )
        with bench(settings) as gate:
            one.script(answer({"error": {"message": "Insufficient Balance"}}, status=402))
            assert (await say(gate, ask("m")))["x-kpgate-provider"] == "p1"
            assert (await say(gate, ask("m")))["x-kpgate-provider"] == "p1", "it rests"
            assert len(one.requests) == 1


@looped
async def test_a_credit_that_is_used_up_is_not_the_caller_s_where_it_is_told_by_a_400() -> None:
    message = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
    refusal: dict[str, Any] = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": message},
    }
    async with Provider() as one, Provider() as other:
        keys = ("env:SECRET", "env:SECOND")
        claude = Named(name="p0", base_url=one.url, dialect="anthropic", api_keys=keys, timeouts=QUICK)
        settings = Settings(
            providers=(claude, provider("p1", other)),
            models=(model("m", at("p0"), at("p1", priority=1)), model("alone", at("p0"))),
            retries=Retries(max=2),
        )
        with bench(settings, environ={"SECOND": "sk-second"}) as gate:
            for streamed in (False, True):
                one.script(answer(refusal, status=400), answer(refusal, status=400))
                if streamed:
                    other.script(stream(events(usage=True)))
                said = await say(gate, ask("m", stream=streamed))
                assert (said["status"], said["x-kpgate-provider"]) == ("200", "p1")
            assert len(one.requests) == 2, "both credentials rest"
            rows = show_health(gate.gateway.equipment, gate.clock())["deployments"]
            assert isinstance(rows, list)
            assert {row["state"] for row in rows if row["provider"] == "p0"} == {"spent"}
            one.script(*[answer(refusal, status=400)] * 3)
            said = await say(gate, ask("alone"))
            assert (said["status"], said["code"]) == ("502", "upstream_failed")
            assert "credit balance" not in said["message"]


@looped
async def test_content_that_a_provider_filters_rests_no_credential() -> None:
    metadata = {"reasons": ["violence"], "flagged_input": "hello", "provider_name": "x"}
    flagged: dict[str, Any] = {"error": {"code": 403, "message": "Input was flagged", "metadata": metadata}}
    async with Provider() as one, Provider() as other:
        keyed = provider("p0", one, api_keys=("env:SECRET", "env:SECOND"))
        settings = Settings(
            providers=(keyed, provider("p1", other)),
            models=(model("m", at("p0"), fallbacks=("n",)), model("n", at("p1")), model("alone", at("p0"))),
            retries=Retries(max=2),
        )
        with bench(settings, environ={"SECOND": "sk-second"}) as gate:
            one.script(*[answer(flagged, status=403)] * 3)
            assert (await say(gate, ask("m")))["x-kpgate-provider"] == "p1"
            said = await say(gate, ask("alone"))
            assert (said["status"], said["code"], said["x-kpgate-attempts"]) == (
                "400",
                "content_filtered",
                "2",
            )
            rows = show_health(gate.gateway.equipment, gate.clock())["deployments"]
            assert isinstance(rows, list)
            assert {row["state"] for row in rows} == {"well"}
            one.script(answer({"error": {"message": "no such key"}}, status=403))
            assert (await say(gate, ask("m")))["status"] == "200"
            rows = show_health(gate.gateway.equipment, gate.clock())["deployments"]
            assert isinstance(rows, list)
            assert [row["state"] for row in rows].count("spent") == 2, "of both models, by one credential"


@looped
async def test_a_fallback_answers_in_whatever_words_a_prompt_is_refused() -> None:
    too_long: list[tuple[str, int, dict[str, Any]]] = [
        ("openai", 413, {"error": {"code": "tokens_limit_reached", "message": "Request body too large."}}),
        ("openai", 422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 9"}),
        (
            "anthropic",
            400,
            {"error": {"message": "input length and `max_tokens` exceed context limit: 9 + 9 > 9"}},
        ),
        ("anthropic", 400, {"error": {"message": "Output blocked by content filtering policy"}}),
        (
            "anthropic",
            413,
            {"error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}},
        ),
        ("cohere", 400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 9"}),
        ("bedrock", 400, {"message": "Input is too long for requested model."}),
        (
            "gemini",
            400,
            {"error": {"message": "The input token count (9) exceeds the maximum number of tokens"}},
        ),
        ("responses", 400, {"error": {"message": "Your input exceeds the context window of this model."}}),
    ]
    for dialect, status, refusal in too_long:
        async with Provider() as first, Provider() as second:
            settings = Settings(
                providers=(
                    provider("p0", first, dialect=dialect, api_key="env:SECRET"),
                    provider("p1", second),
                ),
                models=(model("m", at("p0"), fallbacks=("n",)), model("n", at("p1", "other"))),
            )
            with bench(settings) as gate:
                for streamed in (False, True):
                    first.script(answer(refusal, status=status))
                    if streamed:
                        second.script(stream(events(usage=True)))
                    said = await say(gate, ask("m", stream=streamed))
                    assert (said["status"], said["x-kpgate-model"]) == ("200", "n"), (dialect, refusal)
                lost = gate.gateway.equipment.routes.plans[0].peers[0].look(0)["lost"]
                assert lost == 0, "no refusal is a failure"


@looped
async def test_embeddings_have_no_traits_and_are_routed_as_well() -> None:
    async with Provider() as upstream:
        rules = (Rule(when="prompt_tokens < 100", use=("small",)),)
        with bench(virtual(upstream, rules=rules)) as gate:
            body = json.dumps({"model": "auto", "input": "hello"}).encode()
            exchange = FakeExchange(b"/v1/embeddings", body, [(b"authorization", b"Bearer sk-test")])
            await gate.gateway.serve(exchange, EMBEDDING)
            assert exchange.status == 200 and exchange.reply_headers[b"x-kpgate-route"] == b"cost;rule=1"


def _keys(upstream: Provider) -> list[str]:
    return [one.headers["authorization"].removeprefix("Bearer ") for one in upstream.requests]

"""Whole calls through the gateway, against a provider with every fault there is.

For each: a right-shaped error or stream end, one record, and every place, limit and connection given back (the kit
asserts the last on closing).
"""

import asyncio
import gc
import json
import weakref
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import pytest

from kpgate._fast.wait import Wait
from kpgate.app.equipment import equip
from kpgate.dialects.openai.endpoints import ENDPOINTS
from kpgate.domain.limits import Limits
from kpgate.domain.settings import Deployment, Model, Retries, Server, Settings, Timeouts
from kpgate.domain.settings import Provider as Named
from tests.kit.equipment import Bench, LoopClock, bench
from tests.kit.exchange import FakeExchange
from tests.kit.loops import looped, until
from tests.kit.provider import (
    Provider,
    Step,
    answer,
    completion,
    events,
    giant,
    hang_up,
    page,
    raw,
    silence,
    stream,
)

CHAT = ENDPOINTS[0]
QUICK = Timeouts(connect_s=1, first_byte_s=0.3, idle_s=0.3, total_s=5)
ONCE = Retries(max=0)
CANARY = "sk-upstream-canary"


def settings(*providers: Provider, retries: Retries = ONCE, **model: Any) -> Settings:
    named = tuple(
        Named(name=f"p{n}", base_url=f"{p.url}/v1", api_key="env:SECRET", timeouts=QUICK)
        for n, p in enumerate(providers)
    )
    deployments = tuple(Deployment(provider=one.name, model="up", priority=n) for n, one in enumerate(named))
    return Settings(
        providers=named,
        models=(Model(name="m", deployments=deployments, limits=Limits(concurrency=50), **model),),
        retries=retries,
    )


def ask(stream: bool = False, **more: Any) -> FakeExchange:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": stream} | more
    return FakeExchange(
        b"/v1/chat/completions", json.dumps(body).encode(), [(b"authorization", b"Bearer sk-test")]
    )


def lived(settings: Settings) -> AbstractContextManager[Bench]:
    """A gateway whose time-outs pass with the turns of its loop, which the provider shares."""
    return bench(settings, lived=LoopClock())


def serve(gate: Bench, exchange: FakeExchange) -> Coroutine[Any, Any, None]:
    """Serve a call that is received now."""
    exchange.received_us = gate.clock()
    return gate.gateway.serve(exchange, CHAT)


def error_of(exchange: FakeExchange) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(exchange.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert CANARY not in exchange.body.decode()
    return error


async def one(gate: Bench, exchange: FakeExchange) -> dict[str, Any]:
    """Serve it; the one record that it left."""
    before = len(gate.lines)
    await serve(gate, exchange)
    assert len(gate.lines) == before + 1, "one request, one record"
    assert not gate.alarms, gate.alarms
    assert CANARY not in json.dumps(gate.lines)
    return gate.lines[-1]


FAULTS: dict[str, tuple[Callable[[], Step], str]] = {
    "closes before a byte": (hang_up, "upstream_failed"),
    "resets before a byte": (lambda: hang_up(reset=True), "upstream_failed"),
    "closes within the head": (lambda: raw(b"HTTP/1.1 200 OK\r\ncontent-le"), "upstream_failed"),
    "resets after the head": (
        lambda: raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", reset=True),
        "upstream_failed",
    ),
    "closes within the body": (lambda: answer(completion(), cut_at=200), "upstream_failed"),
    "is silent": (silence, "upstream_timeout"),
    "stalls within the head": (lambda: raw(b"HTTP/1.1 200 OK\r\n", stall=True), "upstream_timeout"),
    "stalls within the body": (
        lambda: raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{", stall=True
        ),
        "upstream_timeout",
    ),
    "says a longer length": (lambda: answer(completion(), length=9999), "upstream_timeout"),
    "talks garbage": (lambda: raw(b"SSH-2.0-OpenSSH_9\r\n\r\n"), "upstream_failed"),
    "answers 099": (lambda: raw(b"HTTP/1.1 099 X\r\ncontent-length: 2\r\n\r\n{}"), "upstream_failed"),
    "answers 000": (lambda: raw(b"HTTP/1.1 000 X\r\ncontent-length: 2\r\n\r\n{}"), "upstream_failed"),
    "answers 999": (lambda: raw(b"HTTP/1.1 999 X\r\ncontent-length: 2\r\n\r\n{}"), "upstream_failed"),
    "answers 200 with HTML": (page, "upstream_failed"),
    "answers 200 with nothing": (lambda: answer(b""), "upstream_failed"),
    "sends a header without end": (giant, "upstream_failed"),
    "redirects": (lambda: answer(b"", status=302, headers={"location": "http://evil/"}), "upstream_failed"),
    "switches protocols": (lambda: raw(b"HTTP/1.1 101 X\r\nupgrade: ws\r\n\r\n"), "upstream_failed"),
    "refuses the credential": (lambda: answer({"error": CANARY}, status=401), "upstream_failed"),
    "forbids": (lambda: answer({"error": CANARY}, status=403), "upstream_failed"),
    "breaks": (lambda: answer({"error": "x"}, status=500), "upstream_failed"),
    "is overloaded": (lambda: page(503), "upstream_failed"),
    "limits": (lambda: answer({"error": "x"}, status=429, headers={"retry-after": "7"}), "rate_limited"),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_before_the_first_byte_is_an_error_in_shape(fault: str, streamed: bool) -> None:
    @looped
    async def run() -> None:
        make, code = FAULTS[fault]
        async with Provider() as provider:
            with lived(settings(provider)) as gate:
                provider.script(make())
                exchange = ask(streamed)
                record = await one(gate, exchange)
                error = error_of(exchange)
                assert error["code"] == code
                assert exchange.replies == 1
                assert record["code"] == code
                assert record["end"].startswith("caller@" if code == "rate_limited" else "upstream@")
                assert exchange.reply_headers[b"x-should-retry"] == b"true"
                if code == "rate_limited":
                    assert exchange.reply_headers[b"retry-after"] == b"7"
                # The gateway is as good as new.
                assert (await one(gate, ask()))["status"] == 200

    run()


@looped
async def test_one_byte_at_a_time_arrives_whole() -> None:
    async with Provider() as provider:
        with lived(settings(provider)) as gate:
            provider.script(answer(completion(), bytewise=True, chunked=True))
            exchange = ask()
            assert (await one(gate, exchange))["status"] == 200
            assert json.loads(exchange.body) == completion()


@looped
async def test_interim_replies_are_passed_over_and_early_ones_taken() -> None:
    async with Provider() as provider:
        with lived(settings(provider)) as gate:
            provider.script(answer(completion(), interim=b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n"))
            assert (await one(gate, ask()))["status"] == 200
            provider.script(answer(completion(), early=True))
            assert (await one(gate, ask()))["status"] == 200


@looped
async def test_surplus_bytes_are_never_taken_for_the_next_reply() -> None:
    async with Provider() as provider:
        with lived(settings(provider)) as gate:
            provider.script(
                answer(completion("first"), surplus=b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
            )
            assert "first" in (await one(gate, exchange := ask()), exchange.body.decode())[1]
            await one(gate, second := ask())
            assert "evil" not in second.body.decode()
            assert provider.accepted == 2


@looped
async def test_a_caller_s_mistake_comes_back_in_the_provider_s_own_words() -> None:
    async with Provider() as provider:
        with lived(settings(provider)) as gate:
            said = {
                "error": {
                    "message": "no such tool",
                    "type": "invalid_request_error",
                    "param": "t",
                    "code": None,
                }
            }
            provider.script(answer(said, status=400))
            exchange = ask()
            record = await one(gate, exchange)
            assert (exchange.status, json.loads(exchange.body)) == (400, said)
            assert record["attempts"] == 1


@looped
async def test_a_stale_connection_is_replaced_once_without_counting_as_an_attempt() -> None:
    async with Provider() as provider:
        with lived(settings(provider)) as gate:
            assert (await one(gate, ask()))["status"] == 200
            provider.script(hang_up())
            record = await one(gate, ask())
            assert (record["status"], record["attempts"]) == (200, 1)
            assert provider.accepted == 2


@looped
async def test_a_failing_deployment_is_followed_by_the_next() -> None:
    async with Provider() as bad, Provider() as good:
        with lived(settings(bad, good, retries=Retries(max=1, backoff_min_ms=1, backoff_max_ms=2))) as gate:
            bad.script(page(503))
            exchange = ask()
            record = await one(gate, exchange)
            assert (record["status"], record["attempts"], record["provider"]) == (200, 2, "p1")
            assert exchange.reply_headers[b"x-kpgate-attempts"] == b"2"


@looped
async def test_a_provider_that_refuses_connections_is_passed_over() -> None:
    async with Provider() as bad, Provider() as good:
        bad.refuse()
        with lived(settings(bad, good, retries=Retries(max=1, backoff_min_ms=1, backoff_max_ms=2))) as gate:
            assert (await one(gate, ask()))["provider"] == "p1"


@looped
async def test_five_failures_in_a_row_eject_a_deployment() -> None:
    async with Provider() as bad, Provider() as good:
        with lived(settings(bad, good, retries=Retries(max=1, backoff_min_ms=0, backoff_max_ms=0))) as gate:
            bad.default = page(503)
            for _ in range(8):
                assert (await one(gate, ask()))["status"] == 200
            assert len(bad.requests) == 5


CUTS: dict[str, dict[str, Any]] = {
    "is cut": {"cut": True},
    "is reset": {"reset": True},
    "stalls": {"stall": True},
}


@pytest.mark.parametrize("fault", CUTS)
def test_a_stream_that_breaks_ends_with_an_error_event_at_a_boundary(fault: str) -> None:
    @looped
    async def run() -> None:
        async with Provider() as provider:
            with lived(settings(provider)) as gate:
                sent = [*events("one two three")[:2], b'data: {"half an ev']
                provider.script(stream(sent, every_s=0.01, **CUTS[fault]))
                exchange = ask(stream=True)
                record = await one(gate, exchange)
                *whole, last, end = exchange.body.split(b"\n\n")
                assert end == b""
                assert whole == [event.strip() for event in sent[:2]]
                assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == record["code"]
                assert record["code"] == ("upstream_timeout" if fault == "stalls" else "upstream_failed")
                assert (record["end"], exchange.finished) == ("upstream@upstream", True)
                assert record["usage"] == "counted"

    run()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_the_provider_sees_a_client_s_leaving_in_under_a_second(streamed: bool) -> None:
    @looped
    async def run() -> None:
        async with Provider() as provider:
            with lived(settings(provider)) as gate:
                provider.script(stream(events()[:1], stall=True) if streamed else silence())
                exchange = ask(streamed)
                call = asyncio.ensure_future(one(gate, exchange))
                await until(lambda: provider.requests and (exchange.sent or not streamed))
                await asyncio.sleep(0)
                exchange.walk_away()
                record = await call
                assert (record["status"], record["code"], record["end"]) == (
                    499,
                    "client_gone",
                    "caller@upstream",
                )
                left_us = gate.clock()
                await until(provider.requests[-1].gone.is_set)
                assert gate.clock() - left_us < 1_000_000

    run()


@looped
async def test_a_slow_reader_holds_the_provider_back() -> None:
    async with Provider() as provider:
        with lived(settings(provider)) as gate:
            event = b"data: " + b"x" * 8000 + b"\n\n"
            provider.script(stream([event] * 4000))
            exchange = ask(stream=True)
            exchange.slow = Wait(asyncio.get_running_loop())
            call = asyncio.ensure_future(one(gate, exchange))
            await until(lambda: exchange.sent)
            held = 0
            for _ in range(50):
                await asyncio.sleep(0.002)
                held = sum(map(len, exchange.sent))
            assert held < 1 << 20
            slow, exchange.slow = exchange.slow, None
            slow.resolve(None)
            assert (await call)["status"] == 200
            assert len(exchange.body) == len(event) * 4000


@looped
async def test_usage_is_stripped_unless_asked_for_and_always_recorded() -> None:
    async with Provider() as provider:
        with lived(settings(provider)) as gate:
            plain, asked = ask(stream=True), ask(stream=True, stream_options={"include_usage": True})
            for exchange in (plain, asked):
                record = await one(gate, exchange)
                assert (record["input_tokens"], record["output_tokens"], record["usage"]) == (
                    9,
                    3,
                    "provider",
                )
            assert b"usage" not in plain.body
            assert asked.body == b"".join(events(usage=True))
            assert plain.body == b"".join(events())


@looped
async def test_tokens_are_reserved_and_corrected_to_what_was_used() -> None:
    async with Provider() as provider:
        asked = settings(provider)
        limited = Model(name="m", deployments=asked.models[0].deployments, limits=Limits(tokens="1000/min"))
        with lived(msgspec.structs.replace(asked, models=(limited,))) as gate:
            remaining = []
            for _ in range(3):
                exchange = ask(max_tokens=500)
                assert (await one(gate, exchange))["status"] == 200
                remaining.append(int(exchange.reply_headers[b"x-ratelimit-remaining-tokens"]))
            assert remaining[0] < 500
            assert remaining[2] > 400, "what was reserved beyond 12 used tokens came back"
            exchange = ask(max_tokens=5000)
            assert (await one(gate, exchange))["code"] == "invalid_request"
            assert exchange.status == 400


@pytest.mark.parametrize("fault", ["is silent", "breaks", "closes within the head"])
def test_a_refused_call_is_forgotten_at_once(fault: str) -> None:
    """Its connection too: a server that waits for the last reference before it closes does not wait for long."""

    @looped
    async def run() -> None:
        async with Provider() as provider:
            with lived(settings(provider)) as gate:
                provider.script(FAULTS[fault][0]())
                exchange = ask()
                kept = weakref.ref(exchange)
                gc.disable()
                try:
                    await serve(gate, exchange)
                    del exchange
                    assert kept() is None
                finally:
                    gc.enable()

    run()


@looped
async def test_a_reload_counts_the_calls_that_are_under_way() -> None:
    async with Provider() as provider:
        with lived(settings(provider)) as gate:
            less = msgspec.structs.replace(
                settings(provider), server=Server(inflight_max=1, queue_wait_s=0.05)
            )
            provider.script(silence())
            held = ask()
            call = asyncio.ensure_future(serve(gate, held))
            await until(lambda: provider.requests)
            gate.gateway.swap(equip(less, gate.ground, gate.numbers))
            exchange = ask()
            await serve(gate, exchange)
            assert (exchange.status, error_of(exchange)["code"]) == (503, "overloaded")
            held.walk_away()
            await call
            assert (await one(gate, ask()))["status"] == 200

"""Clients that leave the real server: whatever they speak and the provider speaks, nobody works on for them."""

import json
from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any

import pytest
import trustme

from kpgate.domain.limits import Limits
from tests.kit.gateway_process import request, until
from tests.kit.http2 import Http2
from tests.kit.provider import events, silence, stream
from tests.kit.talk import Talk
from tests.kit.whole import Whole

PATH = "/v1/chat/completions"


@pytest.fixture(scope="module", params=["granian", "direct"])
def secure(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """A gateway whose provider speaks TLS."""
    folder = tmp_path_factory.mktemp("secure")
    with Whole(folder, transport=request.param, authority=trustme.CA()) as gate:
        yield gate
        assert_silent(gate)


@pytest.fixture(scope="module", params=["plain", "tls"])
def http2(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """A gateway whose clients speak HTTP/2, and its provider TLS or not."""
    folder = tmp_path_factory.mktemp("http2")
    authority = trustme.CA() if request.param == "tls" else None
    with Whole(folder, server="workers = 1\nhttp2 = true", authority=authority) as gate:
        yield gate
        assert_silent(gate)


def assert_silent(gate: Whole) -> None:
    """Whatever clients did, nothing broke, and nobody wrote past the log."""
    assert not [said for said in gate.said if said.get("event") in ("text", "failure", "lost")]


def body(**more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]} | more).encode()


def in_a_second(holds: Callable[[], bool]) -> None:
    """What has to come about in under a second: that is promised, not a measure of speed."""
    deadline = monotonic() + 1
    while not holds():
        assert monotonic() < deadline, "it did not come about within a second"
        sleep(0.01)


def stalled(gate: Whole, streamed: bool) -> None:
    """The provider says one event, or nothing, and no more."""
    gate.script(stream(events("a b")[:1], stall=True) if streamed else silence())


def assert_left(gate: Whole, name: str, key: str) -> None:
    """Who left is one record, and all that it had is there for the next."""
    gate.settled()
    until(lambda: any(record["id"] == name for record in gate.records()))
    records = [record for record in gate.records() if record["id"] == name]
    assert [(record["status"], record["end"]) for record in records] == [(499, "caller@upstream")]
    assert gate.chat(key)[0] == 200, "its place among the calls of the key came back"
    # A reply is out before its call is counted out.
    until(lambda: gate.metric("kpgate_inflight") == 0)


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_leaving_closes_an_upstream_over_tls(secure: Whole, streamed: bool, reset: bool) -> None:
    name, key = f"left-{streamed}-{reset}", secure.key(limits=Limits(concurrency=1))
    stalled(secure, streamed)
    asked = len(secure.provider.requests)
    headers = (f"Authorization: Bearer {key}", f"X-Request-Id: {name}")
    talk = Talk(secure.open(request(PATH, *headers, body=body(stream=streamed))))
    until(lambda: len(secure.provider.requests) > asked)
    assert not streamed or talk.readable(10)
    talk.leave(reset=reset)
    in_a_second(secure.provider.requests[asked].gone.is_set)
    assert_left(secure, name, key)


def begin(gate: Whole, client: Http2, name: str, key: str, streamed: bool) -> int:
    """A call that is under way upstream, and whose first event has come if it is a stream."""
    stalled(gate, streamed)
    asked = len(gate.provider.requests)
    number = client.post(PATH, body(stream=streamed), authorization=f"Bearer {key}", x_request_id=name)
    until(lambda: len(gate.provider.requests) > asked)
    while streamed and not client.received[number]:
        client.read()
    return number


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_resetting_one_http2_stream_ends_that_call_alone(http2: Whole, streamed: bool) -> None:
    name, key, other = f"reset-{streamed}", http2.key(limits=Limits(concurrency=1)), http2.key()
    with Http2(http2.open()) as client:
        left = begin(http2, client, name, key, streamed)
        left_request = http2.provider.requests[-1]
        kept = begin(http2, client, f"kept-{streamed}", other, True)
        kept_request = http2.provider.requests[-1]
        client.reset(left)
        in_a_second(left_request.gone.is_set)
        assert not kept_request.gone.is_set()
        whole = client.post(PATH, body(model="echo"), authorization=f"Bearer {other}")
        assert client.whole(whole)[0] == 200, "the connection serves on"
        client.reset(kept)
        in_a_second(kept_request.gone.is_set)
    assert_left(http2, name, key)


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_dropping_an_http2_connection_ends_all_its_calls(http2: Whole, streamed: bool, reset: bool) -> None:
    names = [f"dropped-{streamed}-{reset}-{number}" for number in range(3)]
    key = http2.key(limits=Limits(concurrency=3))
    client = Http2(http2.open())
    asked = len(http2.provider.requests)
    for name in names:
        begin(http2, client, name, key, streamed)
    client.leave(reset=reset)
    for number in range(3):
        in_a_second(http2.provider.requests[asked + number].gone.is_set)
    for name in names:
        assert_left(http2, name, key)

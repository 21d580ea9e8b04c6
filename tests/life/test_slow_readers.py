"""Clients that read slowly, through the real server: bounded memory, others unharmed, an end for who stands still."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep

import pytest

from kpgate.domain.limits import Limits
from tests.kit.gateway_process import TRANSPORTS, request, until
from tests.kit.http2 import Http2
from tests.kit.provider import Step, chunk, head
from tests.kit.provider import Talk as Spoken
from tests.kit.talk import Talk
from tests.kit.whole import Whole

PATH = "/v1/chat/completions"
EVENT = b"data: " + b"x" * 8000 + b"\n\n"
READERS = 20
STALL_S = 0.6


class Flood:
    """A stream as fast as it is taken: so many events, counted as they leave, then `[DONE]`."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.sent = 0
        self.over = False

    def step(self) -> Step:
        async def step(talk: Spoken) -> None:
            await talk.rest_of_body()
            try:
                fields = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
                await talk.send(head(200, fields))
                for _ in range(self.events):
                    await talk.send(chunk(EVENT))
                    self.sent += 1
                await talk.send(chunk(b"data: [DONE]\n\n") + chunk(b""))
            finally:
                self.over = True

        return step


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with Whole(tmp_path_factory.mktemp("patient"), transport=request.param) as gate:
        yield gate
    assert_silent(gate)


@pytest.fixture(scope="module", params=[*TRANSPORTS, "http2"])
def hasty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    server = f"workers = 1\nwrite_stall_s = {STALL_S}\n"
    server += "http2 = true" if request.param == "http2" else ""
    transport = "direct" if request.param == "direct" else "granian"
    with Whole(tmp_path_factory.mktemp("hasty"), transport=transport, server=server) as gate:
        yield gate
    assert_silent(gate)


def assert_silent(gate: Whole) -> None:
    """Whatever clients did, nobody wrote past the log, and nothing broke."""
    assert not [said for said in gate.said if said.get("event") in ("text", "failure", "lost")]


def stream(key: str, name: str) -> bytes:
    return request(PATH, f"Authorization: Bearer {key}", f"X-Request-Id: {name}", body=body())


def body() -> bytes:
    return json.dumps(
        {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    ).encode()


def worker_bytes(gate: Whole) -> int:
    """What the only worker has resident."""
    children = Path(f"/proc/{gate.process.pid}/task/{gate.process.pid}/children").read_text().split()
    for pid in children:
        if b"kpgate.app.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
            status = Path(f"/proc/{pid}/status").read_text()
            return int(status.partition("VmRSS:")[2].split()[0]) * 1024
    raise AssertionError("there is no worker")


def joined(reply: bytes) -> bytes:
    """The body of a chunked reply that is here as a whole."""
    pieces, at = [], reply.index(b"\r\n\r\n") + 4
    while True:
        after = reply.index(b"\r\n", at) + 2
        size = int(reply[at:after], 16)
        pieces.append(reply[after : after + size])
        at = after + size + 2
        if not size:
            assert at == len(reply), "nothing stands behind it"
            return b"".join(pieces)


def record(gate: Whole, name: str) -> tuple[int, str]:
    """How a request ended, once it has."""
    until(lambda: any(record["id"] == name for record in gate.records()))
    (found,) = [record for record in gate.records() if record["id"] == name]
    return found["status"], found["end"]


def test_many_who_take_a_byte_a_second_cost_little_and_harm_nobody(gate: Whole) -> None:
    key = gate.key(limits=Limits(concurrency=READERS + 1))
    assert gate.chat(key)[0] == 200
    floods = [Flood(10**6) for _ in range(READERS)]
    gate.script(*[flood.step() for flood in floods])
    before = worker_bytes(gate)
    with ExitStack() as stack:
        talks = [
            stack.enter_context(Talk(gate.open(stream(key, f"drop-{number}"), buffer_bytes=4096)))
            for number in range(READERS)
        ]
        until(lambda: all(flood.sent for flood in floods))
        for _ in range(3):
            for talk in talks:
                assert talk.connection.recv(1)
            assert gate.chat(key)[0] == 200
            sleep(1)
        held = sum(flood.sent for flood in floods)
        for talk in talks:
            assert talk.connection.recv(1)
        sleep(0.5)
        assert sum(flood.sent for flood in floods) == held, "the providers wait, each for its reader"
        assert worker_bytes(gate) - before < READERS << 20
    until(lambda: all(flood.over for flood in floods))
    assert {record(gate, f"drop-{number}") for number in range(READERS)} == {(499, "caller@upstream")}
    gate.settled()
    assert gate.chat(key)[0] == 200


@pytest.mark.parametrize("segment_bytes", [0, 1400], ids=["loopback", "network"])
def test_who_stands_still_is_ended_and_who_moves_is_not(hasty: Whole, segment_bytes: int) -> None:
    http2 = "http2" in hasty.config.read_text()
    if http2 or (hasty.transport == "granian" and not segment_bytes):
        pytest.skip(
            "on Granian only what the system has room for again is seen: megabytes at once on loopback"
        )
    pause_s = 0.01 if hasty.transport == "granian" else 0.05
    key, names = hasty.key(), (f"still-{segment_bytes}", f"moving-{segment_bytes}")
    still, moving = Flood(10**6), Flood(2000)
    sizes = {"buffer_bytes": 8192, "segment_bytes": segment_bytes}
    hasty.script(still.step())
    with Talk(hasty.open(stream(key, names[0]), **sizes)) as idle:
        assert idle.readable(10)
        hasty.script(moving.step())
        with Talk(hasty.open(stream(key, names[1]), **sizes)) as talk:
            began, taken = monotonic(), b""
            while not still.over or monotonic() - began < 5 * STALL_S:
                piece = talk.connection.recv(8192)
                assert piece, "who moves lives"
                taken += piece
                sleep(pause_s)
            assert record(hasty, names[0]) == (499, "caller@upstream")
            assert len(taken) < len(EVENT) * 1000
            talk.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            while piece := talk.connection.recv(1 << 20):
                taken += piece
            assert joined(taken) == EVENT * 2000 + b"data: [DONE]\n\n"
    assert record(hasty, names[1]) == (200, "ok@respond")
    hasty.settled()


def test_an_http2_stream_without_a_window_is_ended_and_one_that_opens_it_is_not(hasty: Whole) -> None:
    if "http2" not in hasty.config.read_text():
        pytest.skip("HTTP/1.1 knows no windows")
    key = hasty.key()
    still, moving = Flood(10**6), Flood(20)
    with Http2(hasty.open(), window_bytes=10_000) as client:
        hasty.script(still.step())
        first = client.post(PATH, body(), authorization=f"Bearer {key}", x_request_id="still")
        until(lambda: still.sent > 0)
        hasty.script(moving.step())
        second = client.post(PATH, body(), authorization=f"Bearer {key}", x_request_id="moving")
        while second not in client.ended:
            if client.read() == second:
                sleep(0.1)
                client.allow(second, 5_000)
        assert client.received[second].endswith(b"data: [DONE]\n\n")
        assert client.received[second].count(b"data: x") == 20
        until(lambda: still.over)
        assert len(client.received[first]) <= 10_000
        assert record(hasty, "still") == (499, "caller@upstream")
        assert record(hasty, "moving") == (200, "ok@respond")
    hasty.settled()

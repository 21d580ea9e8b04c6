"""What is put off until the journal has it is neither overtaken nor lost where a connection closes meanwhile."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from kpgate._fast.client import Client
from kpgate._fast.http1 import Connection
from kpgate._fast.lane import Lane
from kpgate._fast.outbox import Outbox
from kpgate._fast.wait import Wheel
from tests.fuzz.targets.client import Socket
from tests.kit.wire import StillLoop

SECOND_US = 1_000_000
LAST = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
KEPT = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
LARGE = b"x" * 300_000


class Held:
    """A lane on a real loop whose outbox waits until it is told otherwise."""

    def __init__(self, serve: Callable[[Client], Awaitable[None]]) -> None:
        self.loop = asyncio.get_running_loop()
        self.may_write = False
        self.asked = 0
        self.alarms: list[BaseException] = []
        self.outbox = Outbox(self.loop, self.ask)
        self.lane = Lane(
            serve,
            wheel=Wheel(),
            loop=self.loop,
            outbox=self.outbox,
            error=lambda code, words: RuntimeError(code),
            alarm=self.alarms.append,
            failed=(500, [], b"failed"),
            clients_max=9,
        )
        second = SECOND_US
        self.lane.bound(
            head_us=second,
            idle_us=second,
            body_idle_us=second,
            write_stall_us=second,
            bytes_a_second_min=1,
        )

    def ask(self) -> bool:
        self.asked += 1
        return self.may_write

    async def answer(self, sent: bytes, *, then: Callable[["Held"], None] | None = None) -> bytes:
        """What a client reads to its end: nothing, not even the end, before it may be written."""
        # uvloop wants a factory of its buffered protocols.
        listen: Any = self.loop.create_server
        server = await listen(lambda: Client(self.lane), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        read = asyncio.ensure_future(reader.read())
        while self.asked < 20:
            await asyncio.sleep(0)
        if then is not None:
            then(self)
            await asyncio.sleep(0)
        early = read.done()
        self.may_write = True
        data = await read
        assert not early
        writer.close()
        server.close()
        assert not self.alarms
        assert not len(self.outbox)
        return data


def played(serve: Callable[[Client], Awaitable[None]], sent: bytes, **more: Any) -> bytes:
    """What came of a request that was served so."""

    async def play() -> bytes:
        return await asyncio.wait_for(Held(serve).answer(sent, **more), 20)

    return uvloop.run(play())


@pytest.mark.parametrize("body", [b"hello", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("surplus", [b"", b"what nobody wants"], ids=["", "unread bytes"])
def test_the_last_reply_of_a_connection_waits_whole(body: bytes, surplus: bytes):
    async def serve(client: Client) -> None:
        client.reply(200, [], body)

    reply = played(serve, LAST + surplus)
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert reply.endswith(b"\r\n\r\n" + body)


def test_a_stream_that_is_cut_arrives_as_far_as_it_was_sent():
    async def serve(client: Client) -> None:
        client.open(200, [])
        client.write(b"data: 1\n\n")
        client.abort()

    assert played(serve, LAST).endswith(b"9\r\ndata: 1\n\n\r\n")


def test_a_connection_that_a_drain_finds_idle_closes_after_its_reply():
    async def serve(client: Client) -> None:
        client.reply(200, [], b"hello")

    assert played(serve, KEPT, then=lambda held: held.lane.drain()).endswith(b"\r\n\r\nhello")


def test_a_client_that_leaves_meanwhile_is_forgotten():
    async def serve(client: Client) -> None:
        client.reply(200, [], b"hello")

    async def play() -> None:
        held = Held(serve)
        listen: Any = held.loop.create_server
        server = await listen(lambda: Client(held.lane), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(LAST)
        while not held.asked:
            await asyncio.sleep(0)
        writer.get_extra_info("socket").setsockopt(1, 13, struct.pack("ii", 1, 0))
        writer.transport.abort()
        while held.lane.clients:
            await asyncio.sleep(0)
        held.may_write = True
        while len(held.outbox):
            await asyncio.sleep(0)
        server.close()
        assert not held.alarms

    uvloop.run(asyncio.wait_for(play(), 20))


class Gone(Socket):
    """A transport that was reset, its connection not told yet: uvloop refuses whatever is asked of it."""

    def get_write_buffer_size(self) -> int:
        if self.closed:
            raise RuntimeError("the handler is closed")
        return super().get_write_buffer_size()


def test_a_client_that_is_reset_meanwhile_takes_nobody_s_reply_with_it():
    loop, may_write = StillLoop(), False

    async def serve(client: Client) -> None:
        client.reply(200, [], b"hello")

    lane = Lane(
        serve,
        wheel=Wheel(),
        loop=loop,  # type: ignore[arg-type]
        outbox=Outbox(loop, lambda: may_write),  # type: ignore[arg-type]
        error=lambda code, words: RuntimeError(code),
        alarm=lambda error: None,
        failed=(500, [], b"failed"),
        clients_max=9,
    )
    sockets = []
    for kind in (Gone, Socket):
        client, socket = Client(lane), kind(loop, False)
        socket.client = client
        sockets.append(socket)
        client.connection_made(socket)
        client.get_buffer(-1)[: len(LAST)] = LAST
        client.buffer_updated(len(LAST))
    loop.turn()
    assert not sockets[1].written
    sockets[0].closed = True
    may_write = True
    loop.turn()
    assert sockets[1].written.endswith(b"hello") and sockets[1].closed
    assert not sockets[0].written


@pytest.mark.parametrize("body", [b"{}", LARGE], ids=["small", "large"])
def test_a_provider_is_sent_nothing_before(body: bytes):
    head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body)

    async def play() -> None:
        loop = asyncio.get_running_loop()
        came: asyncio.Queue[bytes] = asyncio.Queue()

        async def provide(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await came.put(await reader.read(1))
            await came.put(await reader.readexactly(len(head) + len(body) - 1))
            writer.close()

        server = await asyncio.start_server(provide, "127.0.0.1", 0)
        asked, may_write = 0, False

        def ask() -> bool:
            nonlocal asked
            asked += 1
            return may_write

        outbox = Outbox(loop, ask)
        connect: Any = loop.create_connection
        address = server.sockets[0].getsockname()
        _, connection = await connect(lambda: Connection(loop, (), outbox), *address)
        connection.send(head, body)
        while asked < 20:
            await asyncio.sleep(0)
        early = not came.empty()
        may_write = True
        assert await came.get() + await came.get() == head + body
        assert not early
        connection.abort()
        server.close()

    uvloop.run(asyncio.wait_for(play(), 20))

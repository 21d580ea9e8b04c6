"""The ASGI exchange, with scripted `receive` and `send`: what it asks of the server, and when."""

import asyncio
import gc
import sys
import weakref
from collections.abc import Callable, Coroutine
from time import monotonic_ns
from typing import Any

import pytest

from kpgate._fast.wait import Wheel
from kpgate.app.asgi import AsgiExchange, Transport
from kpgate.app.bounds import Bounds
from kpgate.app.crossing import Crossing
from kpgate.domain.errors import BodyTooLarge, ClientGone, InvalidRequest, RequestTimeout

Story = Callable[[AsgiExchange], Coroutine[Any, Any, None]]
TEXT = (b"content-type", b"text/plain")


class Client:
    """The server's side: `come` answers a receive, `take` lets a waiting send go on."""

    def __init__(self, *headers: tuple[bytes, bytes], slow: bool = False) -> None:
        self.loop = asyncio.get_running_loop()
        self.wheel = Wheel(now_us=monotonic_ns() // 1000)
        self.alarms: list[BaseException] = []
        self.ended: asyncio.Future[None] = self.loop.create_future()
        self.sent: list[dict[str, Any]] = []
        self.asked: list[asyncio.Future[dict[str, Any]]] = []
        self.coming: list[dict[str, Any]] = []
        self.taking: list[asyncio.Future[None]] = []
        self.slow = slow
        self.scope = {
            "type": "http",
            "method": "POST",
            "raw_path": b"/v1/x%2e",
            "query_string": b"a=1",
            "headers": [(b"host", b"here"), *headers],
            "client": ("10.0.0.9", 4711),
        }

    def receive(self) -> "asyncio.Future[dict[str, Any]]":
        self.asked.append(self.loop.create_future())
        if self.coming:
            self.asked[-1].set_result(self.coming.pop(0))
        return self.asked[-1]

    def send(self, message: dict[str, Any]) -> Any:
        self.sent.append(message)
        if self.slow and message["type"] == "http.response.body":
            self.taking.append(self.loop.create_future())
            return self.taking[-1]
        return None

    def come(self, body: bytes = b"", more: bool = True) -> None:
        message = {"type": "http.request", "body": body, "more_body": more}
        self.asked[-1].set_result(message) if self.waiting else self.coming.append(message)

    def leave(self) -> None:
        message = {"type": "http.disconnect"}
        self.asked[-1].set_result(message) if self.waiting else self.coming.append(message)

    @property
    def waiting(self) -> bool:
        return bool(self.asked) and not self.asked[-1].done()

    def pass_time(self, seconds: float) -> None:
        self.wheel.advance(self.wheel.now_us + int(seconds * 1e6))

    @property
    def proto(self) -> "Client":
        return self

    def done(self) -> None:
        self.ended.set_result(None)

    def serve(self, story: Story, before: Callable[[], bool] | None = None) -> "asyncio.Future[None]":
        """Hand over the request. Done once the application is."""
        crossing = Crossing(self.loop, self.alarms.append)
        Transport(story, self.wheel, crossing, Bounds(), self.alarms.append, before).take(self)
        return self.ended

    @property
    def cut(self) -> bool:
        """Whether a stream was left without an end."""
        return bool(self.sent[-1].get("more_body", True))

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])


async def turn(times: int = 5) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def echo(exchange: AsgiExchange) -> None:
    exchange.reply(200, [TEXT], await exchange.read_body(100))


def length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % size


async def in_vain(exchange: AsgiExchange) -> None:
    """What is left of a body does not come in time."""
    with pytest.raises(RequestTimeout):
        await exchange.read_body(100)
    exchange.reply(408, [], b"")


def test_receive_is_asked_no_further_than_the_announced_length() -> None:
    async def main() -> None:
        client = Client(length(5))
        client.come(b"hello", more=True)
        await client.serve(echo)
        assert len(client.asked) == 1
        assert client.body == b"hello"
        assert length(5) in client.sent[0]["headers"]
        assert client.wheel.live == 0

    asyncio.run(main())


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_in_pieces_is_put_together(announced: bool) -> None:
    async def main() -> None:
        client = Client(*([length(5)] if announced else []))
        for piece in (b"he", b"l", b"lo"):
            client.come(piece)
        client.come(b"", more=False)
        await client.serve(echo)
        assert client.body == b"hello"
        assert len(client.asked) == (3 if announced else 4)

    asyncio.run(main())


def test_a_whole_reply_waits_until_it_may_be_said_and_its_request_is_not_over_before() -> None:
    async def main() -> None:
        client, asked = Client(), list[bool]()

        def before() -> bool:
            asked.append(not client.sent)
            return len(asked) > 3

        async def story(exchange: AsgiExchange) -> None:
            exchange.reply(200, [TEXT], b"hello")
            assert not client.sent, "at the turn's end, with all others"

        ended = client.serve(story, before)
        await ended
        assert asked == [True] * 4 and client.body == b"hello" and len(client.sent) == 2
        assert not client.alarms and client.wheel.live == 0

    asyncio.run(main())


def test_what_the_application_leaves_unsaid_waits_as_well() -> None:
    async def main() -> None:
        async def breaks(exchange: AsgiExchange) -> None:
            raise KeyError("broken")

        client, may = Client(), list[bool]()
        ended = client.serve(breaks, lambda: bool(may))
        await turn(20)
        assert not client.sent and not ended.done()
        may.append(True)
        await ended
        assert client.status == 500 and [type(error) for error in client.alarms] == [KeyError]

    asyncio.run(main())


def test_a_reply_that_the_server_refuses_at_the_turns_end_holds_up_no_other() -> None:
    async def main() -> None:
        first, second = Client(), Client()

        def refuses(message: dict[str, Any]) -> Any:
            raise RuntimeError("gone")

        async def story(exchange: AsgiExchange) -> None:
            exchange.reply(200, [TEXT], b"hello")

        first.send = refuses  # type: ignore[method-assign]
        crossing = Crossing(first.loop, first.alarms.append)
        shared = Transport(story, first.wheel, crossing, Bounds(), first.alarms.append, lambda: True)
        shared.take(first)
        shared.take(second)
        await asyncio.gather(first.ended, second.ended)
        assert second.body == b"hello"
        assert [type(error) for error in first.alarms] == [RuntimeError]

    asyncio.run(main())


def test_a_stream_does_not_wait() -> None:
    async def main() -> None:
        async def story(exchange: AsgiExchange) -> None:
            exchange.open(200, [TEXT])
            exchange.write(b"at once")
            assert client.body == b"at once"
            exchange.finish()

        client = Client()
        await client.serve(story, lambda: False)
        assert client.body == b"at once" and not client.cut

    asyncio.run(main())


def test_what_is_too_large_is_refused_unread() -> None:
    async def story(exchange: AsgiExchange) -> None:
        with pytest.raises(BodyTooLarge):
            await exchange.read_body(100)
        exchange.reply(413, [], b"")

    async def main() -> None:
        client = Client(length(20_000))
        await client.serve(story)
        assert client.asked == [] and client.status == 413

    asyncio.run(main())


def test_a_short_body_is_here_before_anybody_wants_it() -> None:
    async def story(exchange: AsgiExchange) -> None:
        assert exchange.take_body(100) == b"hello"
        exchange.reply(200, [TEXT], b"ok")

    async def main() -> None:
        client = Client(length(5))
        client.come(b"hello", more=True)
        await client.serve(story)
        assert client.status == 200 and len(client.asked) == 1 and client.wheel.live == 0

    asyncio.run(main())


@pytest.mark.parametrize("headers", [(length(16_385),), (length(5), (b"expect", b"100-continue")), ()])
def test_nobody_asks_ahead_for_a_long_body_or_one_whose_client_waits_to_be_asked(
    headers: tuple[tuple[bytes, bytes], ...],
) -> None:
    async def story(exchange: AsgiExchange) -> None:
        assert exchange.take_body(100_000) is None
        exchange.reply(401, [], b"")

    async def main() -> None:
        client = Client(*headers)
        await client.serve(story)
        assert client.asked == [] and client.status == 401

    asyncio.run(main())


def test_who_is_refused_is_answered_before_a_short_body_came() -> None:
    async def story(exchange: AsgiExchange) -> None:
        assert exchange.take_body(100) is None
        exchange.reply(401, [], b"")

    async def main() -> None:
        client = Client(length(5))
        await client.serve(story)
        assert client.status == 401 and client.asked[0].cancelled(), "the server may close the connection"

    asyncio.run(main())


def test_the_beginning_of_a_short_body_is_kept_and_the_rest_has_its_time() -> None:
    async def story(exchange: AsgiExchange) -> None:
        assert exchange.take_body(100) is None
        await in_vain(exchange)

    async def main() -> None:
        client = Client(length(5))
        client.come(b"he")
        task = client.serve(story)
        await turn()
        client.pass_time(29)
        client.come(b"l")
        await turn()
        client.pass_time(29)
        await turn()
        assert not task.done()
        client.pass_time(2)
        await task
        assert client.status == 408 and client.alarms == []

    asyncio.run(main())


class Kept:
    """A future like the server's: it keeps its callback, and no collector sees into it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, message: dict[str, Any]) -> None:
        self.loop = loop
        self.message = message
        self.callback: Callable[[Any], object] | None = None

    def done(self) -> bool:
        return self.callback is not None

    def cancelled(self) -> bool:
        return False

    def exception(self) -> None:
        return None

    def result(self) -> dict[str, Any]:
        return self.message

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        self.callback = callback
        self.loop.call_soon(callback, self)


@pytest.mark.parametrize("poured", [True, False])
def test_nothing_is_left_of_a_body_without_a_collector(poured: bool) -> None:
    gone: list[weakref.ref[Kept]] = []

    async def story(exchange: AsgiExchange) -> None:
        if poured:
            await exchange.peek(0, 100)
            exchange.pour(Basin())
            await turn()
        else:
            assert await exchange.read_body(100) == b"hello"
        exchange.watch(lambda: None)
        exchange.reply(200, [TEXT], b"ok")

    class Server(Client):
        def receive(self) -> Any:
            kept = Kept(
                self.loop, {"type": "http.request", "body": b"hel" if not gone else b"lo", "more_body": True}
            )
            gone.append(weakref.ref(kept))
            return kept

    async def main() -> None:
        client = Server(length(5))
        await client.serve(story)
        await turn()
        assert client.status == 200 and [ref() for ref in gone] == [None, None]

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


def test_a_body_that_was_looked_at_and_is_read_may_not_stop_either() -> None:
    async def story(exchange: AsgiExchange) -> None:
        await exchange.peek(0, 100)
        await in_vain(exchange)

    async def main() -> None:
        client = Client(length(5))
        client.come(b"he")
        task = client.serve(story)
        await turn()
        client.pass_time(1)
        client.pass_time(31)
        await task
        assert client.status == 408

    asyncio.run(main())


def test_a_body_without_length_is_counted_while_it_comes() -> None:
    async def story(exchange: AsgiExchange) -> None:
        with pytest.raises(BodyTooLarge):
            await exchange.read_body(100)
        exchange.reply(413, [], b"")

    async def main() -> None:
        client = Client()
        for _ in range(9):
            client.come(b"x" * 30)
        await client.serve(story)
        assert len(client.asked) == 4

    asyncio.run(main())


def test_a_body_that_stops_arriving_times_out() -> None:
    async def main() -> None:
        client = Client(length(10))
        task = client.serve(in_vain)
        for _ in range(3):
            await turn()
            client.come(b"x")
            await turn()
            client.pass_time(29)
        await turn()
        assert not task.done(), "each byte begins the time anew"
        client.pass_time(2)
        await task
        assert client.status == 408 and client.wheel.live == 0

    asyncio.run(main())


@pytest.mark.parametrize(("announced", "error"), [(True, ClientGone), (False, InvalidRequest)])
def test_an_early_end_is_told_from_bad_chunks(announced: bool, error: type[Exception]) -> None:
    async def story(exchange: AsgiExchange) -> None:
        with pytest.raises(error):
            await exchange.read_body(100)
        exchange.abort()

    async def main() -> None:
        client = Client(*([length(10)] if announced else []))
        client.come(b"hello")
        client.leave()
        await client.serve(story)
        assert client.status == 400, "the server must never be left to answer by itself"

    asyncio.run(main())


def test_leaving_is_watched_only_once_a_call_is_old() -> None:
    left: list[int] = []
    ends: list[asyncio.Future[None]] = []

    async def story(exchange: AsgiExchange) -> None:
        await exchange.read_body(100)
        exchange.watch(lambda: left.append(1))
        await ends[0]

    async def main() -> None:
        ends.append(asyncio.get_running_loop().create_future())
        client = Client(length(2))
        client.come(b"ab")
        task = client.serve(story)
        await turn()
        assert len(client.asked) == 1
        client.pass_time(0.25)
        assert len(client.asked) == 2
        client.come(b"", more=False)
        await turn()
        assert len(client.asked) == 3 and not left
        client.leave()
        await turn()
        assert left == [1]
        ends[0].set_result(None)
        await task
        assert client.status == 500, "a story that sends nothing is answered all the same"

    asyncio.run(main())


def test_a_slow_body_does_not_put_off_the_watch() -> None:
    left: list[int] = []
    ends: list[asyncio.Future[None]] = []

    async def story(exchange: AsgiExchange) -> None:
        await exchange.read_body(100)
        exchange.watch(lambda: left.append(1))
        await ends[0]

    async def main() -> None:
        ends.append(asyncio.get_running_loop().create_future())
        client = Client(length(2))
        task = client.serve(story)
        await turn()
        client.pass_time(3)
        client.come(b"ab")
        await turn()
        client.pass_time(0.3)
        client.leave()
        await turn()
        assert left == [1]
        ends[0].set_result(None)
        await task

    asyncio.run(main())


def test_a_stream_is_watched_at_once() -> None:
    left: list[int] = []
    clients: list[Client] = []

    async def story(exchange: AsgiExchange) -> None:
        exchange.watch(lambda: left.append(1))
        exchange.open(200, [TEXT])
        clients[0].leave()
        await turn()
        assert left == [1] and exchange.gone
        assert exchange.write(b"x") is False
        with pytest.raises(ClientGone):
            await exchange.room()
        exchange.abort()

    async def main() -> None:
        clients.append(Client())
        await clients[0].serve(story)
        assert len(clients[0].sent) == 1

    asyncio.run(main())


def test_a_large_piece_is_sent_in_small_ones() -> None:
    async def story(exchange: AsgiExchange) -> None:
        exchange.open(200, [TEXT])
        assert exchange.write(bytes(20_000)) is True
        exchange.finish()

    async def main() -> None:
        client = Client()
        await client.serve(story)
        assert [len(message["body"]) for message in client.sent[1:]] == [2048] * 9 + [1568, 0]
        assert [message["more_body"] for message in client.sent[1:]] == [True] * 10 + [False]

    asyncio.run(main())


def test_pieces_grow_once_a_client_has_taken_many() -> None:
    async def story(exchange: AsgiExchange) -> None:
        exchange.open(200, [TEXT])
        for _ in range(40):
            assert exchange.write(bytes(16_384)) is True
        exchange.finish()

    async def main() -> None:
        client = Client()
        await client.serve(story)
        sizes = [len(message["body"]) for message in client.sent[1:-1]]
        assert sizes == [2048] * 257 + [8192, 6144] + [8192] * (2 * 7)
        assert client.body == bytes(40 * 16_384)

    asyncio.run(main())


def test_for_a_reader_that_stands_still_no_more_is_kept_than_it_has_not_taken() -> None:
    chunk = bytes(20_000)
    unheld = sys.getrefcount(chunk)

    async def story(exchange: AsgiExchange) -> None:
        exchange.open(200, [TEXT])
        assert exchange.write(chunk) is False
        await exchange.room()
        exchange.finish()

    async def main() -> None:
        client = Client(slow=True)
        task = client.serve(story)
        await turn()
        assert sys.getrefcount(chunk) > unheld
        client.pass_time(0.2)
        assert sys.getrefcount(chunk) == unheld
        while not task.done():
            client.taking[-1].set_result(None)
            await turn()
        assert client.body == chunk

    asyncio.run(main())


def test_a_slow_reader_is_waited_for_piece_by_piece() -> None:
    async def story(exchange: AsgiExchange) -> None:
        exchange.open(200, [TEXT])
        assert exchange.write(bytes(20_000)) is False
        await exchange.room()
        assert exchange.write(b"tail") is False
        exchange.write(b" and end")
        exchange.finish()

    async def main() -> None:
        client = Client(slow=True)
        task = client.serve(story)
        for count in range(1, 14):
            await turn()
            assert len(client.taking) == count and not task.done()
            client.taking[-1].set_result(None)
        await task
        assert client.body == bytes(20_000) + b"tail and end"
        assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
        assert client.wheel.live == 0

    asyncio.run(main())


def test_a_reader_that_stands_still_is_cut() -> None:
    left: list[int] = []

    async def story(exchange: AsgiExchange) -> None:
        exchange.watch(lambda: left.append(1))
        exchange.open(200, [TEXT])
        exchange.write(bytes(20_000))
        try:
            await exchange.room()
        except ClientGone:
            exchange.abort()

    async def main() -> None:
        client = Client(slow=True)
        task = client.serve(story)
        await turn()
        client.pass_time(50)
        client.taking[-1].set_result(None)
        await turn()
        client.pass_time(50)
        await turn()
        assert not task.done(), "what it takes begins the time anew"
        client.pass_time(11)
        await task
        assert client.cut
        assert left == [1] and client.wheel.live == 0

    asyncio.run(main())


def test_a_finished_stream_nobody_takes_is_cut_too() -> None:
    async def story(exchange: AsgiExchange) -> None:
        exchange.open(200, [TEXT])
        exchange.write(b"x")
        exchange.finish()

    async def main() -> None:
        client = Client(slow=True)
        task = client.serve(story)
        await turn()
        client.pass_time(61)
        await task
        assert client.cut

    asyncio.run(main())


@pytest.mark.parametrize("status", [0, 42, 99, 101, 199, 600, 1000])
def test_a_status_that_would_kill_the_server_never_reaches_it(status: int) -> None:
    async def story(exchange: AsgiExchange) -> None:
        exchange.reply(status, [], b"")

    async def main() -> None:
        client = Client()
        await client.serve(story)
        assert client.status == 500 and isinstance(client.alarms[0], ValueError)

    asyncio.run(main())


def test_what_escapes_the_application_is_a_500_before_the_head_and_a_cut_after() -> None:
    async def early(exchange: AsgiExchange) -> None:
        raise RuntimeError("sk-secret")

    async def late(exchange: AsgiExchange) -> None:
        exchange.open(200, [TEXT])
        raise RuntimeError("sk-secret")

    async def main() -> None:
        client = Client()
        await client.serve(early)
        assert client.status == 500 and b"secret" not in client.body
        client = Client()
        await client.serve(late)
        assert client.cut

    asyncio.run(main())


def test_what_cannot_be_taken_over_ends_where_it_came_from() -> None:
    async def main() -> None:
        client = Client()
        del client.scope["method"]
        await client.serve(echo)
        await turn()
        assert client.sent == [] and isinstance(client.alarms[0], KeyError)

    asyncio.run(main())


def test_an_application_that_breaks_before_it_waits_is_a_500() -> None:
    def broken(exchange: AsgiExchange) -> Coroutine[Any, Any, None]:
        raise RuntimeError("sk-secret")

    async def main() -> None:
        client = Client()
        await client.serve(broken)
        assert client.status == 500 and isinstance(client.alarms[0], RuntimeError)

    asyncio.run(main())


def test_a_short_body_that_was_cut_is_told_before_anybody_waits() -> None:
    async def story(exchange: AsgiExchange) -> None:
        with pytest.raises(ClientGone):
            exchange.take_body(100)
        exchange.abort()

    async def main() -> None:
        client = Client(length(5))
        client.leave()
        await client.serve(story)
        assert client.status == 400 and client.wheel.live == 0

    asyncio.run(main())


def test_a_reply_does_not_change_the_caller_s_list() -> None:
    headers = [TEXT]

    async def story(exchange: AsgiExchange) -> None:
        assert (exchange.path, exchange.query, exchange.peer) == (b"/v1/x%2e", b"a=1", "10.0.0.9")
        exchange.reply(200, headers, b"ok")

    async def main() -> None:
        client = Client()
        await client.serve(story)
        assert headers == [TEXT]

    asyncio.run(main())


class Basin:
    """Where a body is poured. It asks to be waited for if it is `full`."""

    def __init__(self, full: bool = False) -> None:
        self.full = full
        self.pieces: list[tuple[bytes, bool]] = []
        self.errors: list[Exception] = []

    def take(self, piece: bytes, last: bool) -> bool:
        self.pieces.append((piece, last))
        return not self.full

    def fail(self, error: Exception) -> None:
        self.errors.append(error)


class Poured:
    """An exchange whose body was looked at and is poured, until it is `over`."""

    def __init__(self, *headers: tuple[bytes, bytes], full: bool = False, bytes_max: int = 100_000) -> None:
        self.client = Client(*headers)
        self.basin = Basin(full)
        self.left: list[int] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.bytes_max = bytes_max
        self.exchange: AsgiExchange

    async def story(self, exchange: AsgiExchange) -> None:
        self.exchange = exchange
        here = await exchange.peek(0, self.bytes_max)
        assert await exchange.peek(0, self.bytes_max) == here, "it stays"
        exchange.watch(lambda: self.left.append(1))
        exchange.pour(self.basin, 1)
        await self.over
        exchange.pour(None)
        exchange.reply(200, [TEXT], here)

    async def end(self, task: "asyncio.Future[None]") -> None:
        self.over.set_result(None)
        await task
        assert self.client.body == b"ab" and self.client.alarms == []


def test_a_body_is_poured_as_it_comes_and_one_piece_ahead() -> None:
    async def main() -> None:
        poured = Poured(length(60_006))
        client, basin = poured.client, poured.basin
        task = client.serve(poured.story)
        await turn()
        client.come(b"ab")
        await turn()
        assert basin.pieces == [(b"b", False)]
        basin.full = True
        client.come(b"cd")
        await turn()
        client.come(b"e" * 30_000)
        await turn()
        asked = len(client.asked)
        client.pass_time(200)
        assert basin.pieces[1:] == [(b"cd", False)] and len(client.asked) == asked and not client.waiting
        assert not basin.errors, "while nobody takes it, its client's time stands still"
        basin.full = False
        poured.exchange.follow()
        assert basin.pieces[2:] == [(b"e" * 30_000, False)] and client.waiting
        client.come(b"f" * 30_002)
        await turn()
        assert basin.pieces[3:] == [(b"f" * 30_002, True)] and not client.waiting
        client.pass_time(0.2)
        client.leave()
        await turn()
        assert poured.left == [1], "once it was all given on, leaving is watched for"
        poured.over.set_result(None)
        await task

    asyncio.run(main())


def test_a_body_that_is_poured_stops_arriving() -> None:
    async def main() -> None:
        poured = Poured(length(10))
        poured.client.come(b"ab")
        task = poured.client.serve(poured.story)
        await turn()
        poured.client.pass_time(29)
        poured.client.come(b"c")
        await turn()
        poured.client.pass_time(29)
        assert not poured.basin.errors, "each piece begins the time anew"
        poured.client.pass_time(2)
        await turn()
        assert [type(error) for error in poured.basin.errors] == [RequestTimeout]
        await poured.end(task)

    asyncio.run(main())


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_poured_is_cut_short(announced: bool) -> None:
    async def main() -> None:
        poured = Poured(*([length(10)] if announced else []))
        poured.client.come(b"ab")
        poured.client.leave()
        task = poured.client.serve(poured.story)
        await turn()
        wanted = ClientGone if announced else InvalidRequest
        assert [type(error) for error in poured.basin.errors] == [wanted]
        assert poured.left == ([1] if announced else [])
        poured.over.set_result(None)
        await task

    asyncio.run(main())


def test_a_body_without_length_is_poured_no_further_than_it_may_be() -> None:
    async def main() -> None:
        poured = Poured(bytes_max=10)
        poured.client.come(b"ab")
        task = poured.client.serve(poured.story)
        await turn()
        poured.client.come(b"x" * 9)
        await turn()
        assert [type(error) for error in poured.basin.errors] == [BodyTooLarge]
        await poured.end(task)

    asyncio.run(main())

"""A pool connects, reuses and retires over real sockets; whatever happens its counters return to zero."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from kpgate._fast.http1 import Connection, UpstreamLost
from kpgate._fast.wait import Wait, Wheel
from kpgate.domain.upstream import Origin, PoolOptions, Proxy, parse_origin, parse_proxy
from kpgate.services.pool import AHEAD_FROM, Counts, Pool, PoolFull, interleave
from tests.kit import provider as kit
from tests.kit.connect_proxy import ConnectProxy
from tests.kit.loops import looped, until
from tests.kit.provider import Provider

FAR_US = 60_000_000
NOTHING = Counts(open=0, idle=0, dialing=0, waiting=0)


class Authority:
    """A certificate authority, its file, and contexts for servers."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def server(self, name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.ca.issue_cert(name).configure_cert(context)
        return context

    @staticmethod
    def another(name: str) -> ssl.SSLContext:
        """A server's context by an authority that nobody knows."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        trustme.CA().issue_cert(name).configure_cert(context)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@asynccontextmanager
async def pooled(origin: Origin | str, **options: object) -> AsyncIterator[tuple[Pool, Wheel]]:
    """A pool that must be back at zero in the end."""
    wheel = Wheel()
    parsed = parse_origin(origin) if isinstance(origin, str) else origin
    pool = Pool(parsed, PoolOptions(**options), wheel, asyncio.get_running_loop())  # type: ignore[arg-type]
    try:
        yield pool, wheel
    finally:
        pool.close()
        await until(lambda: pool.counts == NOTHING)
        assert wheel.live == 0


async def call(pool: Pool, body: bytes = b"{}") -> tuple[int, bytes]:
    """One whole call."""
    connection = pool.take() or await pool.open(FAR_US)
    try:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        connection.send(head, body)
        await connection.head()
        return connection.status, await connection.whole(1 << 24)
    finally:
        pool.give(connection)


def sockets() -> int:
    """How many sockets this process holds."""
    return sum(os.readlink(f"/proc/self/fd/{fd}").startswith("socket:") for fd in _open_files())


def _open_files() -> list[str]:
    # The listing holds a descriptor of its own, which is closed by the time it is looked at.
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]


async def lost(wait: object) -> UpstreamLost:
    """Why there is no connection."""
    with pytest.raises(UpstreamLost) as caught:
        await wait  # type: ignore[misc]
    return caught.value


@looped
async def test_a_connection_is_opened_once_and_reused():
    async with Provider() as provider, pooled(provider.url) as (pool, _):
        assert pool.take() is None
        for number in range(3):
            status, body = await call(pool)
            assert status == 200
            assert b"Hello there." in body
            assert pool.counts == Counts(open=1, idle=1, dialing=0, waiting=0)
            assert len(provider.requests) == number + 1
        assert provider.accepted == 1


@looped
async def test_room_is_made_for_a_new_connection_where_all_rest():
    async with Provider() as provider, pooled(provider.url, connections_max=1) as (pool, _):
        await call(pool)
        pool.make_room()
        fresh = await pool.open(FAR_US)
        assert provider.accepted == 2 and pool.counts == Counts(open=1, idle=0, dialing=0, waiting=0)
        pool.give(fresh)
    async with Provider() as provider, pooled(provider.url, connections_max=2) as (pool, _):
        await call(pool)
        pool.make_room()
        assert pool.counts.idle == 1, "there is room"


@looped
async def test_the_connection_used_last_is_used_next():
    async with Provider() as provider, pooled(provider.url) as (pool, _):
        first, second = await pool.open(FAR_US), await pool.open(FAR_US)
        pool.give(first)
        pool.give(second)
        pool.give(second)
        assert pool.counts.idle == 2
        assert pool.take() is second
        assert pool.take() is first
        pool.give(first)
        pool.give(second)


@looped
async def test_connections_are_bounded_and_calls_wait_in_order():
    async with Provider() as provider, pooled(provider.url, connections_max=2) as (pool, _):
        held = [await pool.open(FAR_US), await pool.open(FAR_US)]
        waits = [pool.open(FAR_US) for _ in range(2)]
        assert pool.counts == Counts(open=2, idle=0, dialing=0, waiting=2)
        pool.give(held[0])
        assert await waits[0] is held[0]
        assert not waits[1].done
        held[1].abort()
        fresh = await waits[1]
        assert fresh not in held
        assert provider.accepted == 3
        pool.give(held[0])
        pool.give(fresh)


@looped
async def test_the_queue_is_bounded():
    async with Provider() as provider, pooled(provider.url, connections_max=1, waiters_max=1) as (pool, _):
        held = await pool.open(FAR_US)
        wait = pool.open(FAR_US)
        with pytest.raises(PoolFull):
            await pool.open(FAR_US)
        pool.give(held)
        pool.give(await wait)


@looped
async def test_waiting_for_a_place_ends_at_the_deadline():
    async with Provider() as provider, pooled(provider.url, connections_max=1) as (pool, wheel):
        held = await pool.open(FAR_US)
        wait = pool.open(1_000_000)
        wheel.advance(1_000_000)
        with pytest.raises(PoolFull):
            await wait
        await until(lambda: pool.counts.waiting == 0)
        pool.give(held)
        assert pool.counts.idle == 1


@looped
async def test_a_wait_failed_from_outside_leaves_the_queue_and_the_connection_rests():
    async with Provider() as provider, pooled(provider.url) as (pool, _):
        wait = pool.open(FAR_US)
        wait.fail(KeyError("the client left"))
        with pytest.raises(KeyError):
            await wait
        await until(lambda: pool.counts == Counts(open=1, idle=1, dialing=0, waiting=0))


@looped
async def test_a_cancelled_task_leaves_the_queue():
    async with Provider() as provider, pooled(provider.url, connections_max=1) as (pool, _):
        held = await pool.open(FAR_US)

        async def wants() -> Connection:
            return await pool.open(FAR_US)

        task = asyncio.create_task(wants())
        await until(lambda: pool.counts.waiting == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.counts.waiting == 0
        pool.give(held)


@looped
async def test_a_refusing_provider_is_told_apart():
    async with Provider() as provider:
        provider.refuse()
        async with pooled(provider.url) as (pool, _):
            errors = await asyncio.gather(*(lost(pool.open(FAR_US)) for _ in range(5)))
            assert {error.reason for error in errors} == {"the connection was refused"}
            assert not errors[0].timeout
            assert pool.counts == NOTHING


@looped
async def test_connecting_is_limited_in_time_tls_included(authority: Authority):
    async with Provider() as provider:
        provider.greeting = lambda talk: talk.stall()
        origin = Origin("https", "127.0.0.1", provider.port)
        async with pooled(origin, ca=authority.file, connect_us=2_000_000) as (pool, wheel):
            wait = pool.open(FAR_US)
            await until(lambda: provider.accepted == 1)
            wheel.advance(2_000_000)
            assert not wait.done
            wheel.advance(2_200_000)
            assert (await lost(wait)).timeout
            assert pool.counts == NOTHING
            await until(lambda: provider.open == 0)


@looped
async def test_a_name_that_does_not_resolve_is_told_apart():
    async with pooled(Origin("http", "nobody.invalid", 80)) as (pool, _):
        assert "does not resolve" in (await lost(pool.open(FAR_US))).reason


@looped
async def test_tls_is_verified_against_the_given_authority(authority: Authority):
    async with Provider(authority.server("localhost"), "localhost") as provider:
        async with pooled(provider.url, ca=authority.file) as (pool, _):
            for _ in range(3):
                assert (await call(pool))[0] == 200
            assert provider.accepted == 1
            assert pool.take().secure
        async with pooled(provider.url) as (pool, _):
            assert "not trusted" in (await lost(pool.open(FAR_US))).reason
            assert pool.counts == NOTHING
        other = Origin("https", "127.0.0.1", provider.port)
        async with pooled(other, ca=authority.file) as (pool, _):
            assert "not trusted" in (await lost(pool.open(FAR_US))).reason


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_tls_session_is_resumed(authority: Authority, version: ssl.TLSVersion):
    @looped
    async def main():
        server = authority.server("127.0.0.1")
        server.maximum_version = version
        async with Provider(server) as provider, pooled(provider.url, ca=authority.file) as (pool, _):
            first = await pool.open(FAR_US)
            pool.give(first)
            # A ticket of TLS 1.3 comes behind the handshake.
            assert (await call(pool))[0] == 200
            assert pool.take() is first
            later = [await pool.open(FAR_US) for _ in range(3)]
            assert provider.accepted == 4
            assert server.session_stats()["hits"] == 3
            first.abort()
            for connection in later:
                connection.abort()
            await until(lambda: pool.counts == NOTHING)
            # What nobody uses any more can be gone on from as well.
            assert (await call(pool))[0] == 200
            assert server.session_stats()["hits"] == 4

    main()


@looped
async def test_many_handshakes_may_be_under_way_at_once(authority: Authority):
    server = authority.server("127.0.0.1")
    async with Provider(server) as provider, pooled(provider.url, ca=authority.file) as (pool, _):
        waits = [pool.open(FAR_US) for _ in range(64)]
        held = [await wait for wait in waits]
        assert len(set(held)) == 64
        assert all(connection.secure for connection in held)
        for connection in held:
            pool.give(connection)
        found = await asyncio.gather(*(call(pool) for _ in range(64)))
        assert [status for status, _ in found] == [200] * 64


@looped
async def test_a_session_that_the_provider_forgot_is_begun_anew(authority: Authority):
    server = authority.server("127.0.0.1")
    async with Provider(server) as provider:
        port = provider.port
        origin = Origin("https", "127.0.0.1", port)
        async with pooled(origin, ca=authority.file) as (pool, _):
            assert (await call(pool))[0] == 200
            await provider.restart(authority.server("127.0.0.1"))
            await until(lambda: pool.counts == NOTHING)
            assert (await call(pool))[0] == 200
            # Not by a certificate that is not trusted any more, either.
            await provider.restart(Authority.another("127.0.0.1"))
            await until(lambda: pool.counts == NOTHING)
            assert "not trusted" in (await lost(pool.open(FAR_US))).reason


@looped
async def test_old_tls_is_refused(authority: Authority):
    server = authority.server("127.0.0.1")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        server.maximum_version = ssl.TLSVersion.TLSv1_1
    async with Provider(server) as provider, pooled(provider.url, ca=authority.file) as (pool, _):
        await lost(pool.open(FAR_US))


@pytest.mark.parametrize("secure", [False, True])
def test_egress_goes_through_a_connect_proxy(authority: Authority, secure: bool):
    @looped
    async def main():
        context = authority.server("127.0.0.1") if secure else None
        async with Provider(context) as provider, ConnectProxy() as proxy:
            way = parse_proxy(f"http://user:p%40ss@127.0.0.1:{proxy.port}")
            async with pooled(provider.url, ca=authority.file, proxy=way) as (pool, _):
                for _ in range(2):
                    assert (await call(pool))[0] == 200
                assert len(proxy.asked) == 1
                assert proxy.asked[0].startswith(f"CONNECT 127.0.0.1:{provider.port} HTTP/1.1\r\n".encode())
                assert b"\r\nproxy-authorization: Basic dXNlcjpwQHNz\r\n" in proxy.asked[0]
                assert "p@ss" not in repr(pool.options)

    main()


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"HTTP/1.1 407 Auth\r\ncontent-length: 0\r\n\r\n", "the proxy answered 407"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 forged\r\n\r\n", "bytes of its own"),
        (b"SOCKS?\r\n\r\n", "the proxy: the reply is not HTTP"),
    ],
)
def test_a_proxy_that_refuses_or_forges_is_told_apart_and_left(reply: bytes, why: str):
    @looped
    async def main():
        async with Provider() as proxy:
            proxy.default = kit.raw(reply, stall=True)
            origin = Origin("http", "127.0.0.1", 9)
            async with pooled(origin, proxy=Proxy("127.0.0.1", proxy.port)) as (pool, _):
                assert why in (await lost(pool.open(FAR_US))).reason
                assert pool.counts == NOTHING
                await until(lambda: proxy.open == 0)

    main()


@looped
async def test_what_rests_too_long_is_retired():
    async with Provider() as provider, pooled(provider.url) as (pool, wheel):
        first, second = await pool.open(FAR_US), await pool.open(FAR_US)
        pool.give(first)
        wheel.advance(20_000_000)
        pool.give(second)
        wheel.advance(30_000_000)
        assert pool.counts.idle == 1
        wheel.advance(49_900_000)
        assert pool.counts.idle == 1
        wheel.advance(50_000_000)
        assert pool.counts.idle == 0
        await until(lambda: pool.counts == NOTHING and provider.open == 0)


@looped
async def test_what_is_too_old_is_not_used_again():
    async with Provider() as provider, pooled(provider.url, idle_us=10**9) as (pool, wheel):
        connection = await pool.open(FAR_US)
        wheel.advance(299_000_000)
        pool.give(connection)
        wheel.advance(300_000_000)
        assert pool.take() is None
        connection = await pool.open(wheel.now_us + FAR_US)
        wheel.advance(700_000_000)
        pool.give(connection)
        assert pool.counts.idle == 0


@looped
async def test_from_the_eighth_connection_on_the_next_one_is_opened_ahead():
    async with Provider() as provider, pooled(provider.url) as (pool, _):
        held = [await pool.open(FAR_US) for _ in range(AHEAD_FROM)]
        assert pool.counts == Counts(open=AHEAD_FROM, idle=0, dialing=0, waiting=0)
        held.append(await pool.open(FAR_US))
        for number in range(AHEAD_FROM + 1, AHEAD_FROM + 4):
            await until(lambda n=number: pool.counts == Counts(open=n + 1, idle=1, dialing=0, waiting=0))
            connection = pool.take()
            assert connection is not None
            held.append(connection)
        await until(lambda: pool.counts.idle == 1)
        accepted = provider.accepted
        for connection in held:
            pool.give(connection)
        for _ in range(3):
            await asyncio.gather(*(call(pool) for _ in range(len(held))))
        # Whoever comes back is enough: no more are opened than calls and the one ahead.
        assert provider.accepted == accepted == len(held) + 1


@looped
@pytest.mark.parametrize("options", [{"ahead": False}, {"idle_max": 0}, {"connections_max": AHEAD_FROM + 2}])
async def test_none_is_opened_ahead_where_it_may_not_be_or_could_not_rest(options: dict[str, int]):
    async with Provider() as provider, pooled(provider.url, **options) as (pool, _):
        for _ in range(AHEAD_FROM + 2):
            _ = pool.take() or await pool.open(FAR_US)
        await until(lambda: pool._ahead is None)
        assert pool.counts.dialing == pool.counts.idle == 0
        assert provider.accepted == pool.counts.open == AHEAD_FROM + 2


@looped
async def test_a_provider_that_is_gone_is_dialled_once_ahead_and_by_each_call():
    async with Provider() as provider, pooled(provider.url) as (pool, _):
        held = [await pool.open(FAR_US) for _ in range(AHEAD_FROM)]
        provider.refuse()
        for _ in range(3):
            assert "refused" in (await lost(pool.open(FAR_US))).reason
            await until(lambda: pool.counts == Counts(open=AHEAD_FROM, idle=0, dialing=0, waiting=0))
        assert all(connection.is_idle() for connection in held)


@looped
async def test_a_dial_that_fails_leaves_those_alone_who_may_still_get_another():
    async with Provider() as provider, pooled(provider.url) as (pool, _):
        held = await pool.open(FAR_US)
        first, second = pool.open(FAR_US), pool.open(FAR_US)
        assert pool.counts == Counts(open=3, idle=0, dialing=2, waiting=2)
        # The first has what another call gives back: there is a dial more than calls that wait.
        pool.give(held)
        assert await first is held
        next(iter(pool._dials)).cancel()
        assert (await second).is_idle()
        await until(lambda: pool.counts == Counts(open=2, idle=0, dialing=0, waiting=0))


@looped
async def test_idle_connections_are_capped():
    async with Provider() as provider, pooled(provider.url, idle_max=2) as (pool, _):
        held = [await pool.open(FAR_US) for _ in range(5)]
        for connection in held:
            pool.give(connection)
        await until(lambda: pool.counts == Counts(open=2, idle=2, dialing=0, waiting=0))


@looped
async def test_a_connection_closed_by_the_provider_while_resting_is_forgotten():
    async with Provider() as provider, pooled(provider.url) as (pool, _):

        async def answer_and_leave(talk: kit.Talk) -> None:
            await kit.behave(talk)
            talk.close()

        provider.script(answer_and_leave)
        await call(pool)
        await until(lambda: pool.counts == NOTHING)
        assert (await call(pool))[0] == 200


@looped
async def test_bytes_sent_to_a_resting_connection_poison_nobody():
    async with Provider() as provider, pooled(provider.url) as (pool, _):
        forged = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"
        provider.reply(b"{}", surplus=forged)
        assert await call(pool) == (200, b"{}")
        await until(lambda: pool.counts == NOTHING)
        assert b"Hello" in (await call(pool))[1]
        assert provider.accepted == 2


FAULTS = {
    "reset before the head": (kit.hang_up(reset=True), "head", False),
    "closed before the head": (kit.hang_up(), "head", False),
    "reset within the head": (kit.raw(b"HTTP/1.1 200 OK\r\nconte", reset=True), "head", True),
    "closed within the head": (kit.raw(b"HTTP/1.1 200 OK\r\nconte"), "head", True),
    "length too long": (kit.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"), "body", True),
    "closed within the body": (kit.answer(kit.completion(), cut_at=120), "body", True),
    "stream cut": (kit.stream(kit.events(), cut=True), "body", True),
    "garbled": (kit.raw(b"\x16\x03\x01\x02\x00garbage\r\n\r\n"), "head", True),
    "status 099": (kit.answer(status=99), "head", True),
    "giant header": (kit.giant(), "head", True),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_and_leaks_nothing(authority: Authority, fault: str, tls: bool):
    step, phase, started = FAULTS[fault]

    @looped
    async def main():
        context = authority.server("127.0.0.1") if tls else None
        async with Provider(context) as provider, pooled(provider.url, ca=authority.file) as (pool, _):
            provider.script(step)
            error = await lost(call(pool))
            assert (error.phase, error.reply_started) == (phase, started)
            await until(lambda: pool.counts == NOTHING)
            assert (await call(pool))[0] == 200

    main()


GOOD = {
    "one byte at a time": kit.answer(kit.completion(), bytewise=True),
    "chunked": kit.answer(kit.completion(), chunked=True),
    "interim first": kit.answer(kit.completion(), interim=b"HTTP/1.1 100 Continue\r\n\r\n" * 2),
    "early": kit.answer(kit.completion(), early=True, headers={"connection": "close"}),
    "an error status": kit.answer(kit.completion(), status=429, headers={"retry-after": "3"}),
    "streamed": kit.stream([b"Hello ", b"there."]),
    "length too short": kit.answer(b"Hello there. And more.", length=12),
    "without length": kit.raw(b"HTTP/1.1 200 OK\r\n\r\nHello there."),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("reply", GOOD)
def test_an_odd_reply_is_still_a_reply(authority: Authority, reply: str, tls: bool):
    @looped
    async def main():
        context = authority.server("127.0.0.1") if tls else None
        async with Provider(context) as provider, pooled(provider.url, ca=authority.file) as (pool, _):
            provider.script(GOOD[reply])
            assert b"Hello there." in (await call(pool))[1]
            assert (await call(pool))[0] == 200

    main()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_large_request_arrives_whole(authority: Authority, tls: bool):
    @looped
    async def main():
        context = authority.server("127.0.0.1") if tls else None
        async with Provider(context) as provider, pooled(provider.url, ca=authority.file) as (pool, _):
            provider.default = kit.answer()
            body = bytes(range(256)) * 12_000
            assert (await call(pool, body))[0] == 200
            assert provider.requests[0].body == body
            assert pool.counts.idle == 1

    main()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_reader_that_stands_still_holds_the_provider_back_and_loses_nothing(
    authority: Authority, tls: bool
):
    pieces = [bytes([65 + n % 26]) * 8_000 for n in range(1_000)]

    @looped
    async def main():
        sent: list[int] = []

        async def pour(talk: kit.Talk) -> None:
            await talk.rest_of_body()
            fields = {"transfer-encoding": "chunked", "connection": "close"}
            await talk.send(kit.head(200, fields))
            for piece in pieces:
                await talk.send(kit.chunk(piece))
                sent.append(len(piece))
            await talk.send(kit.chunk(b""))
            talk.close()

        context = authority.server("127.0.0.1") if tls else None
        async with Provider(context) as provider, pooled(provider.url, ca=authority.file) as (pool, _):
            provider.script(pour)
            connection = await pool.open(FAR_US)
            connection.send(b"POST / HTTP/1.1\r\nhost: x\r\n\r\n")
            await connection.head()
            before = -1
            while before != len(sent):
                before = len(sent)
                for _ in range(50):
                    await asyncio.sleep(0.001)
            assert len(sent) < len(pieces)
            got = []
            while data := await connection.chunk():
                got.append(data)
            assert b"".join(got) == b"".join(pieces)
            pool.give(connection)

    main()


@looped
async def test_a_tail_that_came_while_a_tls_reader_stood_still_is_not_lost(authority: Authority):
    first, tail = b"x" * 20_000, b"y" * 8_000
    paused = asyncio.Event()

    async def say_and_leave(talk: kit.Talk) -> None:
        await talk.send(kit.head(200, {"content-length": str(len(first + tail)), "connection": "close"}))
        await talk.send(first)
        await paused.wait()
        await talk.send(tail)
        talk.drop()

    async with (
        Provider(authority.server("127.0.0.1")) as provider,
        pooled(provider.url, ca=authority.file) as (pool, _),
    ):
        provider.script(say_and_leave)
        connection = await pool.open(FAR_US)
        connection.send(b"POST / HTTP/1.1\r\nhost: x\r\n\r\n")
        await connection.head()
        await until(lambda: f"unread={len(first)}" in repr(connection))
        paused.set()
        await provider.requests[0].gone.wait()
        # The tail and the end are on their way to a client that does not read: give them every chance to arrive.
        for _ in range(30):
            await asyncio.sleep(0.001)
        got = b""
        while data := await connection.chunk():
            got += data
        assert got == first + tail
        pool.give(connection)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_leaving_is_seen_by_the_provider_at_once(authority: Authority, tls: bool):
    @looped
    async def main():
        context = authority.server("127.0.0.1") if tls else None
        async with Provider(context) as provider, pooled(provider.url, ca=authority.file) as (pool, _):
            provider.script(kit.stream(kit.events(), stall=True))
            connection = await pool.open(FAR_US)
            connection.send(b"POST / HTTP/1.1\r\nhost: x\r\n\r\n")
            await connection.head()
            while not (await connection.chunk()).endswith(b"[DONE]\n\n"):
                pass
            waiting = connection.chunk()
            connection.fail(KeyError("the client left"))
            with pytest.raises(KeyError):
                await waiting
            pool.give(connection)
            await until(provider.requests[0].gone.is_set, within_s=1.0)

    main()


@looped
async def test_a_stale_connection_is_known_by_its_silence():
    async with Provider() as provider, pooled(provider.url) as (pool, _):
        await call(pool)
        connection = pool.take()
        provider.script(kit.hang_up(reset=True))
        connection.send(b"POST / HTTP/1.1\r\nhost: x\r\n\r\n")
        error = await lost(connection.head())
        assert connection.served == 1
        assert not error.reply_started
        pool.give(connection)


@looped
async def test_closing_fails_who_waits_and_ends_what_is_in_use():
    async with Provider() as provider:
        provider.script(kit.silence())
        async with pooled(provider.url, connections_max=1) as (pool, _):
            connection = await pool.open(FAR_US)
            connection.send(b"POST / HTTP/1.1\r\nhost: x\r\n\r\n")
            head, wait = connection.head(), pool.open(FAR_US)
            pool.close()
            assert "closed" in (await lost(head)).reason
            assert "closed" in (await lost(wait)).reason
            assert "closed" in (await lost(pool.open(FAR_US))).reason
            pool.give(connection)
            await until(lambda: pool.counts == NOTHING)


@looped
async def test_closing_ends_dials_under_way(authority: Authority):
    async with Provider() as provider:
        provider.greeting = lambda talk: talk.stall()
        origin = Origin("https", "127.0.0.1", provider.port)
        async with pooled(origin, ca=authority.file) as (pool, _):
            wait = pool.open(FAR_US)
            await until(lambda: provider.open == 1)
            pool.close()
            await lost(wait)
            await until(lambda: pool.counts == NOTHING and provider.open == 0)


@looped
async def test_the_next_address_is_tried_when_one_is_silent_or_refuses(monkeypatch: pytest.MonkeyPatch):
    # A listener whose queue is full: connecting to it hangs, as to an address that drops packets.
    with socket.socket() as full, socket.socket() as filler, socket.socket() as closed:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        filler.connect(full.getsockname())
        fillers = [socket.socket() for _ in range(8)]
        for sock in fillers:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        closed.bind(("127.0.0.1", 0))
        async with Provider() as provider, pooled(provider.url) as (pool, wheel):
            good = (socket.AF_INET, "127.0.0.1", provider.port)
            silent = (socket.AF_INET, *full.getsockname())
            refusing = (socket.AF_INET, *closed.getsockname())
            loop = asyncio.get_running_loop()
            before = sockets()
            task = loop.create_task(pool._race([refusing, silent, good]))
            await until(lambda: wheel.live == 1 or task.done())
            while not task.done():
                wheel.advance(wheel.now_us + wheel.tick_us)
                await asyncio.sleep(0.001)
            winner = task.result()
            assert winner.is_idle()
            winner.abort()
            await until(lambda: sockets() == before)
            with pytest.raises(UpstreamLost, match="refused"):
                await pool._race([refusing, refusing])
        for sock in fillers:
            sock.close()


def test_addresses_take_turns_by_family():
    six, four = socket.AF_INET6, socket.AF_INET
    found = [(six, "a", 1), (six, "b", 1), (six, "b", 1), (four, "c", 1), (four, "d", 1), (six, "e", 1)]
    assert [name for _, name, _ in interleave(found)] == ["a", "c", "b", "d", "e"]


def test_origins_are_parsed_and_refused_without_being_repeated():
    assert parse_origin("https://api.example.com/v1/") == Origin("https", "api.example.com", 443, "/v1")
    assert parse_origin("http://[::1]:8000") == Origin("http", "::1", 8000)
    assert parse_origin("http://[::1]:8000").host_header == b"[::1]:8000"
    assert parse_origin("https://api.example.com").host_header == b"api.example.com"
    for bad in ("ftp://x", "https://", "https://u:secret@x", "https://x/?key=secret", "http://x/\r\ny", "x"):
        with pytest.raises(ValueError) as caught:
            parse_origin(bad)
        assert "secret" not in str(caught.value)
    with pytest.raises(ValueError):
        parse_proxy("https://x")


@looped
async def test_the_pool_shows_its_state():
    async with Provider() as provider, pooled(provider.url) as (pool, _):
        await call(pool)
        assert repr(pool) == f"<Pool {provider.url} open=1 idle=1 dialing=0 waiting=0>"
        assert isinstance(pool.open(FAR_US), Wait)

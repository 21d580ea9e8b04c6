"""An application for tests of transport and supervisor: small, scripted by path, without any gateway."""

import asyncio
import os
from typing import Any

from kpgate._fast.wait import Timer, Wait
from kpgate.app.context import Context
from kpgate.domain.errors import ClientGone, Draining, GatewayError
from kpgate.domain.settings import Settings
from kpgate.services.exchange import Exchange, Header
from kpgate.services.receive import check_head

TEXT: Header = (b"content-type", b"text/plain")
BIG_BYTES = 32 * 1024 * 1024
EVENTS: Header = (b"content-type", b"text/event-stream")


class Scripted:
    """Answers by path; `/seen` says what happened so far in this worker."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.before = None
        self.draining = False
        self.body_bytes_max = context.settings.server.body_bytes_max
        self.seen: list[str] = []
        self.open: set[Wait] = set()

    @property
    def inflight(self) -> int:
        return len(self.open)

    async def serve(self, exchange: Exchange, *, admin: bool = False) -> None:
        name = exchange.path.decode("latin-1").strip("/").replace("-", "_") or "static"
        try:
            if name != "hosts":
                check_head(exchange.head)
            await getattr(self, f"on_{name}", self.on_nothing)(exchange)
        except ClientGone:
            self.seen.append(f"gone {name}")
            exchange.abort()
        except GatewayError as error:
            self.seen.append(f"{error.code} {name}")
            exchange.reply(error.status, [TEXT], error.code.encode())

    async def on_static(self, exchange: Exchange) -> None:
        body = await exchange.read_body(self.body_bytes_max)
        exchange.watch(lambda: None)
        exchange.reply(200, [TEXT], body or b"hello")

    async def on_nothing(self, exchange: Exchange) -> None:
        await exchange.read_body(self.body_bytes_max)
        exchange.reply(404, [TEXT], b"")

    async def on_pid(self, exchange: Exchange) -> None:
        exchange.reply(200, [TEXT], b"%d" % os.getpid())

    async def on_seen(self, exchange: Exchange) -> None:
        exchange.reply(200, [TEXT], ",".join(self.seen).encode())

    async def on_sentinel(self, exchange: Exchange) -> None:
        exchange.reply(299, [TEXT], b"")

    async def on_hosts(self, exchange: Exchange) -> None:
        hosts = b"|".join(value for name, value in exchange.headers if name == b"host")
        unfit = exchange.head.fault_status and not exchange.headers
        exchange.reply(200, [TEXT], b"unfit" if unfit else hosts)

    async def on_size(self, exchange: Exchange) -> None:
        exchange.reply(200, [TEXT], b"%d" % self.body_bytes_max)

    async def on_ready(self, exchange: Exchange) -> None:
        exchange.reply(503 if self.draining else 200, [TEXT], b"")

    async def on_reload(self, exchange: Exchange) -> None:
        problems = await self.context.reload()
        exchange.reply(409 if problems else 200, [TEXT], "; ".join(problems).encode())

    async def on_status_99(self, exchange: Exchange) -> None:
        exchange.reply(99, [TEXT], b"")

    async def on_break(self, exchange: Exchange) -> None:
        raise RuntimeError("sk-secret")

    async def on_break_midway(self, exchange: Exchange) -> None:
        exchange.open(200, [EVENTS])
        exchange.write(b"data: 1\n\n")
        raise RuntimeError("sk-secret")

    async def on_long(self, exchange: Exchange) -> None:
        """A whole reply that is never ready: it ends when the client leaves or the drain ends it."""
        await exchange.read_body(self.body_bytes_max)
        wait = Wait(self.context.loop)
        exchange.watch(lambda: _fail(wait))
        self.seen.append("began long")
        await self._hold(wait)

    async def on_stream(self, exchange: Exchange) -> None:
        """A stream of ten pieces, some two seconds long."""
        left: list[Wait] = []
        exchange.open(200, [EVENTS])
        exchange.watch(lambda: _fail(left[0]) if left else None)
        for number in range(10):
            if not exchange.write(b"data: %d\n\n" % number):
                await exchange.room()
            wait = Wait(self.context.loop)
            left[:] = [wait]
            timer = Timer(wait.resolve)
            self.context.wheel.add(timer, self.context.clock() + 90_000)
            await self._hold(wait)
        exchange.finish()

    async def on_held(self, exchange: Exchange) -> None:
        """A whole reply that waits for `/release`."""
        await exchange.read_body(self.body_bytes_max)
        wait = Wait(self.context.loop)
        exchange.watch(lambda: _fail(wait))
        self.seen.append("began held")
        await self._hold(wait)
        exchange.reply(200, [TEXT], b"released")

    async def on_release(self, exchange: Exchange) -> None:
        for wait in list(self.open):
            wait.resolve()
        exchange.reply(200, [TEXT], b"")

    async def on_big(self, exchange: Exchange) -> None:
        """A whole reply that no kernel takes at once."""
        exchange.reply(200, [TEXT], b"x" * BIG_BYTES)

    async def on_flood(self, exchange: Exchange) -> None:
        """A stream without end, as fast as the client takes it."""
        exchange.open(200, [EVENTS])
        written = 0
        try:
            while True:
                written += 1
                if not exchange.write(b"x" * 65_536):
                    await exchange.room()
        except ClientGone:
            self.seen.append(f"flooded {written}")
            raise

    async def _hold(self, wait: Wait) -> None:
        self.open.add(wait)
        try:
            await wait
        finally:
            self.open.discard(wait)

    def prepare(self, settings: Settings) -> Any:
        if settings.server.body_bytes_max == 6666:
            raise ValueError("6666 is refused by the application")
        return settings.server.body_bytes_max

    def swap(self, prepared: Any) -> None:
        self.body_bytes_max = prepared

    async def drain(self, deadline_us: int) -> None:
        while self.open and self.context.clock() < deadline_us:
            await asyncio.sleep(0.01)
        for wait in list(self.open):
            wait.fail(Draining("this gateway is shutting down"))
        while self.open:
            await asyncio.sleep(0.01)

    def tick(self, now_us: int) -> None:
        self.context.wheel.advance(now_us)


def _fail(wait: Wait) -> None:
    wait.fail(ClientGone("left"))


async def build(context: Context) -> Scripted:
    """The builder that tests name."""
    return Scripted(context)


async def refuse_to_build(context: Context) -> Scripted:
    """A builder that fails, as with a secret that is not there."""
    raise ValueError("environment variable NOT_THERE is not set")

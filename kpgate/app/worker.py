"""A worker process: it is told what to serve, serves, and ends its calls when it is told to stop.

Started by the supervisor as `python -m kpgate.app.worker <descriptor of the channel>`. It ignores the terminal's
signals: the supervisor decides. When the channel closes the supervisor is dead, and the worker ends soon.
"""

import asyncio
import gc
import importlib
import os
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from kpgate._fast.commit import Life
from kpgate._fast.heap import give_back
from kpgate._fast.wait import Wheel, clock
from kpgate.app.asgi import Transport
from kpgate.app.bounds import Bounds
from kpgate.app.channel import Channel, Message, Order, first_order
from kpgate.app.context import Builder, Context, Served, Server
from kpgate.app.crossing import Crossing
from kpgate.app.failures import where
from kpgate.app.logs import LogWriter
from kpgate.app.node import Node
from kpgate.app.pace import Pace
from kpgate.domain.settings import Settings

TICK_S = 0.1
COLLECTED_FROM = 5_000
"""Objects made and not freed yet. Of calls under way there are some thousands: a look at them finds nothing to free."""
LIFE_PATIENCE_US = 1_000_000
ORPHAN_US = 5_000_000
LEAVE_US = 3_000_000
NEVER_US = 1 << 62
BUILDER = "kpgate.app.build:build"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Worker:
    """One worker's life: build, serve, reload, drain, stop."""

    def __init__(self, channel: Channel, order: Order, life: Life) -> None:
        self.channel = channel
        self.order = order
        self.life = life
        self.settings = msgspec.json.decode(order.settings, type=Settings)
        self.wheel = Wheel(now_us=clock())
        self.log = LogWriter()
        self.bounds = Bounds()
        self.loop = asyncio.get_running_loop()
        self.stopping: asyncio.Future[None] = self.loop.create_future()
        self._servers: list[Server] = []
        self._prepared: dict[int, tuple[Settings, Any]] = {}
        self._asked: dict[int, asyncio.Future[tuple[str, ...]]] = {}
        self._questions = 0
        self._serving = 0
        self._deadline_us = NEVER_US
        self._application: Served | None = None
        self._pace: Pace | None = None

    @property
    def application(self) -> Served:
        assert self._application is not None, "built before it is served"
        return self._application

    async def run(self, rest: list[Message]) -> None:
        """Serve until told to stop. `rest` was said before there was anybody to hear it."""
        self._application = await self._build()
        self._bound(self.settings)
        self._make_servers()
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECTED_FROM, *gc.get_threshold()[1:])
        # What the start needed, as for making a vocabulary's table, no call needs.
        give_back()
        self._tick()
        running = [self.loop.create_task(server.run(self._is_serving)) for server in self._servers]
        self.loop.add_reader(self.channel.fileno(), self._hear)
        for message in rest:
            self._obey(message)
        for ended in running:
            ended.add_done_callback(self._server_ended)
        await self.stopping
        await self._stop(running)

    async def _build(self) -> Served:
        order = self.order
        context = Context(
            settings=self.settings,
            environ=os.environ,
            config=Path(order.config) if order.config else None,
            node=Node(Path(order.data)),
            region=order.region,
            seat=order.seat,
            seats=order.seats,
            life=self.life,
            demo=order.demo,
            loop=self.loop,
            wheel=self.wheel,
            clock=clock,
            log=self.log,
            reload=self._ask_reload,
        )
        module, _, name = (order.builder or BUILDER).partition(":")
        build: Builder = getattr(importlib.import_module(module), name)
        return await build(context)

    def _make_servers(self) -> None:
        for number, listener in enumerate(self.order.listeners):
            serve = partial(self.application.serve, admin=True) if number else self.application.serve
            self._servers.append(self._make_server(serve, listener, public=number == 0))

    def _make_server(self, serve: Any, listener: int, *, public: bool) -> Server:
        settings = self.settings.server
        if settings.transport == "direct":
            # house: imports - a worker loads the transport that it serves by, not both
            from kpgate.app.direct import Direct

            direct = Direct(
                serve,
                listener,
                settings,
                wheel=self.wheel,
                alarm=self._alarm,
                public=public,
                before=self.application.before,
            )
            direct.bound(self.bounds)
            return direct
        # house: imports - as above
        from kpgate.app.embedded import Embedded, log_to

        transport = Transport(
            serve=serve,
            wheel=self.wheel,
            crossing=Crossing(self.loop, self._alarm),
            bounds=self.bounds,
            alarm=self._alarm,
            before=self.application.before,
        )
        self._pace = Pace()
        embedded = Embedded(transport, listener, settings, tls=public)
        log_to(self.log)
        return embedded

    def _is_serving(self) -> None:
        self._serving += 1
        if self._serving == len(self._servers):
            self._say(Message(did="ready"))

    def _server_ended(self, task: "asyncio.Task[None]") -> None:
        """A server that ends by itself is no server: leave, and be started again."""
        if not self.stopping.done():
            self._end(0)

    def _bound(self, settings: Settings) -> None:
        self.settings = settings
        self.bounds.follow(settings.server)
        for server in self._servers:
            server.bound(self.bounds)

    def _tick(self) -> None:
        self.loop.call_later(TICK_S, self._tick)
        try:
            self.application.tick(clock())
        except Exception as error:  # noqa: BLE001 - one tick of a background loop
            self._alarm(error)
        self.log.kick()
        if self._pace is not None:
            self._pace.look(clock(), time.thread_time_ns() // 1000, time.process_time_ns() // 1000)

    def _alarm(self, error: BaseException) -> None:
        """Log what broke and where; not its words, which may hold a caller's."""
        self.log.event("failure", error=type(error).__name__, where=where(error))

    # The channel

    def _say(self, message: Message) -> None:
        self.channel.send(message)
        if self.channel.full:
            self.loop.add_writer(self.channel.fileno(), self._say_on)

    def _say_on(self) -> None:
        self.channel.flush()
        if not self.channel.full:
            self.loop.remove_writer(self.channel.fileno())

    def _hear(self) -> None:
        messages = self.channel.receive()
        if messages is None:
            self.loop.remove_reader(self.channel.fileno())
            self.application.draining = True
            self._end(ORPHAN_US)
            return
        for message in messages:
            if message.do:
                self._obey(message)

    def _obey(self, message: Message) -> None:
        match message.do:
            case "prepare":
                self._say(Message(did="prepare", turn=message.turn, problems=self._prepare(message)))
            case "swap":
                settings, prepared = self._prepared.pop(message.turn)
                self.application.swap(prepared)
                self._bound(settings)
                self._say(Message(did="swap", turn=message.turn))
            case "forget":
                self._prepared.pop(message.turn, None)
            case "reloaded":
                if (asked := self._asked.pop(message.turn, None)) is not None and not asked.done():
                    asked.set_result(message.problems)
            case "drain":
                self.application.draining = True
            case "stop":
                self.application.draining = True
                self._end(message.within_us)

    def _prepare(self, message: Message) -> tuple[str, ...]:
        try:
            settings = msgspec.json.decode(message.settings, type=Settings)
            self._prepared[message.turn] = (settings, self.application.prepare(settings))
        except Exception as error:  # noqa: BLE001 - whatever it is, the old settings go on serving
            return (f"{type(error).__name__}: {error}",)
        return ()

    async def _ask_reload(self) -> tuple[str, ...]:
        """Ask the supervisor to reload all workers. Returns the problems; none when all have the new settings."""
        self._questions += 1
        asked: asyncio.Future[tuple[str, ...]] = self.loop.create_future()
        self._asked[self._questions] = asked
        self._say(Message(do="reload", turn=self._questions))
        return await asked

    # The end

    def _end(self, within_us: int) -> None:
        """Stop: open calls may end within the time. Told again, sooner: the earlier deadline overtakes."""
        self._deadline_us = min(self._deadline_us, clock() + within_us)
        if not self.stopping.done():
            self.stopping.set_result(None)
        else:
            self._hurrying = self.loop.create_task(self.application.drain(self._deadline_us))

    async def _stop(self, running: "list[asyncio.Task[None]]") -> None:
        for server in self._servers:
            server.leave()
        await self.application.drain(self._deadline_us)
        # Every call has ended; what was said last may still be on its way to a slow reader.
        while clock() < self._deadline_us + LEAVE_US and not all(task.done() for task in running):
            await asyncio.wait(running, timeout=TICK_S)
        self.log.close()


def main() -> None:
    """The process, from its start to its end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    order, rest = first_order(channel)
    try:
        members = Node(Path(order.data)).join()
        life = Life.obtain(Node(Path(order.data)).run, order.seat, LIFE_PATIENCE_US)
        if life is None:
            raise BlockingIOError(f"seat {order.seat} is still taken")
        uvloop.run(_live(channel, order, life, rest))
    except Exception as error:  # noqa: BLE001 - the edge of the process: whatever it is, the supervisor is told
        place = "".join(where(error)[-1:])
        channel.send(Message(did="failed", problems=(f"{type(error).__name__}: {error} (at {place})",)))
        os._exit(1)
    members.close()
    # Threads of the server may still wait for clients that stand still.
    os._exit(0)


async def _live(channel: Channel, order: Order, life: Life, rest: list[Message]) -> None:
    await Worker(channel, order, life).run(rest)


if __name__ == "__main__":
    main()

"""The supervisor: keeps workers and clerk running, hands signals on as words, and reloads all or none.

It opens the listeners before and closes them after everybody, serves nothing itself, and never gives the service
up because a child died. It knows no HTTP and no configuration's content.
"""

import selectors
import signal
import socket
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

import msgspec

from kpgate.app.channel import Channel, Message, Order
from kpgate.app.failures import where
from kpgate.app.slot import Slot
from kpgate.app.turn import Asker, Turn
from kpgate.domain.settings import Settings

BEAT_S = 5.0
FIRST_BEAT_S = 60.0
"""Until a clerk is heard for the first time: on a machine that is short of time its imports take long."""
STOP_GRACE_S = 10.0
CLERK_STOP_S = 10.0
PREPARE_S = 30.0
FAILURE_PAUSE_S = 0.1
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

Say = Callable[..., None]
"""Where events go: `say(event, **fields)`."""
Load = Callable[[], tuple[Settings | None, tuple[str, ...]]]
"""Reads the configuration anew: the settings, or the problems."""


class Supervisor:
    """Runs until it is told to end.

    Shape: `order` is what every child is started with, but for its seat and its listeners.
    Order: serving, then draining (readiness says 503), then stopping (no new connections), then the clerk's end.
    """

    def __init__(
        self,
        workers: Sequence[Slot],
        clerk: Slot | None,
        order: Order,
        settings: Settings,
        load: Load,
        say: Say,
    ) -> None:
        self.workers = list(workers)
        self.clerk = clerk
        self.order = order
        self.settings = settings
        self.on_ready: Callable[[], None] = lambda: None
        self._load = load
        self._say = say
        self._selector = selectors.DefaultSelector()
        self._terminal = False
        self._announced = False
        self._failed = False
        self._turns = 1
        self._in_force = 1
        self._turn: Turn | None = None
        self._asking: list[Asker] = []
        self._stop_at_s: float | None = None
        self._kill_at_s: float | None = None
        self._clerk_kill_at_s: float | None = None
        self._stopping = False

    @property
    def draining(self) -> bool:
        """Whether the end has begun."""
        return self._stop_at_s is not None or self._stopping

    @property
    def children(self) -> list[Slot]:
        """Every slot."""
        return [*self.workers, self.clerk] if self.clerk is not None else self.workers

    def run(self, terminal: bool) -> int:
        """Run until the end. Returns the exit status. `terminal` makes Ctrl-C skip the readiness notice."""
        self._terminal = terminal
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        before = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self._selector.register(woken, selectors.EVENT_READ, self._signalled)
        try:
            while True:
                try:
                    if self._go_on():
                        return 1 if self._failed else 0
                except Exception as error:  # noqa: BLE001 - one turn of the loop that must not end the service
                    self._say("failure", error=type(error).__name__, where=where(error))
                    sleep(FAILURE_PAUSE_S)
        finally:
            signal.set_wakeup_fd(before)
            for slot in self.children:
                slot.kill()
                slot.close()
            wake.close()
            woken.close()
            self._selector.close()

    def _go_on(self) -> bool:
        """One turn of the loop: do what is due, then wait. Returns whether everybody has ended."""
        self._due(monotonic())
        if self._over():
            return True
        for key, events in self._selector.select(self._patience(monotonic())):
            key.data(key.fileobj, events)
        self._reap(monotonic())
        return False

    # Signals

    def _signalled(self, woken: socket.socket, _: int) -> None:
        for number in woken.recv(4096):
            if number == signal.SIGTERM:
                self._end(self.settings.server.drain_ready_s)
            elif number == signal.SIGINT:
                self._end(0.0 if self._terminal else self.settings.server.drain_ready_s)
            elif number == signal.SIGHUP:
                self.reload(None)

    def _end(self, notice_s: float) -> None:
        """The end begins: first a notice through readiness. Asked for again: at once."""
        now_s = monotonic()
        if self.draining:
            self._say("ending", how="at once")
            self._stop(now_s, 0.0)
            return
        self._say("draining", ready_s=notice_s, drain_s=self.settings.server.drain_s)
        for slot in self.workers:
            slot.say(Message(do="drain"))
        self._stop_at_s = now_s + notice_s

    def _stop(self, now_s: float, within_s: float) -> None:
        """No new connections; open calls may end within the time, then they are ended."""
        self._stop_at_s, self._stopping = None, True
        self._kill_at_s = now_s + within_s + STOP_GRACE_S
        for slot in self.workers:
            slot.close()
            slot.start_at_s = None
            slot.say(Message(do="stop", within_us=int(within_s * 1e6)))

    # Children

    def _due(self, now_s: float) -> None:
        """Do what is due by now."""
        if self._stop_at_s is not None and now_s >= self._stop_at_s:
            self._stop(now_s, self.settings.server.drain_s)
        if self._kill_at_s is not None and now_s >= self._kill_at_s:
            self._kill_at_s = None
            for slot in self.workers:
                slot.kill()
        if self._turn is not None and now_s >= self._turn.deadline_s:
            self._turn.problems.append("not every worker was ready with the new settings in time")
            self._close_turn()
        clerk = self.clerk
        if clerk is not None and clerk.process is not None and now_s > _silent_at_s(clerk):
            self._say("clerk_silent", silent_s=round(now_s - clerk.heard_s, 1))
            clerk.heard_s = now_s
            clerk.kill()
        if self._clerk_kill_at_s is not None and now_s >= self._clerk_kill_at_s and clerk is not None:
            clerk.kill()
        for slot in self.children:
            if slot.start_at_s is not None and now_s >= slot.start_at_s:
                self._start(slot, now_s)

    def _patience(self, now_s: float) -> float | None:
        """How long nothing is due."""
        times = [self._stop_at_s, self._kill_at_s, self._clerk_kill_at_s]
        times += [slot.start_at_s for slot in self.children]
        times.append(self._turn.deadline_s if self._turn is not None else None)
        if self.clerk is not None and self.clerk.process is not None:
            times.append(_silent_at_s(self.clerk))
        due = [time_s for time_s in times if time_s is not None]
        # A hundredth more: what is due is past, not just about to be.
        return max(0.0, min(due) - now_s) + 0.01 if due else None

    def _start(self, slot: Slot, now_s: float) -> None:
        listeners = tuple(listener.fileno() for listener in slot.listeners)
        order = msgspec.structs.replace(self.order, seat=slot.seat, listeners=listeners)
        try:
            channel = slot.start(order, self._in_force, now_s)
        except OSError as error:
            self._say("spawn_failed", process=slot.name, error=error.strerror)
            slot.start_at_s = now_s + 1.0
            return
        self._watch(channel, slot)
        if self._stop_at_s is not None:
            slot.say(Message(do="drain"))

    def _watch(self, channel: Channel, slot: Slot) -> None:
        def heard(_: Any, events: int) -> None:
            if events & selectors.EVENT_WRITE:
                channel.flush()
            if events & selectors.EVENT_READ:
                self._hear(channel, slot)
            self._retune(channel, heard)

        self._selector.register(channel, selectors.EVENT_READ | selectors.EVENT_WRITE, heard)

    def _retune(self, channel: Channel, heard: Callable[..., None]) -> None:
        """Ask for what there is to wait for: writing only while something is left to be sent."""
        if channel.fileno() in self._selector.get_map():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.full else 0)
            self._selector.modify(channel, events, heard)

    def _reap(self, now_s: float) -> None:
        """See who has died, and when the next one starts."""
        for slot in self.children:
            if slot.process is None or (status := slot.process.poll()) is None:
                continue
            assert slot.channel is not None, "a process has a channel"
            if slot.channel.fileno() in self._selector.get_map():
                self._hear(slot.channel, slot)
            if slot.channel.fileno() in self._selector.get_map():
                self._selector.unregister(slot.channel)
            pause_s = slot.lost(now_s)
            # Workers come back until the end has begun; the clerk until the workers have ended.
            if self._clerk_kill_at_s is not None if slot is self.clerk else self._stopping:
                slot.start_at_s = None
            else:
                self._say("lost", process=slot.name, status=status, again_s=pause_s)
            if self._turn is not None and self._turn.without(slot):
                self._go_on_turn()

    def _over(self) -> bool:
        """Whether everybody has ended; the clerk is told once the workers have."""
        if not self._stopping or any(slot.process is not None for slot in self.workers):
            return False
        if self.clerk is None or self.clerk.process is None:
            return True
        if self._clerk_kill_at_s is None:
            self.clerk.say(Message(do="stop"))
            self._clerk_kill_at_s = monotonic() + CLERK_STOP_S
        return False

    # What children say

    def _hear(self, channel: Channel, slot: Slot) -> None:
        try:
            messages = channel.receive()
        except msgspec.DecodeError as error:
            self._say("garbled", process=slot.name, error=str(error))
            slot.kill()
            messages = None
        if messages is None:
            # Dead, or about to be: the exit is seen by `_reap`.
            self._selector.unregister(channel)
            return
        slot.heard_s = monotonic()
        for message in messages:
            self._take(slot, message)

    def _take(self, slot: Slot, message: Message) -> None:
        if message.did == "ready":
            slot.ready = True
            self._is_ready(slot)
        elif message.did == "failed":
            self._say("failed", process=slot.name, problems=message.problems)
            if not self._announced and (slot is not self.clerk or message.final):
                # It never served: that is for whoever starts it, not for trying again.
                self._failed = True
                self._stop(monotonic(), 0.0)
                for worker in self.workers:
                    if not worker.ready:
                        worker.kill()
        elif message.do == "reload":
            self.reload(Asker(slot, slot.channel, message.turn))
        elif message.did in ("prepare", "swap") and self._turn is not None:
            if self._turn.answered(slot, message):
                self._go_on_turn()
        elif message.did == "prepare":
            self._late(slot, message)

    def _is_ready(self, slot: Slot) -> None:
        if slot is not self.clerk and slot.turn != self._in_force and self._turn is None:
            # The configuration changed while it started.
            self._say_settings(slot, self._in_force, self.order.settings)
        if not self._announced and all(worker.ready for worker in self.workers):
            self._announced = True
            self.on_ready()

    def _late(self, slot: Slot, message: Message) -> None:
        """A worker that started during a reload has prepared what the others serve by already."""
        if message.problems:
            self._say("failed", process=slot.name, problems=message.problems)
            slot.kill()
        elif message.turn == self._in_force:
            slot.turn = message.turn
            slot.say(Message(do="swap", turn=message.turn))

    def _say_settings(self, slot: Slot, turn: int, settings: msgspec.Raw) -> None:
        slot.say(Message(do="prepare", turn=turn, settings=settings))

    # Reload: every worker prepares, and only when all have, all swap

    def reload(self, asker: Asker | None) -> None:
        """Read the configuration anew and serve by it, in all workers or in none."""
        if self._turn is not None:
            self._asking.append(asker or Asker())
            return
        settings, problems = self._load()
        if settings is not None:
            problems += fixed_changes(self.settings, settings)
        if settings is None or problems or self.draining:
            self._answer([asker or Asker()], problems or ("the gateway is shutting down",))
            return
        self._turns += 1
        turn = Turn(self._turns, settings, monotonic() + PREPARE_S, [asker or Asker()])
        turn.waiting = {slot for slot in self.workers if slot.ready}
        turn.members = set(turn.waiting)
        self._turn = turn
        for slot in turn.waiting:
            self._say_settings(slot, turn.number, turn.encoded)
        self._go_on_turn()

    def _go_on_turn(self) -> None:
        turn = self._turn
        if turn is None or turn.waiting:
            return
        if turn.problems or turn.swapping:
            self._close_turn()
            return
        turn.swapping = True
        self._in_force, self.settings = turn.number, turn.settings
        self.order = msgspec.structs.replace(self.order, settings=turn.encoded)
        turn.waiting = set(turn.members)
        for slot in turn.members:
            slot.turn = turn.number
            slot.say(Message(do="swap", turn=turn.number))
        self._go_on_turn()

    def _close_turn(self) -> None:
        turn, self._turn = self._turn, None
        assert turn is not None, "a turn is closed once"
        if not turn.swapping:
            for slot in turn.members:
                slot.say(Message(do="forget", turn=turn.number))
        self._answer(turn.askers, tuple(dict.fromkeys(turn.problems)))
        for slot in self.workers:
            if slot.ready and slot.turn != self._in_force:
                self._say_settings(slot, self._in_force, self.order.settings)
        asking, self._asking = self._asking, []
        for asker in asking:
            self.reload(asker)

    def _answer(self, askers: list[Asker], problems: tuple[str, ...]) -> None:
        self._say("reload_refused" if problems else "reloaded", problems=problems)
        for asker in askers:
            if asker.slot is not None and asker.slot.channel is asker.channel:
                asker.slot.say(Message(do="reloaded", turn=asker.question, problems=problems))


FIXED = ("host", "port", "workers", "transport", "http2", "proxy_protocol", "tls", "head_or_idle_s")
"""Settings of [server] that listeners are made with."""


def _silent_at_s(clerk: Slot) -> float:
    """When a clerk has not been heard for too long."""
    return clerk.heard_s + (BEAT_S if clerk.ready else FIRST_BEAT_S)


def fixed_changes(old: Settings, new: Settings) -> tuple[str, ...]:
    """The settings that only a new start can change, and that differ."""
    found = [
        f"server.{name} cannot change while the gateway runs: restart it"
        for name in FIXED
        if getattr(old.server, name) != getattr(new.server, name)
    ]
    found += [
        f"ledger.{name} cannot change while the gateway runs: restart it"
        for name in ("enabled", "sync", "sync_ms", "on_worker_death", "accounts_max")
        if getattr(old.ledger, name) != getattr(new.ledger, name)
    ]
    if old.admin != new.admin:
        found.append("the [admin] listener cannot change while the gateway runs: restart it")
    return tuple(found)

"""Ends that the lock puts off: nobody is told of a charge before it is decided and written."""

import asyncio
from queue import SimpleQueue
from threading import Event
from typing import Any, cast

import pytest
import uvloop

from kpgate._fast.credit import BUSY, DONE, STALE
from kpgate.domain.call import Call, Record
from kpgate.domain.caller import ANONYMOUS
from kpgate.domain.errors import StoreUnavailable
from kpgate.domain.price import AMOUNT_MAX, Price
from kpgate.domain.usage import Usage
from kpgate.services.hold import Hold, Holds
from kpgate.services.offload import Offload
from kpgate.services.route import Plan, Target
from tests.kit.gateway_process import until

PRICE = Price(1_000_000, 1_000_000, 0, 0, 0, 0, 0)


class Busy:
    """A lock that is taken for some tries."""

    def __init__(self, tries: int, at_last: int = DONE) -> None:
        self.tries = tries
        self.at_last = at_last
        self.ends: list[tuple[int, int]] = []

    def post(self, now_us: int, handle: int, actual: int, reason: int, note: bytes) -> int:
        if self.tries:
            self.tries -= 1
            return BUSY
        self.ends.append((handle, actual))
        return self.at_last


class Paper:
    """A journal that is written when it is asked to be."""

    tail, failed = 100, 0

    def __init__(self, credit: Busy) -> None:
        self.credit = credit
        self.asked: list[int] = []

    def flush(self, position: int) -> bool:
        self.asked.append(len(self.credit.ends))
        return True


def answering(price: Price) -> Target:
    return Target(
        *(0, "model", "provider", "deployment", cast(Any, None), None, {}, cast(Any, None), 0, 0, 0, 0),
        price=price,
        price_version=1,
    )


ANSWERING = answering(PRICE)


def ended(credit: Busy) -> tuple[Holds, Hold, Paper, Record]:
    paper = Paper(credit)
    holds = Holds(cast(Any, credit), cast(Any, paper), Offload(asyncio.get_running_loop()))
    hold = Hold(holds, 50, 10, 10_000)
    hold.handle = 7
    record = Record("req-00000001", 0, "/v1/chat/completions", "POST")
    record.usage = Usage(20, 10, source="provider")
    hold.end(5, record, ANSWERING)
    return holds, hold, paper, record


def test_an_end_is_decided_and_written_before_the_reply() -> None:
    async def main() -> None:
        credit = Busy(0)
        _, hold, paper, record = ended(credit)
        assert hold.may_reply and paper.asked == [1]
        assert (record.cost, record.held, credit.ends) == (30, 50, [(7, 30)])
        hold.end(6, record, ANSWERING)
        assert credit.ends == [(7, 30)], "a second time has no effect"

    uvloop.run(main())


def test_what_no_account_could_hold_is_the_house_s() -> None:
    async def main() -> None:
        credit = Busy(0)
        holds, *_ = ended(credit)
        hold = Hold(holds, 50, 10, 10_000)
        hold.handle = 8
        record = Record("req-00000002", 0, "/v1/chat/completions", "POST")
        record.usage = Usage(1 << 40, 1 << 40, source="provider")
        hold.end(5, record, answering(Price(1 << 50, 1 << 50, 0, 0, 0, 0, 0)))
        assert credit.ends[-1] == (8, AMOUNT_MAX)
        assert (record.cost, record.overrun) == (50, AMOUNT_MAX - 50)

    uvloop.run(main())


def test_where_the_lock_is_busy_the_reply_waits_for_it() -> None:
    async def main() -> None:
        credit = Busy(3)
        holds, hold, paper, _ = ended(credit)
        assert holds.owes and not hold.may_reply and not paper.asked
        await hold.write()
        assert credit.ends == [(7, 30)] and paper.asked == [1]
        assert not holds.owes and hold.may_reply

    uvloop.run(main())


def test_a_transport_that_gathers_asks_before_it_writes() -> None:
    async def main() -> None:
        credit = Busy(0)
        holds, hold, paper, _ = ended(credit)
        before = holds.gather()
        assert hold.may_reply and hold.may_send and not paper.asked
        assert before() and paper.asked == [1]
        assert before() and paper.asked == [1], "what is written is not written again"

    uvloop.run(main())


def test_an_end_that_came_too_late_is_owed_no_longer() -> None:
    async def main() -> None:
        credit = Busy(1, at_last=STALE)
        holds, *_ = ended(credit)
        holds.retry(9)
        assert not holds.owes

    uvloop.run(main())


def test_where_a_power_loss_may_take_nothing_back_the_reply_waits_for_the_disk_and_one_sync_is_for_all() -> (
    None
):
    async def main() -> None:
        disk, turn = Disk(), asyncio.sleep
        holds = Holds(cast(Any, Busy(0)), cast(Any, disk), Offload(asyncio.get_running_loop()), always=True)
        hold = Hold(holds, 50, 10, 10_000)
        assert not hold.may_reply and hold.may_send, "the provider may be asked before"
        disk.tail = disk.filed = 200
        first = [asyncio.ensure_future(hold.keep()) for _ in range(5)]
        await turn(0)
        until(lambda: disk.asked == 1)
        disk.tail = disk.filed = 300
        later = [asyncio.ensure_future(hold.keep()) for _ in range(5)]
        await turn(0)
        assert not any(one.done() for one in first + later)
        disk.reaches.put(200)
        await asyncio.gather(*first)
        until(lambda: disk.asked == 2)
        assert not any(one.done() for one in later), "that sync had begun before"
        disk.reaches.put(300)
        await asyncio.gather(*later)
        await hold.keep()
        assert disk.asked == 2, "what is durable is not synced again"

    uvloop.run(main())


def test_nobody_is_told_of_a_charge_that_the_disk_did_not_take() -> None:
    async def main() -> None:
        disk = Disk()
        holds = Holds(cast(Any, Busy(0)), cast(Any, disk), Offload(asyncio.get_running_loop()), always=True)
        hold = Hold(holds, 50, 10, 10_000)
        disk.tail = disk.filed = 200
        waits = [asyncio.ensure_future(hold.keep()) for _ in range(2)]
        disk.reaches.put(-1)
        for one in waits:
            with pytest.raises(StoreUnavailable):
                await one

    uvloop.run(main())


class Disk:
    """A journal on a disk that answers when it is let."""

    tail, filed, durable, failed = 100, 100, 100, 0

    def __init__(self) -> None:
        self.asked = 0
        self.answers = Event()
        self.reaches: SimpleQueue[int] = SimpleQueue()

    def flush(self, position: int) -> bool:
        return self.filed >= position

    def sync(self) -> int:
        """How far, `reaches` says, or all once it `answers`; -1 is a failure."""
        self.asked += 1
        if self.filed > 100:
            reached = self.reaches.get(timeout=10)
            if reached < 0:
                self.failed = 5
                raise OSError(5, "the disk")
            self.durable = reached
            return reached
        assert self.answers.wait(10)
        self.durable = self.tail
        return self.durable


def test_what_does_not_reach_the_disk_is_synced_by_a_worker_and_after_two_seconds_nothing_more_is_held() -> (
    None
):
    async def main() -> None:
        disk = Disk()
        holds = Holds(cast(Any, Busy(0)), cast(Any, disk), Offload(asyncio.get_running_loop()))
        for tick in range(10):
            holds.watch(tick * 100_000)
        assert not holds.lags and disk.asked == 0, "nothing is behind"
        disk.tail = 200
        holds.watch(1_000_000)
        assert disk.asked == 0, "the clerk has its turn first"
        holds.watch(1_100_000)
        assert disk.asked == 0
        holds.watch(1_200_000)
        until(lambda: disk.asked == 1)
        holds.watch(2_900_000)
        assert not holds.lags and disk.asked == 1, "one at a time"
        holds.watch(3_100_000)
        assert holds.lags
        with pytest.raises(StoreUnavailable) as caught:
            holds.take(0, 0, ANONYMOUS, Plan.__new__(Plan), Record("", 0, "", ""), Call("model", None, None))
        assert caught.value.retry_after_us > 0
        disk.answers.set()
        until(lambda: disk.durable == 200)
        holds.watch(3_200_000)
        assert not holds.lags
        disk.tail = 300
        holds.watch(3_300_000)
        assert not holds.lags, "a new delay is counted from its own beginning"

    uvloop.run(main())


def test_a_disk_that_moves_but_is_two_seconds_behind_has_nothing_more_held() -> None:
    async def main() -> None:
        disk = Disk()
        disk.answers.set()
        disk.sync = lambda: disk.durable  # type: ignore[method-assign]
        holds = Holds(cast(Any, Busy(0)), cast(Any, disk), Offload(asyncio.get_running_loop()))
        lagged = []
        for tick in range(100):
            # A tick's worth is decided in each, and so much is on the disk as was decided so many ticks before.
            behind = min(tick, 30) if tick < 60 else 10
            disk.tail, disk.durable = 1_000 + tick, 1_000 + tick - behind
            holds.watch(tick * 100_000)
            lagged.append(holds.lags)
        assert lagged.index(True) == 22 and all(lagged[22:60]) and not any(lagged[60:])

    uvloop.run(main())


def test_a_disk_that_hangs_for_long_takes_no_memory() -> None:
    async def main() -> None:
        disk = Disk()
        disk.sync = lambda: disk.durable  # type: ignore[method-assign]
        holds = Holds(cast(Any, Busy(0)), cast(Any, disk), Offload(asyncio.get_running_loop()))
        for tick in range(10_000):
            disk.tail += 1
            holds.watch(tick * 100_000)
        assert holds.lags and len(holds._sync._undurable) == 600
        disk.durable = disk.tail
        holds.watch(1_000_100_000)
        assert not holds.lags and not holds._sync._undurable

    uvloop.run(main())

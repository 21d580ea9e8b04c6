"""Ends that the lock puts off: nobody is told of a charge before it is decided and written."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from kpgate._fast.bill import Tariff
from kpgate._fast.credit import DONE, Decision
from kpgate._fast.journal import POST
from kpgate.domain.call import Call, Record
from kpgate.domain.caller import ANONYMOUS, Caller, Party
from kpgate.domain.errors import StoreUnavailable
from kpgate.domain.ledger import End, read_end
from kpgate.domain.price import AMOUNT_MAX, WHOLE, Price
from kpgate.domain.usage import Usage
from kpgate.services.hold import Hold, Holds, Spender
from kpgate.services.offload import Offload
from kpgate.services.route import Plan, Target
from tests.kit.bank import LIFE_US, Bank

PRICE = Price(1_000_000, 1_000_000, 0, 0, 0, 0, 0)
TARIFF = Tariff(1_000_000, 1_000_000, 0)
FUNDS = 1_000
CALLER = Caller("key", 2, Party(3, "party", account=1))


def answering(price: Price) -> Target:
    return Target(
        *(0, "model", "provider", "deployment", cast(Any, None), None, {}, cast(Any, None), 0, 0, 0, 0),
        price=price,
        price_version=1,
    )


ANSWERING = answering(PRICE)


class Till:
    """One worker's holds over a small bank, whose lock somebody else may keep. Order: in a running loop."""

    def __init__(self, folder: Path, *, always: bool = False) -> None:
        self.bank = Bank(folder)
        self.teller = self.bank.sit(0)
        self.teller.accounts.load_account(1, FUNDS, 0)
        self.holds = Holds(
            self.teller.credit, self.teller.journal, Offload(asyncio.get_running_loop()), always=always
        )
        self.record = Record("req-00000001", 0, "/v1/chat/completions", "POST")
        self.record.usage = Usage(20, 10, source="provider")

    def hold(self, amount: int = 50) -> Hold:
        """A hold that is open."""
        decision, hold = Decision(), Hold()
        hold.begin(self.holds, amount, 0, WHOLE)
        purse, generation = Spender(CALLER).purse, self.bank.region.generation
        assert self.teller.credit.hold(5, generation, purse, amount, b"", decision) == DONE
        hold.handle, hold.call = decision.handle, decision.call
        return hold

    def take_lock(self) -> None:
        """Somebody takes the lock and goes no further, but lives."""
        self._stuck = self.bank.sit(1).seat
        self._stuck.stores_left = 1
        assert self._stuck.heal() and self.bank.region.owner is not None
        self.teller.seat.patience_us = 0

    def free_lock(self) -> None:
        """Who has the lock goes, and others find out."""
        self.teller.seat.patience_us = 1_000_000
        self._stuck.life.close()

    def written(self) -> bool:
        """Whether the files have all there is."""
        return self.teller.journal.written == self.teller.journal.tail

    def ends(self) -> list[End]:
        """What was charged, as the journal has it."""
        return [read_end(lsn, kind, body) for lsn, kind, body in self.bank.entries() if kind == POST]


def test_an_end_is_decided_and_written_before_the_reply(tmp_path: Path) -> None:
    async def main() -> None:
        till = Till(tmp_path)
        hold, record = till.hold(), till.record
        hold.end(5, record, ANSWERING)
        assert not till.written()
        assert hold.may_reply() and till.written()
        hold.end(6, record, ANSWERING)
        (end,) = till.ends()
        assert (record.cost, record.held) == (30, 50), "a second time has no effect"
        assert (end.call, end.amount, end.overrun) == (hold.call, 30, 0)

    uvloop.run(main())


def test_what_no_account_could_hold_is_the_house_s(tmp_path: Path) -> None:
    async def main() -> None:
        till = Till(tmp_path)
        hold, record = till.hold(), till.record
        record.usage = Usage(1 << 40, 1 << 40, source="provider")
        hold.end(5, record, answering(Price(1 << 50, 1 << 50, 0, 0, 0, 0, 0)))
        (end,) = till.ends()
        assert (record.cost, record.overrun) == (end.amount, end.overrun) == (50, AMOUNT_MAX - 50)

    uvloop.run(main())


def test_where_the_lock_is_busy_the_reply_waits_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        till = Till(tmp_path)
        hold = till.hold()
        till.take_lock()
        hold.end(5, till.record, ANSWERING)
        assert till.holds.owes() and not hold.may_reply() and till.teller.credit.open_holds() == 1
        writing = asyncio.ensure_future(hold.write())
        await asyncio.sleep(0)
        assert not writing.done() and till.holds.owes()
        till.free_lock()
        await writing
        assert till.written() and [end.amount for end in till.ends()] == [30]
        assert not till.holds.owes() and hold.may_reply()

    uvloop.run(main())


def test_a_hold_waits_for_the_lock_off_the_loop(tmp_path: Path) -> None:
    async def main() -> None:
        till = Till(tmp_path)
        plan = Plan(
            *(0, "model", cast(Any, None), (ANSWERING,), cast(Any, None), (), None, "", 10, "", 1),
            tariff=TARIFF,
        )
        asked: Any = (5, till.bank.region.generation, CALLER, plan, till.record, Call("model", None, None))
        till.take_lock()
        assert till.holds.take(*asked) is None
        taking = asyncio.ensure_future(till.holds.take_patiently(*asked))
        await asyncio.sleep(0)
        assert not taking.done()
        till.free_lock()
        hold = await taking
        assert hold is not None and hold.amount == 10 and till.teller.credit.open_holds() == 1

    uvloop.run(main())


def test_a_transport_that_gathers_asks_before_it_writes(tmp_path: Path) -> None:
    async def main() -> None:
        till = Till(tmp_path)
        hold = till.hold()
        before = till.holds.gather(streams=True)
        hold.end(5, till.record, ANSWERING)
        assert hold.may_reply() and hold.may_send() and not till.written()
        assert before() and till.written()
        assert before(), "what is written is not written again"

    uvloop.run(main())


def test_a_stream_whose_transport_gathers_none_is_written_before_its_end(tmp_path: Path) -> None:
    async def main() -> None:
        till = Till(tmp_path)
        hold = till.hold()
        till.holds.gather(streams=False)
        hold.end(5, till.record, ANSWERING)
        tail = till.teller.journal.tail
        assert hold.may_reply() and till.teller.journal.written < tail, "a whole reply waits in its transport"
        assert hold.may_reply(streamed=True) and till.teller.journal.written == tail

    uvloop.run(main())


def test_an_end_that_came_too_late_is_owed_no_longer(tmp_path: Path) -> None:
    async def main() -> None:
        till = Till(tmp_path)
        hold = till.hold()
        till.take_lock()
        hold.end(5, till.record, ANSWERING)
        till.free_lock()
        assert till.bank.clerk.credit.end_expired(LIFE_US + 6) == 1
        assert till.holds.owes()
        till.holds.retry(9)
        assert not till.holds.owes() and till.teller.credit.stale_holds() == 1 and not till.ends()

    uvloop.run(main())


def test_where_a_power_loss_may_take_nothing_back_the_reply_waits_for_the_disk(tmp_path: Path) -> None:
    async def main() -> None:
        till = Till(tmp_path, always=True)
        hold, journal = till.hold(), till.teller.journal
        hold.end(5, till.record, ANSWERING)
        assert not hold.may_reply() and hold.may_send(), "the provider may be asked before"
        await hold.keep()
        assert journal.durable == journal.tail

    uvloop.run(main())


def test_nobody_is_told_of_a_charge_that_the_disk_did_not_take(tmp_path: Path) -> None:
    async def main() -> None:
        till = Till(tmp_path)
        hold = till.hold()
        hold.end(5, till.record, ANSWERING)
        till.bank.clerk.journal.fail()
        assert till.holds.failed and not hold.may_reply()
        with pytest.raises(StoreUnavailable):
            await hold.keep()
        till.holds.gather(streams=False)
        assert not hold.may_reply() and not hold.may_reply(streamed=True)
        before = till.holds.gather(streams=True)
        assert hold.may_reply() and before(), (
            "what is said of it is said by the transport: nothing waits for a disk"
        )

    uvloop.run(main())


def test_what_does_not_reach_the_disk_has_nothing_more_held(tmp_path: Path) -> None:
    async def main() -> None:
        till = Till(tmp_path)
        till.holds.lags = True
        with pytest.raises(StoreUnavailable) as caught:
            till.holds.take(
                0, 0, ANONYMOUS, Plan.__new__(Plan), Record("", 0, "", ""), Call("model", None, None)
            )
        assert caught.value.retry_after_us > 0

    uvloop.run(main())

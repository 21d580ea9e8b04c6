"""HOLD: the most that a call may cost, put aside before anybody is asked; and its one end, charged or released.

Deciding is `_fast.credit`'s, under the node's lock. Here are the words around it: what is held, what a refusal is
called, what is noted. A hold is in the journal's file before the provider is asked, its end before the reply's last
byte: `written` says whether, `write` waits for it.
Source: docs/decisions/0007-one-journal.md.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from time import sleep
from typing import TypeAlias

from kpgate._fast.bill import Tariff
from kpgate._fast.credit import BUSY, CHANGED, DONE, Credit, Decision, Purse
from kpgate._fast.journal import Journal
from kpgate._fast.wait import clock
from kpgate.domain.call import Call, Record
from kpgate.domain.caller import Caller
from kpgate.domain.errors import (
    HoldingTooSmall,
    InsufficientCredit,
    MaxCostExceeded,
    ModelNotAllowed,
    StoreUnavailable,
)
from kpgate.domain.ledger import Reason, note_end, note_hold, reason_of
from kpgate.domain.price import AMOUNT_MAX, PER, WHOLE, rounded
from kpgate.domain.refusal import STORE_WAIT_US, refusal
from kpgate.domain.usage import Usage
from kpgate.domain.whole import Whole
from kpgate.services.offload import Offload
from kpgate.services.route import Plan, Target
from kpgate.services.sync import Sync

PURSES_MAX = 100_000
PATIENCE_US = 50_000
STEP_S = 0.002
PEN_TRIES = 20
"""Another process writes for microseconds; a stalled disk may keep it, and then nothing is said."""
AHEAD_TOKENS = 256
"""Output for which a hold is extended at once."""
LAG_RETRY_US = 1_000_000


class Hold:
    """What one call holds, until it ends. Units: `amount` microKPT; `cap` tokens a choice; `factor` basis points.

    Shape: `call` is the call's id; `room` bytes of output are surely within the hold, for no token is less than a
    byte; `least` is what the account must have, its credit line added; `cut` says that a stream was ended at its hold;
    `fill` is output to charge where it has a price and nobody counts it.
    """

    __slots__ = (
        "_holds",
        "_metered",
        "_recorded",
        "amount",
        "call",
        "cap",
        "cut",
        "factor",
        "fill",
        "handle",
        "least",
        "room",
    )

    def begin(self, holds: "Holds", amount: Whole, cap: Whole, factor: Whole) -> None:
        """Hold nothing yet, but want an amount."""
        self._holds = holds
        self.amount = amount
        self.cap = cap
        self.factor = factor
        self.call = 0
        self.handle = 0
        self.least = 0
        self.room = 0
        self.cut = False
        self.fill = 0
        self._metered = 0
        self._recorded = 0

    def may_send(self) -> bool:
        """Whether the provider may be asked: what goes to it waits for the journal's file by itself."""
        return self._holds.put_off()

    def may_reply(self, streamed: bool = False) -> bool:
        """Whether the client may be told: where its transport waits as well, or the journal's file has it all. Where
        the disk must have it, `keep` says when.
        """
        holds = self._holds
        if holds.always or holds.owes():
            return False
        # Whoever is written for by himself is told, where the disk has failed, that it did.
        waits = holds.gathers_streams or (holds.gathers and not streamed and not holds.journal.failed)
        return holds.put_off() if waits else holds.written()

    async def write(self) -> None:
        """Wait until the journal's file has all that was decided.

        Errors: StoreUnavailable when the disk fails.
        """
        await self._holds.write()

    async def keep(self) -> None:
        """Wait until the client may be told: what was decided outlives all processes, or the machine where that is
        asked for.

        Errors: StoreUnavailable when the disk fails.
        """
        await self._holds.keep()

    def sent(self) -> None:
        """The provider is about to be asked."""
        self._holds.credit.sent(self.handle)

    def run(self, now_us: int, generation: int, record: Record, spoken: int, target: Target) -> bool:
        """Meter a running stream, and hold more where it needs more: for some output ahead, or all that is left. False:
        that is not enough, it ends here.

        Units: `spoken` output tokens so far, over all choices, and those that wait to be sent on.
        """
        price, credit = target.price, self._holds.credit
        assert price is not None, "only what has a price is metered"
        price = price.at(record.prompt_tokens)
        used = target.charge(Usage(record.prompt_tokens, spoken, source="counted"), self.factor)
        if used > self.amount:
            need, decision = used - self.amount, self._holds.decision
            more = min(need + rounded(AHEAD_TOKENS * price.output, 0, self.factor), AMOUNT_MAX)
            if (
                used > AMOUNT_MAX
                or credit.extend(now_us, generation, self.handle, more, decision, need) != DONE
            ):
                # What it has come to without what is not sent on is metered already, or charged in a moment.
                self.cut = True
                return False
            self.amount += decision.more
        self.room = (self.amount - used) * PER * WHOLE // (price.output * self.factor)
        self._metered = used
        credit.meter(self.handle, used)
        return True

    def extend(self, now_us: int, generation: int, spent: int, most: int) -> bool:
        """Hold `most` in all, of which `spent` is used already. False: there is no credit for it."""
        credit, more = self._holds.credit, most - self.amount
        self._metered = min(spent, self.amount)
        credit.meter(self.handle, self._metered)
        if more > 0:
            if most > AMOUNT_MAX or credit.extend(now_us, generation, self.handle, more) != DONE:
                return False
            self.amount = most
        return True

    def note_progress(self, now_us: int) -> None:
        """Have the journal know what a running stream has come to: a start after a crash charges that."""
        credit = self._holds.credit
        if self._metered > self._recorded and credit.record_meter(now_us, self.handle) == DONE:
            self._recorded = self._metered

    def end(self, now_us: Whole, record: Record, target: Target | None) -> None:
        """Charge what a call used, or release all it held. A second time has no effect.

        Shape: `target` is who answered; None, or a use that nobody knows, charges nothing.
        """
        handle = self.handle
        if not handle:
            return
        self.handle = 0
        usage, charged, version = record.usage, -1, 0
        if self.fill and usage.source == "counted":
            # What was made has a price by the token, and nobody says how many there were.
            record.usage = usage = replace(usage, output=self.fill)
        if target is not None and target.bill is not None:
            version = target.price_version
            if usage.source != "none":
                # A provider may say anything: no account holds more, and beyond the hold it is the house's.
                charged = min(target.charge(usage, self.factor), AMOUNT_MAX)
                record.cost = min(charged, self.amount)
                record.overrun = charged - record.cost
        record.held = self.amount
        note = note_end(record.provider, record.deployment, record.attempts, record.status, version, usage)
        reason = reason_of(record.error)
        if self.cut:
            reason = Reason.CREDIT
        self._holds.end(now_us, handle, charged, reason, note)


Taken: TypeAlias = Hold | None
"""For what is awaited: of a coroutine that says `Hold` itself the compiled form is one whose C function returns a
`Hold`, which a coroutine is not."""


class Spender:
    """A caller as a hold asks about it, made once and kept: what it spends from, and by which terms.

    Units: `factor` basis points, the others microKPT.
    """

    __slots__ = ("caller", "credit_line", "factor", "holding_min", "purse")

    def __init__(self, caller: Caller) -> None:
        party = caller.party
        counted = ((caller.cell, caller.tag), (caller.budget, 0), (party.budget, 0))
        budgets = tuple([number for number, _ in counted if number])
        tags = tuple([tag for number, tag in counted if number])
        self.caller = caller
        self.purse = Purse(party.account, budgets, party=party.number, key=caller.number, tags=tags)
        self.factor = party.tier.price_factor
        self.holding_min = party.tier.holding_min
        self.credit_line = party.credit_line


class Holds:
    """Takes, meters and ends the holds of one worker's calls. It outlives configurations.

    `always`: nobody is told of a charge that a power loss could take back.
    """

    def __init__(self, credit: Credit, journal: Journal, offload: Offload, *, always: bool = False) -> None:
        self.credit = credit
        self.journal = journal
        self._offload = offload
        self._spenders: dict[str, Spender] = {}
        self._owed: deque[tuple[int, int, int, bytes]] = deque()
        self._ending = Lock()
        self.decision = Decision()
        self.gathers = self.gathers_streams = False
        self.lags = False
        self.always = always
        self._dirty = False
        self._sync = Sync(journal, offload.loop)

    def take(
        self, now_us: Whole, generation: Whole, caller: Caller, plan: Plan, record: Record, call: Call
    ) -> Hold | None:
        """Hold what a call may cost at most. None: not to be decided at once, `await take_patiently`.

        Shape: `generation` is the number of the newest change that AUTH had seen.
        Errors: InsufficientCredit, BudgetExhausted, CreditHeld, HoldingTooSmall, StoreUnavailable, Overloaded.
        """
        # The lock answers before anybody else asks: one decision is enough for all.
        spender, decision = self._spender(caller), self.decision
        hold = self._want(spender, plan, record, call)
        note = self._note(hold, plan, record, call)
        code = self.credit.hold(now_us, generation, spender.purse, hold.amount, note, decision)
        return None if code in (BUSY, CHANGED) else self._taken(code, decision, hold, caller)

    async def take_patiently(
        self, now_us: int, generation: int, caller: Caller, plan: Plan, record: Record, call: Call
    ) -> Taken:
        """The same on a thread that may wait for the lock. None: a key has changed, ask AUTH again.

        Errors: as `take`.
        """
        spender, decision = self._spender(caller), Decision()
        hold = self._want(spender, plan, record, call)
        note = self._note(hold, plan, record, call)
        code = await self._offload.run(
            self._patiently, now_us, generation, spender.purse, hold.amount, note, decision
        )
        return None if code == CHANGED else self._taken(code, decision, hold, caller)

    def gather(self, *, streams: bool) -> Callable[[], bool]:
        """Have replies wait in their transport, which asks what this gives before it writes; whether those that are
        streamed wait there, too.
        """
        self.gathers, self.gathers_streams = True, streams
        return self.flush

    def owes(self) -> bool:
        """Whether an end could not be decided yet: nobody is told of it before."""
        return bool(self._owed)

    def put_off(self) -> bool:
        """Have the journal written before the loop's turn ends, and whatever is said in it."""
        self._dirty = True
        return True

    def flush(self) -> bool:
        """Whether what was put off is written. Where the disk has failed nothing waits for it: no more is held then."""
        tries: Whole = PEN_TRIES
        while self._dirty:
            if self.journal.flush_all() or self.journal.failed:
                self._dirty = False
            else:
                tries -= 1
                if not tries:
                    return False
        return True

    @property
    def failed(self) -> bool:
        """Whether the disk has failed: nothing is held until the next start."""
        return self.journal.failed != 0

    def written(self) -> bool:
        """Whether all that this worker decided is in the journal's file, which this tries to bring about."""
        return self.journal.flush_all()

    async def write(self) -> int:
        """Wait until all that this worker decided is in the journal's file, and nothing is left to be decided; up to
        where it is.

        Errors: StoreUnavailable when the disk fails.
        """
        position = await self._offload.run(self._write)
        if not position:
            raise StoreUnavailable("the journal cannot be written", retry_after_us=STORE_WAIT_US)
        return position

    async def keep(self) -> None:
        """Wait until whoever is charged may be told.

        Errors: StoreUnavailable when the disk fails.
        """
        position = self.journal.tail
        if self.owes() or not self.journal.flush(position):
            position = await self.write()
        if self.always:
            await self._sync.reach(position)

    def end(self, now_us: Whole, handle: Whole, charged: Whole, reason: Whole, note: bytes) -> None:
        """Charge and release a hold, or release it where `charged` is less than 0; at once, or at a later tick."""
        if self._put_end(now_us, handle, charged, reason, note) == BUSY:
            self._owed.append((handle, charged, reason, note))

    def watch(self, now_us: int) -> None:
        """See that what was decided reaches the disk. Order: once a tick."""
        self.lags = self._sync.watch(now_us)

    def retry(self, now_us: int) -> None:
        """End what could not be ended because the lock was taken. Order: once a tick."""
        # Whoever waits to reply does the same on a thread.
        if self._ending.acquire(blocking=False):
            try:
                for _ in range(len(self._owed)):
                    handle, charged, reason, note = self._owed[0]
                    if self._put_end(now_us, handle, charged, reason, note) == BUSY:
                        break
                    # Only now, for what is not there is taken for decided.
                    self._owed.popleft()
            finally:
                self._ending.release()

    def _put_end(self, now_us: Whole, handle: Whole, charged: Whole, reason: Whole, note: bytes) -> Whole:
        if charged < 0:
            return self.credit.void(now_us, handle, reason, note)
        return self.credit.post(now_us, handle, charged, reason, note)

    def _want(self, spender: Spender, plan: Plan, record: Record, call: Call) -> Hold:
        """What is to be held. Order: the cap is what the provider is told, too."""
        if self.lags:
            raise StoreUnavailable(
                "what was charged does not reach the disk: nothing is held until it does",
                retry_after_us=LAG_RETRY_US,
            )
        tariff = plan.tariff
        assert tariff is not None, "only what has a price is held for"
        cap, units = self._cap(tariff, plan, record, call), call.units_max or call.units
        choices, cost_max, factor = call.choices, call.cost_max, spender.factor
        if cost_max >= 0:
            wanted, most = cap, tariff.affordable(cost_max, record.prompt_tokens, factor, units)
            cap = min(cap, most // choices)
            if most < 0 or (wanted and cap < 1):
                raise MaxCostExceeded(f"its prompt alone may cost more than {cost_max} microKPT")
        amount = tariff.bound(record.prompt_tokens, choices * cap, factor, units)
        if amount > AMOUNT_MAX:
            raise InsufficientCredit("the call may cost more than any account can hold")
        # As an attempt is made: a call of the class takes more than all that is done here.
        hold = Hold.__new__(Hold)
        hold.begin(self, amount, cap, factor)
        hold.fill = choices * cap if call.units else 0
        holding_min = plan.holding_min
        if spender.holding_min or holding_min:
            hold.least = max(spender.holding_min, holding_min) + spender.credit_line
        return hold

    def _cap(self, tariff: Tariff, plan: Plan, record: Record, call: Call) -> int:
        """The most output of a choice. Errors: ModelNotAllowed where that has no price."""
        if call.units and (tariff.unit or tariff.request):
            return 0
        if record.generates and tariff.output:
            return min(call.output_cap or plan.output_cap, plan.output_max or plan.output_cap)
        if not (call.apart or record.generates) and (tariff.input or tariff.request):
            return 0
        lacks = "what is counted here" if call.units else "output" if record.generates else "input"
        raise ModelNotAllowed(f"model: it has no price for {lacks}", param="model")

    def _note(self, hold: Hold, plan: Plan, record: Record, call: Call) -> bytes:
        first = plan.targets[0]
        most = hold.cap * call.choices
        return note_hold(
            record.request_id, plan.name, first.price_version, record.prompt_tokens, most, hold.factor
        )

    def _spender(self, caller: Caller) -> Spender:
        # Its id, as that of its key, has been hashed before.
        who = caller.token or caller.key_id
        kept = self._spenders.get(who)
        if kept is None or kept.caller is not caller:
            if len(self._spenders) >= PURSES_MAX:
                self._spenders.clear()
            kept = self._spenders[who] = Spender(caller)
        return kept

    def _patiently(
        self, now_us: int, generation: int, purse: Purse, amount: int, note: bytes, decision: Decision
    ) -> int:
        code = BUSY
        for _ in range(PATIENCE_US // int(STEP_S * 1_000_000)):
            code = self.credit.hold(now_us, generation, purse, amount, note, decision)
            if code != BUSY:
                break
            sleep(STEP_S)
        return code

    def _write(self) -> int:
        """Up to where all is written; 0 where the disk failed."""
        while self._owed:
            self.retry(clock())
            if self._owed:
                sleep(STEP_S)
        position = self.journal.tail
        while not self.journal.flush(position):
            if self.journal.failed:
                return 0
            sleep(STEP_S)
        return position

    def _taken(self, code: Whole, decision: Decision, hold: Hold, caller: Caller) -> Hold:
        if code != DONE:
            raise refusal(code, decision, hold.amount, caller.cell)
        hold.call, hold.handle = decision.call, decision.handle
        held = decision.free + decision.held
        if held < hold.least:
            # What an account has is only known for sure where it is held from.
            note = note_end("", "", 0, HoldingTooSmall.status, 0, Usage())
            self.end(clock(), hold.handle, -1, Reason.REFUSED, note)
            raise HoldingTooSmall(
                f"{hold.least - held} microKPT more must be in the account for this model and tier"
            )
        return hold

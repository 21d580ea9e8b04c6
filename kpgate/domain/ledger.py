"""The journal's entries as the ledger reads them, and the postings that each amounts to.

Pure: bytes in, structs out, and back. Units: amounts microKPT, instants microseconds since 1970.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import msgspec

from kpgate._fast.charge import Charge
from kpgate._fast.digits import numbered
from kpgate._fast.journal import EXTEND, HOLD, METER, POST, TRANSFER, VOID
from kpgate._fast.note import pack_end, pack_hold
from kpgate.domain.errors import GatewayError
from kpgate.domain.price import WHOLE, Price
from kpgate.domain.usage import COUNTS, Usage
from kpgate.domain.whole import Whole

SPEND, EARN, HOUSE = "spend", "earn", "house"
ISSUED, REVENUE, OVERRUN, EXPIRED = "house:issued", "house:revenue", "house:overrun", "house:expired"
HOUSE_ACCOUNTS = (ISSUED, REVENUE, OVERRUN, EXPIRED)
PLAIN = 0xFFFFFFFF
"""The slot of a leg that means the plain balance."""
LOTS = 4
OF_DAY, OF_MONTH, OF_TOTAL, OF_TOKEN = range(4)
"""Periods of a budget."""
CODE, GRANT, LINE, TOP_UP = "code:", "plan:", "plan-line:", "topup:"
"""What the ids of operations begin with that the gateway asks for by itself: nobody else may use them."""


class Reason(IntEnum):
    """Why a hold ended."""

    DONE = 0
    WORKER_DIED = 1
    EXPIRED = 2
    LOST = 3
    CALLER_GONE = 4
    UPSTREAM = 5
    DEADLINE = 6
    DRAIN = 7
    CREDIT = 8
    REFUSED = 9
    FAILED = 10


_DONE = Reason.DONE
_REASONS = {
    "client_gone": Reason.CALLER_GONE,
    "upstream_failed": Reason.UPSTREAM,
    "upstream_timeout": Reason.DEADLINE,
    "draining": Reason.DRAIN,
}


def reason_of(error: GatewayError | None) -> Whole:
    """Why a call ended, for the journal: a `Reason`."""
    return _DONE if error is None else _REASONS.get(error.code, Reason.FAILED)


class Hold(msgspec.Struct, frozen=True, gc=False):
    """A HOLD: who may be charged how much at most, and from which windows of which budgets.

    Shape: `lots` is what each of the account's lots gave; `budgets` are (number, day, month, tag), the tag 0 but for a
    party token's.
    """

    call: int
    time_us: int
    amount: int
    account: int
    party: int
    key: int
    seat: int
    lots: tuple[int, ...]
    budgets: tuple[tuple[int, int, int, int], ...]
    note: bytes


class End(msgspec.Struct, frozen=True, gc=False):
    """A POST, or a VOID, whose amount is 0."""

    lsn: int
    call: int
    time_us: int
    amount: int
    overrun: int
    lots: tuple[int, ...]
    reason: int
    note: bytes
    posted: bool


class Leg(msgspec.Struct, frozen=True, gc=False):
    """What a TRANSFER does to one account in the region. `slot` is a lot's, or PLAIN."""

    account: int
    slot: int
    delta: int
    expires_us: int = 0


class HoldNote(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a HOLD says of its call. Shape: `price_version` is the first candidate's. Units: `factor` basis points."""

    request_id: str
    model: str
    price_version: int
    input_bound: int
    output_bound: int
    factor: int = WHOLE


class EndNote(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the end of a call says of it. Shape: `price_version` is that of who answered, 0 where nobody did; `counts`
    are seven kinds of tokens, two more where the prompt went into a cache or there are units, and these last.
    """

    provider: str
    deployment: str
    attempts: int
    status: int
    price_version: int
    counts: tuple[int, ...]
    source: str

    @property
    def usage(self) -> Usage:
        """What the call used."""
        first, second, third, fourth, *rest = self.counts
        return Usage(first, second, third, fourth, self.source, *rest)


NOTHING_SAID = EndNote("", "", 0, 0, 0, (0,) * 7, "none")

_HOLD = struct.Struct("<QqIIII4qII")
_BUDGET = struct.Struct("<IIII")
_EXTEND = struct.Struct("<QQq4q")
_METER = struct.Struct("<QQq")
_POST = struct.Struct("<QQqq4qII")
_VOID = struct.Struct("<QQII")
_TRANSFER = struct.Struct("<QII")
_LEG = struct.Struct("<IIqQ")

_pack = msgspec.msgpack.Encoder().encode
_hold_note = msgspec.msgpack.Decoder(HoldNote).decode
_end_note = msgspec.msgpack.Decoder(EndNote).decode

NAME_MAX = 200
PROVIDER_BYTES_MAX = 48
DEPLOYMENT_BYTES_MAX = 88
"""With all counts at their greatest the note of an end is within what `_fast.credit` keeps room for."""
# A position in a journal of less than 8 exabytes: it fits where integers have a sign.
_CALL = re.compile("kp1-[0-7][0-9a-f]{15}", re.ASCII)


def show_call(call: Whole) -> str:
    """A call's id as people see it."""
    return numbered("kp1-", call, 16)


def read_call(text: str) -> int:
    """The id that is shown so.

    Errors: ValueError.
    """
    if not _CALL.fullmatch(text):
        raise ValueError("expected kp1- and 16 hexadecimal digits")
    return int(text[4:], 16)


def note_hold(
    request_id: str, model: str, price_version: Whole, input_bound: Whole, output_bound: Whole, factor: Whole
) -> bytes:
    """The note of a HOLD: a `HoldNote`'s fields."""
    model = model if len(model) <= NAME_MAX else model[:NAME_MAX]
    return pack_hold(request_id, model, price_version, input_bound, output_bound, factor)


def note_end(
    provider: str, deployment: str, attempts: Whole, status: Whole, price_version: Whole, usage: Usage
) -> bytes:
    """The note of a POST or VOID: an `EndNote`'s fields."""
    provider = provider if len(provider) * 4 <= PROVIDER_BYTES_MAX else _cut(provider, PROVIDER_BYTES_MAX)
    deployment = (
        deployment if len(deployment) * 4 <= DEPLOYMENT_BYTES_MAX else _cut(deployment, DEPLOYMENT_BYTES_MAX)
    )
    return pack_end(
        provider,
        deployment,
        attempts,
        status,
        price_version,
        usage.input,
        usage.output,
        usage.cached,
        usage.reasoning,
        usage.audio_input,
        usage.audio_output,
        usage.image,
        usage.cache_write,
        usage.cache_write_long,
        usage.units,
        usage.source,
    )


def _cut(text: str, bytes_max: int) -> str:
    """A text's beginning: notes are bounded, for room is kept for them beforehand."""
    encoded = text.encode()
    return text if len(encoded) <= bytes_max else encoded[:bytes_max].decode("utf-8", "ignore")


def read_hold_note(note: bytes) -> HoldNote:
    """What a HOLD says of its call."""
    return _hold_note(note)


def read_end_note(note: bytes) -> EndNote:
    """What the end of a call says; nothing where its worker could say nothing."""
    return _end_note(note) if note else NOTHING_SAID


def read_hold(lsn: int, body: bytes) -> Hold:
    """A HOLD's body."""
    time_us, amount, account, party, key, seat, *lots, count, note_bytes = _HOLD.unpack_from(body)
    at = _HOLD.size
    budgets = tuple([_BUDGET.unpack_from(body, at + 16 * i) for i in range(count)])
    at += 16 * count
    return Hold(
        lsn, time_us, amount, account, party, key, seat, tuple(lots), budgets, body[at : at + note_bytes]
    )


def read_end(lsn: int, kind: int, body: bytes) -> End:
    """A POST's or VOID's body."""
    if kind == VOID:
        call, time_us, reason, note_bytes = _VOID.unpack_from(body)
        at = _VOID.size
        return End(lsn, call, time_us, 0, 0, (0,) * LOTS, reason, body[at : at + note_bytes], False)
    call, time_us, amount, overrun, *lots, reason, note_bytes = _POST.unpack_from(body)
    at = _POST.size
    return End(lsn, call, time_us, amount, overrun, tuple(lots), reason, body[at : at + note_bytes], True)


def read_extend(body: bytes) -> tuple[int, int, tuple[int, ...]]:
    """An EXTEND's body: call, amount added, lots added."""
    call, _, amount, *lots = _EXTEND.unpack_from(body)
    return call, amount, tuple(lots)


def read_meter(body: bytes) -> tuple[int, int]:
    """A METER's body: call, used so far."""
    call, _, amount = _METER.unpack_from(body)
    return call, amount


def read_transfer(body: bytes) -> tuple[int, tuple[Leg, ...], bytes]:
    """A TRANSFER's body: time, legs, note."""
    time_us, count, note_bytes = _TRANSFER.unpack_from(body)
    at = _TRANSFER.size
    legs = tuple([Leg(*_LEG.unpack_from(body, at + 24 * i)) for i in range(count)])
    at += 24 * count
    return time_us, legs, body[at : at + note_bytes]


def time_of(kind: int, body: bytes) -> int:
    """When an entry was decided; 0 for those that say nothing of calls or money."""
    if kind in (HOLD, TRANSFER):
        return int.from_bytes(body[:8], "little")
    return int.from_bytes(body[8:16], "little") if kind in (EXTEND, METER, POST, VOID) else 0


def uses_of(budget: tuple[int, int, int, int]) -> tuple[tuple[int, int, int], ...]:
    """What a charge is counted in: (budget, period, window). A party token's budget is one token's at a time, and
    counts for each by its tag."""
    number, day, month, tag = budget
    if tag:
        return ((number, OF_TOKEN, tag),)
    return (number, OF_DAY, day), (number, OF_MONTH, month), (number, OF_TOTAL, 0)


def read_budgets(body: bytes) -> list[tuple[int, int, int, int]]:
    """The budgets of a HOLD, as they stand in it: (number, day, month, tag)."""
    return list(_BUDGET.iter_unpack(body))


def write_hold(hold: Hold) -> bytes:
    """The body of a HOLD."""
    head = _HOLD.pack(
        hold.time_us,
        hold.amount,
        hold.account,
        hold.party,
        hold.key,
        hold.seat,
        *hold.lots,
        len(hold.budgets),
        len(hold.note),
    )
    return head + b"".join(_BUDGET.pack(*budget) for budget in hold.budgets) + hold.note


def write_end(end: End) -> bytes:
    """The body of a POST or VOID."""
    if not end.posted:
        return _VOID.pack(end.call, end.time_us, end.reason, len(end.note)) + end.note
    head = _POST.pack(end.call, end.time_us, end.amount, end.overrun, *end.lots, end.reason, len(end.note))
    return head + end.note


def write_transfer(time_us: int, legs: Sequence[Leg], note: bytes) -> bytes:
    """The body of a TRANSFER."""
    packed = b"".join(_LEG.pack(leg.account, leg.slot, leg.delta, leg.expires_us) for leg in legs)
    return _TRANSFER.pack(time_us, len(legs), len(note)) + packed + note


class Posting(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An amount that moves from one account to another. Nothing else changes a balance.

    Shape: accounts are numbers, or names of the house's or of parties' `earn` accounts.
    """

    kind: str
    debit: int | str
    credit: int | str
    amount: int
    memo: str = ""


def earn_of(party: str) -> str:
    """The name of the account that a party's shares go to."""
    return f"earn:{party}"


def postings(account: int, end: End | Charge, price: Price | None) -> tuple[Posting, ...]:
    """What the end of a call amounts to: the charge, its shares, what the house bears.

    Pure in the journal and the price's immutable terms. Shares are rounded downwards, the rest is the house's:
    they sum to the charge exactly.
    """
    if not end.posted or (not end.amount and not end.overrun):
        return ()
    found = []
    left = end.amount
    for share in price.shares if price is not None else ():
        part = end.amount * share.basis_points // WHOLE
        if part:
            found.append(Posting("share", account, earn_of(share.party), part))
            left -= part
    if left:
        found.append(Posting("charge", account, REVENUE, left))
    if end.overrun:
        found.append(Posting("overrun", OVERRUN, REVENUE, end.overrun))
    return tuple(found)


def price_version_of(hold: Hold, end: End) -> int:
    """The price that a call was charged by: that of who answered, else the one it was held for."""
    return read_end_note(end.note).price_version or read_hold_note(hold.note).price_version


def lost_end(hold: Hold, metered: int, time_us: int, there: Mapping[int, tuple[int, int]]) -> End:
    """How a hold ends that was open when all processes went: by what was last metered.

    Shape: `there` is when the account's lots end and what is left of each, by slot: they are spent in that order.
    """
    amount = min(metered, hold.amount)
    lots, left = [0] * LOTS, amount
    for slot in sorted(there, key=lambda slot: (there[slot][0], slot)):
        # Less than was held may be there, where some was clawed back meanwhile.
        lots[slot] = min(left, hold.lots[slot], there[slot][1])
        left -= lots[slot]
    time_us = max(time_us, hold.time_us)
    return End(0, hold.call, time_us, amount, 0, tuple(lots), Reason.LOST, b"", amount > 0)


class TransferNote(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a TRANSFER says: the operation it belongs to, a hash of what that asked, and the postings.

    Shape: `call` is the one whose charge is refunded, 0 for none.
    """

    operation: str
    content: bytes
    call: int
    postings: tuple[Posting, ...]


_transfer_note = msgspec.msgpack.Decoder(TransferNote).decode


def note_transfer(operation: str, content: bytes, moves: Sequence[Posting], call: int = 0) -> bytes:
    """The note of a TRANSFER. Shape: `content` is a hash of what was asked, `call` one that is refunded."""
    return _pack(TransferNote(operation, content, call, tuple(moves)))


def read_transfer_note(note: bytes) -> TransferNote:
    """What a TRANSFER says."""
    return _transfer_note(note)


def public(usage: Usage) -> dict[str, Any]:
    """Usage by kind, as receipts and statements show it: kinds that are 0 are left out."""
    return {kind: getattr(usage, kind) for kind in COUNTS if getattr(usage, kind)}

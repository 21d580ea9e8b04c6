"""Operations on money, as management is asked for them, and amounts as people write them.

Units: amounts are whole microKPT.
"""

from collections.abc import Sequence
from decimal import Context, Decimal, InvalidOperation, Overflow
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kpgate.domain.price import AMOUNT_MAX, MICROKPT

OperationId = Annotated[str, Meta(min_length=8, max_length=64, pattern="^[A-Za-z0-9._:-]+$")]
PartyName = Annotated[str, Meta(min_length=1, max_length=200)]
Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
Cap = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]
Memo = Annotated[str, Meta(max_length=200)]
Position = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
# More digits than an amount that is read may have, so that none is rounded away.
_exact = Context(prec=60, traps=[InvalidOperation, Overflow])
CREDITING = ("issue", "top_up", "grant", "reward")


class _Money(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", omit_defaults=True
):
    """What all have in common: an id, by which asking twice does it once."""

    id: OperationId


class Movement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One transfer.

    Shape: `kind` issue, top_up, grant and reward give a party credit; clawback takes it back, below 0 if need be;
    adjust mends a mistake in either direction; transfer gives it to party `to`; payout takes what a party earned.
    `reverses` is the operation that gave what is taken back.
    Units: `expires_us` microseconds since 1970, 0 for never, for what is given.
    """

    kind: Literal["issue", "top_up", "grant", "reward", "adjust", "clawback", "transfer", "payout"]
    party: PartyName
    amount: Annotated[int, Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
    to: str = ""
    memo: Memo = ""
    expires_us: Annotated[int, Meta(ge=0, le=253_402_300_800_000_000)] = 0
    reverses: Annotated[str, Meta(max_length=64)] = ""


class Transfer(_Money, frozen=True, kw_only=True, tag="money.transfer"):
    """Transfers that are made together, all or none."""

    movements: Annotated[tuple[Movement, ...], Meta(min_length=1, max_length=8)]


class TopUp(_Money, frozen=True, kw_only=True, tag="money.top_up"):
    """What a payment system says of a payment: a party that exists is credited with it, or no longer.

    Rule: the id comes from the source, the kind and the payment, so that a payment counts once, whatever is sent
    again and in whichever order.
    """

    kind: Literal["top_up", "clawback"]
    party: PartyName
    amount: Amount
    memo: Memo = ""


class Refund(_Money, frozen=True, kw_only=True, tag="money.refund"):
    """Give back what a call was charged, or a part of it. Units: `amount` 0 is all that is left of it."""

    call: str
    amount: Cap = 0


class SetCreditLine(_Money, frozen=True, kw_only=True, tag="money.line"):
    """Let a party's balance go so far below 0."""

    party: PartyName
    line: Cap


class SetBudget(_Money, frozen=True, kw_only=True, tag="money.budget"):
    """Cap what a party or one of its keys may spend in a day, a month (UTC) and in all. 0 is no cap."""

    party: Annotated[str, Meta(max_length=200)] = ""
    key: str = ""
    day: Cap = 0
    month: Cap = 0
    total: Cap = 0


class RotateSigner(_Money, frozen=True, kw_only=True, tag="log.rotate_key"):
    """Have a new key sign the log's heads from now on, endorsed by the one before it."""


class ShowBalance(_Money, frozen=True, kw_only=True, tag="money.balance"):
    """What a party has."""

    party: PartyName


class ShowStatement(_Money, frozen=True, kw_only=True, tag="money.statement"):
    """A party's transfers, newest first, from before an LSN on."""

    party: PartyName
    account: Literal["spend", "earn"] = "spend"
    before: Position = 0
    count: Annotated[int, Meta(ge=1, le=1000)] = 100


class ShowTotals(_Money, frozen=True, kw_only=True, tag="money.totals"):
    """What all of a party's transfers come to, by account and kind."""

    party: PartyName


class ShowReceipt(_Money, frozen=True, kw_only=True, tag="money.receipt"):
    """The receipt of a call and its proof. Shape: `party` empty for whoever manages."""

    call: str
    party: str = ""


class ShowLog(_Money, frozen=True, kw_only=True, tag="log.show"):
    """The log's newest head and its signers; with `before`, the proof that a smaller log is its beginning."""

    before: Position = 0
    size: Position = 0


class ShowHolds(_Money, frozen=True, kw_only=True, tag="money.holds"):
    """What calls under way hold, in the order of the calls, from after one on."""

    after: Position = 0
    count: Annotated[int, Meta(ge=1, le=1000)] = 100


class ShowAccounts(_Money, frozen=True, kw_only=True, tag="money.accounts"):
    """Every account's balance; all of them sum to 0."""


MoneyReading = ShowBalance | ShowStatement | ShowTotals | ShowReceipt | ShowLog | ShowHolds | ShowAccounts
MoneyOperation = Transfer | TopUp | Refund | SetCreditLine | SetBudget | RotateSigner | MoneyReading


def given_back(amount: int, before: int, paid: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of what a charge was paid from, what a part of it gives back: first what was spent last.

    Shape: `paid` and the answer are of (when it ends, amount); so much of it was given back `before`.
    """
    found = []
    for ends_us, part in sorted(paid, reverse=True):
        gone = min(before, part)
        before -= gone
        if back := min(amount, part - gone):
            found.append((ends_us, back))
            amount -= back
    return found


def read_amount(text: str) -> int:
    """An amount as people write it: `12.5 KPT`, `12.5`, or `12500000 microKPT`.

    Errors: ValueError for what is none, not above 0, not whole in microKPT, or more than an account can hold.
    """
    number, _, unit = text.strip().partition(" ")
    scale = {"": MICROKPT, "kpt": MICROKPT, "microkpt": 1}.get(unit.strip().lower())
    try:
        if scale is None or len(number) > 40 or "_" in number or not number.isascii():
            raise ValueError
        value = _exact.multiply(Decimal(number), Decimal(scale))
        if not value.is_finite():
            raise ValueError
    except Overflow:
        raise ValueError(_TOO_MUCH) from None
    except (InvalidOperation, ValueError):
        raise ValueError(f"expected an amount such as 12.5 KPT, not {text[:40]!r}") from None
    if value <= 0:
        raise ValueError("expected an amount above 0")
    # Before it is made an integer: there are short spellings of very long ones.
    if value > AMOUNT_MAX:
        raise ValueError(_TOO_MUCH)
    if value != int(value):
        raise ValueError("the smallest amount is 0.000001 KPT")
    return int(value)


def show_amount(amount: int) -> str:
    """An amount for people."""
    whole, rest = divmod(abs(amount), MICROKPT)
    text = f"{whole:,}.{rest:06}".rstrip("0").rstrip(".")
    return f"{'-' if amount < 0 else ''}{text} KPT"


_TOO_MUCH = f"no account can hold more than {show_amount(AMOUNT_MAX)}"

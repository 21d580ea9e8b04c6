"""`kpgate account`: what parties have, and what an operator does about it by hand.

Tables at a terminal, JSON in a pipe. Amounts are written as `12.5`, in KPT. With `--id` a command may be repeated.
"""

import json
from typing import Any

import click
from rich.table import Table

from kpgate.app.control import wall_us
from kpgate.app.keys_cli import Command, Desk
from kpgate.domain.durations import instant, read_end
from kpgate.domain.ledger import show_call
from kpgate.domain.money import (
    Refund,
    SetBudget,
    SetCreditLine,
    ShowAccounts,
    ShowBalance,
    ShowReceipt,
    ShowStatement,
    Transfer,
    read_amount,
    show_amount,
)


class Amount(click.ParamType[int]):
    """An amount as people write it. `zero` allows none."""

    name = "amount"

    def __init__(self, *, zero: bool = False, signed: bool = False) -> None:
        self._zero = zero
        self._signed = signed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """microKPT. Errors: click's."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if self._zero and text in ("0", "none"):
            return 0
        try:
            if self._signed and text.startswith("-"):
                return -read_amount(text[1:])
            return read_amount(text)
        except ValueError as error:
            self.fail(str(error), param, ctx)


AMOUNT, CAP, SIGNED = Amount(), Amount(zero=True), Amount(signed=True)
ID = click.option(
    "--id", "request_id", default="", metavar="ID", help="The same id again does nothing again."
)
MEMO = click.option("--memo", default="", help="Why, for the statement.")
REVERSES = click.option(
    "--reverses", default="", metavar="ID", help="Take first what this operation gave; else what ends first."
)


def _rows(*rows: tuple[str, str]) -> Table:
    table = Table(show_header=False)
    for row in rows:
        table.add_row(*row)
    return table


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def account() -> None:
    """Credit: balances, transfers, budgets, refunds. Amounts are KPT, as 12.5."""


@account.command("list", cls=Command)
@click.pass_obj
def list_accounts(desk: Desk) -> None:
    """Every account's balance. They sum to 0."""
    answer = desk.ask(ShowAccounts)
    desk.tell(answer, lambda: _rows(*((name, show_amount(one)) for name, one in answer["accounts"].items())))


@account.command(cls=Command)
@click.argument("party")
@click.pass_obj
def show(desk: Desk, party: str) -> None:
    """What a party has."""
    answer = desk.ask(ShowBalance, party=party)
    names = (name for name in answer if name.endswith("_microkpt"))
    rows = [(name.removesuffix("_microkpt").replace("_", " "), show_amount(answer[name])) for name in names]
    desk.tell(answer, lambda: _rows(*rows))


@account.command(cls=Command)
@click.argument("party")
@click.option("--earned", is_flag=True, help="What it earned, not what it spends.")
@click.option("--before", type=click.IntRange(min=0), default=0, help="From before this LSN on.")
@click.option(
    "--count", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many at most."
)
@click.pass_obj
def statement(desk: Desk, party: str, earned: bool, before: int, count: int) -> None:
    """A party's transfers, newest first."""
    which = "earn" if earned else "spend"
    answer = desk.ask(ShowStatement, party=party, account=which, before=before, count=count)

    def table() -> Table:
        shown = Table("when", "what", "amount", "call", "memo", "LSN")
        for row in answer["rows"]:
            call = show_call(row["call"]) if row["call"] else ""
            when = instant(row["time_us"]) or ""
            shown.add_row(when, row["kind"], show_amount(row["amount"]), call, row["memo"], str(row["lsn"]))
        return shown

    desk.tell(answer, table)


def _id(request_id: str) -> dict[str, str]:
    return {"id": request_id} if request_id else {}


def _moved(desk: Desk, request_id: str, **movement: Any) -> None:
    answer = desk.ask(Transfer, **_id(request_id), movements=[movement])
    desk.tell(answer, lambda: _rows(("done", answer["id"])))


@account.command(cls=Command)
@click.argument("party")
@click.argument("amount", type=AMOUNT)
@click.option(
    "--kind",
    type=click.Choice(["top_up", "grant", "reward", "issue"]),
    default="top_up",
    show_default=True,
    help="What it is called.",
)
@click.option(
    "--expires", default="", metavar="WHEN", help="Unused, it ends then: 30d, or an RFC 3339 instant."
)
@MEMO
@ID
@click.pass_obj
def credit(desk: Desk, party: str, amount: int, kind: str, expires: str, memo: str, request_id: str) -> None:
    """Give a party credit."""
    try:
        expires_us = read_end(expires, wall_us()) if expires else 0
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expires") from None
    _moved(desk, request_id, kind=kind, party=party, amount=amount, memo=memo, expires_us=expires_us)


@account.command(cls=Command)
@click.argument("party")
@click.argument("to")
@click.argument("amount", type=AMOUNT)
@MEMO
@ID
@click.pass_obj
def transfer(desk: Desk, party: str, to: str, amount: int, memo: str, request_id: str) -> None:
    """Move credit from one party to another."""
    _moved(desk, request_id, kind="transfer", party=party, to=to, amount=amount, memo=memo)


@account.command(cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("party")
@click.argument("amount", type=SIGNED)
@MEMO
@REVERSES
@ID
@click.pass_obj
def adjust(desk: Desk, party: str, amount: int, memo: str, reverses: str, request_id: str) -> None:
    """Mend a mistake, in either direction: it may put a balance below its limit."""
    _moved(desk, request_id, kind="adjust", party=party, amount=amount, memo=memo, reverses=reverses)


@account.command(cls=Command)
@click.argument("party")
@click.argument("amount", type=AMOUNT)
@MEMO
@REVERSES
@ID
@click.pass_obj
def clawback(desk: Desk, party: str, amount: int, memo: str, reverses: str, request_id: str) -> None:
    """Take credit back, below 0 if need be."""
    _moved(desk, request_id, kind="clawback", party=party, amount=amount, memo=memo, reverses=reverses)


@account.command(cls=Command)
@click.argument("party")
@click.argument("amount", type=AMOUNT)
@MEMO
@ID
@click.pass_obj
def payout(desk: Desk, party: str, amount: int, memo: str, request_id: str) -> None:
    """Book that a party was paid what it earned."""
    _moved(desk, request_id, kind="payout", party=party, amount=amount, memo=memo)


@account.command(cls=Command)
@click.argument("call")
@click.argument("amount", type=AMOUNT, required=False)
@ID
@click.pass_obj
def refund(desk: Desk, call: str, amount: int | None, request_id: str) -> None:
    """Give back what a call was charged, or a part of it."""
    answer = desk.ask(Refund, **_id(request_id), call=call, amount=amount or 0)
    names = ("refunded", "restored")
    rows = [(name, show_amount(answer[f"{name}_microkpt"])) for name in names]
    desk.tell(answer, lambda: _rows(("done", answer["id"]), *rows))


@account.command("credit-line", cls=Command)
@click.argument("party")
@click.argument("line", type=CAP)
@ID
@click.pass_obj
def credit_line(desk: Desk, party: str, line: int, request_id: str) -> None:
    """Let a party's balance go so far below 0; 0 ends that."""
    answer = desk.ask(SetCreditLine, **_id(request_id), party=party, line=line)
    desk.tell(answer, lambda: _rows(("done", answer["id"])))


@account.command(cls=Command)
@click.option("--party", default="", help="A party's budget.")
@click.option("--key", default="", metavar="ID", help="A key's budget.")
@click.option("--day", type=CAP, default=0, help="Cap a day, in UTC; 0 is none.")
@click.option("--month", type=CAP, default=0, help="Cap a month, in UTC; 0 is none.")
@click.option("--total", type=CAP, default=0, help="Cap in all; 0 is none.")
@click.pass_obj
def budget(desk: Desk, party: str, key: str, day: int, month: int, total: int) -> None:
    """Cap what a party or a key may spend."""
    answer = desk.ask(SetBudget, party=party, key=key, day=day, month=month, total=total)
    desk.tell(answer, lambda: _rows(("done", answer["id"])))


@account.command(cls=Command)
@click.argument("call")
@click.pass_obj
def receipt(desk: Desk, call: str) -> None:
    """A call's receipt with its proof, as `kpgate verify` reads it."""
    click.echo(json.dumps(desk.ask(ShowReceipt, call=call), indent=2))

"""`kpgate code`: make, list and revoke redemption codes.

Tables at a terminal, JSON in a pipe. Codes are printed once, when they are made, and never again.
"""

import json

import click

from kpgate.app.account_cli import AMOUNT, MEMO
from kpgate.app.keys_cli import Command, Desk, end
from kpgate.domain.code import COUNT_MAX, CreateCodes, ListCodes, RevokeCode
from kpgate.domain.money import show_amount

_COLUMNS = ("id", "amount", "state", "memo", "expires_at", "redeemed_by", "redeemed_at")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def code() -> None:
    """Redemption codes: worth an amount, once. Works beside a running gateway and without one."""


@code.command(cls=Command)
@click.argument("amount", type=AMOUNT)
@click.option("--count", type=click.IntRange(1, COUNT_MAX), default=1, show_default=True, help="How many.")
@click.option(
    "--expires", "expires_us", callback=end, help="Until when, as 30d or 2030-01-31T12:00:00Z. Never."
)
@click.option("--grant-expires", "grant_expires_us", callback=end, help="When what was redeemed ends. Never.")
@MEMO
@click.pass_obj
def create(desk: Desk, amount: int, count: int, expires_us: int, grant_expires_us: int, memo: str) -> None:
    """Make codes of one worth, and show them once."""
    terms = {"expires_us": expires_us, "grant_expires_us": grant_expires_us, "memo": memo}
    answer = desk.ask(CreateCodes, amount=amount, count=count, **terms)
    if desk.plain:
        click.echo(json.dumps(answer))
        return
    for made in answer["codes"]:
        click.echo(f"{made['id']}  {made['code']}")
    click.echo(f"\nEach is worth {show_amount(amount)}. This is the only time they are shown.")


@code.command("list", cls=Command)
@click.pass_obj
def list_codes(desk: Desk) -> None:
    """List codes, in the order in which they were made, and what became of them."""
    found = desk.collect(ListCodes, "codes")
    if not desk.plain:
        found = [{**one, "amount": show_amount(one["amount_microkpt"])} for one in found]
    desk.list(found, _COLUMNS)


@code.command(cls=Command)
@click.argument("code_id")
@click.pass_obj
def revoke(desk: Desk, code_id: str) -> None:
    """End a code that nobody has redeemed."""
    desk.show(desk.ask(RevokeCode, code=code_id), "Code revoked")

"""`kpgate party-token`: list and revoke party tokens, and have a new key sign them.

A token itself is shown to nobody here: it is signed for the key that asks, over `POST /kp/v1/tokens`.
"""

import click

from kpgate.app.keys_cli import Command, Desk
from kpgate.domain.money import show_amount
from kpgate.domain.token import ListTokens, RevokeToken, RotateTokenSigner

_COLUMNS = ("id", "key", "party", "label", "models", "cap", "used", "expires_at")


@click.group(
    "party-token", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
def party_token() -> None:
    """Party tokens, as keys have them signed. Works beside a running gateway and without one."""


@party_token.command("list", cls=Command)
@click.option("--key", default="", help="Of the key with this id only.")
@click.option("--party", default="", help="Of this party's keys only.")
@click.pass_obj
def list_tokens(desk: Desk, key: str, party: str) -> None:
    """List live party tokens, in the order in which they were signed."""
    found = desk.collect(ListTokens, "tokens", key=key, party=party)
    if not desk.plain:
        found = [
            {**one, "cap": show_amount(one["cap_microkpt"]), "used": show_amount(one["used_microkpt"])}
            for one in found
        ]
    desk.list(found, _COLUMNS)


@party_token.command(cls=Command)
@click.argument("token_id")
@click.pass_obj
def revoke(desk: Desk, token_id: str) -> None:
    """End a party token. When this returns, no worker lets it in."""
    desk.show(desk.ask(RevokeToken, token=token_id), "Party token revoked")


@party_token.command("rotate-key", cls=Command)
@click.option("--at-once", is_flag=True, help="What was signed before is believed no more.")
@click.pass_obj
def rotate_key(desk: Desk, at_once: bool) -> None:
    """Have a new key sign party tokens. Those before it are believed for another day, longer than any token lives."""
    desk.show(desk.ask(RotateTokenSigner, at_once=at_once), "Token key rotated")

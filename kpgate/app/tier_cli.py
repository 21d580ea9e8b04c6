"""`kpgate tier`, `kpgate plan` and `kpgate party`: terms of tiers and plans, and who is of which.

Tables at a terminal, JSON in a pipe.
"""

from typing import Any

import click

from kpgate.app.account_cli import CAP
from kpgate.app.keys_cli import Command, Desk, limit_options, limits_of, split
from kpgate.domain.management import (
    DeletePlan,
    DeleteTier,
    GetParty,
    GetPlan,
    GetTier,
    ListParties,
    ListPlans,
    ListTiers,
    SetParty,
    SetPlan,
    SetTier,
)
from kpgate.domain.plan import KINDS
from kpgate.domain.tier import PRICE_FACTOR_MAX, PRIORITY_DEFAULT, PRIORITY_MAX, WHOLE_PRICE

_PARTY_COLUMNS = ("name", "plan", "tier", "limits")
_PLAN_COLUMNS = ("name", "kind", "grant_microkpt", "line_microkpt", "tier")
_TIER_COLUMNS = ("name", "limits", "models", "priority", "price_factor", "holding_min_microkpt")
_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=_SETTINGS)
def tier() -> None:
    """Tiers: what the parties of one kind may do. Works beside a running gateway and without one."""


@tier.command("list", cls=Command)
@click.pass_obj
def list_tiers(desk: Desk) -> None:
    """List tiers."""
    desk.list(desk.ask(ListTiers)["tiers"], _TIER_COLUMNS)


@tier.command("show", cls=Command)
@click.argument("name")
@click.pass_obj
def show_tier(desk: Desk, name: str) -> None:
    """Show a tier."""
    desk.show(desk.ask(GetTier, tier=name))


@tier.command("set", cls=Command)
@click.argument("name")
@click.option("--models", callback=split, default="", help="Models it may use, as gpt-4o,claude-*. All.")
@click.option(
    "--priority",
    type=click.IntRange(0, PRIORITY_MAX),
    default=PRIORITY_DEFAULT,
    show_default=True,
    help="The highest is served first where there are more calls than places.",
)
@click.option(
    "--price-factor",
    type=click.IntRange(1, PRICE_FACTOR_MAX),
    default=WHOLE_PRICE,
    show_default=True,
    help="Basis points of the price: 5000 is half.",
)
@click.option("--holding-min", type=CAP, default=0, help="Balance its parties must have, in KPT. None.")
@limit_options
@click.pass_obj
def set_tier(desk: Desk, /, name: str, holding_min: int, **options: Any) -> None:
    """Set all of a tier's terms, making the tier if need be. What is not said is as for a new one."""
    terms = {term: options[term] for term in ("models", "priority", "price_factor")}
    terms |= {"limits": limits_of(options), "holding_min_microkpt": holding_min}
    desk.show(desk.ask(SetTier, tier=name, **terms), "Tier")


@tier.command("delete", cls=Command)
@click.argument("name")
@click.pass_obj
def delete_tier(desk: Desk, name: str) -> None:
    """Forget a tier that no party is of."""
    desk.show(desk.ask(DeleteTier, tier=name), "Tier deleted")


@click.group(context_settings=_SETTINGS)
def plan() -> None:
    """Plans: how parties pay. Works beside a running gateway and without one."""


@plan.command("list", cls=Command)
@click.pass_obj
def list_plans(desk: Desk) -> None:
    """List plans."""
    desk.list(desk.ask(ListPlans)["plans"], _PLAN_COLUMNS)


@plan.command("show", cls=Command)
@click.argument("name")
@click.pass_obj
def show_plan(desk: Desk, name: str) -> None:
    """Show a plan."""
    desk.show(desk.ask(GetPlan, plan=name))


@plan.command("set", cls=Command)
@click.argument("name")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--grant", type=CAP, default=0, help="What a subscription grants each month, in KPT.")
@click.option("--line", type=CAP, default=0, help="How far below 0 a credit line goes, in KPT.")
@click.option("--tier", "tier_name", default="", metavar="NAME", help="The tier of its parties. As they are.")
@click.pass_obj
def set_plan(desk: Desk, /, name: str, kind: str, **options: Any) -> None:
    """Set all of a plan's terms, making the plan if need be."""
    terms = {"grant_microkpt": options["grant"], "line_microkpt": options["line"]}
    desk.show(desk.ask(SetPlan, plan=name, kind=kind, tier=options["tier_name"], **terms), "Plan")


@plan.command("delete", cls=Command)
@click.argument("name")
@click.pass_obj
def delete_plan(desk: Desk, name: str) -> None:
    """Forget a plan that no party is of."""
    desk.show(desk.ask(DeletePlan, plan=name), "Plan deleted")


@click.group(context_settings=_SETTINGS)
def party() -> None:
    """Parties: who owns keys and pays. Works beside a running gateway and without one."""


@party.command("list", cls=Command)
@click.pass_obj
def list_parties(desk: Desk) -> None:
    """List parties, in the order in which they were made."""
    desk.list(desk.collect(ListParties, "parties"), _PARTY_COLUMNS)


@party.command("show", cls=Command)
@click.argument("name")
@click.pass_obj
def show_party(desk: Desk, name: str) -> None:
    """Show a party."""
    desk.show(desk.ask(GetParty, party=name))


@party.command("set", cls=Command)
@click.argument("name")
@click.option("--tier", "tier_name", default=None, metavar="NAME", help='Its tier; "" for none.')
@click.option("--plan", "plan_name", default=None, metavar="NAME", help='Its plan; "" for none.')
@click.option("--unlimited", is_flag=True, help="No limits of its own.")
@limit_options
@click.pass_obj
def set_party(desk: Desk, /, name: str, unlimited: bool, **options: Any) -> None:
    """Set a party's plan, tier, or own limits, making the party if need be. Limits are set all together."""
    fields: dict[str, Any] = {"tier": options["tier_name"], "plan": options["plan_name"]}
    limits = limits_of(options)
    if unlimited and limits:
        raise click.UsageError("--unlimited and limits do not go together")
    if limits or unlimited:
        fields["limits"] = limits
    desk.show(desk.ask(SetParty, party=name, **fields), "Party")

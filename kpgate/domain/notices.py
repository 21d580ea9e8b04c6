"""Who is told of things, and who tells: the log, webhooks out and in, as an operator sets them."""

from typing import Annotated, Literal

from msgspec import Meta

from kpgate.domain.part import Part, Seconds
from kpgate.domain.price import AMOUNT_MAX


class Log(Part, frozen=True):
    """What is written to standard error."""

    requests: Annotated[bool, Meta(description="One line a request on standard error.")] = True
    format: Annotated[
        Literal["auto", "json", "text"], Meta(description="`auto` is text at a terminal, JSON elsewhere.")
    ] = "auto"
    bodies: Annotated[
        bool, Meta(description="Also log prompts and replies (up to 64 KiB each). Secrets never.")
    ] = False


class Alerts(Part, frozen=True):
    """Who is told when a budget is nearly used up, or a party's credit."""

    thresholds: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=100)], ...],
        Meta(description="Percent of a budget at which it is told, in the log and to `url`."),
    ] = (50, 80, 95, 100)
    balances_microkpt: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=AMOUNT_MAX)], ...],
        Meta(
            max_length=8,
            description="A party that has less left than one of these, credit line included, is told of.",
        ),
    ] = ()
    url: Annotated[
        str | None, Meta(description="Where a signed webhook goes; absent, the log alone is told.")
    ] = None
    secret: Annotated[
        str | None,
        Meta(description="What it is signed with, as env:NAME or file:PATH; base64 after `whsec_`."),
    ] = None


class TopUp(Part, frozen=True):
    """Who may credit parties by webhook: `POST /kp/v1/top-ups/NAME`."""

    name: Annotated[
        str,
        Meta(
            min_length=1, max_length=20, pattern="^[a-z0-9-]+$", description="Its name, as its path has it."
        ),
    ]
    secret: Annotated[
        str, Meta(description="What it signs with, as env:NAME or file:PATH; base64 after `whsec_`.")
    ]
    old_secret: Annotated[
        str | None, Meta(description="Another one that is still taken, while it is being replaced.")
    ] = None
    tolerance_s: Annotated[
        Seconds, Meta(description="How far a message's timestamp may be from this gateway's clock.")
    ] = 300.0

"""Who is asking: what AUTH knows of a key, its party and what they may do."""

from dataclasses import dataclass

from kpgate.domain.limits import UNLIMITED, Limits
from kpgate.domain.tier import NO_TIER, Tier

OWNER, ADMIN, OPERATOR, AUDITOR, DEVELOPER, CALL = (
    "owner",
    "admin",
    "operator",
    "auditor",
    "developer",
    "call",
)
ROLES = (OWNER, ADMIN, OPERATOR, AUDITOR, DEVELOPER, CALL)


@dataclass(frozen=True)
class Party:
    """A person or organisation that owns keys. `number` is its index in the region, never reused.

    Shape: `account` and `budget` are what its calls are charged to, 0 where there is none; `plan` is a
    plan's name.
    Units: `credit_line` microKPT, how far its balance may go below 0.
    """

    number: int
    name: str
    limits: Limits = UNLIMITED
    account: int = 0
    budget: int = 0
    credit_line: int = 0
    tier: Tier = NO_TIER
    plan: str = ""

    @property
    def terms(self) -> Limits:
        """The limits it is held to: its own, else its tier's."""
        return self.limits if self.limits != UNLIMITED else self.tier.limits


@dataclass(frozen=True)
class Caller:
    """A key as the gateway knows it. The secret is not here; `key_id` is safe to show.

    Units: `expires_us` microseconds since the epoch, 0 for never.
    Shape: `models` are names or wildcards, empty for all; `networks` are CIDR blocks, empty for any. Of a party token
    of a key `token` is the id, and its spending is counted in `cell`, as long as that carries `tag`.
    """

    key_id: str
    number: int
    party: Party
    role: str = CALL
    label: str = ""
    models: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    limits: Limits = UNLIMITED
    expires_us: int = 0
    budget: int = 0
    token: str = ""
    cell: int = 0
    tag: int = 0


ANONYMOUS = Caller("anonymous", 0, Party(0, "anonymous"))
"""Everybody, where keys are not asked for. Number 0 is given to no key and no party."""

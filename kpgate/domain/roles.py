"""Who may do what under `/admin/v1`: the one table that the paths, the OpenAPI document and its page go by.

A path without a line here is not served to anybody.
"""

import re
from typing import NamedTuple

import msgspec

from kpgate.domain.access import Network, matches, read_network
from kpgate.domain.caller import ADMIN, AUDITOR, CALL, DEVELOPER, OPERATOR, OWNER, ROLES, Caller
from kpgate.domain.errors import InvalidRequest, NotFound, RoleRequired
from kpgate.domain.limits import Limits, parse_rate

_READ = (OWNER, ADMIN, OPERATOR, AUDITOR)
_READ_OWN = (*_READ, DEVELOPER)
_RUN = (OWNER, ADMIN, OPERATOR)
_RULE = (OWNER, ADMIN)


class Line(NamedTuple):
    """A method of a path, and the roles that may use it."""

    method: str
    path: str
    roles: tuple[str, ...]


LINES = (
    Line("GET", "/admin/v1/keys", _READ_OWN),
    Line("POST", "/admin/v1/keys", (*_RUN, DEVELOPER)),
    Line("GET", "/admin/v1/keys/{id}", _READ_OWN),
    Line("DELETE", "/admin/v1/keys/{id}", (*_RUN, DEVELOPER)),
    Line("POST", "/admin/v1/keys/{id}/rotate", (*_RUN, DEVELOPER)),
    Line("GET", "/admin/v1/parties", _READ),
    Line("GET", "/admin/v1/parties/{name}", _READ_OWN),
    Line("PUT", "/admin/v1/parties/{name}", _RUN),
    Line("GET", "/admin/v1/parties/{name}/balance", _READ_OWN),
    Line("GET", "/admin/v1/parties/{name}/statement", _READ_OWN),
    Line("GET", "/admin/v1/parties/{name}/totals", _READ_OWN),
    Line("PUT", "/admin/v1/parties/{name}/credit-line", _RULE),
    Line("GET", "/admin/v1/plans", _READ),
    Line("GET", "/admin/v1/plans/{name}", _READ),
    Line("PUT", "/admin/v1/plans/{name}", _RULE),
    Line("DELETE", "/admin/v1/plans/{name}", _RULE),
    Line("GET", "/admin/v1/tiers", _READ),
    Line("GET", "/admin/v1/tiers/{name}", _READ),
    Line("PUT", "/admin/v1/tiers/{name}", _RULE),
    Line("DELETE", "/admin/v1/tiers/{name}", _RULE),
    Line("GET", "/admin/v1/prices", _READ),
    Line("GET", "/admin/v1/health", _READ),
    Line("GET", "/admin/v1/accounts", _READ),
    Line("POST", "/admin/v1/transfers", _RULE),
    Line("POST", "/admin/v1/refunds", _RULE),
    Line("PUT", "/admin/v1/budgets", _RULE),
    Line("GET", "/admin/v1/codes", _READ),
    Line("POST", "/admin/v1/codes", _RULE),
    Line("DELETE", "/admin/v1/codes/{id}", _RULE),
    Line("GET", "/admin/v1/tokens", _READ_OWN),
    Line("DELETE", "/admin/v1/tokens/{id}", (*_RUN, DEVELOPER)),
    Line("GET", "/admin/v1/holds", _READ),
    Line("GET", "/admin/v1/receipts/{call}", _READ_OWN),
    Line("POST", "/admin/v1/reload", _RUN),
    Line("GET", "/admin/v1/audit", _READ),
)
GIVES: dict[str, tuple[str, ...]] = {
    OWNER: ROLES,
    ADMIN: (OPERATOR, AUDITOR, DEVELOPER, CALL),
    OPERATOR: (DEVELOPER, CALL),
    AUDITOR: (),
    DEVELOPER: (CALL,),
    CALL: (),
}
"""Of which roles a key may make, rotate and revoke keys. Who rotates a key has it."""

_PLACE = re.compile(r"\{\w+\}")
_PATHS = {line.path: re.compile(_PLACE.sub("([^/]{1,600})", line.path)) for line in LINES}


def roles_of(method: str, path: str) -> tuple[str, ...]:
    """The roles that may use a method of a path as the table writes it. Where the method is none of its, those
    that may use any: they are told so."""
    served = [line for line in LINES if line.path == path]
    exact = [line for line in served if line.method == method]
    asked = {role for line in exact or served for role in line.roles}
    return tuple(role for role in ROLES if role in asked)


def permit(role: str, method: str, path: str) -> tuple[str, str]:
    """Let a role use a path. Shape: the path as the table writes it, and what stands in its place, as it came.

    Errors: RoleRequired, which names the roles that may; NotFound.
    """
    if role == CALL:
        raise RoleRequired("this path asks for a key that manages")
    for template, pattern in _PATHS.items():
        if match := pattern.fullmatch(path):
            roles = roles_of(method, template)
            if role not in roles:
                raise RoleRequired(f"this asks for a key with the role {_either(roles)}, not {role}")
            return template, match[1] if pattern.groups else ""
    raise NotFound(f"no such path: {path[:200]!r}")


def check_gives(giver: str, role: str) -> None:
    """Let whoever has a role make, rotate or revoke a key of another. Errors: RoleRequired."""
    if role not in GIVES[giver]:
        makers = tuple(maker for maker in ROLES if role in GIVES[maker])
        raise RoleRequired(
            f"a key of the role {role} asks for one of the role {_either(makers)}, not {giver}"
        )


def check_moves(role: str, what: str) -> None:
    """Let a role do what moves money, however it is asked for. Errors: RoleRequired."""
    if role not in _RULE:
        raise RoleRequired(f"{what} asks for a key with the role {_either(_RULE)}, not {role}")


class Wanted(NamedTuple):
    """What a new key is to be let do."""

    models: tuple[str, ...]
    networks: tuple[str, ...]
    limits: Limits
    expires_us: int


def narrowed(maker: Caller, wanted: Wanted) -> Wanted:
    """What a key may be let do that another key makes: what is not said is as the maker's own.

    Errors: InvalidRequest, which names what is wider than the maker's; RoleRequired for a maker with a budget.
    """
    if maker.budget:
        raise RoleRequired(
            "a key with a budget of its own makes no keys: what they spend would not count there"
        )
    models, networks = narrowed_models(maker.models, wanted.models), wanted.networks or maker.networks
    own = [read_network(text) for text in maker.networks]
    for text in networks if own else ():
        if not any(_contains(network, read_network(text)) for network in own):
            raise _wider("networks", repr(text))
    expires_us = wanted.expires_us or maker.expires_us
    if 0 < maker.expires_us < expires_us:
        raise _wider("expires", "so late an end")
    return Wanted(models, networks, _narrow(maker.limits, wanted.limits), expires_us)


def narrowed_models(own: tuple[str, ...], asked: tuple[str, ...]) -> tuple[str, ...]:
    """The models that may be used by what a key lets: those asked for, or its own where none is.

    Errors: InvalidRequest, which names the one that is wider.
    """
    for model in asked if own else ():
        if not any(_covers(pattern, model) for pattern in own):
            raise _wider("models", repr(model))
    return asked or own


def check_covers(asker: Caller, key: Caller) -> None:
    """Let a key give another one a new secret, which may do no more than it may itself.

    Errors: RoleRequired.
    """
    has = Wanted(key.models, key.networks, key.limits, key.expires_us)
    try:
        is_covered = narrowed(asker, has) == has
    except InvalidRequest:
        is_covered = False
    if not is_covered:
        raise RoleRequired("this key may do more than the one that asks")


def _narrow(own: Limits, asked: Limits) -> Limits:
    """Limits that are no wider. A rate may give no more in one window of its own, nor in the longer of the two."""
    for name in ("requests", "tokens"):
        rate, most = getattr(asked, name), getattr(own, name)
        if rate is not None and most is not None:
            one, other = parse_rate(rate), parse_rate(most)
            if one.units > other.units or one.units * other.window_us > other.units * one.window_us:
                raise _wider(f"limits.{name}", rate)
        burst, burst_max = getattr(asked, f"{name}_burst"), getattr(own, f"{name}_burst")
        if most is not None and burst is not None and burst > (burst_max or parse_rate(most).units):
            raise _wider(f"limits.{name}_burst", str(burst))
    if own.concurrency is not None and (asked.concurrency or 0) > own.concurrency:
        raise _wider("limits.concurrency", str(asked.concurrency))
    said = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not None}
    return msgspec.structs.replace(own, **said)


def _covers(pattern: str, other: str) -> bool:
    """Whether all that a pattern matches is matched by another: star by star where both have them."""
    return pattern == other or ("*" not in other and matches(pattern, other)) or _is_prefix(pattern, other)


def _is_prefix(pattern: str, other: str) -> bool:
    """Whether a pattern is one beginning, and whatever another one matches begins so."""
    start = pattern[:-1]
    return pattern.endswith("*") and "*" not in start and other.partition("*")[0].startswith(start)


def _contains(outer: Network, inner: Network) -> bool:
    return outer.mask & inner.mask == outer.mask and outer.holds((inner.version, inner.base))


def _wider(field: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {what} is more than the key that asks has itself", param=field)


def _either(roles: tuple[str, ...]) -> str:
    *rest, last = roles
    return f"{', '.join(rest)} or {last}" if rest else last

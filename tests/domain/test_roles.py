"""Who may do what: the table is whole, what is given is never wider than what is had."""

import re
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.app.openapi import document
from kpgate.domain.access import matches, read_network
from kpgate.domain.caller import ADMIN, AUDITOR, CALL, DEVELOPER, OPERATOR, OWNER, ROLES, Caller, Party
from kpgate.domain.errors import InvalidRequest, NotFound, RoleRequired
from kpgate.domain.limits import UNLIMITED, Limits, parse_rate
from kpgate.domain.roles import (
    GIVES,
    LINES,
    Wanted,
    check_covers,
    check_gives,
    check_moves,
    narrowed,
    permit,
    roles_of,
)

ROOT = Path(__file__).parents[2]
PARTY = Party(1, "acme")


def test_every_path_of_management_has_its_line_and_the_document_says_the_same():
    served = {
        (method.upper(), path): tuple(operation["x-kpgate-roles"])
        for path, entry in document()["paths"].items()
        if path.startswith("/admin/")
        for method, operation in entry.items()
        if method != "parameters"
    }
    assert served == {(line.method, line.path): line.roles for line in LINES}
    assert len(served) == len(LINES)


def test_the_page_says_the_same_as_the_table():
    page = (ROOT / "docs/management.md").read_text()
    rows = re.findall(r"^\| `(\w+) (/admin\S+)` \|(.*)\|$", page, re.MULTILINE)
    found = {
        (method, path): [bool(cell.strip()) for cell in cells.split("|")] for method, path, cells in rows
    }
    columns = (OWNER, ADMIN, OPERATOR, AUDITOR, DEVELOPER)
    assert found == {(line.method, line.path): [role in line.roles for role in columns] for line in LINES}


def test_the_table_keeps_its_own_rules():
    for line in LINES:
        assert CALL not in line.roles and OWNER in line.roles and ADMIN in line.roles
        assert AUDITOR not in line.roles or line.method == "GET", "an auditor changes nothing"
    # Who moves no money is kept from it by what operations do: tests/life/test_roles.py.
    for giver, roles in GIVES.items():
        assert giver == OWNER or giver not in roles, "nobody makes their own kind but the owner"
        for role in roles:
            assert set(GIVES[role]) <= set(roles), "no way round by a key that was made"


def test_a_path_is_found_by_what_came():
    assert permit(OWNER, "GET", "/admin/v1/parties/acme%20inc/balance")[1] == "acme%20inc"
    assert permit(DEVELOPER, "GET", "/admin/v1/keys") == ("/admin/v1/keys", "")
    for path in ("/admin/v1/nothing", "/admin/v1/keys/a/b", "/admin/v1/parties//balance", "/admin/v1/keys/"):
        with pytest.raises(NotFound):
            permit(AUDITOR, "GET", path)
        with pytest.raises(RoleRequired):
            permit(CALL, "GET", path)
    with pytest.raises(RoleRequired, match="owner or admin, not operator"):
        permit(OPERATOR, "POST", "/admin/v1/transfers")
    # A method that is not served is told so by whoever serves, if the role may use any.
    assert permit(ADMIN, "PATCH", "/admin/v1/transfers")[0] == "/admin/v1/transfers"
    assert roles_of("PATCH", "/admin/v1/transfers") == (OWNER, ADMIN)


@pytest.mark.parametrize("role", ROLES)
def test_who_moves_money_is_owner_or_admin(role: str):
    if role in (OWNER, ADMIN):
        check_moves(role, "it")
    else:
        with pytest.raises(
            RoleRequired, match=f"^it asks for a key with the role owner or admin, not {role}$"
        ):
            check_moves(role, "it")


@pytest.mark.parametrize(("giver", "role"), list(product(ROLES, ROLES)))
def test_a_role_gives_what_the_table_says(giver: str, role: str):
    if role in GIVES[giver]:
        check_gives(giver, role)
    else:
        with pytest.raises(RoleRequired, match=f"not {giver}$"):
            check_gives(giver, role)


def maker(**terms: object) -> Caller:
    return Caller("maker", 1, PARTY, role=DEVELOPER, **terms)  # type: ignore[arg-type]


def want(models: tuple[str, ...] = (), networks: tuple[str, ...] = (), limits: Limits = UNLIMITED) -> Wanted:
    return Wanted(models, networks, limits, 0)


def test_what_is_not_said_is_as_the_maker_s():
    own = maker(models=("a*",), networks=("10.0.0.0/8",), limits=Limits(requests="9/s"), expires_us=7)
    assert narrowed(own, want()) == Wanted(("a*",), ("10.0.0.0/8",), Limits(requests="9/s"), 7)
    free = want(("x",), ("1.2.3.4",), Limits(concurrency=3))
    assert narrowed(maker(), free) == free


@pytest.mark.parametrize(
    ("own", "asked", "param"),
    [
        ({"models": ("a*",)}, want(models=("b",)), "models"),
        ({"models": ("a*",)}, want(models=("*",)), "models"),
        ({"models": ("a*",)}, want(models=("abc", "*a*")), "models"),
        ({"models": ("a*c",)}, want(models=("a*",)), "models"),
        ({"networks": ("10.0.0.0/8",)}, want(networks=("0.0.0.0/0",)), "networks"),
        ({"networks": ("10.0.0.0/8",)}, want(networks=("10.0.0.0/7",)), "networks"),
        ({"networks": ("10.0.0.0/8",)}, want(networks=("::/0",)), "networks"),
        ({"networks": ("10.0.0.0/8",)}, want(networks=("::a00:0/128",)), "networks"),
        ({"limits": Limits(requests="60/min")}, want(limits=Limits(requests="61/min")), "limits.requests"),
        ({"limits": Limits(requests="60/min")}, want(limits=Limits(requests="2/s")), "limits.requests"),
        ({"limits": Limits(requests="60/min")}, want(limits=Limits(requests="3600/h")), "limits.requests"),
        ({"limits": Limits(tokens="9/s")}, want(limits=Limits(tokens="10/s")), "limits.tokens"),
        (
            {"limits": Limits(requests="60/min")},
            want(limits=Limits(requests="9/min", requests_burst=61)),
            "limits.requests_burst",
        ),
        (
            {"limits": Limits(requests="60/min", requests_burst=5)},
            want(limits=Limits(requests="9/min", requests_burst=6)),
            "limits.requests_burst",
        ),
        ({"limits": Limits(concurrency=3)}, want(limits=Limits(concurrency=4)), "limits.concurrency"),
    ],
)
def test_what_is_wider_is_refused_by_name(own: dict[str, object], asked: Wanted, param: str):
    with pytest.raises(InvalidRequest) as caught:
        narrowed(maker(**own), asked)
    assert caught.value.param == param


def test_a_key_ends_no_later_than_the_one_that_made_it():
    with pytest.raises(InvalidRequest, match="expires"):
        narrowed(maker(expires_us=5), Wanted((), (), UNLIMITED, 6))
    assert narrowed(maker(expires_us=5), Wanted((), (), UNLIMITED, 4)).expires_us == 4


patterns = st.text("ab*", min_size=1, max_size=5)


@given(patterns, patterns, st.text("ab", max_size=6))
def test_no_pattern_lets_more_in_than_the_maker_s(own: str, asked: str, name: str):
    try:
        given_models = narrowed(maker(models=(own,)), want(models=(asked,))).models
    except InvalidRequest:
        return
    assert not any(matches(one, name) for one in given_models) or matches(own, name)


blocks = st.tuples(st.sampled_from(["10.1.2.3", "10.200.0.1", "192.168.0.1"]), st.integers(0, 32))


@given(blocks, blocks)
def test_no_network_is_wider_than_the_maker_s(own: tuple[str, int], asked: tuple[str, int]):
    outer, inner = (f"{address}/{length}" for address, length in (own, asked))
    try:
        narrowed(maker(networks=(outer,)), want(networks=(inner,)))
    except InvalidRequest:
        return
    block = read_network(inner)
    last = block.base | (~block.mask & 0xFFFFFFFF)
    assert all(read_network(outer).holds((4, at)) for at in (block.base, last))


rates = st.builds("{}/{}".format, st.integers(1, 10**6), st.sampled_from(["s", "min", "h", "d"]))


@given(rates, rates)
def test_no_rate_gives_more_than_the_maker_s(own: str, asked: str):
    try:
        narrowed(maker(limits=Limits(requests=own)), want(limits=Limits(requests=asked)))
    except InvalidRequest:
        return
    one, most = parse_rate(asked), parse_rate(own)
    for span_us in (one.window_us, most.window_us, 86_400_000_000):
        # What a bucket gives in a span: its burst, and what flows in meanwhile.
        assert one.units + one.units * span_us / one.window_us <= (
            most.units + most.units * span_us / most.window_us
        ) * (1 + 1e-9)


def test_a_key_is_covered_by_one_that_may_as_much():
    key = Caller("other", 2, PARTY, models=("abc",), limits=Limits(concurrency=2))
    check_covers(maker(), key)
    check_covers(maker(models=("a*",), limits=Limits(concurrency=2)), key)
    for terms in (
        {"models": ("b*",)},
        {"limits": Limits(concurrency=1)},
        {"limits": Limits(requests="9/s")},
        {"networks": ("10.0.0.0/8",)},
        {"expires_us": 5},
        {"budget": 3},
    ):
        with pytest.raises(RoleRequired):
            check_covers(maker(**terms), key)


def test_a_key_with_a_budget_makes_none():
    with pytest.raises(RoleRequired, match="budget"):
        narrowed(maker(budget=3), want())

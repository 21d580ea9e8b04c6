"""Party tokens over a real ledger: whose a budget's number is, at every moment, and what outlives a crash."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.credit import DONE, GONE, OVER_BUDGET, Decision, Purse
from kpgate._fast.wait import clock
from kpgate.app.areas import areas
from kpgate.app.bank import Bank
from kpgate.app.control import new_random, wall_us
from kpgate.app.directory import Directory
from kpgate.app.ledger_cli import entries_of
from kpgate.domain.audit import Actor, Page
from kpgate.domain.errors import (
    IdReused,
    InvalidApiKey,
    InvalidRequest,
    NotFound,
    RoleRequired,
    TooManyTokens,
)
from kpgate.domain.invariants import check
from kpgate.domain.ledger import note_end, note_hold
from kpgate.domain.management import Asked, CreateKey, RevokeKey, build
from kpgate.domain.money import Movement, SetBudget, Transfer
from kpgate.domain.settings import Ledger
from kpgate.domain.token import (
    KEPT_US,
    LIFE_MAX_US,
    LIVE_MAX,
    ListTokens,
    RevokeToken,
    RotateTokenSigner,
    ShowToken,
    SignToken,
    Token,
)
from kpgate.domain.usage import Usage
from kpgate.services.management import Management
from kpgate.services.tokens import Tokens
from kpgate.stores.audit import SqliteAudit
from kpgate.stores.sqlite import SqliteStore
from kpgate.stores.standing import SqliteStanding
from kpgate.stores.tokens import SqliteTokens
from tests.kit.vault import PRICE

SETTINGS = Ledger(enabled=True, accounts_max=64)
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
NOBODY = Actor("cli")


class Node:
    """A data directory with a key, and the bank at work in it. `late_us` is how far the wall clock is ahead."""

    def __init__(self, root: Path) -> None:
        self.directory = Directory(root)
        self.directory.prepare()
        self.late_us = 0
        self.asked = 0
        self.begin(Region.create(areas(SETTINGS), 1))
        self.version = self.store.number("price", [PRICE.terms])[PRICE.terms]
        gift = Movement(kind="issue", party="acme", amount=1_000_000)
        self.bank.treasury.answer(Transfer(id=self.next_id(), movements=(gift,)))
        self.key = self.new_key()

    def now_us(self) -> int:
        return wall_us() + self.late_us

    def begin(self, region: Region) -> None:
        pepper = self.directory.pepper()
        self.region = region
        self.store = SqliteStore(self.directory.store)
        self.life = Life.claim(self.directory.run, 0, 1)
        self.published: list[tuple[int, int]] = []
        audit = SqliteAudit(self.store.connection)
        self.management = Management(self.store, pepper, self.publish, self.now_us, audit.append)
        seat = Seat(region, self.life)
        self.bank = Bank(self.directory, seat, SETTINGS, self.store, self.management.catch_up, self.now_us)
        self.bank.stand()

    def publish(self, kind: int, number: int) -> bool:
        self.published.append((kind, number))
        return True

    def leave(self) -> None:
        self.bank.poster.write()
        self.life.close()
        self.store.close()

    def again(self, *, whole: bool = True) -> None:
        """All processes go, or the clerk alone: the region then stands."""
        self.leave()
        self.begin(Region.create(areas(SETTINGS), 1) if whole else self.region)

    def next_id(self) -> str:
        self.asked += 1
        return f"request-{self.asked}"

    def new_key(self, **fields: Any) -> str:
        asked = {"id": self.next_id(), "party": "acme", "random": new_random(), **fields}
        return str(self.management.answer(build(CreateKey, asked), NOBODY)["id"])

    def do(self, kind: type, **fields: Any) -> dict[str, Any]:
        return self.bank.tokens.answer(Asked(build(kind, {"id": self.next_id(), **fields}), NOBODY))

    def sign(self, cap: int = 100, key: str = "", **fields: Any) -> Token:
        answer = self.do(SignToken, key=key or self.key, cap=cap, **fields)
        found = SqliteTokens(self.store.connection).get(answer["id"])
        assert found is not None
        return found.token

    def known(self, where: str) -> Token:
        """The one token that the store has of a kind."""
        ((token_id,),) = self.store.connection.execute(f"SELECT id FROM tokens WHERE {where}").fetchall()
        found = SqliteTokens(self.store.connection).get(str(token_id))
        assert found is not None
        return found.token

    def hold(self, token: Token, amount: int) -> tuple[int, Decision]:
        account, party = self.bank.ledger.number_of("spend:acme"), self.bank.ledger.party("acme")
        assert account is not None and party is not None
        purse = Purse(account, (token.budget,), party=party, key=token.key, tags=(token.tag,))
        decision = Decision()
        note = note_hold("request", "model", self.version, 1, 1, 10_000)
        return self.bank.credit.hold(clock(), self.region.generation, purse, amount, note, decision), decision

    def spend(self, token: Token, amount: int) -> None:
        code, decision = self.hold(token, amount)
        assert code == DONE
        self.end(decision, amount)

    def end(self, decision: Decision, actual: int) -> None:
        note = note_end("provider", "deployment", 1, 200, self.version, Usage(actual, 0))
        assert self.bank.credit.post(clock(), decision.handle, actual, 0, note) == DONE

    def used(self, token: Token) -> tuple[int | None, int | None]:
        shown = self.do(ShowToken, token=token.id)
        return shown["used_microkpt"], shown["held_microkpt"]

    def problems(self) -> tuple[str, ...]:
        self.bank.poster.post_all()
        with SqliteStanding(self.store.connection).at_one_instant() as standing:
            return check(standing, entries_of(self.directory.root / "journal")).problems

    def wait_for_end_of(self, token: Token) -> None:
        self.late_us = token.expires_us + KEPT_US - wall_us() + 1_000_000


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    assert node.problems() == ()
    node.leave()


def test_a_cap_is_a_budget_that_crashes_do_not_forget(node: Node) -> None:
    token = node.sign(100)
    node.spend(token, 30)
    code, decision = node.hold(token, 71)
    assert (code, decision.budget, decision.free) == (OVER_BUDGET, token.budget, 70)
    assert node.used(token) == (30, 0)
    for whole in (False, True, True):
        node.again(whole=whole)
        assert node.used(token) == (30, 0)
        assert node.hold(token, 71)[0] == OVER_BUDGET
    assert node.hold(token, 70)[0] == DONE and node.used(token) == (30, 70)
    # All processes go while it is under way: nothing was metered, so nothing is charged.
    node.again()
    assert node.used(token) == (30, 0)
    node.spend(token, 70)
    assert node.hold(token, 1)[0] == OVER_BUDGET


def test_a_number_serves_one_token_after_the_other_and_never_two(node: Node) -> None:
    first = node.sign(100, life_us=HOUR_US)
    other = node.sign(100, life_us=2 * HOUR_US)
    assert first.budget != other.budget
    node.spend(first, 60)
    node.late_us = first.expires_us - wall_us() + KEPT_US - 5_000_000
    assert node.sign().budget not in (first.budget, other.budget), "not before a quarter of an hour is over"
    node.wait_for_end_of(first)
    code, open_call = node.hold(first, 40)
    assert code == DONE
    assert node.sign().budget != first.budget, "not while something is held"
    node.end(open_call, 40)
    # That end is not posted yet when the number is given on: it is counted for the one before.
    second = node.sign(50)
    assert (second.budget, second.tag) == (first.budget, first.tag + 1)
    assert node.hold(first, 1)[0] == GONE
    assert (node.used(first), node.used(second)) == ((None, None), (0, 0))
    node.spend(second, 50)
    assert node.hold(second, 1)[0] == OVER_BUDGET
    for whole in (False, True):
        node.again(whole=whole)
        assert node.used(second) == (50, 0) and node.hold(first, 1)[0] == GONE
    uses = dict(
        node.store.connection.execute("SELECT window, used FROM budget_uses WHERE period = 3").fetchall()
    )
    assert uses == {first.tag: 100, second.tag: 50}


def die(*_: object) -> None:
    raise KeyboardInterrupt


def die_while_signing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clerk dies once the region counts for a new token, and the store does not know of it."""
    with monkeypatch.context() as patched:
        patched.setattr(SqliteTokens, "add", die)
        with pytest.raises(KeyboardInterrupt):
            node.sign(50)


def test_a_clerk_that_dies_in_between_gives_nothing_away(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    first = node.sign(100)
    node.spend(first, 60)
    node.wait_for_end_of(first)
    die_while_signing(node, monkeypatch)
    assert node.hold(first, 1)[0] == GONE, "the region has the next tag, the store has not"
    node.again(whole=False)
    assert node.used(first) == (60, 0), "as the store has it"
    second = node.sign(50)
    assert (second.budget, second.tag) == (first.budget, first.tag + 1) and node.used(second) == (0, 0)
    asked = {"key": node.key, "cap": 70, "id": "once-and-again"}
    with monkeypatch.context() as patched:
        patched.setattr(Tokens, "_enforce", die)
        with pytest.raises(KeyboardInterrupt):
            node.do(SignToken, **asked)
    (lost,) = [one for one in node.do(ListTokens)["tokens"] if one["cap_microkpt"] == 70]
    assert lost["used_microkpt"] is None, "the store has a new number, the region has not"
    answer = node.do(SignToken, **asked)
    assert (answer["id"], answer["used_microkpt"]) == (lost["id"], 0), "asking again brings it into force"
    with monkeypatch.context() as patched:
        patched.setattr(Tokens, "_enforce", die)
        with pytest.raises(KeyboardInterrupt):
            node.sign(80)
    node.again(whole=False)
    assert [one["used_microkpt"] for one in node.do(ListTokens)["tokens"]] == [0, 0, 0]


def test_a_clock_that_is_set_back_gives_no_cap_a_second_time(node: Node) -> None:
    asked = {"key": node.key, "cap": 100, "id": "once-and-again"}
    node.do(SignToken, **asked)
    first = node.known("cap = 100")
    node.spend(first, 100)
    node.wait_for_end_of(first)
    second = node.sign(90)
    assert second.budget == first.budget
    node.spend(second, 60)
    node.late_us = 0
    assert node.do(SignToken, **asked)["used_microkpt"] is None, "its number is another's by now"
    assert node.hold(first, 1)[0] == GONE
    assert node.used(second) == (60, 0) and node.hold(second, 31)[0] == OVER_BUDGET


def test_a_token_that_is_brought_into_force_again_has_spent_what_it_had(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"key": node.key, "cap": 100, "id": "once-and-again"}
    node.do(SignToken, **asked)
    token = node.known("cap = 100")
    node.spend(token, 60)
    node.wait_for_end_of(token)
    die_while_signing(node, monkeypatch)
    assert node.hold(token, 1)[0] == GONE, "the region has the next tag, the store has not"
    node.late_us = 0
    assert node.do(SignToken, **asked)["used_microkpt"] == 60
    assert node.hold(token, 41)[0] == OVER_BUDGET
    node.spend(token, 40)


def test_of_a_wall_clock_that_is_set_back_no_token_lives_anew(node: Node) -> None:
    first = node.sign(100, life_us=HOUR_US)
    node.spend(first, 100)
    journal = node.bank.journal
    journal.set_anchor(journal.anchor_us + HOUR_US + KEPT_US + MINUTE_US)
    node.late_us = -HOUR_US
    assert node.do(ListTokens)["tokens"] == []
    second = node.sign(50, life_us=MINUTE_US)
    assert (second.budget, second.tag) == (first.budget, first.tag + 1)
    assert second.made_us > first.expires_us


def test_a_token_is_never_wider_than_its_key(node: Node) -> None:
    ends_us = node.now_us() + HOUR_US
    narrow = node.new_key(models=["gpt-*", "echo"], expires_us=ends_us)
    token = node.sign(key=narrow)
    assert (token.models, token.expires_us) == (("gpt-*", "echo"), ends_us - ends_us % 1_000_000)
    assert node.sign(key=narrow, models=["gpt-4o", "echo"]).models == ("gpt-4o", "echo")
    for wider in ({"models": ["claude-3"]}, {"models": ["*"]}, {"life_us": 2 * HOUR_US}):
        with pytest.raises(InvalidRequest, match=r"more than the key|the key itself"):
            node.sign(key=narrow, **wider)
    node.bank.treasury.answer(SetBudget(id=node.next_id(), key=narrow, day=500, total=1_000))
    assert node.sign(500, key=narrow).cap == 500
    with pytest.raises(InvalidRequest, match="may spend 500"):
        node.sign(501, key=narrow)
    for life_us in (-1, LIFE_MAX_US + 1):
        with pytest.raises(InvalidRequest, match="life_us"):
            node.sign(life_us=life_us)
    day = node.sign(life_us=LIFE_MAX_US)
    assert day.expires_us - day.made_us == LIFE_MAX_US
    with pytest.raises(RoleRequired):
        node.sign(key=node.new_key(role="auditor"))
    with pytest.raises(NotFound):
        node.sign(key="nobody")
    node.management.answer(RevokeKey(id=node.next_id(), key=narrow), NOBODY)
    with pytest.raises(InvalidApiKey):
        node.sign(key=narrow)


def test_asked_twice_it_is_one_token_and_one_row(node: Node) -> None:
    asked = {"key": node.key, "cap": 70, "label": "phone", "id": "mine-0001"}
    first = node.do(SignToken, **asked)
    node.again()
    assert node.do(SignToken, life_us=MINUTE_US, **asked) == first, "its end is that of the first time"
    with pytest.raises(IdReused):
        node.do(SignToken, **(asked | {"cap": 71}))
    other = node.do(SignToken, **(asked | {"key": node.new_key()}))
    assert other["id"] != first["id"], "ids are each key's own"
    rows = SqliteAudit(node.store.connection).select(Page(count=100))
    signed = [msgspec.json.decode(row.about) for row in rows if row.act == "tokens.sign"]
    assert [(row["token"], row["cap"]) for row in signed] == [(other["id"], 70), (first["id"], 70)]
    assert not any(first["token"] in row.about for row in rows)


def test_no_more_live_tokens_than_a_key_may_have(node: Node) -> None:
    # As many as there may be, kept without their budgets: what is counted are rows.
    now_us, number = node.now_us(), node.sign().key
    live = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    node.store.connection.execute(
        f"{live} INSERT INTO tokens (id, key, budget, tag, cap, models, label, signer, made_us, expires_us, content)"
        " SELECT 'made-' || i, ?, 1, 0, 1, '[]', '', 1, ?, ?, x'' FROM n",
        (LIVE_MAX - 1, number, now_us, now_us + MINUTE_US),
    )
    last = node.sign()
    with pytest.raises(TooManyTokens) as refused:
        node.sign()
    assert 0 < refused.value.retry_after_us <= MINUTE_US
    assert node.sign(key=node.new_key()).cap == 100, "another key has its own"
    node.do(RevokeToken, token=last.id)
    assert node.sign().cap == 100
    node.late_us = 2 * MINUTE_US
    for _ in range(3):
        node.sign()


def test_a_node_without_room_says_so(node: Node) -> None:
    for _ in range(SETTINGS.accounts_max - 1):
        node.sign()
    with pytest.raises(TooManyTokens, match="accounts_max"):
        node.sign()
    assert len(node.do(ListTokens, count=1000)["tokens"]) == SETTINGS.accounts_max - 1


def test_tokens_are_listed_and_revoked_by_those_whose_they_are(node: Node) -> None:
    other = node.new_key(party="other")
    own = [node.sign() for _ in range(5)]
    theirs = node.sign(key=other)
    first = node.do(ListTokens, key=node.key, count=3)
    rest = node.do(ListTokens, key=node.key, after=first["after"])
    assert [one["id"] for one in first["tokens"] + rest["tokens"]] == [one.id for one in own]
    assert rest["after"] is None
    (shown,) = node.do(ListTokens, party="other")["tokens"]
    assert (shown["id"], shown["key"], shown["party"]) == (theirs.id, other, "other")
    assert len(node.do(ListTokens)["tokens"]) == 6
    for whose in ({"key": node.key}, {"party": "acme"}):
        with pytest.raises(NotFound):
            node.do(RevokeToken, token=theirs.id, **whose)
    node.published.clear()
    revoked = node.do(RevokeToken, token=theirs.id, key=other)
    assert revoked["revoked_at"] and node.published == [(17, theirs.number)]
    assert node.do(RevokeToken, token=theirs.id) == revoked
    assert node.do(ListTokens, party="other")["tokens"] == []
    # Ends are whole seconds: the last may be signed in a later one than the first.
    node.late_us = own[-1].expires_us - wall_us()
    assert node.do(ListTokens)["tokens"] == []


def test_a_new_key_signs_and_the_one_before_is_believed_for_a_day_or_no_more(node: Node) -> None:
    assert node.sign().signer == 1
    for at_once in (False, True):
        before = node.now_us()
        node.published.clear()
        answer = node.do(RotateTokenSigner, at_once=at_once)
        signers = SqliteTokens(node.store.connection).signers()
        assert signers.known[-1] == (answer["signer"], 0) and node.sign().signer == answer["signer"]
        until_us = signers.known[-2][1]
        assert before <= until_us - (0 if at_once else LIFE_MAX_US) <= node.now_us()
        assert node.published[0] == (18, answer["signer"])
    assert all(until_us <= node.now_us() for _, until_us in signers.known[:-1]), "of none before it"


def test_what_a_store_says_wrongly_of_tokens_is_found(node: Node) -> None:
    token = node.sign(100)
    node.spend(token, 60)
    assert node.problems() == ()
    connection = node.store.connection
    connection.execute("UPDATE tokens SET cap = 59")
    assert any("its cap is 59" in problem for problem in node.problems())
    connection.execute("UPDATE tokens SET cap = 100, tag = 9")
    assert any("never signed" in problem for problem in node.problems())
    connection.execute("UPDATE tokens SET tag = 1")
    connection.execute("UPDATE budget_uses SET used = 59 WHERE period = 3")
    assert any("not what its calls were charged" in problem for problem in node.problems())
    connection.execute("UPDATE budget_uses SET used = 60 WHERE period = 3")

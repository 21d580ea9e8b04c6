"""One contract, every store of keys."""

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from kpgate.domain.caller import Caller, Party
from kpgate.domain.errors import Conflict, StoreUnavailable
from kpgate.domain.keys import StoredKey
from kpgate.domain.limits import Limits
from kpgate.domain.plan import NO_PLAN, Plan
from kpgate.domain.tier import NO_TIER, Tier
from kpgate.stores.memory import MemoryKeys
from kpgate.stores.protocol import KEY, PARTY, TIER, KeyReader, Page, Receipt, Store
from kpgate.stores.sqlite import SqliteReader, SqliteStore

LIMITS = Limits(requests="600/min", concurrency=3)


@pytest.fixture(params=["memory", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, KeyReader]]:
    if request.param == "memory":
        both = MemoryKeys()
        yield both, both
        return
    store = SqliteStore(tmp_path / "kpgate.db")
    reader = SqliteReader(tmp_path / "kpgate.db")
    yield store, reader
    reader.close()
    store.close()


def key(key_id: str = "one", party: str = "acme", **fields: Any) -> StoredKey:
    return StoredKey(Caller(key_id, 0, Party(0, party), **fields), created_us=5)


def add(store: Store, made: StoredKey, digest: bytes) -> StoredKey:
    with store.transaction():
        return store.create(made, digest)


def test_a_key_is_found_by_the_hash_of_its_secret(stores: tuple[Store, KeyReader]) -> None:
    store, reader = stores
    sent = key(role="admin", label="ci", models=("a", "b*"), networks=("::/0",), limits=LIMITS, expires_us=9)
    made = add(store, sent, b"a" * 16)
    assert (made.caller.number, made.caller.party.number) == (1, 1)
    found = reader.find(b"a" * 16)
    assert found is not None and found.key == made and found.until_us == 0
    assert store.get("one") == made and store.get("two") is None and reader.find(b"b" * 16) is None
    assert reader.all_digests() == reader.digests(1) == [b"a" * 16]


def test_numbers_of_keys_and_parties_rise_and_parties_are_shared(stores: tuple[Store, KeyReader]) -> None:
    store, _ = stores
    made = [add(store, key(f"k{i}", f"p{i % 2}"), bytes([i]) * 16) for i in range(4)]
    assert [one.caller.number for one in made] == [1, 2, 3, 4]
    assert [one.caller.party.number for one in made] == [1, 2, 1, 2]
    assert [one.caller.key_id for one in store.select(Page(after=1, count=2))] == ["k1", "k2"]
    assert [one.caller.key_id for one in store.select(Page(party="p1"))] == ["k1", "k3"]


def test_the_same_id_or_hash_is_refused_and_leaves_nothing(stores: tuple[Store, KeyReader]) -> None:
    store, reader = stores
    add(store, key("one"), b"a" * 16)
    for again, digest in ((key("one", "new"), b"b" * 16), (key("two", "new"), b"a" * 16)):
        with pytest.raises(Conflict):
            add(store, again, digest)
    assert len(store.select(Page(revoked=True))) == 1 and reader.find(b"b" * 16) is None
    assert add(store, key("three", "other"), b"c" * 16).caller.party.number == 2


def test_a_rotated_secret_ends_and_an_earlier_end_stands(stores: tuple[Store, KeyReader]) -> None:
    store, reader = stores
    add(store, key(), b"a" * 16)
    with store.transaction():
        store.rotate(1, b"b" * 16, 100)
    with store.transaction():
        store.rotate(1, b"c" * 16, 200)
    ends = {digest: found.until_us for digest in reader.digests(1) if (found := reader.find(digest))}
    assert ends == {b"a" * 16: 100, b"b" * 16: 200, b"c" * 16: 0}
    with pytest.raises(Conflict), store.transaction():
        store.rotate(1, b"a" * 16, 300)
    found = reader.find(b"c" * 16)
    assert found is not None and found.until_us == 0


def test_a_revoked_key_is_still_found_and_no_longer_listed(stores: tuple[Store, KeyReader]) -> None:
    store, reader = stores
    add(store, key(), b"a" * 16)
    for now_us in (7, 8):
        with store.transaction():
            store.revoke(1, now_us)
    found = reader.find(b"a" * 16)
    assert found is not None and found.key.revoked_us == 7
    assert store.select(Page()) == [] and len(store.select(Page(revoked=True))) == 1
    assert reader.digests(1) == reader.all_digests() == []


def test_every_change_leaves_a_trace_in_order(stores: tuple[Store, KeyReader]) -> None:
    store, _ = stores
    add(store, key("one"), b"a" * 16)
    add(store, key("two"), b"b" * 16)
    with store.transaction():
        store.set_party("acme", LIMITS)
        store.rotate(2, b"c" * 16, 9)
        store.revoke(1, 9)
    seen = [(change.kind, change.number) for change in store.changes(0)]
    assert list(dict.fromkeys(seen)) == [(KEY, 1), (KEY, 2), (PARTY, 1)] and seen[-1] == (KEY, 1)
    positions = [change.position for change in store.changes(0)]
    assert positions == sorted(set(positions))
    assert [c.position for c in store.changes(positions[1])] == positions[2:]


def test_a_party_keeps_its_limits_and_its_keys_have_them(stores: tuple[Store, KeyReader]) -> None:
    store, reader = stores
    add(store, key(), b"a" * 16)
    with store.transaction():
        assert store.set_party("acme", LIMITS) == Party(1, "acme", LIMITS)
        assert store.set_party("other", LIMITS).number == 2
    found = reader.find(b"a" * 16)
    assert found is not None and found.key.caller.party.limits == LIMITS
    assert add(store, key("two"), b"b" * 16).caller.party.limits == LIMITS


def test_a_tier_s_terms_are_its_parties_at_once(stores: tuple[Store, KeyReader]) -> None:
    store, reader = stores
    add(store, key(), b"a" * 16)
    with store.transaction():
        gold = store.set_tier(Tier(0, "gold", LIMITS, ("a*",), 7, 5_000, 900))
        assert gold.number == 1 and store.set_tier(Tier(0, "basic")).number == 2
        assert store.set_party("acme", None, gold).tier == gold
    found = reader.find(b"a" * 16)
    assert found is not None and found.key.caller.party == Party(1, "acme", tier=gold)
    assert found.key.caller.party.terms == LIMITS and store.party("acme") == found.key.caller.party
    start = store.changes(0)[-1].position
    with store.transaction():
        better = store.set_tier(Tier(0, "gold", priority=9))
    assert better.number == 1
    assert [(one.kind, one.number) for one in store.changes(start)] == [(TIER, 1)]
    found = reader.find(b"a" * 16)
    assert found is not None and found.key.caller.party.tier == better
    with store.transaction():
        store.set_party("acme", LIMITS)
    assert store.party("acme") == Party(1, "acme", LIMITS, tier=better)


def test_tiers_and_parties_are_listed_and_unused_ones_go(stores: tuple[Store, KeyReader]) -> None:
    store, _ = stores
    with store.transaction():
        gold, basic = store.set_tier(Tier(0, "gold")), store.set_tier(Tier(0, "basic"))
        for name in ("b", "a", "c"):
            store.set_party(name, None, gold)
    assert store.tiers() == [basic, gold] and store.tier("gold") == gold and store.tier("none") is None
    assert [party.name for party in store.parties(0, 2)] == ["b", "a"]
    assert [party.name for party in store.parties(2, 2)] == ["c"] and store.party("d") is None
    assert store.is_used(gold) and not store.is_used(basic)
    with store.transaction():
        store.delete_tier(basic)
        assert store.set_party("a", None, NO_TIER).tier == NO_TIER
        assert store.set_tier(Tier(0, "basic")).number == 3, "a number is never given again"
    assert store.party("a") == Party(2, "a")


def test_plans_are_kept_and_given(stores: tuple[Store, KeyReader]) -> None:
    store, reader = stores
    add(store, key(), b"a" * 16)
    with store.transaction():
        monthly = store.set_plan(Plan(0, "monthly", "subscription", 700, 0, "gold"))
        assert monthly.number == 1 and store.set_plan(Plan(0, "line", "credit_line", 0, 9)).number == 2
        assert store.set_party("acme", None, plan=monthly).plan == "monthly"
    found = reader.find(b"a" * 16)
    assert found is not None and found.key.caller.party.plan == "monthly"
    assert [plan.name for plan in store.plans()] == ["line", "monthly"] and store.plan("none") is None
    assert store.has_parties(monthly) and not store.has_parties(store.plans()[0])
    with store.transaction():
        store.set_party("acme", LIMITS)
        assert store.set_plan(Plan(0, "monthly")).number == 1
    assert store.plan("monthly") == Plan(1, "monthly")
    with store.transaction():
        assert store.set_party("acme", None, plan=NO_PLAN) == Party(1, "acme", LIMITS)
        store.delete_plan(monthly)
        assert store.set_plan(Plan(0, "monthly")).number > 2, "a number is never given again"


def test_names_get_numbers_of_their_own_for_ever(stores: tuple[Store, KeyReader]) -> None:
    store, _ = stores
    with store.transaction():
        assert store.number("model", ["a", "b"]) == {"a": 1, "b": 2}
        assert store.number("deployment", ["b"]) == {"b": 1}
        assert store.number("model", ["c", "a"]) == {"c": 3, "a": 1}


def test_a_transaction_that_fails_leaves_nothing(stores: tuple[Store, KeyReader]) -> None:
    store, reader = stores
    with suppress(ZeroDivisionError), store.transaction():
        store.create(key(), b"a" * 16)
        store.number("model", ["a"])
        store.keep("request", Receipt(b"x", b"{}"))
        raise ZeroDivisionError
    assert reader.find(b"a" * 16) is None and not store.changes(0) and store.receipt("request") is None
    with store.transaction():
        assert store.number("model", ["b"]) == {"b": 1}


def test_receipts_are_remembered(stores: tuple[Store, KeyReader]) -> None:
    store, _ = stores
    with store.transaction():
        store.keep("request", Receipt(b"x", b"{}"))
    assert store.receipt("request") == Receipt(b"x", b"{}") and store.receipt("other") is None


def test_sqlite_keeps_everything_over_a_restart(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "kpgate.db")
    made = add(store, key(limits=LIMITS), b"a" * 16)
    store.close()
    store = SqliteStore(tmp_path / "kpgate.db")
    assert store.get("one") == made
    connection = apsw.Connection(str(tmp_path / "kpgate.db"))
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("user_version") == 14
    connection.close()
    store.close()


def test_sqlite_refuses_a_file_of_a_later_version(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "kpgate.db"))
    connection.pragma("user_version", 999)
    connection.close()
    with pytest.raises(StoreUnavailable, match="later version"):
        SqliteStore(tmp_path / "kpgate.db")


def test_a_sqlite_reader_cannot_write_and_reports_what_is_missing(tmp_path: Path) -> None:
    reader = SqliteReader(tmp_path / "kpgate.db")
    with pytest.raises(StoreUnavailable):
        reader.find(b"a" * 16)
    store = SqliteStore(tmp_path / "kpgate.db")
    assert reader.find(b"a" * 16) is None
    with pytest.raises(StoreUnavailable):
        reader.rows("DELETE FROM keys", ())
    reader.close()
    store.close()


def test_a_damaged_file_is_a_store_that_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "kpgate.db"
    path.write_bytes(b"not a database, and long enough to be read as one" * 40)
    with pytest.raises(StoreUnavailable) as caught:
        SqliteStore(path)
    assert isinstance(caught.value.__cause__, apsw.Error)
    with pytest.raises(StoreUnavailable):
        SqliteReader(path).find(b"a" * 16)
    assert stat.S_ISREG(path.stat().st_mode)

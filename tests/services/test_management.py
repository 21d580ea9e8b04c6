"""Management over a store in memory: once a request, published before it is answered, no secret kept."""

import pytest

from kpgate.domain.audit import Actor
from kpgate.domain.errors import Conflict, InvalidApiKey, InvalidRequest, NotFound, StoreUnavailable
from kpgate.domain.keys import read_id
from kpgate.domain.management import (
    Asked,
    CreateKey,
    EnsureNumbers,
    GetKey,
    ImportKey,
    ListKeys,
    Ping,
    RevokeKey,
    RotateKey,
    SetParty,
    build,
    decode,
    encode,
)
from kpgate.services.management import Management
from tests.kit.keyrings import PEPPER, Keys


def test_a_request_asked_twice_is_done_once_and_answered_the_same() -> None:
    keys = Keys()
    create = build(CreateKey, {"id": "request-a", "party": "acme", "random": keys.random()})
    first, second = keys.management.answer(create), keys.management.answer(create)
    assert first == second and read_id(first["key"]) == first["id"]
    assert len(keys.do(ListKeys)["keys"]) == 1
    with pytest.raises(Conflict, match="request id"):
        keys.management.answer(build(CreateKey, {"id": "request-a", "party": "b", "random": keys.random()}))


def test_what_is_kept_holds_no_secret() -> None:
    keys = Keys()
    made = keys.create()
    imported = keys.do(ImportKey, party="acme", literal="canary-literal", random=keys.random())
    rotated = keys.do(RotateKey, key=made["id"], random=keys.random())
    kept = repr(vars(keys.store))
    for secret in (made["key"], rotated["key"], made["key"][17:], "canary-literal"):
        assert secret not in kept
    assert imported["id"] in kept


def test_a_change_is_published_before_it_is_answered() -> None:
    keys = Keys()
    made = keys.create()
    assert keys.ring.published == [(0, made["number"])]
    keys.ring.busy = True
    revoke = build(RevokeKey, {"id": "request-b", "key": made["id"]})
    for operation in (revoke, revoke, Ping(id="request-c")):
        with pytest.raises(StoreUnavailable):
            keys.management.answer(operation)
    keys.ring.busy = False
    assert keys.management.answer(revoke)["revoked_at"] is not None
    assert keys.ring.published[-1] == (0, made["number"])


def test_a_new_clerk_publishes_what_the_last_one_did_not() -> None:
    keys = Keys()
    made = [keys.create() for _ in range(100)]
    keys.ring.published.clear()
    successor = Management(keys.store, PEPPER, keys.ring.publish, lambda: keys.now_us, keys.noted.append)
    assert successor.catch_up() and (0, made[-1]["number"]) in keys.ring.published
    assert len(keys.ring.published) <= 64


def test_keys_are_listed_in_pages() -> None:
    keys = Keys()
    made = [keys.create()["id"] for _ in range(5)]
    keys.do(RevokeKey, key=made[0])
    page = keys.do(ListKeys, count=3)
    rest = keys.do(ListKeys, count=3, after=page["after"])
    assert [one["id"] for one in page["keys"] + rest["keys"]] == made[1:] and rest["after"] is None
    assert len(keys.do(ListKeys, revoked=True)["keys"]) == 5 and not keys.do(ListKeys, party="none")["keys"]


def test_numbers_are_given_once() -> None:
    keys = Keys()
    first = keys.do(EnsureNumbers, kind="model", names=["a", "b"])["numbers"]
    assert keys.do(EnsureNumbers, kind="model", names=["b", "c"])["numbers"] == {"b": first["b"], "c": 3}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"party": ""}, "party"),
        ({"party": "a\n"}, "party"),
        ({"role": "root"}, "role"),
        ({"models": [1]}, "models[0]"),
        ({"models": ["a"] * 257}, "models"),
        ({"networks": ["10.0.0.0/99"]}, "networks"),
        ({"limits": {"requests": "5/fortnight"}}, "limits.requests"),
        ({"limits": {"request": "5/s"}}, "request"),
        ({"limits": {"tokens_burst": 5}}, "limits.tokens_burst"),
        ({"expires_us": 5}, "expires"),
        ({"random": "00"}, "random"),
        ({"random": 5}, "random"),
        ({"surprise": 1}, "surprise"),
        ({"id": "short"}, "id"),
    ],
)
def test_what_is_wrong_with_a_new_key_is_named(fields: dict[str, object], said: str) -> None:
    keys = Keys()
    with pytest.raises(InvalidRequest) as caught:
        keys.create(**{"party": "acme", **fields}) if "id" not in fields and "random" not in fields else (
            keys.management.answer(
                build(CreateKey, {"id": "request-x", "party": "a", "random": keys.random(), **fields})
            )
        )
    assert said in caught.value.message
    assert not keys.do(ListKeys)["keys"]


@pytest.mark.parametrize(
    "literal", ["short", "x" * 513, " padded-key", "new\nline-key", "sk-kp-mistyped-key"]
)
def test_a_literal_that_cannot_serve_is_refused_and_not_repeated(literal: str) -> None:
    keys = Keys()
    with pytest.raises(InvalidRequest) as caught:
        keys.do(ImportKey, party="acme", literal=literal, random=keys.random())
    assert literal not in caught.value.message


def test_an_imported_key_that_is_known_is_a_conflict() -> None:
    keys = Keys()
    keys.do(ImportKey, party="acme", literal="a-literal-key", random=keys.random())
    with pytest.raises(Conflict):
        keys.do(ImportKey, party="acme", literal="a-literal-key", random=keys.random())


def test_what_does_not_exist_is_not_found_and_what_ended_does_not_turn() -> None:
    keys = Keys()
    made = keys.create()
    for kind in (GetKey, RevokeKey):
        with pytest.raises(NotFound):
            keys.do(kind, key="nobody")
    keys.do(RevokeKey, key=made["id"])
    with pytest.raises(Conflict):
        keys.do(RotateKey, key=made["id"], random=keys.random())


def test_operations_cross_the_wire_whole_and_hide_their_secrets() -> None:
    keys = Keys()
    for operation in (
        build(
            CreateKey,
            {"id": "request-a", "party": "acme", "random": keys.random(), "limits": {"requests": "5/s"}},
        ),
        build(ImportKey, {"id": "request-a", "party": "a", "random": keys.random(), "literal": "canary-key"}),
        build(SetParty, {"id": "request-a", "party": "a", "limits": {"concurrency": 1}}),
    ):
        assert decode(encode(Asked(operation))) == Asked(operation)
        assert "canary-key" not in repr(operation) and keys.random()[4:] not in repr(operation)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"op":"ping","id":"request-a"}',
        b'{"what":{"op":"nothing","id":"request-a"}}',
        b"[" * 10_000,
        b'{"what":{"op":"ping"}}',
    ],
)
def test_garbage_is_an_invalid_request(line: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode(line)


def test_a_key_that_ended_since_its_request_was_let_in_acts_no_more() -> None:
    keys = Keys()
    made = keys.create(role="developer", expires_us=keys.now_us + 10)
    actor = Actor("http", "developer", made["id"], "acme")
    keys.management.check_actor(actor)
    keys.now_us += 10
    with pytest.raises(InvalidApiKey):
        keys.management.check_actor(actor)
    other = keys.create(role="owner")
    keys.do(RevokeKey, key=other["id"])
    for key in (other["id"], "unknown"):
        with pytest.raises(InvalidApiKey):
            keys.management.check_actor(Actor("http", "owner", key, "acme"))

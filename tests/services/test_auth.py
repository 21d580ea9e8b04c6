"""AUTH over a store in memory: what passes, what does not, and how little is asked of the store."""

import logging

import pytest

from kpgate.domain.access import read_network
from kpgate.domain.caller import ANONYMOUS
from kpgate.domain.errors import (
    GatewayError,
    InvalidApiKey,
    ModelNotAllowed,
    SourceNotAllowed,
    StoreUnavailable,
)
from kpgate.domain.keys import spell
from kpgate.domain.management import ImportKey, RevokeKey, RotateKey, SetParty, SetTier
from kpgate.domain.token import Token
from kpgate.services.auth import NO_CHANGE, Auth, Keyring, Terms
from kpgate.stores.protocol import KEY, TOKEN, TOKEN_SIGNER
from tests.kit.keyrings import PEPPER, START_US, Keys

DAY_US = 86_400_000_000


def test_a_key_stands_for_its_caller() -> None:
    keys = Keys()
    made = keys.create(label="ci", role="admin", limits={"requests": "60/min"})
    caller = keys.auth().identify(made["key"].encode(), "127.0.0.1")
    assert (caller.key_id, caller.party.name, caller.role, caller.label) == (
        made["id"],
        "acme",
        "admin",
        "ci",
    )
    assert caller.limits.requests == "60/min" and made["key"] not in repr(caller)


@pytest.mark.parametrize(
    "credential",
    [None, b"", b"x", b"sk-kp-", b"sk-kp-aaaaaaaaaa-" + b"0" * 49, b"k" * 9000, b"\xe2\x82\xac", b"\xff"],
)
def test_what_is_no_key_is_refused_without_asking_the_store(credential: bytes | None) -> None:
    keys = Keys()
    auth = keys.auth()
    with pytest.raises(InvalidApiKey):
        auth.identify(b"warms the keyring up", "")
    asked = keys.reader.asked
    with pytest.raises(InvalidApiKey):
        auth.identify(credential, "")
    assert keys.reader.asked == asked


def test_a_flood_of_unknown_keys_asks_the_store_nothing_and_starves_nobody() -> None:
    keys = Keys()
    auth = keys.auth(cache_keys=10)
    made = [keys.create() for _ in range(20)]
    auth.identify(made[0]["key"].encode(), "")
    asked = keys.reader.asked
    for number in range(5000):
        whole = spell("aaaaaaaaaa", number.to_bytes(40, "big"))
        for stranger in (whole, f"stranger-{number}"):
            with pytest.raises(InvalidApiKey):
                auth.identify(stranger.encode(), "")
    assert keys.reader.asked == asked
    assert auth.identify(made[0]["key"].encode(), "").key_id == made[0]["id"] and keys.reader.asked == asked
    assert (
        auth.identify(made[1]["key"].encode(), "").key_id == made[1]["id"] and keys.reader.asked == asked + 1
    )


def test_a_warm_key_asks_the_store_nothing_and_outlives_it() -> None:
    keys = Keys()
    auth = keys.auth()
    made = keys.create()
    auth.identify(made["key"].encode(), "")
    keys.reader.broken = True
    asked = keys.reader.asked
    assert auth.identify(made["key"].encode(), "").key_id == made["id"] and keys.reader.asked == asked


def test_a_store_that_fails_is_503_never_401_and_is_left_alone_for_a_while() -> None:
    keys = Keys()
    auth = keys.auth()
    cold, warm = keys.create(), keys.create()
    auth.identify(warm["key"].encode(), "")
    keys.reader.broken = True
    for _ in range(100):
        with pytest.raises(StoreUnavailable):
            auth.identify(cold["key"].encode(), "")
    assert keys.reader.asked == 3
    keys.reader.broken = False
    keys.now_us += 200_000
    assert auth.identify(cold["key"].encode(), "").key_id == cold["id"]


def test_a_key_whose_change_could_not_be_read_is_never_told_that_it_is_unknown() -> None:
    keys = Keys()
    auth = keys.auth()
    with pytest.raises(InvalidApiKey):
        auth.identify(b"warms the keyring up", "")
    made = keys.create()
    keys.reader.broken = True
    with pytest.raises(StoreUnavailable):
        auth.identify(made["key"].encode(), "")
    keys.reader.broken = False
    keys.now_us -= 3_600_000_000
    assert auth.identify(made["key"].encode(), "").key_id == made["id"]


def test_a_key_made_later_is_known_at_once_and_a_revoked_one_no_more() -> None:
    keys = Keys()
    one, two = keys.auth(), keys.auth()
    made = keys.create()
    for auth in (one, two):
        auth.identify(made["key"].encode(), "")
    keys.do(RevokeKey, key=made["id"])
    for auth in (one, two, keys.auth()):
        with pytest.raises(InvalidApiKey):
            auth.identify(made["key"].encode(), "")
    asked = keys.reader.asked
    with pytest.raises(InvalidApiKey, match="revoked"):
        one.identify(made["key"].encode(), "")
    assert keys.reader.asked == asked, "that it is revoked is remembered"


def test_only_what_changed_is_read_again() -> None:
    keys = Keys()
    auth = keys.auth()
    made = [keys.create() for _ in range(5)]
    for one in made:
        auth.identify(one["key"].encode(), "")
    keys.do(RevokeKey, key=made[0]["id"])
    asked = keys.reader.asked
    for one in made[1:]:
        auth.identify(one["key"].encode(), "")
    assert keys.reader.asked == asked


def test_a_worker_that_fell_far_behind_reads_everything_anew() -> None:
    keys = Keys()
    keys.ring.depth = 4
    auth = keys.auth()
    made = [keys.create() for _ in range(3)]
    for one in made:
        auth.identify(one["key"].encode(), "")
    keys.do(RevokeKey, key=made[0]["id"])
    for _ in range(5):
        keys.create()
    with pytest.raises(InvalidApiKey):
        auth.identify(made[0]["key"].encode(), "")
    assert auth.identify(made[1]["key"].encode(), "").key_id == made[1]["id"]


def test_a_party_with_new_limits_has_them_at_once() -> None:
    keys = Keys()
    auth = keys.auth()
    made, other = keys.create(), keys.create("other")
    auth.identify(made["key"].encode(), "")
    kept = auth.identify(other["key"].encode(), "")
    keys.do(SetParty, party="acme", limits={"concurrency": 7})
    assert auth.identify(made["key"].encode(), "").party.limits.concurrency == 7
    assert auth.identify(other["key"].encode(), "") is kept


def test_a_tier_with_new_terms_has_them_at_once_and_nobody_else_is_read_anew() -> None:
    keys = Keys()
    auth = keys.auth()
    made, other = keys.create(models=("a*",)), keys.create("other")
    keys.do(SetTier, tier="gold", models=("*b", "c"))
    keys.do(SetParty, party="acme", tier="gold")
    caller, kept = auth.identify(made["key"].encode(), ""), auth.identify(other["key"].encode(), "")
    assert [model for model in ("ab", "a", "b", "c") if auth.allows(caller, model)] == ["ab"]
    auth.authorise(caller, "ab")
    for model, who in (("b", "this key"), ("a", "the tier 'gold'")):
        with pytest.raises(ModelNotAllowed, match=who):
            auth.authorise(caller, model)
    keys.do(SetTier, tier="gold", priority=9)
    caller = auth.identify(made["key"].encode(), "")
    assert caller.party.tier.priority == 9 and auth.allows(caller, "a")
    assert auth.identify(other["key"].encode(), "") is kept


def test_both_secrets_serve_through_the_grace_period_and_then_the_new_one() -> None:
    keys = Keys()
    auth = keys.auth()
    made = keys.create()
    auth.identify(made["key"].encode(), "")
    rotated = keys.do(RotateKey, key=made["id"], random=keys.random(), grace_us=DAY_US)
    assert rotated["id"] == made["id"] and rotated["key"] != made["key"]
    assert auth.identify(made["key"].encode(), "") == auth.identify(rotated["key"].encode(), "")
    keys.now_us += DAY_US
    with pytest.raises(InvalidApiKey, match="expired"):
        auth.identify(made["key"].encode(), "")
    assert auth.identify(rotated["key"].encode(), "").key_id == made["id"]
    again = keys.do(RotateKey, key=made["id"], random=keys.random())
    with pytest.raises(InvalidApiKey):
        auth.identify(rotated["key"].encode(), "")
    keys.do(RevokeKey, key=made["id"])
    with pytest.raises(InvalidApiKey):
        auth.identify(again["key"].encode(), "")


def test_a_key_expires_by_the_clock_though_it_is_warm() -> None:
    keys = Keys()
    auth = keys.auth()
    made = keys.create(expires_us=keys.now_us + DAY_US)
    keys.now_us += DAY_US - 1
    auth.identify(made["key"].encode(), "")
    keys.now_us += 1
    with pytest.raises(InvalidApiKey, match="expired"):
        auth.identify(made["key"].encode(), "")


@pytest.mark.parametrize(
    "literal", ["my-old-key", "Basic: with spaces & signs!", "schl\u00fcssel-\u4e2d\u6587"]
)
def test_an_imported_key_serves_as_it_is_spelled(literal: str) -> None:
    keys = Keys()
    made = keys.do(ImportKey, party="acme", literal=literal, random=keys.random())
    assert "key" not in made and literal not in str(made)
    sent = literal.encode()
    assert keys.auth().identify(sent, "").key_id == made["id"]
    with pytest.raises(InvalidApiKey):
        keys.auth().identify(sent + b"x", "")


def test_the_cache_is_bounded_and_the_longest_unused_key_leaves_it() -> None:
    keys = Keys()
    auth = keys.auth(cache_keys=3)
    made = [keys.create()["key"] for _ in range(4)]
    for key in (made[0], made[1], made[2], made[0], made[3]):
        auth.identify(key.encode(), "")
    asked = keys.reader.asked
    for key in (made[0], made[2], made[3]):
        auth.identify(key.encode(), "")
    assert keys.reader.asked == asked
    auth.identify(made[1].encode(), "")
    assert keys.reader.asked == asked + 1


def test_a_cache_whose_keys_are_all_in_use_stays_bounded() -> None:
    keys = Keys()
    auth = keys.auth(cache_keys=100)
    made = [keys.create()["key"] for _ in range(101)]
    for key in made[:100] * 2:
        auth.identify(key.encode(), "")
    auth.identify(made[100].encode(), "")
    keyring = auth._keyring
    assert len(keyring._cache) == 100 == sum(len(kept) for kept in keyring._digests.values())
    asked = keys.reader.asked
    for key in made[:64] + made[65:]:
        auth.identify(key.encode(), "")
    assert keys.reader.asked == asked, "one key has left, the first that got no other chance"


def test_a_key_bound_to_networks_serves_from_them_alone() -> None:
    keys = Keys()
    auth = keys.auth(Terms(trusted=(read_network("127.0.0.0/8"),)))
    key = keys.create(networks=["10.0.0.0/8", "2001:db8::/32"])["key"]
    for address in ("10.1.2.3", "2001:db8::5", "::ffff:10.1.2.3"):
        auth.identify(key.encode(), address)
    for address in ("11.0.0.1", "", "nonsense"):
        with pytest.raises(SourceNotAllowed):
            auth.identify(key.encode(), address)
    assert auth.source("127.0.0.1", b"10.9.9.9") == "10.9.9.9" == auth.source("127.0.0.1", b"10.9.9.9")
    assert (
        auth.source("192.0.2.1", b"10.9.9.9") == "192.0.2.1" and auth.source("127.0.0.1", None) == "127.0.0.1"
    )


def test_a_key_may_use_the_models_it_names() -> None:
    keys = Keys()
    auth = keys.auth()
    some = auth.identify(keys.create(models=["gpt-*", "echo"])["key"].encode(), "")
    everything = auth.identify(keys.create()["key"].encode(), "")
    for model, allowed in (("gpt-4o", True), ("echo", True), ("claude", False)):
        assert auth.allows(some, model) is allowed is auth.allows(some, model)
        assert auth.allows(everything, model)
    auth.authorise(some, "echo")
    with pytest.raises(ModelNotAllowed):
        auth.authorise(some, "claude")


def test_without_keys_everybody_is_anonymous() -> None:
    auth = Keys().auth(Terms(enabled=False))
    assert auth.identify(None, "") is ANONYMOUS is auth.identify(b"anything", "")


def fields(thing: object) -> list[object]:
    """What an object keeps, compiled or not."""
    return [getattr(thing, name) for name in dir(thing) if not name.startswith("__")]


def test_no_secret_is_seen_in_errors_reprs_or_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = Keys()
    auth = keys.auth()
    made = keys.create(networks=["10.0.0.0/8"], expires_us=keys.now_us + DAY_US)
    secret = made["key"].rpartition("-")[2]
    seen = []
    for credential in (made["key"], made["key"] + "x", "sk-kp-" + secret, secret):
        try:
            auth.identify(credential.encode(), "192.0.2.1")
        except GatewayError as error:
            seen.append(f"{error!r} {error} {vars(error)}")
    keys.do(RevokeKey, key=made["id"])
    with pytest.raises(InvalidApiKey) as caught:
        auth.identify(made["key"].encode(), "10.0.0.1")
    seen += [repr(caught.value), repr(auth), repr(fields(auth)), repr(auth._keyring._cache), caplog.text]
    assert len(seen) == 9 and not any(secret in text for text in seen)


def test_a_call_under_way_may_hold_more_as_long_as_its_key_is_in_force() -> None:
    keys = Keys()
    made, other = keys.create(), keys.create("other")
    auth = keys.auth()
    caller = auth.identify(made["key"].encode(), "")
    keys.do(RevokeKey, key=other["id"])
    assert auth.generation() < auth.generation_of(caller) == keys.ring.generation
    keys.do(SetParty, party="acme", limits={"concurrency": 7})
    assert auth.generation_of(caller) == keys.ring.generation, "its party has changed, and it is in force"
    keys.do(RevokeKey, key=made["id"])
    assert auth.generation_of(caller) == NO_CHANGE
    with pytest.raises(InvalidApiKey):
        auth.identify(other["key"].encode(), "")
    assert auth.generation_of(caller) == NO_CHANGE, "though all changes have been seen"
    keys.ring.publish(KEY, 99)
    keys.reader.broken = True
    assert auth.generation_of(caller) == NO_CHANGE, "it cannot be told"


def test_a_call_of_a_token_may_hold_more_until_that_is_revoked() -> None:
    keys = Keys()
    made = keys.create()
    eyes, auth = sighted(keys)
    callers = [auth.identify(eyes.make(made["number"]).encode(), "") for _ in range(2)]
    keys.ring.publish(TOKEN, 1)
    assert [auth.generation_of(caller) for caller in callers] == [NO_CHANGE, keys.ring.generation]
    keys.do(RevokeKey, key=made["id"])
    assert {auth.generation_of(caller) for caller in callers} == {NO_CHANGE}


class Eyes:
    """Reads tokens as they are said here: by their spelling."""

    def __init__(self) -> None:
        self.tokens: dict[bytes, Token] = {}
        self.revoked: set[int] = set()
        self.read_ = self.learned = 0

    def learn(self) -> set[int]:
        self.learned += 1
        return set(self.revoked)

    def read(self, credential: bytes) -> Token:
        self.read_ += 1
        return self.tokens[credential]

    def make(self, key: int, **fields: object) -> str:
        number = len(self.tokens) + 1
        spelled = f"eyJ{number}.a.b"
        said = {"models": (), "expires_us": START_US + DAY_US, **fields}
        self.tokens[spelled.encode()] = Token(number, f"{number:032x}", key, 9, 4, 500, **said)  # type: ignore[arg-type]
        return spelled


def sighted(keys: Keys, cache_keys: int = 1000) -> tuple[Eyes, Auth]:
    eyes = Eyes()
    keyring = Keyring(keys.reader, keys.ring, PEPPER, lambda: keys.now_us, cache_keys, eyes)
    keyring.load()
    return eyes, Auth(Terms(), keyring)


def test_a_token_is_its_key_made_smaller_and_asks_no_store() -> None:
    keys = Keys()
    made = keys.create(role="admin", models=("m*",), networks=("127.0.0.0/8",))
    eyes, auth = sighted(keys)
    first = eyes.make(made["number"], models=("m1",))
    caller = auth.identify(first.encode(), "127.0.0.1")
    assert (caller.key_id, caller.role, caller.models) == (made["id"], "call", ("m1",))
    assert (caller.token, caller.cell, caller.tag) == ("0" * 31 + "1", 9, 4)
    with pytest.raises(SourceNotAllowed):
        auth.identify(first.encode(), "10.0.0.1")
    keys.reader.broken = True
    asked = keys.reader.asked
    assert auth.identify(first.encode(), "127.0.0.1") is caller and eyes.read_ == 1, (
        "its signature is looked at once"
    )
    second = eyes.make(made["number"])
    assert auth.identify(second.encode(), "127.0.0.1").token == "0" * 31 + "2", (
        "nor does a new one, where its key is known"
    )
    assert keys.reader.asked == asked and eyes.learned == 1


def test_a_token_ends_by_time_by_revoking_and_with_its_key() -> None:
    keys = Keys()
    made = keys.create(expires_us=START_US + 10)
    eyes, auth = sighted(keys)
    first, second = eyes.make(made["number"]), eyes.make(made["number"], expires_us=START_US + 5)
    assert auth.identify(first.encode(), "").token and auth.identify(second.encode(), "").token
    asked = keys.reader.asked
    keys.ring.publish(TOKEN, 1)
    with pytest.raises(InvalidApiKey, match="revoked"):
        auth.identify(first.encode(), "")
    assert keys.reader.asked == asked and eyes.learned == 1, "it is heard of"
    keys.now_us = START_US + 5
    with pytest.raises(InvalidApiKey, match="party token has expired"):
        auth.identify(second.encode(), "")
    third = eyes.make(made["number"])
    assert auth.identify(third.encode(), "").token
    keys.now_us = START_US + 10
    with pytest.raises(InvalidApiKey, match="party token has expired"):
        auth.identify(third.encode(), "")
    keys.now_us = START_US
    assert auth.identify(third.encode(), "").token
    keys.do(RevokeKey, key=made["id"])
    for dead in (third, eyes.make(made["number"]), eyes.make(99)):
        with pytest.raises(InvalidApiKey, match=r"revoked|not known"):
            auth.identify(dead.encode(), "")


def test_what_a_keyring_missed_of_tokens_is_read_anew() -> None:
    keys = Keys()
    made = keys.create()
    eyes, auth = sighted(keys)
    first, second = eyes.make(made["number"]), eyes.make(made["number"])
    assert auth.identify(first.encode(), "").token and auth.identify(second.encode(), "").token
    keys.ring.depth = 1
    eyes.revoked = {1}
    keys.ring.publish(TOKEN, 1)
    keys.ring.publish(KEY, 77)
    keys.ring.publish(KEY, 78)
    with pytest.raises(InvalidApiKey, match="revoked"):
        auth.identify(first.encode(), "")
    assert auth.identify(second.encode(), "").token and eyes.learned == 2
    keys.ring.publish(TOKEN_SIGNER, 2)
    read = eyes.read_
    assert auth.identify(second.encode(), "").token and (eyes.read_, eyes.learned) == (read + 1, 3), (
        "who signs has changed"
    )


def test_tokens_are_kept_within_the_bound_and_new_terms_reach_them() -> None:
    keys = Keys()
    made = keys.create()
    eyes, auth = sighted(keys, cache_keys=8)
    several = [eyes.make(made["number"]) for _ in range(30)]
    for one in several:
        auth.identify(one.encode(), "")
    keyring = auth._keyring
    assert len(keyring._cache) == 8 == sum(len(kept) for kept in keyring._tokens.values())
    keys.do(SetParty, party="acme", limits={"concurrency": 3})
    assert auth.identify(several[-1].encode(), "").party.limits.concurrency == 3
    auth.identify(made["key"].encode(), "")
    assert not set(keyring._cache) - {*keyring._tokens[made["number"]], *keyring._digests[made["number"]]}


def test_a_key_that_looks_like_a_token_is_a_key() -> None:
    keys = Keys()
    literal = "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl"
    made = keys.do(ImportKey, party="acme", random=keys.random(), literal=literal)
    eyes, auth = sighted(keys)
    assert auth.identify(literal.encode(), "").key_id == made["id"] and eyes.read_ == 0
    with pytest.raises(InvalidApiKey, match="not known"):
        keys.auth().identify(b"eyJa.b.c", "")

"""Leaves of many charges are spelled and hashed as each by itself, whatever they say."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast.charge import Charge
from kpgate._fast.leaf import Speller
from kpgate.domain import merkle
from kpgate.domain.ledger import End, Hold, note_end, note_hold, show_call, write_end, write_hold
from kpgate.domain.usage import COUNTS, Usage

ORIGIN = "0" * 32
calls = st.integers(0, 2**63 - 1)
secrets = st.binary(min_size=1, max_size=64)


def charge(call: int, request: str = "r", model: str = "m", party: int = 5, price: int = 2) -> Charge:
    hold = Hold(call, 1, 2, 3, party, 5, 6, (0,) * 4, (), note_hold(request, model, 1, 2, 3, 4))
    said = note_end("p", "d", 1, 200, price, Usage(5, 6))
    return Charge(9, write_hold(hold), write_end(End(9, call, 8, 2, 0, (0,) * 4, 0, said, True)))


@given(calls, secrets)
def test_a_salt_is_the_keyed_hash_of_the_call(call: int, secret: bytes) -> None:
    salt = blake2b(show_call(call).encode(), key=secret, person=b"salt", digest_size=16).hexdigest()
    spelled = Speller(ORIGIN, COUNTS, 1, secret).leaf(charge(call), "party", "terms")
    assert f'"salt":"{salt}"'.encode() in spelled
    assert f'"call":"{show_call(call)}"'.encode() in spelled


texts = st.text(max_size=40) | st.text("\x00\x7f\u00e9\u20ac\U0001f600", max_size=40)


@given(st.lists(st.builds(charge, calls, texts, texts, st.integers(0, 3), st.integers(1, 3)), max_size=6))
def test_the_hashes_of_many_are_those_of_each(charges: list[Charge]) -> None:
    speller, asked = Speller(ORIGIN, COUNTS, 1, b"secret"), []

    def party(number: int) -> str:
        asked.append(number)
        return f"party-{number}"

    found = speller.hashes(charges, party, str)
    each = [speller.leaf(one, f"party-{one.party}", str(one.price_version)) for one in charges]
    assert found == b"".join(map(merkle.leaf_hash, each))
    assert len(asked) == len(set(asked)), "each party is asked for once"


def test_a_speller_refuses_what_it_has_no_room_for() -> None:
    for origin, kinds, secret in (
        ("o" * 200, COUNTS, b"s"),
        ("o", ["k" * 40], b"s"),
        ("o", COUNTS, b""),
        ("o", COUNTS, b"s" * 65),
    ):
        with pytest.raises(ValueError):
            Speller(origin, kinds, 1, secret)
    speller = Speller("o", COUNTS, 1, b"s")
    for party, terms in (("p" * 200, "t"), ("p", "t" * 200), ("\u00e9", "t")):
        with pytest.raises(ValueError):
            speller.leaf(charge(1), party, terms)
        with pytest.raises(ValueError):
            speller.hashes([charge(1)], {5: party}.__getitem__, {2: terms}.__getitem__)
    with pytest.raises(TypeError):
        speller.hashes([charge(1)], lambda number: number, str)  # type: ignore[arg-type, return-value]

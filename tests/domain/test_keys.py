"""Keys: spelling, checksum, hashes, and what a mistyped one never becomes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.domain.access import client_address, matches, read_address, read_network, within
from kpgate.domain.fingerprints import Fingerprints
from kpgate.domain.keys import RANDOM_BYTES, digest, is_whole, literal_problem, mint_id, read_id, spell

RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
PEPPER = b"p" * 32


@given(RANDOM)
def test_a_key_is_read_back_as_it_was_spelled(random: bytes) -> None:
    key_id = mint_id(random)
    key = spell(key_id, random)
    assert len(key) == 66 and is_whole(key.encode()) and read_id(key) == key_id
    assert literal_problem(key) == ""


@given(RANDOM, st.data())
def test_a_key_with_one_letter_changed_swapped_or_lost_is_refused(random: bytes, data: st.DataObject) -> None:
    key = spell(mint_id(random), random).encode()
    at = data.draw(st.integers(0, len(key) - 2))
    letter = data.draw(st.binary(min_size=1, max_size=1).filter(lambda one: one != key[at : at + 1]))
    assert not is_whole(key[:at] + letter + key[at + 1 :])
    assert not is_whole(key[:at] + key[at + 1 :])
    if key[at] != key[at + 1]:
        assert not is_whole(key[:at] + key[at + 1 : at + 2] + key[at : at + 1] + key[at + 2 :])


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_no_key(noise: bytes) -> None:
    assert not is_whole(noise) and not is_whole(b"sk-kp-" + noise)


@given(st.text(max_size=600))
def test_a_literal_that_may_be_imported_survives_a_header(text: str) -> None:
    if not literal_problem(text):
        assert text.strip() == text and 8 <= len(text) <= 512
        assert not any(ord(letter) < 32 or ord(letter) == 127 for letter in text)


def test_the_hash_depends_on_the_pepper() -> None:
    assert digest(PEPPER, b"key") != digest(b"q" * 32, b"key")
    assert len(digest(PEPPER, b"key")) == 16


def test_reading_an_id_never_repeats_the_key() -> None:
    with pytest.raises(ValueError) as caught:
        read_id("sk-kp-canary-canary")
    assert "canary" not in str(caught.value)


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=50), st.binary(min_size=16, max_size=16))
def test_fingerprints_know_what_they_were_given(digests: list[bytes], other: bytes) -> None:
    known = Fingerprints(digests[::2])
    for one in digests[1::2]:
        known.add(one)
    assert all(one in known for one in digests)
    assert (other in known) == (other[:8] in {one[:8] for one in digests})


def test_fingerprints_keep_what_is_added_beyond_their_margin() -> None:
    digests = [i.to_bytes(8, "big") + b"x" * 8 for i in range(3000)]
    known = Fingerprints(digests[:10])
    for one in digests:
        known.add(one)
    assert all(one in known for one in digests) and (3000).to_bytes(8, "big") not in known


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-*", "gpt-4o", True),
        ("*", "", True),
        ("*mini", "gpt-4o-mini", True),
        ("g*4*i", "gpt-4o-mini", True),
        ("a*a", "a", False),
        ("*a*b*", "bab", True),
        ("*a*b*", "ba", False),
    ],
)
def test_wildcards_match_any_run(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_wildcards_agree_with_a_plain_rule(pattern: str, name: str) -> None:
    def plain(p: str, n: str) -> bool:
        if not p:
            return not n
        if p[0] == "*":
            return plain(p[1:], n) or (bool(n) and plain(p, n[1:]))
        return bool(n) and p[0] == n[0] and plain(p[1:], n[1:])

    assert matches(pattern, name) == plain(pattern, name)


def test_an_address_mapped_into_ipv6_is_ipv4() -> None:
    assert read_address("::ffff:10.1.2.3") == read_address("10.1.2.3")
    assert within(read_address("::ffff:10.1.2.3"), [read_network("10.0.0.0/8")])
    assert within(read_address("10.1.2.3"), [read_network("::ffff:10.0.0.0/104")])
    assert not within(read_address("::1"), [read_network("0.0.0.0/0")])


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.8, 10.0.0.7", "10.0.0.8"),
        ("garbage", "10.0.0.1"),
        ("203.0.113.9, unknown", "10.0.0.1"),
        ("unknown, 203.0.113.9", "203.0.113.9"),
        ("", "10.0.0.1"),
        ("203.0.113.9,", "10.0.0.1"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_no_proxy(forwarded_for: str, client: str) -> None:
    assert client_address("10.0.0.1", forwarded_for, (read_network("10.0.0.0/8"),)) == client


def test_a_stranger_is_not_believed() -> None:
    assert client_address("192.0.2.1", "10.0.0.1", (read_network("10.0.0.0/8"),)) == "192.0.2.1"
    assert client_address("", "10.0.0.1", (read_network("10.0.0.0/8"),)) == ""


@given(st.text(max_size=200))
def test_no_header_breaks_the_client_address(forwarded_for: str) -> None:
    assert client_address("10.0.0.1", forwarded_for, (read_network("10.0.0.0/8"),))

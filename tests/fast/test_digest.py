"""The keyed hash of a credential."""

from hashlib import blake2b

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpgate._fast.digest import Pepper


@example(b"p" * 32, b"k" * 127, 16)
@example(b"p" * 32, b"k" * 128, 16)
@example(b"p" * 32, b"k" * 129, 16)
@example(b"p" * 64, b"k" * 256, 64)
@example(b"\xff" * 32, b"\xff" * 257, 16)
@given(st.binary(min_size=1, max_size=64), st.binary(min_size=1, max_size=600), st.integers(1, 64))
def test_a_hash_is_what_the_standard_library_makes(pepper: bytes, credential: bytes, size: int) -> None:
    expected = blake2b(credential, key=pepper, digest_size=size).digest()
    one = Pepper(pepper, size)
    assert one.digest(credential) == expected == one.digest(credential)


@pytest.mark.parametrize(("pepper", "size"), [(b"", 16), (b"p" * 65, 16), (b"p", 0), (b"p", 65)])
def test_a_pepper_that_is_none_is_refused(pepper: bytes, size: int) -> None:
    with pytest.raises(ValueError, match="1 to 64 bytes"):
        Pepper(pepper, size)


def test_nothing_has_no_hash_and_a_pepper_does_not_show_itself() -> None:
    with pytest.raises(ValueError, match="nothing"):
        Pepper(b"secret pepper", 16).digest(b"")
    assert "secret" not in repr(Pepper(b"secret pepper", 16))

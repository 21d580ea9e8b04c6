"""The Merkle tree against RFC 6962's own vectors and its definition, for every size that is small."""

from hashlib import sha256

import pytest

from kpgate.domain.merkle import (
    EMPTY,
    Node,
    consistency,
    fold,
    inclusion,
    leaf_hash,
    proves_consistency,
    proves_inclusion,
    root,
)

# The leaves and roots that certificate transparency's own implementations are tested with.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def nodes(leaves: list[bytes]) -> Node:
    hashes = [leaf_hash(leaf) for leaf in leaves]
    return lambda level, index: fold(hashes[index << level : (index + 1) << level])


def defined(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it stands there."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\x01" + defined(leaves[:half]) + defined(leaves[half:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert root(nodes(LEAVES), size).hex() == ROOTS[size]


@pytest.mark.parametrize("size", range(1, 131))
def test_every_leaf_of_every_size_is_proved_and_nothing_else(size: int) -> None:
    leaves = [bytes([n]) for n in range(size)]
    node = nodes(leaves)
    whole = root(node, size)
    assert whole == defined(leaves)
    for index in range(size):
        path = inclusion(node, index, size)
        leaf = leaf_hash(leaves[index])
        assert proves_inclusion(leaf, index, size, path, whole)
        assert not proves_inclusion(leaf_hash(b"other"), index, size, path, whole)
        assert not proves_inclusion(leaf, index + 1, size, path, whole)
        assert not proves_inclusion(leaf, index, size, [*path, leaf], whole)
        assert not path or not proves_inclusion(leaf, index, size, path[:-1], whole)


@pytest.mark.parametrize("size", range(1, 70))
def test_every_beginning_is_proved_and_no_other(size: int) -> None:
    leaves = [bytes([n]) for n in range(size)]
    node = nodes(leaves)
    whole = root(node, size)
    for before in range(1, size + 1):
        path = consistency(node, before, size)
        start = root(node, before)
        assert proves_consistency(before, size, path, start, whole)
        assert not proves_consistency(before, size, path, leaf_hash(b"other"), whole)
        assert not proves_consistency(before, size, path, start, leaf_hash(b"other"))
        for at in range(len(path)):
            wrong = [*path[:at], leaf_hash(path[at]), *path[at + 1 :]]
            assert not proves_consistency(before, size, wrong, start, whole)


def test_what_cannot_be_proved_is_refused() -> None:
    node = nodes(LEAVES)
    for index, size in ((8, 8), (-1, 8), (0, 0)):
        with pytest.raises(ValueError, match="is not in a tree"):
            inclusion(node, index, size)
    for before, size in ((0, 8), (9, 8)):
        with pytest.raises(ValueError, match="beginning"):
            consistency(node, before, size)

"""The Merkle tree of RFC 6962: roots, inclusion and consistency proofs, and how they are verified.

Pure: hashes of perfect subtrees come from whoever stores them. Source: RFC 6962, section 2.1; verification as in
RFC 9162, sections 2.1.3.2 and 2.1.4.2.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

Node = Callable[[int, int], bytes]
"""The hash of a perfect subtree: (level, index); it covers leaves index << level to (index + 1) << level."""

EMPTY = sha256().digest()


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees, one beside the other."""
    return sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of neighbours."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def range_root(node: Node, start: int, end: int) -> bytes:
    """The root over some leaves. Order: `start` is a multiple of the least power of two that is not less than all."""
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, start >> level)
    half = _split(count)
    return node_hash(range_root(node, start, start + half), range_root(node, start + half, end))


def root(node: Node, size: int) -> bytes:
    """The root over the first `size` leaves."""
    return range_root(node, 0, size) if size else EMPTY


def inclusion(node: Node, index: int, size: int) -> list[bytes]:
    """The proof that a leaf is in the tree of a size, from the leaf upwards.

    Errors: ValueError for a leaf that is not in it.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        half = start + _split(end - start)
        if index < half:
            path.append(range_root(node, half, end))
            end = half
        else:
            path.append(range_root(node, start, half))
            start = half
    return path[::-1]


def consistency(node: Node, before: int, size: int) -> list[bytes]:
    """The proof that a tree is the beginning of a later one.

    Errors: ValueError for sizes that cannot be.
    """
    if not 0 < before <= size:
        raise ValueError(f"a tree of {before} is not the beginning of one of {size}")
    path: list[bytes] = []
    start, end, whole = 0, size, True
    while before != end - start:
        half = _split(end - start)
        if before <= half:
            path.append(range_root(node, start + half, end))
            end = start + half
        else:
            path.append(range_root(node, start, start + half))
            start, before, whole = start + half, before - half, False
    if not whole:
        path.append(range_root(node, start, end))
    return path[::-1]


def proves_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], claimed: bytes) -> bool:
    """Whether a proof leads from a leaf's hash to a root."""
    if not 0 <= index < size:
        return False
    first, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if first & 1 or first == last:
            found = node_hash(step, found)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            found = node_hash(found, step)
        first, last = first >> 1, last >> 1
    return last == 0 and found == claimed


def proves_consistency(
    before: int, size: int, path: Sequence[bytes], root_before: bytes, root_after: bytes
) -> bool:
    """Whether a proof shows that the tree of one root is the beginning of that of another."""
    if not 0 < before <= size:
        return False
    if before == size:
        return not path and root_before == root_after
    steps = list(path) if before & (before - 1) else [root_before, *path]
    if not steps:
        return False
    first, last = before - 1, size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            new = node_hash(new, step)
        first, last = first >> 1, last >> 1
    return last == 0 and old == root_before and new == root_after


def _split(count: int) -> int:
    """The greatest power of two that is less."""
    return 1 << ((count - 1).bit_length() - 1)

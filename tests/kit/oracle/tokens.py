"""Byte-pair merging, plainly: the pair of least rank first, the leftmost of equals."""

import itertools


def merged(piece: bytes, ranks: dict[bytes, int]) -> list[int]:
    """The tokens of one piece."""
    if piece in ranks:
        return [ranks[piece]]
    parts = [piece[at : at + 1] for at in range(len(piece))]
    while True:
        pairs = [(ranks[a + b], at) for at, (a, b) in enumerate(itertools.pairwise(parts)) if a + b in ranks]
        if not pairs:
            return [ranks[part] for part in parts]
        _, at = min(pairs)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]

"""Mutations of a corpus that a seed determines: what a fuzzer does, without one and without knowing what was reached.

Owns the dice. Two runs with one seed give the same inputs on every machine.
"""

import random
from collections.abc import Iterator, Sequence

from tests.fuzz.target import INPUT_BYTES_MAX


def mutations(seed: int, inputs: Sequence[bytes], words: Sequence[bytes]) -> Iterator[bytes]:
    """Inputs without end, each some steps away from one of the corpus."""
    dice = random.Random(seed)
    while True:
        data = dice.choice(inputs)
        for _ in range(dice.choice((1, 1, 2, 3, 5, 9))):
            data = step(dice, data, inputs, words)
        yield data[:INPUT_BYTES_MAX]


def step(dice: random.Random, data: bytes, inputs: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """One change: a byte, a word, a span left out, doubled or from elsewhere."""
    at = dice.randint(0, len(data))
    end = min(len(data), at + dice.choice((0, 1, 1, 2, 4, 16, 64)))
    kind = dice.randrange(7)
    if kind == 0:
        return data[:at] + bytes((dice.randrange(256),)) + data[at + 1 :]
    if kind == 1 and at < len(data):
        return data[:at] + bytes((data[at] ^ 1 << dice.randrange(8),)) + data[at + 1 :]
    if kind == 2:
        return data[:at] + data[end:]
    if kind == 3:
        return data[:end] + data[at:]
    if kind == 4:
        other = dice.choice(inputs)
        start = dice.randint(0, len(other))
        return data[:at] + other[start : start + dice.choice((4, 16, 64, 256))] + data[end:]
    return data[:at] + dice.choice(words) + data[end if kind == 5 else at :]

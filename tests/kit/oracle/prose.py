"""`_fast.prose` in plain Python."""

import re
from collections.abc import Sequence

ITEM = re.compile(r"[ \t]*(?:[-*•] |\d{1,4}[.)] )")


def read(
    text: str, words: Sequence[Sequence[str]], scripts: Sequence[Sequence[tuple[int, int]]], length_max: int
) -> tuple[int, tuple[int, ...], int, tuple[int, ...], int, int, int]:
    """What the compiled form counts."""
    text = text[:length_max]
    letters = [c for c in text if c.isalpha()]
    found = [
        [c for c in letters if any(first <= ord(c) <= last for first, last in ranges)] for ranges in scripts
    ]
    # One character stays one: what lower case makes longer is not folded.
    said = ["".join(run) for run in _runs("".join(c.lower() if len(c.lower()) == 1 else c for c in text))]
    lines = text.split("\n")
    return (
        len(letters),
        tuple(len([c for c in one if ord(c) > 127]) for one in found),
        len(said),
        tuple(sum(word in kind for word in said) for kind in words),
        len(re.findall("```", text)),
        sum(line.rstrip(" \t\r")[-1:] in ("{", "}", ";") and bool(line.rstrip(" \t\r")) for line in lines),
        sum(bool(ITEM.match(line)) for line in lines),
    )


def _runs(text: str) -> list[list[str]]:
    runs: list[list[str]] = []
    inside = False
    for c in text:
        if c.isalpha():
            if not inside:
                runs.append([])
            runs[-1].append(c)
        inside = c.isalpha()
    return runs

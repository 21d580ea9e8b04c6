"""Instructions, counted by valgrind's callgrind: a Python module run under it, cut into parts at its own marks.

A mark is a call of a function of the C library that nothing else calls; callgrind writes down what was executed since
the last one and begins anew. Knows nothing of what is counted.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.results import ROOT

MARK = "getsid"
PATIENCE_S = 600


class Unavailable(Exception):
    """A tool that is needed is not there, or did not work."""


@dataclass(frozen=True)
class Part:
    """What was executed between two marks. Shape: instructions by (object file, function), its own alone."""

    total: int
    places: Counter[tuple[str, str]]


def mark() -> None:
    """End a part and begin the next; without callgrind it does nothing."""
    os.getsid(0)


def count(module: str, *arguments: str) -> tuple[list[Part], str]:
    """Run `python -m module` under callgrind. Shape: a part between each two marks, and what it printed.

    Errors: Unavailable.
    """
    if shutil.which("valgrind") is None:
        raise Unavailable("valgrind is not installed (apt-get install valgrind)")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "part")
        options = ["--compress-strings=no", "--compress-pos=no", f"--dump-before={MARK}"]
        command = ["valgrind", "--tool=callgrind", *options, f"--callgrind-out-file={out}", sys.executable]
        done = subprocess.run(
            [*command, "-m", module, *arguments],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode:
            raise Unavailable(f"{module} failed under callgrind: {done.stderr[-2000:]}")
        found = sorted(out.parent.glob("part.*"), key=lambda path: int(path.suffix[1:]))
        # The first one holds everything before the first mark: the interpreter's start.
        return [read(path.read_text(errors="replace")) for path in found[1:]], done.stdout


def read(text: str) -> Part:
    """A part as callgrind writes it. Source: valgrind manual, "Callgrind Format Specification" (November 2026)."""
    places: Counter[tuple[str, str]] = Counter()
    place, callee, skip = "", "", False
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and key == "ob":
            place = value
        elif equals and key == "fn":
            callee = value
        elif equals and key == "calls":
            # The next line is what the callee cost, which stands at the callee already.
            skip = True
        elif line[:1].isdigit():
            if not skip:
                places[place, callee] += int(line.split()[1])
            skip = False
    total = re.search(r"^summary: (\d+)", text, re.M)
    return Part(int(total[1]) if total else 0, places)

"""Freed memory goes back to the system."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
from pathlib import Path
from kpgate._fast.heap import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

# Too small for the system to be asked for each; one in a thousand stays and keeps the rest from going by itself.
pieces = [bytes(4096) for _ in range(10_000)]
kept = pieces[::1000]
del pieces
full = resident()
said = give_back()
print(said, full - resident() > 30_000_000)
"""


@pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer's allocator keeps what was freed"
)
def test_what_was_freed_goes_back_though_some_stays_between() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert run.stdout == "True True\n"

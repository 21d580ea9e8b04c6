"""What a run leaves behind: figures, how they were got, and on what. One JSON file a benchmark.

Knows no benchmark. Nothing here names the machine beyond its kind.
"""

import json
import os
import platform
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "results"
PACKAGES = ("granian", "uvloop", "httptools", "Cython", "orjson", "msgspec", "apsw")
DIRECT = "-direct"
Cell = str | float | int | None


@dataclass(frozen=True)
class Goal:
    """A figure beside what it ought to be. Shape: `sense` is `at least` or `at most`; `aim` may be absent."""

    what: str
    value: float
    sense: str
    bound: float
    unit: str = ""
    aim: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the bound holds."""
        return self.value >= self.bound if self.sense == "at least" else self.value <= self.bound


@dataclass(frozen=True)
class Table:
    """Rows under a title, as they are shown."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass
class Result:
    """A benchmark's outcome. Shape: `raw` holds each round's figures, for whoever doubts the medians."""

    bench: str
    title: str
    method: Sequence[str]
    goals: Sequence[Goal] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    raw: Any = field(default_factory=dict)

    def save(self, folder: Path = FOLDER) -> Path:
        """Write it with the circumstances of this run."""
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.bench}.json"
        goals = [asdict(goal) | {"reached": goal.reached} for goal in self.goals]
        value = asdict(self) | {"goals": goals} | circumstances()
        path.write_text(json.dumps(value, indent=1) + "\n")
        return path


def named(bench: str, title: str, lane: bool) -> tuple[str, str]:
    """A result's name and title: the direct transport has a file and a title of its own."""
    return (bench + DIRECT, f"{title}, direct transport") if lane else (bench, title)


def circumstances() -> dict[str, Any]:
    """When, what and on what."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": machine(),
        "python": python(),
        "versions": versions(),
    }


def commit() -> str:
    """The commit that was measured, with a + if the gateway's sources differ from it; empty if unknown."""
    try:
        known = _said("git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD")
        changed = _said("git", "-C", str(ROOT), "status", "--porcelain", "--", "kpgate", "setup.py")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return known + ("+" if changed else "")


def machine() -> dict[str, Any]:
    """Its kind: cores, kernel, architecture and maker of the processor."""
    kernel = ".".join(platform.release().split(".")[:2])
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    makers = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("vendor_id")]
    return {
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {kernel}",
        "cpu": f"{platform.machine()}, {makers[0] if makers else 'maker unknown'}",
    }


def python() -> dict[str, Any]:
    """The interpreter, and whether its build is an optimised one (profile-guided)."""
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "optimised": "--enable-optimizations" in arguments,
        "lto": "--with-lto" in arguments,
    }


def versions() -> dict[str, str]:
    """What took part."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    for name, command in (("nginx", ("nginx", "-v")), ("wrk", ("wrk", "-v"))):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except OSError:
            continue
        said = (done.stdout + done.stderr).split()
        found[name] = (said[2] if name == "nginx" else said[1]).removeprefix("nginx/")
    return found


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

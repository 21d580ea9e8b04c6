"""Stacks of a running process, by `perf` or, where that is missing, by py-spy; and whose code each one was in.

A stack is its frames from the outermost in, each `function (file)`. Knows no benchmark.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.callgrind import Unavailable
from bench.processes import load_core, pinned

Stacks = Counter[tuple[str, ...]]

# perf sees the kernel and every library, py-spy the names of Python's functions.
SAMPLERS = ("perf", "py-spy")
HERTZ = 499
# Python keeps no frame pointers: perf unwinds from a copy of the stack, and this is how much of it.
STACK_BYTES = 16_384
PATIENCE_S = 300
MISSING = (
    "neither perf nor py-spy is installed: a flame graph needs one of them. perf: apt-get install linux-perf (Debian) "
    "or linux-tools-generic (Ubuntu), and root or kernel.perf_event_paranoid <= 1. py-spy: pip install py-spy."
)
KERNEL = "kernel"
INTERPRETER = "interpreter"
PARTS = (
    (re.compile(r"\.py:\d+$|^<frozen"), INTERPRETER),
    (re.compile(r"^\[kernel|^\[guest|\.ko\b"), KERNEL),
    (re.compile(r"^\[v(dso|syscall)\]"), "vdso"),
    (re.compile(r"_fast/(\w+)\."), r"_fast.\1"),
    (re.compile(r"/kpgate/([\w/]+)\.[\w-]+\.so$"), r"kpgate/\1"),
    (re.compile(r"msgspec/"), "msgspec"),
    (re.compile(r"orjson"), "orjson"),
    (re.compile(r"uvloop/"), "uvloop"),
    (re.compile(r"granian"), "granian"),
    (re.compile(r"httptools/"), "httptools"),
    (re.compile(r"apsw|sqlite"), "sqlite"),
    (re.compile(r"lib(ssl|crypto)|_ssl\."), "TLS"),
    (re.compile(r"lib-dynload/|_hashlib|_blake2"), "standard library"),
    (re.compile(r"(^|/)lib(c|m|pthread|stdc\+\+|gcc_s)[.-]|/ld-linux"), "libc"),
    (re.compile(r"^(lib)?python3|/(lib)?python3"), INTERPRETER),
    # As py-spy names them: a source file, without its package.
    (re.compile(r"^(loop|stream|linux|core|uv-common)\.[ch]:\d"), "uvloop"),
    (re.compile(r"^(llhttp|api|parser)\.c:\d"), "httptools"),
    (re.compile(r"\.[ch]:\d+$"), "other C code"),
)
ENTRIES = ("do_syscall_64", "el0_svc", "x64_sys_call", "invoke_syscall")
# A system call's outermost function, where the compiler kept it, or the one that it ends in.
# What a thread that has nothing to do stands in; py-spy takes it for work.
IDLE = ("PyThread_acquire_lock_timed", "epoll_wait", "epoll_pwait")
SYSTEM_CALL = re.compile(r"^(?:__x64_sys_|__arm64_sys_|__se_sys_|__do_sys_|__sys_|ksys_|do_)?(\w+)")
# An address that unwinding gives where it found no caller.
NOWHERE = (1 << 64) - 4096
FRAME = re.compile(r"^\s+([0-9a-f]+) (.*) \((.*)\)$")


def sampler() -> str:
    """The tool there is. Errors: Unavailable, with what to install."""
    for tool in SAMPLERS:
        if shutil.which(tool):
            return tool
    raise Unavailable(MISSING)


def record(tool: str, pids: Sequence[int], seconds: float, load: Callable[[], object]) -> Stacks:
    """Sample those processes while `load` runs, which takes about that long; py-spy takes the last one alone.

    Errors: Unavailable.
    """
    if shutil.which(tool) is None:
        raise Unavailable(f"{tool} is not installed" if shutil.which(SAMPLERS[0]) else MISSING)
    with tempfile.TemporaryDirectory() as folder:
        if tool == "perf":
            return _by_perf(pids, Path(folder), load)
        return _by_py_spy(pids[-1], seconds, Path(folder), load)


def _by_perf(pids: Sequence[int], folder: Path, load: Callable[[], object]) -> Stacks:
    data = folder / "perf.data"
    asked = ["--call-graph", f"dwarf,{STACK_BYTES}", "-F", str(HERTZ), "-o", str(data)]
    command = pinned(["perf", "record", *asked, "-p", ",".join(map(str, pids))], load_core())
    said = _beside(command, load, signal.SIGINT)
    if not data.exists() or not data.stat().st_size:
        raise Unavailable(f"perf recorded nothing; as root, or with kernel.perf_event_paranoid <= 1? {said}")
    shown = ["perf", "script", "-i", str(data), "--no-inline", "-F", "comm,pid,tid,time,event,ip,sym,dso"]
    done = subprocess.run(shown, capture_output=True, timeout=PATIENCE_S, check=False)
    stacks = collapse(done.stdout.decode(errors="replace").splitlines())
    if not stacks:
        raise Unavailable(f"perf script showed no stacks: {done.stderr.decode(errors='replace')[-500:]}")
    return stacks


def _by_py_spy(pid: int, seconds: float, folder: Path, load: Callable[[], object]) -> Stacks:
    raw = folder / "raw"
    asked = ["--native", "-r", "200", "-d", str(round(seconds)), "-f", "raw", "-o", str(raw)]
    said = _beside(["py-spy", "record", *asked, "-p", str(pid)], load, None)
    if not raw.exists():
        raise Unavailable(f"py-spy recorded nothing: {said}")
    stacks = parse(raw.read_text())
    idle = [stack for stack in stacks if any(one.partition(" ")[0] in IDLE for one in stack)]
    for stack in idle:
        del stacks[stack]
    return stacks


def _beside(command: list[str], load: Callable[[], object], number: int | None) -> str:
    """Run a command while `load` runs; end it by that signal, or let it end by itself. What it said."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        try:
            load()
        finally:
            if number is not None and child.poll() is None:
                os.kill(child.pid, number)
            said = child.communicate(timeout=PATIENCE_S)[1]
    return said.decode(errors="replace")[-500:]


def collapse(lines: Iterable[str]) -> Stacks:
    """Stacks of what `perf script` prints: a head line a sample, then its frames, innermost first."""
    stacks: Stacks = Counter()
    frames: list[str] = []
    for line in (*lines, ""):
        found = FRAME.match(line)
        if found and int(found[1], 16) < NOWHERE:
            frames.append(frame(found[2], found[3], int(found[1], 16)))
        elif frames and not found and not line.strip():
            stacks[tuple(reversed(frames))] += 1
            frames = []
    return stacks


def frame(symbol: str, file: str, at: int) -> str:
    """A frame as it is shown. What has no name is its file's: an address would differ in each run."""
    symbol = re.sub(r"\+0x[0-9a-f]+$", "", symbol)
    if file == "[unknown]" and at >= 1 << 63:
        file = "[kernel.kallsyms]"
    if symbol == "[unknown]":
        symbol = f"[{Path(file).name.partition('.')[0].strip('[]')}]"
    return f"{symbol.replace(';', ':')} ({file})"


def parse(text: str) -> Stacks:
    """Stacks of collapsed text: `outermost;...;innermost count` a line."""
    stacks: Stacks = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        stacks[tuple(stack.split(";"))] += int(count)
    return stacks


def collapsed(stacks: Stacks) -> str:
    """The same text from stacks, for other flame-graph tools."""
    return "".join(f"{';'.join(stack)} {count}\n" for stack, count in sorted(stacks.items()))


def part(frame: str) -> str:
    """Whose code a frame is: `kernel`, `interpreter`, `_fast.limit`, a package, or its file's name."""
    file = frame.rpartition(" (")[2].rstrip(")")
    for pattern, name in PARTS:
        if found := pattern.search(file):
            return found.expand(name)
    return Path(file).name or "unknown"


def shares(stacks: Stacks) -> dict[str, tuple[float, float]]:
    """Of each part: its own share of the samples, and its share with all that it called, most first."""
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for stack, count in stacks.items():
        own[part(stack[-1])] += count
        for name in {part(frame) for frame in stack}:
            below[name] += count
    total = stacks.total() or 1
    return {
        name: (own[name] / total, below[name] / total)
        for name, _ in sorted(below.items(), key=lambda one: -own[one[0]])
    }


def system_calls(stacks: Stacks) -> dict[str, float]:
    """The kernel's share of the samples by the system call it was in, most first."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        if part(stack[-1]) == KERNEL:
            found[_system_call(stack)] += count
    total = stacks.total() or 1
    return {name: count / total for name, count in found.most_common()}


def _system_call(stack: Sequence[str]) -> str:
    names = [one.partition(" ")[0] for one in stack if part(one) == KERNEL]
    entered = [at for at, name in enumerate(names) if name in ENTRIES]
    if not entered:
        return "an interrupt" if any("sysvec" in name for name in names) else "unknown"
    name = names[entered[-1] + 1] if entered[-1] + 1 < len(names) else ""
    if not name or name.startswith(("exit_to_user", "syscall_")):
        return "entry and exit, preemption"
    found = SYSTEM_CALL.match(name)
    return found[1] if found else name

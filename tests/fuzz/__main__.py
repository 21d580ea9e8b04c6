"""Fuzz the compiled modules for as long as asked, each target in a process of its own: `make fuzz`.

Owns the way to libFuzzer, by atheris, and where findings are kept. Needs the sanitized build with coverage.
`python -m tests.fuzz --again FILE TARGET` runs one input once more, in any build.
"""

import argparse
import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.target import CORPUS, INPUT_BYTES_MAX, names, target

COUNTERS = 1 << 17


def count_ways(core: str) -> None:
    """Show libFuzzer the counters of `coverage.c`, which stands before everything else in this process."""
    process = ctypes.CDLL(None)
    fuzzer = ctypes.CDLL(core)
    counters = ctypes.addressof((ctypes.c_uint8 * COUNTERS).in_dll(process, "kpgate_counters"))
    places = ctypes.addressof((ctypes.c_size_t * 2 * COUNTERS).in_dll(process, "kpgate_places"))
    end = places + 2 * COUNTERS * ctypes.sizeof(ctypes.c_size_t)
    fuzzer.__sanitizer_cov_8bit_counters_init(ctypes.c_void_p(counters), ctypes.c_void_p(counters + COUNTERS))
    fuzzer.__sanitizer_cov_pcs_init(ctypes.c_void_p(places), ctypes.c_void_p(end))


def fuzz(check: Callable[[bytes], None], options: list[str]) -> None:
    """Never returns: the process ends with the fuzzer."""
    # house: imports - atheris is an optional extra
    import atheris
    import atheris.core_with_libfuzzer as core

    atheris.Setup([sys.argv[0], *options], check)
    count_ways(core.__file__)
    atheris.Fuzz()


def launch(name: str, seconds: int, keep: Path) -> int:
    """Fuzz one target in a process of its own. Returns what that ended with."""
    grown = keep / name
    grown.mkdir(parents=True, exist_ok=True)
    words = keep / f"{name}.words"
    words.write_text("".join(f'"{escaped(word)}"\n' for word in target(name).WORDS))
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-dict={words}",
        f"-artifact_prefix={keep}/{name}-",
        "-timeout=20",
        "-print_final_stats=1",
        "-verbosity=1",
        "-reload=0",
        "-detect_leaks=0",
    ]
    print(f"fuzz: {name}, {seconds} s", flush=True)
    command = [sys.executable, "-m", "tests.fuzz", "--engine", name, *options, str(grown), str(CORPUS / name)]
    return subprocess.run(command, check=False).returncode


def escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def main() -> int:
    if sys.argv[1:2] == ["--engine"]:
        fuzz(target(sys.argv[2]).check, sys.argv[3:])
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", type=Path, default=Path("build/findings"), help="where findings are kept")
    parser.add_argument("--again", type=Path, help="an input to run once more, through one target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(names())}")
    said = parser.parse_args()
    if said.again:
        target(said.targets[0]).check(said.again.read_bytes())
        return 0
    ended = {name: launch(name, said.seconds, said.keep) for name in said.targets or names()}
    for name, code in ended.items():
        print(f"fuzz: {name}: {'nothing found' if code == 0 else f'a finding, in {said.keep}'}")
    return max(ended.values(), key=abs)


if __name__ == "__main__":
    sys.exit(main())

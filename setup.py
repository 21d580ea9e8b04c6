"""The compiled ground's extension list. Everything else about the project stands in pyproject.toml.

DEBUG=1 builds with bounds checks and live-object counters, and without instructions that only some processors have;
SANITIZE=1 with ASan and UBSan, COVERAGE=1 with calls that tell a fuzzer which way was taken, ANNOTATE=1 writes Cython's
annotated HTML beside each source.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

sys.path.insert(0, str(Path("kpgate/_fast")))
import unicode_tables

DEBUG = bool(os.environ.get("DEBUG"))
SANITIZE = bool(os.environ.get("SANITIZE"))
COVERAGE = bool(os.environ.get("COVERAGE"))
ANNOTATE = bool(os.environ.get("ANNOTATE"))
CORES = len(os.sched_getaffinity(0))

checked = DEBUG or SANITIZE
# The interpreter's own flags ask for debug information, which takes a third of the compiler's time.
compile_args = ["-O1", "-g"] if checked else ["-O3", "-g0", "-fno-plt"]
compile_args += ["-fno-strict-aliasing", "-Wno-unreachable-code-fallthrough"]
# A declaration that does not fit what it declares is called wrongly: no build has one.
compile_args += ["-Werror=incompatible-pointer-types"]
# What other processors run is tested there.
portable = [("KPGATE_PORTABLE", None)] if DEBUG else []
sanitizers = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"] if SANITIZE else []
traced = ["-fsanitize-coverage=trace-pc"] if COVERAGE else []

unicode_tables.write(Path("kpgate/_fast/_unicode.h"))

extensions = [
    Extension(
        f"kpgate._fast.{source.stem}",
        [str(source)],
        include_dirs=["kpgate/_fast"],
        define_macros=[("KPGATE_LIVE_COUNTERS", "1" if checked else "0"), *portable],
        extra_compile_args=compile_args + sanitizers + traced,
        extra_link_args=sanitizers,
    )
    for source in sorted(Path("kpgate/_fast").glob("*.pyx"))
]

# The trunk that every call goes through is compiled from its own Python, which runs as well without that:
# a checked build has nothing to look for in it. It has no loops over bytes that -O3 would make faster.
ROOMS = {
    "": ["gateway", "life"],
    "app/": ["application", "asgi", "asgi_inlet", "crossing", "logs"],
    "dialects/anthropic/": ["ask", "count", "framing", "neutral", "reply", "request", "stream", "usage"],
    "dialects/gemini/": [
        "ask",
        "count",
        "endpoints",
        "neutral",
        "parts",
        "reply",
        "request",
        "stream",
        "usage",
    ],
    "dialects/openai/": [
        "answer",
        "ask",
        "count",
        "endpoints",
        "neutral",
        "reply",
        "request",
        "stream",
        "tools",
    ],
    "dialects/": ["answers", "bridge"],
    "domain/": [
        "batch",
        "body",
        "call",
        "caller",
        "chat",
        "conditions",
        "dialect",
        "events",
        "keys",
        "language",
        "ledger",
        "merkle",
        "price",
        "receipt",
        "reply",
        "spoken",
        "traits",
        "usage",
    ],
    "services/": [
        "admit",
        "auth",
        "choose",
        "health",
        "hold",
        "meters",
        "pool",
        "receive",
        "record",
        "respond",
        "route",
        "settle",
        "upstream",
    ],
}
TRUNK = [f"kpgate/{room}{name}.py" for room, names in ROOMS.items() for name in names]
trunk = [
    Extension(
        path[:-3].replace("/", "."),
        [path],
        extra_compile_args=[*compile_args, "-O2"],
    )
    for path in ([] if checked else TRUNK)
]


def compiled(modules: list[Extension], directives: dict[str, object], **options: object) -> list[Extension]:
    """The extensions, with their C made on every core."""
    return cythonize(modules, annotate=ANNOTATE, nthreads=CORES, compiler_directives=directives, **options)


# Processes that make the C may read this file again.
if __name__ == "__main__":
    ground = {
        "language_level": "3str",
        "boundscheck": checked,
        "wraparound": False,
        "initializedcheck": checked,
        "cdivision": True,
        "embedsignature": True,
    }
    # As the interpreter would run it: annotations are for people and mypy.
    plain = {"language_level": "3str", "binding": True, "annotation_typing": True}
    modules = compiled(trunk, plain, build_dir="build/cython") + compiled(extensions, ground)
    # The largest first, so that no core ends much later than the others.
    modules.sort(key=lambda one: -Path(one.sources[0]).stat().st_size)
    setup(ext_modules=modules, options={"build_ext": {"parallel": CORES}})

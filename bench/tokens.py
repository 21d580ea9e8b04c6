"""Counting tokens: kpgate beside tiktoken and toktok-rs, on one thread, the same texts in turn.

Owns the texts: prose written here, source code of the standard library, Chinese and Japanese sentences.
"""

import inspect
import json.decoder
import random
import tempfile
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time_ns

import tiktoken
import tiktoken_ext.openai_public as openai_public
import toktok

from bench.results import Cell, Goal, Result, Table
from kpgate.stores.vocabulary import open_vocabulary, read_ranks

METHOD = (
    "One thread, processor time; in each round every counter in turn counts the text some times, and the median of the "
    "rounds is taken. tiktoken is built from the same ranks and counts by the length of `encode_ordinary`, its own way "
    "to count.",
    "kpgate remembers what some 1,500 pieces of at most 32 bytes came to that are no tokens, and ruled lines. These "
    "texts say their words again and again, so it remembers them. The last two columns are of a first look instead: "
    "before each count the counter has counted thousands of words that nobody ever said, which pushes out what it "
    "remembers and most of what lies in the processor's caches.",
)
PROSE = (
    "The ferry was late again, and nobody on the quay seemed to mind: they had come for the view as much as for the "
    "crossing. 'We'll be there by 7:45,' she said, counting 12 crates of pears, 3 bicycles and one very small dog. "
)
CJK = "昨日は雨が降っていたので、図書館で一日中本を読んでいました。今天的天气非常好，我们打算去公园散步，然后喝杯茶。"
SIZES = (1_000, 4_000, 8_000)
COUNTS = 20

Count = Callable[[str], int]


def texts() -> dict[str, str]:
    """What is counted, by name."""
    code = inspect.getsource(json.decoder)
    return {
        f"{name}, {size // 1000} KB": (text * (size // len(text.encode()) + 1))
        .encode()[:size]
        .decode("utf-8", "ignore")
        for name, text in (("English", PROSE), ("code", code), ("CJK", CJK))
        for size in SIZES
    }


def peers(encoding: str, folder: Path) -> dict[str, Count]:
    """The counters, by name; they agree on everything that is counted."""
    ours = open_vocabulary(encoding, folder)
    pairs = (line.split() for line in read_ranks(encoding).splitlines())
    ranks = {b64decode(token): int(rank) for token, rank in pairs}
    original = openai_public.load_tiktoken_bpe
    openai_public.load_tiktoken_bpe = lambda *_, **__: ranks
    try:
        pattern = getattr(openai_public, encoding)()["pat_str"]
    finally:
        openai_public.load_tiktoken_bpe = original
    theirs = tiktoken.Encoding(encoding, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    # The batch call costs tens of microseconds by itself; this is the single count beneath it.
    peer = toktok._encoding(encoding)
    return {
        "kpgate": ours.count,
        "tiktoken": lambda text: len(theirs.encode_ordinary(text)),
        "toktok-rs": peer.count,
    }


def strange(words: int = 4_000) -> str:
    """Words that are no tokens, and no two alike."""
    seeded = random.Random(1)
    return " ".join("".join(seeded.choices("qzxjkvwбфщэы", k=seeded.randint(6, 22))) for _ in range(words))


def measure(rounds: int = 15) -> Result:
    """Every figure of this module."""
    rows: list[list[Cell]] = []
    least = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        for encoding in ("cl100k_base", "o200k_base"):
            counters = peers(encoding, Path(folder))
            for name, text in texts().items():
                assert len({count(text) for count in counters.values()}) == 1, f"they differ on {name}"
                times = _in_turn(counters, rounds, _us, text)
                looks = _in_turn(counters, rounds, _first_us, text)
                ratio = times["tiktoken"] / times["kpgate"]
                least = min(least, ratio)
                first = looks["tiktoken"] / looks["kpgate"]
                rows.append([encoding, name, *times.values(), ratio, looks["kpgate"], first])
    columns = ["encoding", "text", "kpgate us", "tiktoken us", "toktok-rs us", "x tiktoken"]
    columns += ["kpgate us, first look", "x tiktoken, first look"]
    goal = Goal("times as fast as tiktoken, the least of all texts", least, "at least", 10)
    return Result(
        "tokens", "Counting tokens", METHOD, goals=(goal,), tables=(Table("A count", columns, rows),)
    )


def _in_turn(
    counters: dict[str, Count], rounds: int, time: Callable[[Count, str], float], text: str
) -> dict[str, float]:
    """The median time of each counter, by name; what slows the machine for a while slows them all."""
    times: dict[str, list[float]] = {peer: [] for peer in counters}
    for _ in range(rounds):
        for peer, count in counters.items():
            times[peer].append(time(count, text))
    return {peer: median(found) for peer, found in times.items()}


def _us(count: Count, text: str) -> float:
    count(text)
    began = process_time_ns()
    for _ in range(COUNTS):
        count(text)
    return (process_time_ns() - began) / COUNTS / 1e3


def _first_us(count: Count, text: str) -> float:
    count(STRANGE)
    began = process_time_ns()
    count(text)
    return (process_time_ns() - began) / 1e3


STRANGE = strange()

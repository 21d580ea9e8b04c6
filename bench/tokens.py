"""Counting tokens: kpgate beside tiktoken and toktok-rs, on one thread, the same texts in turn.

Owns the texts: prose written here, source code of the standard library, Chinese and Japanese sentences.
"""

import inspect
import json.decoder
import tempfile
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import tiktoken
import tiktoken_ext.openai_public as openai_public
import toktok

from bench.results import Cell, Goal, Result, Table
from kpgate.stores.vocabulary import open_vocabulary, read_ranks

METHOD = (
    "One thread; for each text every counter counts it a few times in turn, and the median of the rounds is taken. "
    "tiktoken is built from the same ranks and counts by the length of `encode_ordinary`, its own way to count.",
)
PROSE = (
    "The ferry was late again, and nobody on the quay seemed to mind: they had come for the view as much as for the "
    "crossing. 'We'll be there by 7:45,' she said, counting 12 crates of pears, 3 bicycles and one very small dog. "
)
CJK = "昨日は雨が降っていたので、図書館で一日中本を読んでいました。今天的天气非常好，我们打算去公园散步，然后喝杯茶。"
SIZES = (1_000, 4_000, 8_000)


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


def peers(encoding: str, folder: Path) -> dict[str, Callable[[str], int]]:
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


def measure(rounds: int = 15) -> Result:
    """Every figure of this module."""
    rows: list[list[Cell]] = []
    least = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        for encoding in ("cl100k_base", "o200k_base"):
            counters = peers(encoding, Path(folder))
            for name, text in texts().items():
                assert len({count(text) for count in counters.values()}) == 1, f"they differ on {name}"
                times = {
                    peer: median(_us(count, text) for _ in range(rounds)) for peer, count in counters.items()
                }
                ratio = times["tiktoken"] / times["kpgate"]
                least = min(least, ratio)
                rows.append([encoding, name, *times.values(), ratio])
    columns = ["encoding", "text", "kpgate us", "tiktoken us", "toktok-rs us", "x tiktoken"]
    goal = Goal("times as fast as tiktoken, the least of all texts", least, "at least", 10)
    return Result(
        "tokens", "Counting tokens", METHOD, goals=(goal,), tables=(Table("A count", columns, rows),)
    )


def _us(count: Callable[[str], int], text: str) -> float:
    began = perf_counter()
    for _ in range(5):
        count(text)
    return (perf_counter() - began) / 5 * 1e6

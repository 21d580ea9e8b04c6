"""Compiled leaves beside their plain-Python twins: a leaf that does not win here goes back to Python.

Run as `python -m bench.twins`. Knows no server and no network.
"""

import json
import tempfile
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path

from kpgate._fast import body, pulse, routes, sse
from kpgate._fast.choice import WEIGHTED, Choice
from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.pulse import Pulses, Rules
from tests.kit.oracle import body as plain_body
from tests.kit.oracle import routes as plain_routes
from tests.kit.oracle import sse as plain_sse
from tests.kit.oracle.choice import One, OracleChoice

Figure = dict[str, float]

NAMES = ("model", "stream", "stream_options", "messages", "prompt", "input", "max_tokens", "n", "tools")
EVENTS_IN_STREAM = 100


def best_ns(work: Callable[[], object], seconds: float = 0.02) -> float:
    """The quickest of seven runs. Units: nanoseconds a call."""
    timer = timeit.Timer(work)
    number, taken = timer.autorange()
    number = max(1, int(number * seconds / taken))
    return min(timer.repeat(7, number)) / number * 1e9


def compare(fast: Callable[[], object], plain: Callable[[], object], parts: int = 1) -> Figure:
    """Both twins at the same work of `parts` equal parts. Units: nanoseconds a part."""
    fast_ns, plain_ns = best_ns(fast) / parts, best_ns(plain) / parts
    return {
        "fast_ns": round(fast_ns, 1),
        "plain_ns": round(plain_ns, 1),
        "times": round(plain_ns / fast_ns, 1),
    }


def chat_body(content_bytes: int) -> bytes:
    """A chat request of about that size."""
    system = {"role": "system", "content": "You are a helpful assistant.\nAnswer briefly."}
    user = {"role": "user", "content": ("Why is the sky blue? " * (content_bytes // 21 + 1))[:content_bytes]}
    value = {
        "model": "gpt-4o-mini",
        "messages": [system, user],
        "max_tokens": 128,
        "stream": True,
        "user": "u-1",
    }
    return json.dumps(value).encode()


def chat_stream() -> list[bytes]:
    """A streamed reply, one event a chunk."""
    chunks = []
    for i in range(EVENTS_IN_STREAM - 2):
        choice = {"index": 0, "delta": {"content": f" word{i}"}, "logprobs": None, "finish_reason": None}
        value = {
            "id": "chatcmpl-9abcDEF",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "gpt-4o-mini",
        }
        chunks.append(b"data: " + json.dumps(value | {"choices": [choice], "usage": None}).encode() + b"\n\n")
    chunks.append(b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":98}}\n\n')
    return [*chunks, b"data: [DONE]\n\n"]


def measure_body() -> dict[str, Figure]:
    """Scans, getters and splices of request bodies."""
    keys = body.Keys(NAMES)
    small, large = chat_body(300), chat_body(1_000_000)
    scan = body.scan(small, keys)
    edits: dict[int, bytes | None] = {0: b'"gpt-4o-mini-2024-07-18"', 2: b'{"include_usage":true}'}

    def plain_splice() -> bytes:
        value = json.loads(small)
        value["model"] = "gpt-4o-mini-2024-07-18"
        value["stream_options"] = {"include_usage": True}
        return json.dumps(value).encode()

    def decode_pairs(text: bytes) -> Callable[[], object]:
        # What plain Python can do at best to see duplicates, without offsets.
        return lambda: json.loads(text, object_pairs_hook=lambda pairs: pairs)

    return {
        "body.scan, 0.5 KB, with offsets": compare(
            lambda: body.scan(small, keys), lambda: plain_body.scan(small, NAMES)
        ),
        "body.scan, 0.5 KB, json.loads": compare(lambda: body.scan(small, keys), decode_pairs(small)),
        "body.scan, 1 MB, json.loads": compare(lambda: body.scan(large, keys), decode_pairs(large)),
        "body.splice, 0.5 KB": compare(lambda: body.splice(small, scan, edits), plain_splice),
    }


def measure_sse() -> dict[str, Figure]:
    """Events through a framer, and the usage of a whole reply."""
    chunks = chat_stream()
    stream = b"".join(chunks)
    reply = json.dumps(
        {"choices": [{"message": {"content": "word " * 100}}], "usage": {"total_tokens": 9}}
    ).encode()

    def feed(collect: bool, cut: list[bytes]) -> None:
        framer = sse.Framer(True, 1 << 20, collect=collect)
        for chunk in cut:
            framer.feed(chunk)

    def plain_feed() -> None:
        framer = plain_sse.OracleFramer(True, 1 << 20)
        framer.read(stream)

    halves = [stream[i : i + 100] for i in range(0, len(stream), 100)]
    return {
        "sse.Framer, an event a chunk": compare(lambda: feed(False, chunks), plain_feed, EVENTS_IN_STREAM),
        "sse.Framer, text collected": compare(lambda: feed(True, chunks), plain_feed, EVENTS_IN_STREAM),
        "sse.Framer, cut every 100 bytes": compare(lambda: feed(False, halves), plain_feed, EVENTS_IN_STREAM),
        "sse.find_usage, 0.6 KB": compare(lambda: sse.find_usage(reply), lambda: plain_sse.find_usage(reply)),
    }


def choice_of(count: int, folder: Path, strategy: int = WEIGHTED) -> Choice:
    """That many deployments of rising weight, all well."""
    folder.mkdir(exist_ok=True)
    region = Region.create(pulse.areas(1, 64), 1)
    life = Life.claim(folder, 0, 1)
    pulses = Pulses(region, Seat(region, life))
    candidates = [
        (pulses.of(i), None, 0, i + 1, 0, i, i, 1 + i, 2 + i, 0, 0, 1 + i, 2 + i) for i in range(count)
    ]
    return Choice(candidates, Rules(slow_us=30_000_000, panic_percent=50), strategy)


def measure_routes() -> dict[str, Figure]:
    """Names among 1,000 models, and orders of deployments."""
    entries = [[f"model-{i}", f"alias-{i}"] for i in range(990)] + [[f"family-{i}-*"] for i in range(10)]
    fast, plain = routes.Router(entries), plain_routes.OracleRouter(entries)
    figures: dict[str, Figure] = {}
    for how, name in (("exact", "alias-500"), ("pattern", "family-7-mini")):
        figures[f"routes.match, 1,000 models, {how}"] = compare(
            partial(fast.match, name), partial(plain.match, name)
        )
    for count in (2, 8):
        with tempfile.TemporaryDirectory() as folder:
            made = choice_of(count, Path(folder))
        twin = OracleChoice([One(weight=i + 1, group=i, identity=i) for i in range(count)])
        figures[f"choice.order, {count} deployments"] = compare(
            partial(made.order, 0x9E3779B97F4A7C15, 255, 1), partial(twin.order, 0x9E3779B97F4A7C15, 255)
        )
    return figures


def measure() -> dict[str, Figure]:
    """Every leaf beside its twin. Units: nanoseconds; `times` is how often the leaf fits into its twin."""
    return measure_body() | measure_sse() | measure_routes()


if __name__ == "__main__":
    for what, figure in measure().items():
        fast_ns, plain_ns, times = figure["fast_ns"], figure["plain_ns"], figure["times"]
        print(f"{what:36} {fast_ns:>12,.1f} ns {plain_ns:>14,.1f} ns {times:>8.1f} x")

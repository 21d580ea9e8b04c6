"""What the benchmarks ask of each transport, and what they send, without any load."""

import json
from pathlib import Path
from time import monotonic_ns

import pytest
from click.testing import CliRunner

from bench import bodies, memory, overhead, scale, stream
from bench.__main__ import cli
from bench.bodies import SIZES, conversation
from bench.late import STAMP
from bench.load import Run
from bench.overhead import _goals
from bench.provider import prose, stamped
from bench.report import render
from bench.results import Result, named
from bench.target import Shape, Target, settings


@pytest.mark.parametrize("size", [one.body_bytes for one in SIZES])
def test_a_conversation_is_of_its_length_to_the_byte_and_no_two_turns_are_alike(size: int) -> None:
    body = conversation(size)
    contents = [message["content"] for message in json.loads(body)["messages"]]
    assert len(body) == size
    assert len(set(contents)) == len(contents) > 20


def test_a_stamped_chunk_says_when_it_was_written_and_how_long_it_is() -> None:
    before = monotonic_ns()
    chunk = stamped()
    size, _, rest = chunk.partition(b"\r\n")
    assert len(rest) == int(size, 16) + 2
    assert json.loads(rest.removeprefix(b"data: "))["object"] == "chat.completion.chunk"
    assert [before <= int(stamp) <= monotonic_ns() for stamp in STAMP.findall(chunk)] == [True]


@pytest.mark.parametrize("size", [1, 5, 32768])
def test_a_chunk_is_of_ordinary_words(size: int) -> None:
    text = prose(size)
    assert len(text) == size
    assert all(len(word) < 20 for word in text.split(" "))


def test_the_gateway_is_told_its_transport(tmp_path: Path) -> None:
    provider = Target("direct", 1, folder=tmp_path)
    assert "transport = 'direct'" in settings(provider, Shape(lane=True))
    assert "transport = 'granian'" in settings(provider, Shape())
    assert [Shape(lane=True).name, Shape(governed=False).name] == ["lane governed", "off"]


def test_each_transport_has_a_result_of_its_own_and_they_are_shown_side_by_side(tmp_path: Path) -> None:
    for bench, title in (("stream", "Streams"), ("governed", "Throughput"), ("scale", "Scale")):
        for lane in (False, True):
            Result(*named(bench, title, lane), ()).save(tmp_path)
    headings = [line.removeprefix("## ") for line in render(tmp_path).splitlines() if line.startswith("## ")]
    assert (tmp_path / "stream-direct.json").exists()
    assert headings == [
        "Throughput", "Throughput, direct transport", "Streams", "Streams, direct transport",
        "Scale", "Scale, direct transport",
    ]  # fmt: skip


def test_the_direct_transports_latency_is_asked_for_beside_nginxs() -> None:
    p50, p99 = _goals([0.1, 0.5], [0.15, 1.5], lane=True)
    assert (round(p50.value, 6), p50.reached, p99.value, p99.reached) == (1.5, True, 3.0, True)
    (p50, _) = _goals([-0.2, 0.5], [0.15, 1.5], lane=True)
    assert p50.value == pytest.approx(15)


def test_a_ratio_by_cpu_is_taken_within_each_round() -> None:
    def run(cpu_s: float) -> Run:
        return Run(1, 1, 1, 1, calls=100, cpu_s=cpu_s)

    found = [{"nginx": run(1), "off": run(each)} for each in (2, 4, 1)]
    assert bodies.ratio(found, "off", "nginx") == 0.5


@pytest.mark.parametrize("module", [overhead, stream, scale, memory, bodies])
@pytest.mark.parametrize("transport", ["granian", "direct"])
def test_a_command_hands_its_transport_on(
    module: object, transport: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = str(getattr(module, "__name__", "")).removeprefix("bench.")
    asked: list[bool] = []

    def measure(*given: float, **named_ones: bool) -> Result:
        lane = [one for one in (*given, *named_ones.values()) if isinstance(one, bool)]
        asked.extend(lane)
        return Result(*named(name, "Tried", lane[0]), ())

    monkeypatch.setattr(module, "measure", measure)
    monkeypatch.setattr(Result, "save", lambda result: tmp_path / f"{result.bench}.json")
    done = CliRunner().invoke(cli, [name, "--transport", transport])
    assert done.exit_code == 0, done.output
    assert asked == [transport == "direct"]
    assert f"{name}{'-direct' if transport == 'direct' else ''}.json" in done.output

"""Metrics: what one process counts any process shows, and nothing grows without bound."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast import metric
from kpgate._fast.commit import Region
from kpgate._fast.metric import Counter, Gauge, Histogram, RequestCells, Shard, escape, render

BOUNDS_US = (1_000, 10_000, 2_500_000)


def region_of(shards: int = 3, series: int = 64) -> Region:
    return Region.create(metric.areas(shards, series), shards)


@pytest.fixture
def region() -> Region:
    return region_of()


def test_all_shards_are_summed_in_one_text(region: Region) -> None:
    for index, seen in ((0, 2), (1, 5), (2, 0)):
        shard = Shard(region, index)
        shard.counter("hits_total", 'path="/a"').add(seen)
        shard.gauge("inflight").set(index - 2)
    shard.counter("hits_total", 'path="/b"').add(1)
    assert render(region, {"hits_total": "Hits, with a \\ and\na line."}).decode() == (
        "# HELP hits_total Hits, with a \\\\ and\\na line.\n"
        "# TYPE hits_total counter\n"
        'hits_total{path="/a"} 7\n'
        'hits_total{path="/b"} 1\n'
        "# TYPE inflight gauge\n"
        "inflight -3\n"
    )


def test_a_histogram_is_cumulative_and_in_seconds(region: Region) -> None:
    for index in (0, 1):
        histogram = Shard(region, index).histogram("wait_seconds", 'model="x"', BOUNDS_US)
        for value_us in (-5, 0, 1_000, 1_001, 2_500_000, 2_500_001):
            histogram.observe(value_us)
    assert histogram.counts == [3, 1, 1, 1]
    assert histogram.total == 5_002_002
    assert render(region, {}).decode() == (
        "# TYPE wait_seconds histogram\n"
        'wait_seconds_bucket{model="x",le="0.001"} 6\n'
        'wait_seconds_bucket{model="x",le="0.01"} 8\n'
        'wait_seconds_bucket{model="x",le="2.5"} 10\n'
        'wait_seconds_bucket{model="x",le="+Inf"} 12\n'
        'wait_seconds_sum{model="x"} 10.004004\n'
        'wait_seconds_count{model="x"} 12\n'
    )


@given(
    bounds=st.lists(st.integers(0, 1000), min_size=1, max_size=12, unique=True).map(sorted),
    values=st.lists(st.integers(-10, 1100), max_size=40),
)
def test_every_value_falls_in_the_first_bucket_that_holds_it(bounds: list[int], values: list[int]) -> None:
    histogram = Shard(region_of(1), 0).histogram("sizes", "", tuple(bounds), 1)
    for value in values:
        histogram.observe(value)
    expected = [0] * (len(bounds) + 1)
    for value in values:
        expected[next((i for i, bound in enumerate(bounds) if value <= bound), len(bounds))] += 1
    assert histogram.counts == expected
    assert histogram.total == sum(max(0, value) for value in values)


def test_a_respawned_worker_goes_on_counting_and_its_gauges_start_at_zero(region: Region) -> None:
    first = Shard(region, 1)
    first.counter("hits_total").add(3)
    first.gauge("inflight").add(9)
    first.histogram("wait_seconds", "", BOUNDS_US).observe(7)
    again = Shard(region, 1)
    assert again.gauge("inflight").value == 0
    again.counter("hits_total").add(1)
    assert again.counter("hits_total").value == 4
    assert again.histogram("wait_seconds", "", BOUNDS_US).counts == [1, 0, 0, 0]


def test_the_gauges_of_a_dead_worker_are_zeroed_by_others(region: Region) -> None:
    shard = Shard(region, 2)
    shard.gauge("inflight").set(4)
    shard.counter("hits_total").add(4)
    metric.zero_gauges(region, 2)
    assert b"inflight 0\n" in render(region, {})
    assert b"hits_total 4\n" in render(region, {})


def test_series_beyond_the_bound_are_counted_as_other() -> None:
    region = region_of(1, 32)
    shard = Shard(region, 0)
    for number in range(100):
        shard.counter("hits_total", f'path="/{number}",model="m\\"{number}"').add(1)
    text = render(region, {}).decode()
    assert len(text.splitlines()) == 1 + 31
    assert 'hits_total{path="other",model="other"} 70\n' in text
    assert shard.overflows == metric.overflows(region) == 70
    assert sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines()[1:]) == 100


def test_long_labels_and_wide_histograms_are_bounded_too() -> None:
    shard = Shard(region_of(1, 32), 0)
    for number in range(40):
        shard.counter("hits_total", f'path="{"x" * 500}{number}"').add(1)
    assert shard.counter("hits_total", 'path="other"').value > 0
    wide = Shard(region_of(1, 32), 0)
    for number in range(40):
        wide.histogram("wait_seconds", f'path="{number}"', tuple(range(8))).observe(1)
    assert sum(wide.histogram("wait_seconds", 'path="other"', tuple(range(8))).counts) > 0


def test_one_name_is_one_kind_with_one_set_of_bounds(region: Region) -> None:
    shard = Shard(region, 0)
    shard.counter("a")
    shard.histogram("b", "", (1, 2))
    with pytest.raises(ValueError, match="another kind"):
        shard.gauge("a")
    with pytest.raises(ValueError, match="other bounds"):
        shard.histogram("b", "", (1, 3))
    for bounds in ((), (2, 1), (1, 1), (-1,), tuple(range(65))):
        with pytest.raises(ValueError, match="bounds must rise"):
            shard.histogram("c", "", bounds)
    with pytest.raises(IndexError):
        Shard(region, 3)


def test_label_values_are_escaped() -> None:
    assert escape('a"b\\c\nd') == 'a\\"b\\\\c\\nd'


def test_one_call_counts_a_whole_request_under_every_name(region: Region) -> None:
    shard = Shard(region, 0)
    hits, prompt = shard.counter("hits_total"), shard.counter("tokens_total", 'kind="prompt"')
    total, same = (shard.histogram(name, "", BOUNDS_US) for name in ("a_seconds", "b_seconds"))
    first = shard.histogram("first_seconds", "", BOUNDS_US)
    cells = RequestCells(requests=(hits,), total=(total, same), first_byte=(first,), prompt_tokens=(prompt,))
    cells.record(2_000, 50, -1, 11, 5)
    cells.record(2_000, 50, 900, 4, -1)
    assert (hits.value, prompt.value, total.total, same.total, sum(first.counts)) == (2, 15, 4_000, 4_000, 1)
    with pytest.raises(TypeError, match="expected a Counter"):
        RequestCells(requests=(total,))  # type: ignore[arg-type]


def test_cells_outlive_their_shard_and_region() -> None:
    def made() -> tuple[Counter, Gauge, Histogram]:
        shard = Shard(region_of(1), 0)
        return shard.counter("a"), shard.gauge("b"), shard.histogram("c", "", (1,))

    counter, gauge, histogram = made()
    counter.add(1)
    gauge.add(-1)
    histogram.observe(1)
    assert (counter.value, gauge.value, histogram.counts) == (1, -1, [1, 0])


def test_any_process_shows_all_of_them(region: Region) -> None:
    code = (
        "import sys; from kpgate._fast.commit import Region; from kpgate._fast.metric import Shard\n"
        "Shard(Region.open(sys.argv[1]), 1).counter('hits_total').add(41)"
    )
    subprocess.run([sys.executable, "-c", code, region.path], check=True, cwd=Path(__file__).parents[2])
    Shard(region, 0).counter("hits_total").add(1)
    assert render(region, {}) == b"# TYPE hits_total counter\nhits_total 42\n"

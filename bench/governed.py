"""Governed throughput beside nginx, and what governance costs: rounds of the targets in turn, ratios within a round.

Owns the order of rounds and the ratios. Targets and load are made elsewhere.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from time import monotonic
from urllib.parse import urlsplit

from bench.load import Run, chat, load
from bench.processes import cpu_s, target_core
from bench.results import Cell, Goal, Result, Table
from bench.target import Lab, Shape, Target

SHAPES = (
    (Shape(), "governed"),
    (Shape(governed=False), "off"),
    (Shape(lane=True), "lane governed"),
    (Shape(governed=False, lane=True), "lane off"),
)
STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
BOUNDS_MS = (10, 50, 100)
METHOD = (
    "One gateway worker on one core; load (wrk, one thread, 64 connections kept open, each with one call open) and "
    "the fake provider (uvloop, a chat completion of 0.5 KB) on another.",
    "`nginx`: proxy_pass, one worker, kept-alive upstream connections, an access log. `governed`: keys, request, token "
    "and concurrency limits on key, party and model, exact token counts, metrics and a log line a call. `off`: the "
    "same build with keys, limits, counts and log lines configured away; it still routes and measures. Both on Granian "
    "and, as `lane`, on the direct transport.",
    "Rounds in turn, the order rotated each round; a ratio is taken within each round, and the median of the rounds' "
    "ratios is given.",
    "`by CPU` are calls for each second of CPU of all the target's processes; `busy` is the share of its core that a "
    "target used. Where nginx is far from busy, the load was short of CPU: the ratio of calls/s then flatters the "
    "gateway, and the one by CPU is the one to believe.",
)

PLAIN = "A chat call of 0.5 KB"
Rounds = list[dict[str, Run]]


@dataclass
class Series:
    """Rounds of one shape of call."""

    title: str
    rounds: Rounds = field(default_factory=list)

    def names(self) -> list[str]:
        """Its targets."""
        return sorted(self.rounds[0], key=_place)

    def ratio(self, over: str, under: str) -> tuple[float, float, float]:
        """Least, median and most of the rounds' ratios of calls a second."""
        return _spread([one[over].calls_per_s / one[under].calls_per_s for one in self.rounds])

    def cpu_ratio(self, over: str, under: str) -> tuple[float, float, float]:
        """The same of calls for each second of the target's CPU."""
        return _spread([one[over].calls_per_cpu_s / one[under].calls_per_cpu_s for one in self.rounds])

    def table(self) -> Table:
        """Medians a target."""
        rows: list[list[Cell]] = []
        for name in self.names():
            runs = [one[name] for one in self.rounds]
            rows.append(
                [
                    name,
                    round(median(run.calls_per_s for run in runs)),
                    median(run.p50_ms for run in runs),
                    median(run.p99_ms for run in runs),
                    1e6 * median(run.cpu_s / run.calls for run in runs),
                    median(run.busy for run in runs),
                    self.ratio(name, "nginx")[1],
                ]
            )
        columns = ["target", "calls/s", "p50 ms", "p99 ms", "CPU us a call", "busy", "of nginx"]
        return Table(f"{self.title}, {len(self.rounds)} rounds", columns, rows)


def _spread(ratios: list[float]) -> tuple[float, float, float]:
    return min(ratios), median(ratios), max(ratios)


def _place(name: str) -> int:
    order = ("direct", "nginx", *(name for _, name in SHAPES))
    return order.index(name) if name in order else len(order)


def peer(text: str, key: str) -> Target:
    """A target of somebody else's, from NAME=URL. Errors: ValueError."""
    name, equals, url = text.partition("=")
    parts = urlsplit(url)
    if not equals or not name or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not NAME=URL: {text}")
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path = (path or "/v1") + "/chat/completions"
    tls = parts.scheme == "https"
    return Target(name, parts.port or (443 if tls else 80), key, tls=tls, host=parts.hostname, path=path)


def play(title: str, targets: Sequence[Target], rounds: int, seconds: float, sdk: bool = False) -> Series:
    """Load the targets in turn. Errors: bench.load.Failed at the first call that fails."""
    series = Series(title)
    for target in targets:
        load(target.url, target.key or "none", 1, sdk=sdk)
    for number in range(rounds):
        turn = number % len(targets)
        order = [*targets[turn:], *targets[:turn]]
        series.rounds.append({one.name: watched(one, seconds, sdk) for one in order})
    return series


def watched(target: Target, seconds: float, sdk: bool = False, body: bytes = b"") -> Run:
    """A run of the load, and what it took of the target. Errors: bench.load.Failed."""
    pids = target.pids() if target.pid else []
    before, began = cpu_s(pids), monotonic()
    run = load(target.url, target.key or "none", seconds, sdk=sdk, body=body)
    used = cpu_s(pids) - before
    return replace(run, cpu_s=used, busy=used / (monotonic() - began))


def bounds(targets: Sequence[Target], seconds: float) -> Table:
    """The most calls a second of each target while its p99 stays within a bound, over numbers of connections."""
    rows: list[list[Cell]] = []
    for target in targets:
        runs = [
            load(target.url, target.key or "none", seconds, body=chat(), connections=step) for step in STEPS
        ]
        row: list[Cell] = [target.name]
        for bound in BOUNDS_MS:
            within = [run.calls_per_s for run in runs if run.p99_ms <= bound]
            row.append(round(max(within)) if within else None)
        rows.append(row)
    columns = ["target", *(f"p99 <= {bound} ms" for bound in BOUNDS_MS)]
    return Table(f"Most calls/s within a p99, {STEPS[0]} to {STEPS[-1]} connections", columns, rows)


def _goal(series: Series, over: str, under: str, bound: float, aim: float) -> Goal:
    """A goal for the ratio by CPU: that by calls/s flatters whoever the load is too slow for."""
    beside = "" if series.title == PLAIN else f", {series.title.lower()}"
    return Goal(
        f"{over} / {under} by CPU{beside}", series.cpu_ratio(over, under)[1], "at least", bound, aim=aim
    )


def measure(rounds: int, seconds: float, peers: Sequence[Target] = (), port: int = 0) -> Result:
    """Every figure of this module."""
    fewer = max(3, rounds // 3)
    with Lab() as lab:
        provider = lab.provider(port=port)
        targets = [lab.nginx(provider), *(lab.gateway(provider, shape) for shape, _ in SHAPES), *peers]
        plain = play(PLAIN, targets, rounds, seconds)
        sdk = play("The official client's 18 headers", targets, fewer, seconds, sdk=True)
        table = bounds(targets, 1)
    with Lab() as lab:
        provider = lab.provider(tls=True)
        targets = [lab.nginx(provider), *(lab.gateway(provider, shape) for shape, _ in SHAPES)]
        tls = play("The provider behind TLS", targets, fewer, seconds)
    series = (plain, sdk, tls)
    pairs = (
        ("governed", "nginx"),
        ("off", "nginx"),
        ("governed", "off"),
        ("lane governed", "nginx"),
        ("lane off", "nginx"),
        ("lane governed", "lane off"),
        ("lane governed", "governed"),
    )
    spread: list[list[Cell]] = [
        [one.title, f"{over} / {under}", *one.ratio(over, under), one.cpu_ratio(over, under)[1]]
        for one in series
        for over, under in pairs
    ]
    ratios = Table(
        "Ratios of calls/s", ["calls", "ratio", "least", "median", "most", "median by CPU"], spread
    )
    return Result(
        "governed",
        "Governed throughput",
        METHOD,
        goals=(
            Goal("governed / nginx", plain.ratio("governed", "nginx")[1], "at least", 0.25, aim=0.32),
            Goal(
                "governed / nginx by CPU", plain.cpu_ratio("governed", "nginx")[1], "at least", 0.25, aim=0.32
            ),
            Goal("governed / off", plain.ratio("governed", "off")[1], "at least", 0.75, aim=0.85),
            Goal("governed / off by CPU", plain.cpu_ratio("governed", "off")[1], "at least", 0.75, aim=0.85),
            _goal(plain, "lane governed", "nginx", 0.55, 0.75),
            _goal(tls, "lane governed", "nginx", 0.40, 0.60),
            _goal(plain, "lane governed", "governed", 1.8, 2.5),
            _goal(plain, "lane governed", "lane off", 0.75, 0.85),
        ),
        tables=(ratios, *(one.table() for one in series), table),
        notes=() if target_core() is not None else ("One core only: load, provider and targets shared it.",),
        raw={
            one.title: [{name: asdict(run) for name, run in each.items()} for each in one.rounds]
            for one in series
        },
    )

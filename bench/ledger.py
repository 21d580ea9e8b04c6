"""What credits cost: the same gateway with the ledger on and off, in turn; posting; a million accounts.

Owns the ratios and what is made of the others' figures.
"""

from dataclasses import asdict
from statistics import median

from bench import accounts, posting
from bench.clerk import play
from bench.load import of_a_second
from bench.results import Cell, Goal, Result, Table
from bench.target import Lab, Shape

METHOD = (
    "One gateway worker on one core; load (wrk, 64 connections), the fake provider and the gateway's clerk on another, "
    "as on a machine with a core to spare. With credits: a price, an account, a budget of the party and one of the "
    "key, each with caps a day, a month and in total; every call is held for, charged, posted, and a leaf of the "
    "signed log.",
    "Rounds in turn, the order rotated; a ratio is taken within each round, and the median given. A round is a second "
    "for each: what else a virtual machine's host does changes within seconds. `by CPU` are calls for each second of "
    "CPU of supervisor and worker; the clerk's CPU a call stands beside them.",
    *posting.METHOD,
    *accounts.METHOD,
)
OPEN = 5_000
"""Calls that are open at each moment while others are posted."""


def measure(rounds: int, seconds: float) -> Result:
    """Every figure of this module."""
    with Lab() as lab:
        provider = lab.provider()
        shapes = [Shape(lane=lane, credits=credits) for lane in (False, True) for credits in (False, True)]
        targets = [lab.gateway(provider, shape) for shape in shapes]
        series, clerks = play(targets, of_a_second(rounds, seconds), 1)
    among = accounts.calls_among(rounds, seconds)
    beside = posting.beside_calls(of_a_second(rounds, seconds))
    opened = {f"{name}, {OPEN:,} open": figure for name, figure in posting.alone(OPEN).items()}
    posted, start = posting.alone() | opened, accounts.start()
    pairs = (("governed with credits", "governed"), ("lane governed with credits", "lane governed"))
    ratios: list[list[Cell]] = [
        [f"{on} / {off}", *series.ratio(on, off), series.cpu_ratio(on, off)[1]] for on, off in pairs
    ]
    clerk_rows: list[list[Cell]] = [[name, 1e6 * median(each)] for name, each in clerks.items()]
    return Result(
        "ledger",
        "Credits",
        METHOD,
        goals=(
            *(
                Goal(f"{on} / {off} by CPU", series.cpu_ratio(on, off)[1], "at least", 0.85)
                for on, off in pairs
            ),
            Goal("charges posted", posted["charges/s"], "at least", 50_000, "a second"),
            Goal(
                f"charges posted, {OPEN:,} calls open",
                posted[f"charges/s, {OPEN:,} open"],
                "at least",
                50_000,
                "a second",
            ),
            Goal(posting.GROWS, beside[posting.GROWS], "at most", 1.1),
            Goal("start with 1,000,000 accounts", start["seconds"], "at most", 3, "s"),
            Goal(
                "calls among 1,000,000 accounts / 1,000 by CPU", among["many / few by CPU"], "at least", 0.9
            ),
        ),
        tables=(
            Table("Ratios of calls/s", ["ratio", "least", "median", "most", "median by CPU"], ratios),
            Table("The clerk", ["target", "CPU us a call"], clerk_rows),
            Table(
                "Posting and accounts",
                ["what", "figure"],
                [[name, figure] for name, figure in (posted | beside | among | start).items()],
            ),
        ),
        raw={
            "rounds": [{name: asdict(run) for name, run in each.items()} for each in series.rounds],
            "clerks": clerks,
        },
    )

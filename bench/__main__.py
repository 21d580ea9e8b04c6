"""`python -m bench`: one command a benchmark; each leaves a file in bench/results.

Owns options only.
"""

import os
import shutil
import sys
from pathlib import Path

import click

from bench import (
    across,
    bodies,
    governed,
    ledger,
    log,
    memory,
    micro,
    overhead,
    people,
    profile,
    report,
    routing,
    scale,
    soak,
    start,
    stream,
    tokens,
)
from bench.callgrind import Unavailable
from bench.results import Result
from bench.stacks import SAMPLERS

VALGRIND = shutil.which("valgrind") is not None
ROUNDS = click.option("--rounds", default=9, show_default=True, help="Rounds of the targets in turn.")
SECONDS = click.option("--seconds", default=2.0, show_default=True, help="Each target's time in a round.")

TRANSPORT = click.option(
    "--transport",
    type=click.Choice(["granian", "direct"]),
    default="granian",
    show_default=True,
    help="How the gateway serves; direct has a result of its own.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Measure kpgate beside nginx and beside anything else that has a URL."""


def _keep(result: Result) -> None:
    path = result.save()
    for goal in result.goals:
        click.echo(
            f"{'ok  ' if goal.reached else 'MISS'} {goal.what}: {report.shown(goal.value)} {goal.unit}"
            f" ({goal.sense} {report.shown(goal.bound)})"
        )
    for one in result.tables:
        rows = [list(row) for row in one.rows]
        click.echo(f"\n{one.title}\n{report.table(list(one.columns), rows)}", nl=False)
    click.echo(f"\nwritten: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


@cli.command("governed")
@ROUNDS
@SECONDS
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="NAME=URL",
    help="Another gateway to measure; its key is read from KPGATE_BENCH_PEER_KEY.",
)
@click.option("--provider-port", default=0, help="The fake provider's port, for peers to be pointed at.")
def governed_command(rounds: int, seconds: float, peers: tuple[str, ...], provider_port: int) -> None:
    """Throughput with all of governance on, beside nginx and with it off."""
    key = os.environ.get("KPGATE_BENCH_PEER_KEY", "")
    try:
        others = [governed.peer(text, key) for text in peers]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--peer") from None
    _keep(governed.measure(rounds, seconds, others, provider_port))


@cli.command("ledger")
@ROUNDS
@SECONDS
def ledger_command(rounds: int, seconds: float) -> None:
    """Throughput with credits spent, over the same build with the ledger off; posting; accounts at a start."""
    _keep(ledger.measure(rounds, seconds))


@cli.command("log")
@click.option("--proofs", default=1_000, show_default=True, help="Proofs of each kind.")
def log_command(proofs: int) -> None:
    """Proofs in a log of ten million receipts, made and verified; leaves appended."""
    _keep(log.measure(proofs))


@cli.command("overhead")
@ROUNDS
@SECONDS
@TRANSPORT
def overhead_command(rounds: int, seconds: float, transport: str) -> None:
    """What a call waits longer, at 500 calls a second."""
    _keep(overhead.measure(rounds, seconds, transport == "direct"))


@cli.command("stream")
@click.option("--rounds", default=3, show_default=True, help="Rounds of the targets in turn.")
@click.option("--seconds", default=5.0, show_default=True, help="How long the open streams are watched.")
@TRANSPORT
def stream_command(rounds: int, seconds: float, transport: str) -> None:
    """CPU a chunk and the first byte, at 1,000 open streams."""
    _keep(stream.measure(rounds, seconds, transport == "direct"))


@cli.command("bodies")
@click.option("--rounds", default=5, show_default=True, help="Rounds of the targets in turn.")
@SECONDS
@TRANSPORT
def bodies_command(rounds: int, seconds: float, transport: str) -> None:
    """Request bodies of 64 KB and 1 MB, beside nginx unbuffered."""
    _keep(bodies.measure(rounds, seconds, transport == "direct"))


@cli.command("across")
@ROUNDS
@SECONDS
@TRANSPORT
def across_command(rounds: int, seconds: float, transport: str) -> None:
    """Calls of OpenAI's dialect to a provider that speaks Anthropic's, beside one that speaks OpenAI's."""
    _keep(across.measure(rounds, seconds, transport == "direct"))


@cli.command("memory")
@TRANSPORT
@click.option("--streams", default=0, help="Open streams; 0 is as many as the transport is asked to carry.")
def memory_command(transport: str, streams: int) -> None:
    """What streams, stalled readers and an idle worker weigh, and how late their chunks come."""
    _keep(memory.measure(transport == "direct", streams))


@cli.command("route")
@click.option("--instructions/--no-instructions", default=VALGRIND, help="Also count them, by valgrind.")
def route_command(instructions: bool) -> None:
    """What it takes to decide who answers a call."""
    try:
        _keep(routing.measure(instructions))
    except Unavailable as error:
        raise click.ClickException(str(error)) from None


@cli.command("micro")
@click.option("--rounds", default=15, show_default=True, help="Rounds of the operations in turn.")
@click.option(
    "--instructions/--no-instructions",
    default=VALGRIND,
    help="Count instructions too, by valgrind where it is installed; a quarter of a minute.",
)
def micro_command(rounds: int, instructions: bool) -> None:
    """What each compiled module costs a call."""
    _keep(micro.measure(rounds, instructions))


@cli.command("tokens")
@click.option("--rounds", default=15, show_default=True, help="Rounds of the counters in turn.")
def tokens_command(rounds: int) -> None:
    """Counting tokens, beside tiktoken and toktok-rs."""
    _keep(tokens.measure(rounds))


@cli.command("start")
@click.option("--rounds", default=5, show_default=True, help="Pairs of a first and a second start.")
def start_command(rounds: int) -> None:
    """From the command to the first answer."""
    _keep(start.measure(rounds))


@cli.command("scale")
@click.option("--rounds", default=5, show_default=True, help="Rounds of the targets in turn.")
@SECONDS
@TRANSPORT
def scale_command(rounds: int, seconds: float, transport: str) -> None:
    """Two workers, huge prompts, many models."""
    _keep(scale.measure(rounds, seconds, transport == "direct"))


@cli.command("soak")
@click.option("--calls", default=1_000_000, show_default=True, help="Whole calls to answer meanwhile.")
@TRANSPORT
def soak_command(calls: int, transport: str) -> None:
    """A long run with clients that leave, reset, stand still and talk nonsense."""
    _keep(soak.measure(calls, transport == "direct", click.echo))


@cli.command("locust")
@click.option("--users", default=50, show_default=True, help="Users at once.")
@click.option("--seconds", default=15, show_default=True, help="How long, without the web page.")
@click.option("--web", is_flag=True, help="Locust's web page instead, until Ctrl-C.")
def locust_command(users: int, seconds: int, web: bool) -> None:
    """Real users' shapes by Locust; leaves bench/reports/locust.html."""
    sys.exit(people.play(users, seconds, web))


@cli.command("profile")
@click.option("--transport", type=click.Choice(["granian", "direct"]), default="granian", show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="How long the gateway is loaded and sampled.")
@click.option("--sampler", type=click.Choice(SAMPLERS), help="What samples it; perf where it is installed.")
def profile_command(transport: str, seconds: float, sampler: str | None) -> None:
    """Where a governed call's time goes: a flame graph, shares, instructions, phases; in build/profile."""
    try:
        found = profile.measure(transport, seconds, sampler or "")
    except Unavailable as error:
        raise click.ClickException(str(error)) from None
    click.echo(found.text(), nl=False)
    for path in found.write(profile.FOLDER):
        click.echo(f"written: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


@cli.command("report")
def report_command() -> None:
    """Render bench/README.md from bench/results."""
    click.echo(f"written: {report.write()}")


if __name__ == "__main__":
    cli()

"""`kpgate serve`: from the command line to a running supervisor, and what people are told on the way.

It decides nothing about requests. What goes wrong before anything is served ends here, in words.
"""

import os
import select
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kpgate._fast import limit, metric, pulse
from kpgate._fast.commit import Region
from kpgate.app import areas
from kpgate.app.channel import Order
from kpgate.app.config import Loaded, load
from kpgate.app.config_checks import NO_MODELS
from kpgate.app.context import CLERK_SEAT
from kpgate.app.descriptors import raise_descriptor_limit
from kpgate.app.echo_model import with_echo
from kpgate.app.listeners import PortRefused, open_listeners, spell_address
from kpgate.app.node import Node, NodeRefused
from kpgate.app.options import ServeOptions
from kpgate.app.slot import Slot
from kpgate.app.supervisor import Supervisor
from kpgate.domain.settings import Ledger, Settings

WORKER = "kpgate.app.worker"
CLERK = "kpgate.app.clerk_child"
NO_LEDGER = Ledger()
WRITE_PATIENCE_S = 0.1

Greet = Callable[[Node, str], None]
"""Called once all workers serve, with the node and the gateway's URL."""


def run(
    options: ServeOptions,
    *,
    environ: Mapping[str, str] = os.environ,
    builder: str = "",
    clerk: str = CLERK,
    greet: Greet | None = None,
) -> int:
    """Run the gateway in the foreground until it is told to end. Returns the exit status.

    Shape: `builder` names another application, `module:function`; `clerk` a module to run as the clerk, empty
    for none.
    """
    say = speak_to_people if sys.stderr.isatty() else speak_to_programs
    loaded, settings = _read(options, environ)
    for warning in loaded.warnings:
        say("warning", problem=str(warning))
    if settings is None:
        say("configuration_refused", problems=[str(problem) for problem in loaded.problems])
        return 1
    if options.demo and greet is None:
        # house: imports - whoever greets reaches the clerk and can do its work: nobody else here needs all that
        from kpgate.app.demo import greet
    node = Node(options.data)
    try:
        node.create()
        held = [node.take_gateway()]
        raise_descriptor_limit()
        ground = _Ground(settings)
        held.append(node.take_members())
    except (NodeRefused, PortRefused) as error:
        say("refused", problem=str(error))
        return 1
    region = make_region(len(ground.workers) + 1, settings.ledger)
    node.share(held[-1])

    def announce() -> None:
        say("listening", **ground.addresses, workers=len(ground.workers), data=str(node.data))
        if greet is not None:
            greet(node, ground.addresses["url"])

    def reread() -> tuple[Settings | None, tuple[str, ...]]:
        again, fresh = _read(options, environ)
        return fresh, tuple(str(problem) for problem in again.problems)

    order = first_order(options, loaded.file, settings, node, region, builder)
    slot = Slot("clerk", clerk, CLERK_SEAT) if clerk else None
    supervisor = Supervisor(ground.workers, slot, order, settings, reread, say)
    supervisor.on_ready = announce
    status = supervisor.run(terminal=sys.stdin.isatty())
    say("ended", status=status)
    for lock in reversed(held):
        lock.close()
    return status


def _read(options: ServeOptions, environ: Mapping[str, str]) -> tuple[Loaded, Settings | None]:
    """The configuration as it was found, and the settings to serve by, if it has no problems."""
    loaded = load(options.config, environ, options.overrides())
    if loaded.settings is None or not options.demo:
        return loaded, loaded.settings
    # It has one now.
    warnings = tuple([warning for warning in loaded.warnings if warning.message != NO_MODELS])
    return msgspec.structs.replace(loaded, warnings=warnings), with_echo(loaded.settings)


class _Ground:
    """The listeners and the worker slots on them.

    Errors: PortRefused.
    """

    def __init__(self, settings: Settings) -> None:
        server, admin = settings.server, settings.admin
        count = server.workers or len(os.sched_getaffinity(0))
        listeners = [[one] for one in open_listeners(server.host, server.port, count)]
        scheme = "https" if server.tls else "http"
        port = listeners[0][0].getsockname()[1]
        self.addresses = {"url": f"{scheme}://{spell_address(server.host, port)}"}
        if admin.port is not None:
            for pair, opened in zip(listeners, open_listeners(admin.host, admin.port, count), strict=True):
                pair.append(opened)
            port = listeners[0][1].getsockname()[1]
            self.addresses["admin_url"] = f"http://{spell_address(admin.host, port)}"
        self.workers = [
            Slot(f"worker-{number}", WORKER, CLERK_SEAT + number, pair)
            for number, pair in enumerate(listeners, 1)
        ]


def make_region(seats: int, ledger: Ledger = NO_LEDGER) -> Region:
    """The shared memory that all processes of the node decide in. It lives as long as this process."""
    room = limit.areas() | metric.areas(seats) | pulse.areas(seats) | areas.areas(ledger)
    return Region.create(room, seats)


def first_order(
    options: ServeOptions, file: str | None, settings: Settings, node: Node, region: Region, builder: str
) -> Order:
    """What every child is started with; seat and listeners are each one's own."""
    return Order(
        seat=-1,
        seats=region.seats,
        data=str(node.data),
        region=region.path,
        settings=msgspec.Raw(msgspec.json.encode(settings)),
        config=file,
        overrides=options.overrides(),
        demo=options.demo,
        builder=builder,
    )


def speak_to_programs(event: str, **fields: Any) -> None:
    """One JSON line on standard error."""
    _write(msgspec.json.encode({"event": event, **fields}) + b"\n")


def speak_to_people(event: str, **fields: Any) -> None:
    """One or more lines on standard error, for somebody who looks."""
    problems = fields.pop("problems", None)
    if event == "listening":
        text = f"kpgate serves on {fields['url']} with {fields['workers']} workers"
        if "admin_url" in fields:
            text += f", management on {fields['admin_url']}"
    elif set(fields) == {"problem"}:
        text = f"kpgate: {fields['problem']}"
    else:
        said = ", ".join(f"{name} {value}" for name, value in fields.items())
        text = f"kpgate: {event.replace('_', ' ')}" + (f" ({said})" if said else "")
    lines = [text, *(f"  {problem}" for problem in problems or ())]
    _write("\n".join(lines).encode() + b"\n")


def _write(line: bytes) -> None:
    """Write what fits: a full pipe must not stop the one who keeps the workers alive."""
    try:
        while line and select.select([], [2], [], WRITE_PATIENCE_S)[1]:
            # A pipe that is writable takes this much without waiting.
            line = line[os.write(2, line[: select.PIPE_BUF]) :]
    except (OSError, ValueError):
        return

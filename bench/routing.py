"""A decision about one call among 1,000 models of 8 deployments, with every kind of rule on. Calls nobody.

Run as `python -m bench route`. The call's content is read once beforehand: that is DECODE's cost, shown apart.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.callgrind import count, mark
from bench.results import Cell, Goal, Result, Table
from bench.twins import best_ns
from kpgate._fast import pulse
from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.pulse import Pulses
from kpgate._fast.routes import Router
from kpgate.app.equipment import names
from kpgate.app.routing import Maker
from kpgate.app.ways import Ways
from kpgate.dialects.openai.endpoints import CHAT
from kpgate.domain.caller import Caller, Party
from kpgate.domain.routing import Abilities, Rule
from kpgate.domain.settings import Deployment, Ledger, Model, Prices, Provider, Settings
from kpgate.domain.tier import Tier
from kpgate.domain.traits import read_chat
from kpgate.services.choose import Asked
from kpgate.services.health import rules_of
from kpgate.services.route import Routes

METHOD = (
    "1,000 models of 8 deployments, each with a rule of every kind, none of which applies. The quickest of seven runs; "
    "instructions by callgrind, the difference of two run lengths.",
    "A decision looks at the prompt's words for the rules about complexity and language. Reading the call's content "
    "into the neutral form is apart: it is proportional to the prompt, and done only where a rule or an ability asks.",
)
COUNTED, WARM = 200, 50
MODELS = 1_000
DEPLOYMENTS = 8
NOW_US = 1_000_000
RULES = (
    'header("x-team") == "blue"',
    'party == "other" or tier in ["gold", "platinum"]',
    'key startswith "batch-" and not stream',
    'metadata["kind"] contains "report"',
    "prompt_tokens > 100_000 and turns >= 20",
    "images or json_schema and tools",
    'language in ["ja", "zh", "ko"]',
    "complexity > 90",
)
"""One of each kind; none applies, so that all are tried."""
TEXT = (
    "Could you please tell me what the weather in Paris is like in the spring, and how to get there by train?"
)
HEADERS = [
    (b"host", b"localhost:8080"),
    (b"accept", b"application/json"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.54.0"),
    (b"authorization", b"Bearer sk-x"),
    (b"content-length", b"300"),
]


def settings() -> Settings:
    """The models, and `auto` with eight of them as candidates."""
    providers = tuple(
        Provider(name=f"p{place}", base_url="http://127.0.0.1:9/v1") for place in range(DEPLOYMENTS)
    )
    models = [
        Model(
            name=f"model-{number}",
            deployments=tuple(
                Deployment(provider=one.name, model=f"up-{number}", weight=1 + place)
                for place, one in enumerate(providers)
            ),
            price=Prices(input=1 + number % 7, output=2 + number % 11),
            can=Abilities(context_tokens=128_000),
            rules=tuple(Rule(when=text) for text in RULES),
            route="cost",
        )
        for number in range(MODELS - 1)
    ]
    auto = Model(
        name="auto",
        candidates=tuple(f"model-{number}" for number in range(DEPLOYMENTS)),
        rules=tuple(Rule(when=text) for text in RULES),
        route="cost",
    )
    return Settings(providers=providers, models=(*models, auto), ledger=Ledger(enabled=False))


def _routes(folder: Path) -> Routes:
    written = settings()
    region = Region.create(pulse.areas(1), 1)
    life = Life.claim(folder, 0, 1)
    make = Maker(
        written,
        {name: number for number, name in enumerate(names(written), 1)},
        rules_of(written.ejection, 60_000_000),
        ways=Ways(written, {}),
        pulses=Pulses(region, Seat(region, life)),
        pool=lambda provider, timeouts: None,
        vocabulary=lambda encoding: None,
    )
    router = Router([(model.name,) for model in written.models])
    return Routes(router, make.plans(), 0)


@dataclass(frozen=True)
class Operation:
    """Something that is measured."""

    name: str
    work: Callable[[], object]


def operations(routes: Routes) -> list[Operation]:
    """A call's content read, its model found, and its deployment decided, in three ways."""
    body = json.dumps({"model": "model-500", "messages": [{"role": "user", "content": TEXT}]}).encode()
    call = CHAT.decode(body, 64)
    caller = Caller("key", 1, Party(1, "acme", tier=Tier(1, "silver")), label="interactive")
    neutral = CHAT.neutral
    assert neutral is not None
    traits = read_chat(neutral(body, call))

    def decide(name: str, cost_max: bytes | None = None) -> None:
        asked = Asked(caller, call, CHAT, body, HEADERS, 25, 0x9E3779B97F4A7C15, cost_max, traits)
        routes.find(name).chooser.choose(asked, NOW_US)  # type: ignore[union-attr]

    return [
        Operation("the content read", lambda: read_chat(neutral(body, call))),
        Operation("the model found", lambda: routes.find("model-500")),
        Operation("decided, 8 deployments", lambda: decide("model-500")),
        Operation("decided, 8 deployments, with a cap", lambda: decide("model-500", b"999999999")),
        Operation("decided, 8 models of 8 deployments", lambda: decide("auto")),
    ]


def measure(counting: bool = True) -> Result:
    """Every figure of this module."""
    parts = [part.total for part in count("bench.routing")[0]] if counting else []
    rows: list[list[Cell]] = []
    with tempfile.TemporaryDirectory() as folder:
        made = operations(_routes(Path(folder)))
        for place, one in enumerate(made):
            instructions = (parts[3 * place + 1] - parts[3 * place]) // COUNTED if parts else None
            rows.append([one.name, best_ns(one.work) / 1000, instructions])
    decided = float(rows[2][1] or 0)
    return Result(
        "route",
        "Who answers a call",
        METHOD,
        goals=(Goal("decided, 8 deployments, every kind of rule on", decided, "at most", 5.0, "us"),),
        tables=(Table("One call", ["step", "us", "instructions"], rows),),
    )


def main() -> None:
    """What callgrind counts: each operation so often, and twice as often."""
    with tempfile.TemporaryDirectory() as folder:
        for one in operations(_routes(Path(folder))):
            for _ in range(WARM):
                one.work()
            for number in (COUNTED, 2 * COUNTED):
                mark()
                for _ in range(number):
                    one.work()
            mark()


if __name__ == "__main__":
    main()

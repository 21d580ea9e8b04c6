"""A decision about one call, by itself: what is left of it."""

import gc
import json

from kpgate.dialects.openai.endpoints import CHAT
from kpgate.domain.caller import ANONYMOUS
from kpgate.domain.routing import Rule
from kpgate.domain.settings import Deployment, Ledger, Model, Prices, Provider, Settings
from kpgate.services.choose import Asked
from tests.kit.equipment import bench
from tests.kit.loops import looped

RULES = ("complexity > 90", 'language in ["ja", "zh"]', 'metadata["k"] contains "x"', "images or turns > 50")
SETTINGS = Settings(
    providers=(Provider(name="p", base_url="http://127.0.0.1:9/v1"),),
    models=(
        Model(
            name="m",
            deployments=tuple(Deployment(provider="p", model=name) for name in ("a", "b")),
            price=Prices(input=1, output=2),
            rules=tuple(Rule(when=text) for text in RULES),
            route="cost",
        ),
    ),
    ledger=Ledger(enabled=False),
)


@looped
async def test_a_decision_leaves_nothing_for_the_collector() -> None:
    body = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "why is the sky blue"}]}
    ).encode()
    call = CHAT.decode(body, 64)
    with bench(SETTINGS) as gate:
        plan = gate.gateway.equipment.routes.plan("m")

        def decide() -> str:
            asked = Asked(ANONYMOUS, call, CHAT, body, [(b"host", b"x")], 40, 7)
            why: str = plan.chooser.choose(asked, gate.clock()).why
            return why

        assert decide() == "cost;complexity=12:tokens=6,questions=6"
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                decide()
            left = gc.collect()
        finally:
            gc.enable()
    assert left < 50, f"{left} objects in circles after 50 decisions"

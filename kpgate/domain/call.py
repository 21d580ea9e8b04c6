"""A call: one inference request, free of any vendor's spelling; and the record of what became of it."""

from dataclasses import dataclass
from typing import Any

from kpgate._fast.outline import Outline
from kpgate.domain.caller import Caller
from kpgate.domain.errors import GatewayError
from kpgate.domain.phase import Phase
from kpgate.domain.usage import NOTHING


@dataclass
class Call:
    """What a caller asks for.

    Units: `output_cap` tokens a choice, 0 when the caller gave none; `cost_max` microKPT, -1 for no such limit.
    `content` is the dialect's own decoded form and `scan` its offsets; only the dialect reads them. `dropped` names
    what was left out for a provider that cannot express it, in the caller's words. `texts` says where a long prompt's
    texts stand in the body: they were not decoded. `units` is what its endpoint counts that is no token, `units_max`
    how many there may be, 0 for as many; `apart` says that no price for tokens pays for them. `counted` is the
    prompt's tokens, where a reply may have to say them. `capped` says that its body names its output cap, and once.
    """

    model: str
    content: Any
    scan: Any
    stream: bool = False
    usage_wanted: bool = False
    output_cap: int = 0
    choices: int = 1
    dropped: str = ""
    cost_max: int = -1
    texts: Outline | None = None
    units: int = 0
    units_max: int = 0
    apart: bool = False
    counted: int = 0
    capped: bool = False


class Record:
    """What happened to one request so far: the log line and the metrics are written from it, once.

    Units: `*_us` microseconds; instants are monotonic. `upstream_us` is time spent waiting for providers, `total_us`
    all of it, once it is over.
    `held`, `cost` and `overrun` microKPT: the most it could cost, its charge, what it used beyond its hold;
    `expected` what it was expected to cost, -1 where nobody asked.
    Shape: `held_as` is the call's id where credit was held for it; `asked` and `said` hold prompt and reply
    only where `[log] bodies` asks for them; `dropped` and `units` are the call's; `route` says how the deployment was
    chosen, `checked` whether the answer fits the schema that was asked for.
    """

    __slots__ = (
        "asked",
        "attempts",
        "caller",
        "checked",
        "cost",
        "deployment",
        "dropped",
        "error",
        "expected",
        "first_token_us",
        "generates",
        "head_us",
        "held",
        "held_as",
        "method",
        "model",
        "overhead_us",
        "overrun",
        "path",
        "peer",
        "phase",
        "prompt_tokens",
        "provider",
        "received_us",
        "reply_bytes",
        "request_bytes",
        "request_id",
        "route",
        "said",
        "status",
        "stream",
        "total_us",
        "units",
        "upstream_us",
        "usage",
    )

    def __init__(self, request_id: str, received_us: int, path: str, method: str) -> None:
        self.request_id = request_id
        self.received_us = received_us
        self.path = path
        self.method = method
        self.phase = Phase.RECEIVE
        self.peer = ""
        self.caller: Caller | None = None
        self.model = ""
        self.provider = ""
        self.deployment = ""
        self.dropped = ""
        self.route = ""
        self.checked = ""
        self.expected = -1
        self.stream = False
        self.generates = True
        self.held_as = ""
        self.held = 0
        self.cost = 0
        self.overrun = 0
        self.status = 0
        self.attempts = 0
        self.prompt_tokens = 0
        self.units = 0
        self.usage = NOTHING
        self.upstream_us = 0
        self.overhead_us = 0
        self.first_token_us = 0
        self.head_us = 0
        self.total_us = 0
        self.request_bytes = 0
        self.reply_bytes = 0
        self.error: GatewayError | None = None
        self.asked = ""
        self.said = ""

"""A call: one inference request, free of any vendor's spelling; and the record of what became of it."""

from typing import Any

import msgspec

from kpgate.domain.caller import Caller
from kpgate.domain.errors import GatewayError
from kpgate.domain.phase import Phase
from kpgate.domain.usage import NOTHING, Usage


class Call(msgspec.Struct, gc=False):
    """What a caller asks for.

    Units: `output_cap` tokens a choice, 0 when the caller gave none. `content` is the dialect's own decoded form and
    `scan` its offsets; only the dialect reads them.
    """

    model: str
    content: Any
    scan: Any
    stream: bool = False
    usage_wanted: bool = False
    output_cap: int = 0
    choices: int = 1


class Record(msgspec.Struct):
    """What happened to one request so far: the log line and the metrics are written from it, once.

    Units: `*_us` microseconds; instants are monotonic. `upstream_us` is time spent waiting for providers.
    Shape: `asked` and `said` hold prompt and reply only where `[log] bodies` asks for them.
    """

    request_id: str
    received_us: int
    path: str
    method: str
    phase: Phase = Phase.RECEIVE
    peer: str = ""
    caller: Caller | None = None
    model: str = ""
    provider: str = ""
    deployment: str = ""
    stream: bool = False
    status: int = 0
    attempts: int = 0
    prompt_tokens: int = 0
    usage: Usage = NOTHING
    upstream_us: int = 0
    overhead_us: int = 0
    first_token_us: int = 0
    head_us: int = 0
    request_bytes: int = 0
    reply_bytes: int = 0
    error: GatewayError | None = None
    asked: str = ""
    said: str = ""

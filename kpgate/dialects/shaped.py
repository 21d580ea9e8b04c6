"""The way of a call that is no chat to a provider of another shape: texts to embed, documents to put in order.

Knows no vendor: a `Shape` says how one is asked and what it answers.
"""

from typing import Any

import msgspec

from kpgate.domain.call import Call
from kpgate.domain.dialect import Aim, Endpoint, Heads, Shape, Turned, Unspeakable, Way
from kpgate.domain.errors import InvalidRequest, UpstreamFailed
from kpgate.domain.reply import MALFORMED, Failure

MESSAGE_MAX = 500


def shaped(endpoint: Endpoint, shape: Shape, heads: Heads, drops: bool) -> Way:
    """The way from an endpoint to a shape. `drops`: what it cannot express may be left out."""
    across = _Across(endpoint, shape, drops)
    return Way(
        head=heads.whole,
        stream_head=heads.stream,
        forward=across.forward,
        turn=across.turn,
    )


class _Across:
    """One endpoint and one shape."""

    def __init__(self, endpoint: Endpoint, shape: Shape, drops: bool) -> None:
        self._endpoint = endpoint
        self._shape = shape
        self._drops = drops

    def forward(self, body: bytes, call: Call, model: str, cap: int) -> bytes:
        """The request in the provider's shape. Errors: InvalidRequest for what it cannot express."""
        aim = Aim(model, drops=self._drops, dropped=[])
        try:
            sent = self._shape.encode(body, call, aim)
        except Unspeakable as error:
            why = error.why or f"the {self._shape.name} API has nothing for it"
            raise InvalidRequest(f"{error.name}: {why}", param=error.name) from None
        call.dropped = ",".join(aim.dropped)
        return sent

    def turn(self, status: int, body: bytes, call: Call) -> Turned:
        """A reply in the caller's words. Errors: UpstreamFailed for one that cannot be understood."""
        if status >= 300:
            assert self._endpoint.encode_failure is not None, (
                "whoever is asked in other words is answered in its own"
            )
            return Turned(self._endpoint.encode_failure(status, _failure(status, body)), None, "")
        try:
            return self._shape.turn(body, call)
        except MALFORMED as error:
            where = str(error)[:200] if isinstance(error, msgspec.ValidationError | ValueError) else ""
            said = where or "it is not valid JSON"
            raise UpstreamFailed(
                f"the provider's reply is not as the {self._shape.name} API has it: {said}"
            ) from None


class _Error(msgspec.Struct, gc=False):
    message: str | None = None
    status: str | None = None
    code: Any = None


class _Body(msgspec.Struct, gc=False):
    error: _Error | str | None = None
    message: str | None = None
    detail: Any = None


_body = msgspec.json.Decoder(_Body)


def _failure(status: int, body: bytes) -> Failure:
    """What an error's body says, wherever it stands."""
    try:
        said = _body.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Failure(f"the provider answered {status}")
    error = said.error
    kind = error.status or "" if isinstance(error, _Error) else ""
    message = error.message if isinstance(error, _Error) else error
    detail = said.detail if isinstance(said.detail, str) else None
    message = message or said.message or detail or f"the provider answered {status}"
    return Failure(message[:MESSAGE_MAX], kind)

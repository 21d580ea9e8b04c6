"""The Responses API's endpoint, and how a provider that serves it is asked.

`POST /v1/responses` goes through as bytes to a provider that serves it too, else over the neutral forms.
"""

from typing import Any

from kpgate.dialects.openai import answer as openai
from kpgate.dialects.openai import reply
from kpgate.dialects.responses import answer, ask, count, neutral, request, stream, usage, writer
from kpgate.dialects.responses.stream import Frames
from kpgate.domain.call import Call
from kpgate.domain.dialect import Amend, Endpoint, Framing, Heads, Tongue, Vendor, Way
from kpgate.domain.errors import GatewayError
from kpgate.domain.usage import Usage


def _encode_error_event(error: GatewayError, request_id: str) -> bytes:
    return writer.broken(error, 0)


def _encode_break(framing: Any, error: GatewayError, request_id: str) -> bytes:
    """An error where the stream under way has come to."""
    if isinstance(framing, Frames):
        return writer.broken(error, framing.number)
    told: bytes = framing.writer.fail(error)
    return told


def _ask_path(model: str, streamed: bool) -> str:
    return RESPONSES.upstream_path


TONGUE = Tongue(
    name="OpenAI Responses",
    path=_ask_path,
    encode_chat=ask.encode_chat,
    decode_reply=answer.decode_reply,
    decode_failure=openai.decode_failure,
    reader=stream.StreamReader,
    split=stream.split,
)
RESPONSES = Endpoint(
    path="/v1/responses",
    dialect="responses",
    upstream_path="/responses",
    generates=True,
    decode=request.decode_response,
    count=count.count_response,
    encode_error=reply.encode_error,
    encode_error_event=_encode_error_event,
    encode_limits=reply.encode_limits,
    neutral=neutral.neutral,
    encode_reply=answer.encode_reply,
    writer=writer.StreamWriter,
    encode_failure=openai.encode_failure,
    spelled=neutral.SPELLED,
    encode_break=_encode_break,
    tongue=TONGUE,
    amend=Amend(request.ask_again),
)
ENDPOINTS = (RESPONSES,)


def native(endpoint: Endpoint, heads: Heads) -> Way:
    """The way to a provider that serves it: the caller's bytes there, the provider's bytes back."""
    return Way(
        head=heads.whole,
        stream_head=heads.stream,
        forward=request.forward,
        framer=_framer,
        decode_usage=_same,
        cut=_cut,
        find_usage=usage.read_usage,
        decode_text=answer.decode_text,
    )


def _framer(call: Call) -> Framing:
    return Frames()


def _same(used: Usage | None) -> Usage | None:
    return used


def _cut(framing: Framing, request_id: str, model: str, choices: int) -> bytes:
    assert isinstance(framing, Frames), "as it was made here"
    return writer.cut_short(framing.number, framing.id, framing.model or model)


def _path(endpoint: Endpoint, model: str, stream: bool) -> str:
    return endpoint.upstream_path


VENDOR = Vendor(endpoints=ENDPOINTS, native=native, native_path=_path, tongue=TONGUE, passed=(b"openai-",))

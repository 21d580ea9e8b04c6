"""The Anthropic API's inference endpoints: one row each, and how a provider that speaks it is asked for them."""

from dataclasses import replace

from kpgate.dialects.anthropic import ask, count, neutral, reply, request, usage
from kpgate.dialects.anthropic.framing import Frames
from kpgate.dialects.anthropic.stream import StreamReader, StreamWriter
from kpgate.domain.body import append
from kpgate.domain.call import Call
from kpgate.domain.dialect import Amend, Endpoint, Framing, Heads, Tongue, Vendor, Way
from kpgate.domain.events import Events
from kpgate.domain.usage import Usage

VERSION = (b"anthropic-version", b"2023-06-01")
"""The API's version where nobody says another: of the newer one, 2026-10-21, no caller hears that did not ask for it.

Source: platform.claude.com, API reference, "Versions" (checked November 2026).
"""
PASSES = (b"anthropic-version", b"anthropic-beta")


def _ask_again(body: bytes, said: str, told: str, choices: int) -> bytes:
    turns = [{"role": "assistant", "content": said}, {"role": "user", "content": told}]
    return append(body, "messages", turns)


def _path(model: str, stream: bool) -> str:
    return MESSAGES.upstream_path


TONGUE = Tongue(
    name="anthropic",
    path=_path,
    encode_chat=ask.encode_chat,
    decode_reply=reply.decode_reply,
    decode_failure=reply.decode_failure,
    reader=StreamReader,
    split=Events,
    fixed=(VERSION,),
)
MESSAGES = Endpoint(
    path="/v1/messages",
    dialect="anthropic",
    upstream_path="/messages",
    generates=True,
    decode=request.decode_messages,
    count=count.count_messages,
    encode_error=reply.encode_error,
    encode_error_event=reply.encode_error_event,
    encode_limits=reply.encode_limits,
    neutral=neutral.neutral,
    encode_reply=reply.encode_reply,
    writer=StreamWriter,
    encode_failure=reply.encode_failure,
    spelled=neutral.SPELLED,
    id_header=b"request-id",
    tongue=TONGUE,
    amend=Amend(_ask_again),
)
COUNT = replace(
    MESSAGES,
    path="/v1/messages/count_tokens",
    upstream_path="/messages/count_tokens",
    generates=False,
    decode=request.decode_count,
    neutral=None,
    tally=reply.encode_count,
)
ENDPOINTS = (MESSAGES, COUNT)


def native(endpoint: Endpoint, heads: Heads) -> Way:
    """The way to a provider that speaks Anthropic: the caller's bytes there, the provider's bytes back."""
    return Way(
        head=heads.whole,
        stream_head=heads.stream,
        forward=request.forward,
        framer=_framer,
        decode_usage=_same,
        cut=_cut,
        find_usage=usage.read_usage if endpoint is MESSAGES else _none_used,
        decode_text=reply.decode_text,
        passes=PASSES,
        sign=_say_version,
    )


def _say_version(head: bytes, body: bytes) -> bytes:
    """The API's version, where neither the caller nor the configuration said one."""
    name, version = VERSION
    return b"" if b"\r\n%b:" % name in head else b"%b: %b\r\n" % (name, version)


def _framer(call: Call) -> Framing:
    return Frames()


def _same(used: Usage | None) -> Usage | None:
    return used


def _none_used(body: bytes) -> Usage | None:
    """Counting uses nothing."""
    return Usage(source="provider")


def _cut(framer: Framing, request_id: str, model: str, choices: int) -> bytes:
    assert isinstance(framer, Frames), "as it was made here"
    return framer.cut()


def _native_path(endpoint: Endpoint, model: str, stream: bool) -> str:
    return endpoint.upstream_path


VENDOR = Vendor(
    endpoints=ENDPOINTS,
    native=native,
    native_path=_native_path,
    tongue=TONGUE,
    credential=(b"x-api-key", b""),
)

"""The OpenAI API's inference endpoints: one row each, and how a provider that speaks it is asked for them."""

from collections.abc import Sequence
from dataclasses import replace

from kpgate._fast.sse import Framer
from kpgate.dialects.openai import answer, ask, count, neutral, offers, reply, request, stream
from kpgate.domain.body import append, merge_items, replace_member
from kpgate.domain.call import Call
from kpgate.domain.dialect import Amend, Endpoint, Heads, Tongue, Vendor, Way
from kpgate.domain.events import EVENT_BYTES_MAX, Events


def _endpoint(path: str, generates: bool, name: str) -> Endpoint:
    return Endpoint(
        path=f"/v1{path}",
        dialect="openai",
        upstream_path=path,
        generates=generates,
        decode=getattr(request, f"decode_{name}"),
        count=getattr(count, f"count_{name}"),
        encode_error=reply.encode_error,
        encode_error_event=reply.encode_error_event,
        encode_limits=reply.encode_limits,
    )


def _ask_again(body: bytes, said: str, told: str, choices: int) -> bytes:
    turns = [{"role": "assistant", "content": said}, {"role": "user", "content": told}]
    body = append(body, "messages", turns)
    return replace_member(body, "n", choices) if choices else body


def _merge(first: bytes, second: bytes, places: Sequence[int]) -> bytes:
    return merge_items(first, second, "choices", places)


def _chat_path(model: str, streamed: bool) -> str:
    return CHAT.upstream_path


TONGUE = Tongue(
    name="OpenAI",
    path=_chat_path,
    encode_chat=ask.encode_chat,
    decode_reply=answer.decode_reply,
    decode_failure=answer.decode_failure,
    reader=stream.StreamReader,
    split=Events,
)
CHAT = replace(
    _endpoint("/chat/completions", True, "chat"),
    neutral=neutral.neutral,
    encode_reply=answer.encode_reply,
    writer=stream.StreamWriter,
    encode_failure=answer.encode_failure,
    spelled=neutral.SPELLED,
    tongue=TONGUE,
    amend=Amend(_ask_again, _merge),
)
COMPLETION = _endpoint("/completions", True, "completion")
EMBEDDING = replace(_endpoint("/embeddings", False, "embedding"), encode_failure=answer.encode_failure)
ENDPOINTS = (CHAT, COMPLETION, EMBEDDING)


def native(endpoint: Endpoint, heads: Heads) -> Way:
    """The way to a provider that speaks OpenAI: the caller's bytes there, the provider's bytes back."""
    if endpoint in offers.OFFERS:
        return offers.native(endpoint, heads)
    return Way(
        head=heads.whole,
        stream_head=heads.stream,
        forward=request.forward,
        framer=_framer,
        decode_usage=reply.decode_usage,
        cut=reply.encode_cut_chat if endpoint is CHAT else reply.encode_cut_completion,
        find_usage=reply.read_usage,
        decode_text=reply.decode_text,
    )


def _framer(call: Call) -> Framer:
    return Framer(not call.usage_wanted, EVENT_BYTES_MAX, collect=True)


def _path(endpoint: Endpoint, model: str, stream: bool) -> str:
    return endpoint.upstream_path


VENDOR = Vendor(
    endpoints=ENDPOINTS + offers.OFFERS,
    native=native,
    native_path=_path,
    tongue=TONGUE,
    passed=(b"openai-",),
)

"""The Gemini API's inference endpoints, and how a provider that speaks it is asked.

The model stands in the path: `find` reads it there, and gives an endpoint that knows it.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NoReturn
from urllib.parse import quote, unquote_to_bytes

from kpgate.dialects.gemini import ask, count, neutral, reply, request, usage
from kpgate.dialects.gemini.stream import Frames, StreamReader, StreamWriter
from kpgate.domain.body import append, members_of, merge_items, replace_member
from kpgate.domain.call import Call
from kpgate.domain.dialect import Amend, Endpoint, Framing, Heads, Tongue, Turned, Vendor, Way
from kpgate.domain.errors import GatewayError, InvalidApiKey, InvalidRequest, NotFound
from kpgate.domain.events import Events
from kpgate.domain.usage import Usage

PREFIXES = (b"/v1beta/models/", b"/v1/models/")
NAME_LENGTH_MAX = 256
_ODD = re.compile(r"[\x00-\x20\x7f\\%?#]|(?:^|/)\.{0,2}(?:/|$)")
_QUERY_KEY = re.compile(rb"(?:^|&)key=")
_ALT = re.compile(rb"(?:^|&)(?:%24|\$)?alt=([^&;]*)")


def _ask_again(body: bytes, said: str, told: str, choices: int) -> bytes:
    turns = [{"role": "model", "parts": [{"text": said}]}, {"role": "user", "parts": [{"text": told}]}]
    body = append(body, "contents", turns)
    if not choices:
        return body
    # Both spellings are read.
    asked = members_of(body)
    name = "generation_config" if "generation_config" in asked else "generationConfig"
    config = members_of(asked[name])
    count = "candidate_count" if "candidate_count" in config else "candidateCount"
    return replace_member(body, name, config | {count: choices})


def _merge(first: bytes, second: bytes, places: Sequence[int]) -> bytes:
    return merge_items(first, second, "candidates", places)


def _path(model: str, stream: bool) -> str:
    return _path_of(model) + (STREAM if stream else GENERATE).upstream_path


def _path_of(model: str) -> str:
    """A model's own path under a provider's base URL."""
    named = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
    return "/" + quote(named, safe="/@")


TONGUE = Tongue(
    name="gemini",
    path=_path,
    encode_chat=ask.encode_chat,
    decode_reply=reply.decode_reply,
    decode_failure=reply.decode_failure,
    reader=StreamReader,
    split=Events,
)


def _endpoint(method: str, upstream: str, generates: bool) -> Endpoint:
    return Endpoint(
        path="/v1beta/models/{model}:" + method,
        dialect="gemini",
        upstream_path=upstream,
        generates=generates,
        decode=request.decode_generate,
        count=count.count_request,
        encode_error=reply.encode_error,
        encode_error_event=reply.encode_error_event,
        encode_limits=reply.encode_limits,
        neutral=neutral.neutral,
        encode_reply=reply.encode_reply,
        writer=StreamWriter,
        encode_failure=reply.encode_failure,
        spelled=neutral.SPELLED,
        tongue=TONGUE,
        amend=Amend(_ask_again, _merge),
    )


GENERATE = _endpoint("generateContent", ":generateContent", True)
STREAM = _endpoint("streamGenerateContent", ":streamGenerateContent?alt=sse", True)
COUNT = replace(
    _endpoint("countTokens", ":countTokens", False),
    decode=request.decode_count,
    neutral=None,
    tally=reply.encode_count,
)
ENDPOINTS = (GENERATE, STREAM, COUNT)
LISTED = replace(
    STREAM, encode_error_event=reply.encode_error_item, stream_type=b"application/json; charset=utf-8"
)
UNKNOWN = replace(GENERATE, path="/v1beta")
_METHODS = {
    b"generateContent": GENERATE,
    b"streamGenerateContent": STREAM,
    b"countTokens": COUNT,
}


def find(path: bytes, query: bytes) -> Endpoint | None:
    """The endpoint that a raw path stands for, with the model in it. None: it is not of this dialect.

    Shape: a model's name may have slashes, as they are or percent-encoded, once: what is decoded is not decoded again.
    An endpoint whose `decode` refuses stands for what is odd, so that the caller is told in its own dialect.
    """
    prefix = PREFIXES[0] if path.startswith(PREFIXES[0]) else PREFIXES[1]
    if not path.startswith(prefix):
        return _refusing(UNKNOWN, NotFound("no such path")) if path.startswith(b"/v1beta/") else None
    named, colon, method = path[len(prefix) :].rpartition(b":")
    endpoint = _METHODS.get(method) if colon else None
    if endpoint is None:
        return _refusing(UNKNOWN, NotFound("no such path")) if prefix is PREFIXES[0] else None
    try:
        model = unquote_to_bytes(named).decode()
    except UnicodeDecodeError:
        model = ""
    if len(model) > NAME_LENGTH_MAX or _ODD.search(model):
        return _refusing(endpoint, InvalidRequest("model: the path does not name one", param="model"))
    if query and _QUERY_KEY.search(query):
        # Who sends no other key is told by AUTH, which comes first, why this one is not read.
        error = InvalidRequest(f"key: {KEY_UNREAD}", param="key")
        return replace(_refusing(endpoint, error), encode_error=_encode_keyless)
    if endpoint is not STREAM:
        decode = request.decode_count if endpoint is COUNT else request.decode_generate
        return endpoint.read_by(partial(decode, model=model))
    return _streaming(model, query)


KEY_UNREAD = "an API key in the query would end up in logs, and is not read: send it as x-goog-api-key"


def _streaming(model: str, query: bytes) -> Endpoint:
    """A stream of events with `alt=sse`, else, as Google has it, a JSON list whose items come one by one."""
    alt = _ALT.search(query)
    form = alt[1] if alt is not None else b"json"
    if form == b"sse":
        decode = partial(request.decode_generate, model=model, stream=True)
        return STREAM.read_by(decode)
    if form != b"json":
        return _refusing(STREAM, InvalidRequest("alt: expected sse or json", param="alt"))
    return LISTED.read_by(partial(request.decode_generate, model=model, stream=True, listed=True))


def _refusing(endpoint: Endpoint, error: GatewayError) -> Endpoint:
    """An endpoint that refuses every body."""
    return endpoint.read_by(partial(_refuse, error))


def _refuse(error: GatewayError, body: bytes, depth_max: int) -> NoReturn:
    raise error


def _encode_keyless(error: GatewayError, request_id: str) -> bytes:
    if isinstance(error, InvalidApiKey):
        error = InvalidApiKey(f"{error.message}; {KEY_UNREAD}")
    return reply.encode_error(error, request_id)


def native(endpoint: Endpoint, heads: Heads) -> Way:
    """The way to a provider that speaks Gemini: the caller's bytes there, the provider's bytes back."""
    return Way(
        head=heads.whole,
        stream_head=heads.stream,
        forward=request.forward_count if endpoint is COUNT else request.forward,
        framer=_framer,
        decode_usage=_same,
        cut=_cut,
        find_usage=usage.read_usage,
        decode_text=reply.decode_text,
        turn=_turn_count if endpoint is COUNT else _turn,
    )


def _turn(status: int, body: bytes, call: Call) -> Turned:
    """A whole reply as it came. Errors: UpstreamFailed where the provider did not take kpgate's key."""
    if status >= 300:
        reply.decode_failure(status, body)
        return Turned(body, None, "")
    used = usage.read_usage(body)
    return Turned(body, used, "" if used is not None else reply.decode_text(body))


def _turn_count(status: int, body: bytes, call: Call) -> Turned:
    """The same of a count, which uses nothing."""
    if status >= 300:
        reply.decode_failure(status, body)
    return Turned(body, Usage(source="provider"), "")


def _framer(call: Call) -> Framing:
    return Frames(call.content.listed)


def _same(used: Usage | None) -> Usage | None:
    return used


def _cut(framer: Framing, request_id: str, model: str, choices: int) -> bytes:
    assert isinstance(framer, Frames), "as it was made here"
    return framer.cut(choices)


def _native_path(endpoint: Endpoint, model: str, stream: bool) -> str:
    return _path_of(model) + endpoint.upstream_path


VENDOR = Vendor(
    endpoints=ENDPOINTS,
    native=native,
    native_path=_native_path,
    tongue=TONGUE,
    credential=(b"x-goog-api-key", b""),
)

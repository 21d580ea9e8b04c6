"""Responses request bodies: what kpgate needs to know of them. The bytes themselves are forwarded untouched.

Source: OpenAI API reference, responses: create (checked November 2026).
"""

from typing import Any

import msgspec

from kpgate._fast.body import Keys, splice
from kpgate.domain.body import append, read_body
from kpgate.domain.call import Call
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.seals import MARKED

MODEL, MAX_OUTPUT_TOKENS, INPUT = 0, 2, 3
READ = Keys(("model", "stream", "max_output_tokens", "input", "instructions", "tools", "background"))
"""Every key that kpgate reads: a body that has one of them twice is refused, for a provider may read the other."""
TOKENS_MAX = 1 << 31


class Part(msgspec.Struct, gc=False):
    """One piece of an item. Kinds that kpgate does not count keep only their type."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None


class Item(msgspec.Struct, gc=False):
    """One item of the input. Shape: what some kind of item has in another shape than the rest is left as it is."""

    type: str = "message"
    role: str | None = None
    content: str | list[Part] | None = None
    name: Any = None
    arguments: Any = None
    output: Any = None
    summary: Any = None


class ResponsesRequest(msgspec.Struct, gc=False):
    """What is read of every request, and, as it stands, what a reply says again."""

    model: str
    input: str | list[Item] | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    tools: list[Any] | None = None
    background: bool | None = None
    metadata: msgspec.Raw = msgspec.Raw()
    parallel_tool_calls: msgspec.Raw = msgspec.Raw()
    prompt_cache_key: msgspec.Raw = msgspec.Raw()
    reasoning: msgspec.Raw = msgspec.Raw()
    safety_identifier: msgspec.Raw = msgspec.Raw()
    temperature: msgspec.Raw = msgspec.Raw()
    text: msgspec.Raw = msgspec.Raw()
    tool_choice: msgspec.Raw = msgspec.Raw()
    top_logprobs: msgspec.Raw = msgspec.Raw()
    top_p: msgspec.Raw = msgspec.Raw()
    user: msgspec.Raw = msgspec.Raw()


_request = msgspec.json.Decoder(ResponsesRequest)


def decode_response(body: bytes, depth_max: int) -> Call:
    """Read a request.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    offsets, request = read_body(_request, body, READ, depth_max)
    cap = request.max_output_tokens
    if cap is not None and not 0 <= cap <= TOKENS_MAX:
        raise InvalidRequest(
            f"max_output_tokens: expected an integer from 0 to {TOKENS_MAX}", param="max_output_tokens"
        )
    if request.background:
        # It would go on after the call has ended: nobody could fetch it here, and nobody would meter it.
        raise InvalidRequest(
            "background: a reply is given within its call; ask for a stream instead", param="background"
        )
    return Call(request.model, request, offsets, request.stream is True, True, cap or 0)


def forward(body: bytes, call: Call, upstream_model: str, cap: int = 0) -> bytes:
    """The body to send upstream: the caller's bytes, with the model's name there, and no thoughts of other vendors'.

    Units: `cap` output tokens, 0 for none: what the caller gave is lowered to it, or it is set.
    """
    edits: dict[int, bytes | None] = {}
    if upstream_model != call.model:
        edits[MODEL] = msgspec.json.encode(upstream_model)
    if cap and not 0 < call.output_cap <= cap:
        edits[MAX_OUTPUT_TOKENS] = b"%d" % cap
    if MARKED in body and (own := _own_thoughts(call.scan.raw(INPUT))) is not None:
        edits[INPUT] = own
        call.dropped = "input: reasoning"
    return splice(body, call.scan, edits) if edits else body


def _own_thoughts(raw: bytes | None) -> bytes | None:
    """The input without what other vendors' models thought, whose seals are refused here. None: there is none of it."""
    if raw is None or raw[:1] != b"[":
        return None
    items = msgspec.json.decode(raw, type=list[dict[str, msgspec.Raw]])
    own = [item for item in items if not bytes(item.get("encrypted_content", b"")).startswith(MARKED)]
    return msgspec.json.encode(own) if len(own) < len(items) else None


def ask_again(body: bytes, said: str, told: str, choices: int) -> bytes:
    """The same request, with an answer and what is said to that as further items."""
    asked = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if bytes(asked["input"])[:1] == b'"':
        # A text stands for one turn of the user's.
        body = msgspec.json.encode(asked | {"input": [{"role": "user", "content": asked["input"]}]})
    return append(body, "input", [{"role": "assistant", "content": said}, {"role": "user", "content": told}])

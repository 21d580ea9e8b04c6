"""Anthropic request bodies: what kpgate needs to know of them. The bytes themselves are forwarded untouched.

Source: platform.claude.com, API reference, "Create a Message" and "Count tokens in a Message" (checked November 2026).
"""

from typing import Any

import msgspec

from kpgate._fast.body import Keys, splice
from kpgate.dialects.anthropic.forms import Block, Message, Tool
from kpgate.domain.body import read_body
from kpgate.domain.call import Call
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.seals import MARKED

MODEL, MAX_TOKENS, MESSAGES, THINKING = 0, 1, 2, 7
READ = Keys(("model", "max_tokens", "messages", "system", "stream", "tools", "tool_choice", "thinking"))
"""Every key that kpgate reads: a body that has one of them twice is refused, for a provider may read the other."""

TOKENS_MAX = 1 << 31
_lists = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_encode = msgspec.json.Encoder().encode


class ThinkingConfig(msgspec.Struct, gc=False):
    """Whether and how the model thinks first. Shape: `type` is enabled, adaptive, between_tools or disabled."""

    type: str
    budget_tokens: int | None = None
    display: str | None = None


class MessagesRequest(msgspec.Struct, gc=False):
    """A request as far as every call needs it."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    tools: list[Tool] | None = None
    thinking: ThinkingConfig | None = None

    @property
    def shows_thinking(self) -> bool:
        """Whether the caller wants to read what the model thought."""
        thinking = self.thinking
        return thinking is not None and thinking.type != "disabled" and thinking.display != "omitted"


_messages = msgspec.json.Decoder(MessagesRequest)


def decode_messages(body: bytes, depth_max: int) -> Call:
    """Read a request for a message.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    call = decode_count(body, depth_max)
    request: MessagesRequest = call.content
    cap = request.max_tokens
    if cap is not None and not 0 <= cap <= TOKENS_MAX:
        raise InvalidRequest(f"max_tokens: expected an integer from 0 to {TOKENS_MAX}", param="max_tokens")
    call.stream = request.stream is True
    call.output_cap = cap or 0
    return call


def decode_count(body: bytes, depth_max: int) -> Call:
    """Read a request to count the tokens of one.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    offsets, request = read_body(_messages, body, READ, depth_max)
    if not request.messages:
        raise InvalidRequest("messages: expected at least one message", param="messages")
    return Call(request.model, request, offsets)


def forward(body: bytes, call: Call, upstream_model: str, cap: int = 0) -> bytes:
    """The body to send upstream: the caller's bytes, with the model's name there, and no thoughts of other vendors'.

    Units: `cap` output tokens, 0 for none: what the caller gave is lowered to it, or it is set.
    Errors: InvalidRequest where the caller's budget for thinking does not fit under the cap.
    """
    edits: dict[int, bytes | None] = {}
    if upstream_model != call.model:
        edits[MODEL] = msgspec.json.encode(upstream_model)
    if cap:
        request: MessagesRequest = call.content
        given = request.max_tokens
        if given is None or given > cap:
            thinking = request.thinking
            if given is not None and thinking is not None and (thinking.budget_tokens or 0) >= cap:
                name = "thinking.budget_tokens"
                raise InvalidRequest(
                    f"{name}: expected less than the {cap} output tokens that this model gives here at most",
                    param=name,
                )
            edits[MAX_TOKENS] = b"%d" % cap
    if MARKED in body:
        edits |= _own_thoughts(call)
    return splice(body, call.scan, edits) if edits else body


def _own_thoughts(call: Call) -> dict[int, bytes | None]:
    """What leaves out the thoughts under other vendors' seals, which Anthropic would refuse the whole request for.

    Calls that were made without a thought are refused as well, where the model thinks by a budget: then it does not.
    """
    raw = call.scan.raw(MESSAGES)
    messages, last, found = [], b"", False
    for message in _lists.decode(raw):
        content = bytes(message.get("content", b""))
        if MARKED in content and content[:1] == b"[":
            blocks = _lists.decode(content)
            kept = [block for block in blocks if not _is_foreign(block)]
            found = found or len(kept) < len(blocks)
            if not kept:
                continue
            message["content"] = msgspec.Raw(_encode(kept))
        if bytes(message.get("role", b"")) == b'"assistant"':
            last = bytes(message.get("content", b""))
        messages.append(message)
    call.dropped = "messages: thinking" if found else ""
    if not found:
        return {}
    edits: dict[int, bytes | None] = {MESSAGES: _encode(messages)}
    thinking: ThinkingConfig | None = call.content.thinking
    if thinking is not None and thinking.type == "enabled" and _acts_unthinking(last):
        edits[THINKING] = None
        call.dropped += ",thinking"
    return edits


def _is_foreign(block: dict[str, msgspec.Raw]) -> bool:
    kind = bytes(block.get("type", b""))
    name = "signature" if kind == b'"thinking"' else "data" if kind == b'"redacted_thinking"' else ""
    return bool(name) and bytes(block.get(name, b"")).startswith(MARKED)


def _acts_unthinking(content: bytes) -> bool:
    """Whether a message calls tools, and that without a thought before."""
    blocks: list[dict[str, Any]] = msgspec.json.decode(content) if content[:1] == b"[" else []
    kinds = [block.get("type") for block in blocks]
    return "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking")

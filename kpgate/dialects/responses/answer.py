"""A Responses answer between its own spelling and the neutral form, whole. Pure; only calls that cross dialects come
here. `stream.py` and `writer.py` have the same for streams.

Source: OpenAI API reference, responses: the object, errors (checked November 2026).
"""

from typing import Any

import msgspec
from msgspec import Struct

from kpgate.dialects.responses import annotations
from kpgate.dialects.responses.ask import SEAL
from kpgate.dialects.responses.request import ResponsesRequest
from kpgate.dialects.responses.usage import decode_usage, encode_usage
from kpgate.domain.call import Call
from kpgate.domain.chat import Part, Refusal, Text, Thinking, ToolCall
from kpgate.domain.citing import leave_out, within
from kpgate.domain.reply import Choice, Citation, Finish, Reply
from kpgate.domain.seals import BARE, OPENAI, wrap, wrap_redacted
from kpgate.domain.usage import NOTHING

Json = dict[str, Any]


class Piece(Struct, gc=False):
    """A part of an item's content or summary."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    logprobs: list[Any] | None = None
    annotations: Any = None


class Item(Struct, gc=False):
    """An item of the output. Kinds that a chat has no place for keep only their type."""

    type: str
    id: str | None = None
    content: list[Piece] | None = None
    summary: list[Piece] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    encrypted_content: str | None = None


class Why(Struct, gc=False):
    """Why it is not complete, or failed."""

    reason: str | None = None
    message: str | None = None
    code: str | None = None


class Response(Struct, gc=False):
    """A response object, whole or as a stream's first and last events have it."""

    output: list[Item] | None = None
    id: str | None = None
    model: str | None = None
    status: str | None = None
    created_at: int | float | None = None
    error: Why | None = None
    incomplete_details: Why | None = None
    usage: msgspec.Raw = msgspec.Raw()


_response = msgspec.json.Decoder(Response)


def decode_reply(body: bytes) -> Reply:
    """What a whole reply says.

    Errors: msgspec.MsgspecError, ValueError for what is no finished response.
    """
    said = _response.decode(body)
    if said.output is None:
        raise ValueError("output: there is none")
    if said.status == "failed":
        raise ValueError(f"it failed: {told(said)}")
    if said.status not in (None, "completed", "incomplete"):
        raise ValueError("status: it is not finished")
    parts = [part for item in said.output for part in decode_item(item)]
    raw = bytes(said.usage)
    usage = (decode_usage(raw) if raw[:1] == b"{" else None) or NOTHING
    finish = finish_of(said, any(type(part) is ToolCall for part in parts))
    choice = Choice(parts, finish, "", _logprobs(said), _citations(said))
    return Reply(said.id or "", said.model or "", [choice], usage, int(said.created_at or 0))


def _citations(said: Response) -> list[Citation]:
    """What its texts are from, by places in all of them."""
    found, at = [], 0
    for item in said.output or ():
        for piece in (item.content or ()) if item.type == "message" else ():
            length = len(piece.text or "")
            found += [shift(one, at) for one in annotations.read(piece.annotations, length)]
            at += length
    return found


def shift(citation: Citation, by: int) -> Citation:
    """The same, so many characters further on."""
    citation.start += by
    citation.end += by
    return citation


def told(said: Response) -> str:
    """What a response says of its failure."""
    error = said.error
    return (
        (error.message or error.code or "it says no more")[:500] if error is not None else "it says no more"
    )


def finish_of(said: Response, called: bool) -> Finish:
    """Why it ended."""
    if said.status == "incomplete":
        why = said.incomplete_details
        return Finish.FILTERED if why is not None and why.reason == "content_filter" else Finish.LENGTH
    return Finish.TOOL_CALLS if called else Finish.STOP


def decode_item(item: Item) -> list[Part]:
    """An item's parts. Errors: ValueError for arguments that are no object: an SDK that parses them comes later."""
    if item.type == "message":
        parts: list[Part] = []
        for piece in item.content or ():
            if piece.text is not None:
                parts.append(Text(piece.text))
            elif piece.refusal is not None:
                parts.append(Refusal(piece.refusal))
        return parts
    if item.type == "function_call":
        arguments = item.arguments or "{}"
        if not isinstance(arguments, str) or not isinstance(msgspec.json.decode(arguments), dict):
            raise ValueError("function_call: arguments are not a JSON object")
        return [ToolCall(item.call_id or item.id or "call_0", item.name or "", arguments)]
    return [decode_thinking(item)] if item.type == "reasoning" else []


def decode_thinking(item: Item) -> Thinking:
    """What was reasoned, with the seal on it and the id that goes with that."""
    text = "\n\n".join(piece.text or "" for piece in item.summary or item.content or ())
    sealed = item.encrypted_content not in (None, "", BARE)
    seal = f"{item.id or ''}{SEAL}{item.encrypted_content}" if sealed else ""
    vendor = OPENAI if seal else ""
    return Thinking(text, seal, "", vendor) if text else Thinking("", "", seal, vendor)


def decode_text(body: bytes) -> str:
    """All that a whole reply says, for counting; empty where it is not what a reply is."""
    try:
        said = _response.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    texts: list[str | None] = []
    for item in said.output or ():
        for piece in (*(item.summary or ()), *(item.content or ())):
            texts += (piece.text, piece.refusal)
        texts += (item.name, item.arguments if isinstance(item.arguments, str) else None)
    return "".join(filter(None, texts))


def _logprobs(said: Response) -> Json | None:
    """The log probabilities of all texts as chat completions spell them."""
    found = [
        one for item in said.output or () for piece in item.content or () for one in piece.logprobs or ()
    ]
    return {"content": found, "refusal": None} if found else None


class Echo:
    """What every response object says again of its request, made once."""

    def __init__(self, call: Call) -> None:
        asked: ResponsesRequest = call.content
        fields: Json = {
            "background": False,
            "error": None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "previous_response_id": None,
            "store": False,
            "tools": asked.tools or [],
            "truncation": "disabled",
        }
        for name, unsaid in _REPEATED:
            raw = bytes(getattr(asked, name))
            fields[name] = msgspec.Raw(raw) if raw and raw != b"null" else unsaid
        self._model = call.model
        self._rest = msgspec.json.encode(fields)[1:-1]

    def response(
        self,
        made: "Made",
        status: str,
        output: bytes = b"[]",
        usage: Json | None = None,
        error: Json | None = None,
    ) -> bytes:
        """A response object. Shape: `output` is JSON."""
        head: Json = {
            "id": made.id,
            "object": "response",
            "created_at": made.created_s,
            "status": status,
            "model": made.model or self._model,
            "incomplete_details": {"reason": made.reason} if status == "incomplete" else None,
            "usage": usage,
        }
        rest = self._rest
        if error is not None:
            rest = rest.replace(b'"error":null', b'"error":' + msgspec.json.encode(error), 1)
        return b"%b,%b,%b}" % (msgspec.json.encode(head)[:-1], b'"output":' + output, rest)


_REPEATED: tuple[tuple[str, Any], ...] = (
    ("metadata", {}),
    ("parallel_tool_calls", True),
    ("prompt_cache_key", None),
    ("reasoning", {"effort": None, "summary": None}),
    ("safety_identifier", None),
    ("temperature", None),
    ("text", {"format": {"type": "text"}}),
    ("tool_choice", "auto"),
    ("top_logprobs", None),
    ("top_p", None),
    ("user", None),
)


class Made(Struct, gc=False):
    """A response in the making. Shape: `key` is what the ids of its items have in common."""

    id: str
    key: str
    model: str = ""
    created_s: int = 0
    reason: str = ""


def make(id: str, model: str, created_s: int) -> Made:
    """A response by the name that the provider gave its reply."""
    key = id.removeprefix("resp_") or "kpgate"
    return Made(f"resp_{key}", key, model, created_s)


def reason_of(finish: Finish, refused: bool) -> str:
    """Why a response is not complete; empty where it is. Shape: `refused` says that a refusal is among its parts."""
    if finish in (Finish.LENGTH, Finish.CONTEXT):
        return "max_output_tokens"
    if finish is Finish.FILTERED or (finish is Finish.REFUSED and not refused):
        return "content_filter"
    return ""


def encode_reply(reply: Reply, call: Call) -> bytes:
    """A whole reply as a response object."""
    made = make(reply.id, reply.model, reply.created_s)
    choice = reply.choices[0]
    output = _output(choice, made.key, call)
    made.reason = reason_of(choice.finish, any(type(part) is Refusal for part in choice.parts))
    status = "incomplete" if made.reason else "completed"
    return Echo(call).response(made, status, msgspec.json.encode(output), encode_usage(reply.usage))


def _output(choice: Choice, key: str, call: Call) -> list[Json]:
    """The parts as items, in their order: what belongs to one message stands together."""
    items: list[Json] = []
    status = "incomplete" if reason_of(choice.finish, True) else "completed"
    logprobs = (choice.logprobs or {}).get("content") or []
    content: list[Json] | None = None
    at = cited = 0
    for part in choice.parts:
        if isinstance(part, Text | Refusal):
            if content is None:
                content = []
                items.append(message(f"msg_{len(items)}_{key}", status, content))
            if isinstance(part, Refusal):
                content.append(refusal(part.text))
                continue
            notes = annotations.spell_all(within(choice.citations, at, len(part.text)))
            content.append(output_text(part.text, logprobs, notes))
            logprobs, at, cited = [], at + len(part.text), cited + len(notes)
            continue
        content = None
        if isinstance(part, Thinking):
            items.append(reasoning(f"rs_{len(items)}_{key}", part))
        elif isinstance(part, ToolCall):
            items.append(function_call(f"fc_{len(items)}_{key}", status, part))
    if cited < len(choice.citations):
        leave_out(call)
    return items


def message(id: str, status: str, content: list[Json]) -> Json:
    """A message item."""
    return {"id": id, "type": "message", "status": status, "role": "assistant", "content": content}


def output_text(text: str, logprobs: list[Any], notes: list[Json]) -> Json:
    """A message's text. Shape: `notes` say where it is from."""
    return {"type": "output_text", "annotations": notes, "logprobs": logprobs, "text": text}


def refusal(text: str) -> Json:
    """A message's refusal."""
    return {"type": "refusal", "refusal": text}


def function_call(id: str, status: str, call: ToolCall) -> Json:
    """A call's item."""
    said = {"id": id, "type": "function_call", "status": status, "arguments": call.arguments}
    return said | {"call_id": call.id, "name": call.name}


def reasoning(id: str, thought: Thinking) -> Json:
    """A reasoning item. Shape: what was redacted says so in its seal, for clients give no empty summary back."""
    seal = wrap(thought.signature, thought.vendor, OPENAI) or (BARE if thought.text else "")
    if thought.redacted:
        seal = wrap_redacted(thought.redacted, thought.vendor)
    shown = bool(thought.text) or bool(thought.signature)
    summary = [{"type": "summary_text", "text": thought.text}] if shown else []
    said: Json = {"id": id, "type": "reasoning", "summary": summary}
    return said | ({"encrypted_content": seal} if seal else {})

"""OpenAI request bodies: what kpgate needs to know of them. The bytes themselves are forwarded untouched.

Source: OpenAI API reference, chat, completions and embeddings pages (checked November 2026).
"""

from typing import Any, TypeAlias

import msgspec

from kpgate._fast.body import Keys, Scan, splice
from kpgate._fast.outline import Outline, Shape, Value
from kpgate.domain.body import read_body, read_outlined
from kpgate.domain.call import Call
from kpgate.domain.errors import InvalidRequest

MODEL, STREAM, STREAM_OPTIONS, MESSAGES, MAX_TOKENS, MAX_COMPLETION_TOKENS = 0, 1, 2, 3, 6, 7
READ = Keys(
    (
        "model",
        "stream",
        "stream_options",
        "messages",
        "prompt",
        "input",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "best_of",
        "tools",
        "functions",
    )
)
"""Every key that kpgate reads: a body that has one of them twice is refused, for a provider may read the other."""

USAGE_PLEASE = b'{"include_usage":true}'


class StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class ImageUrl(msgspec.Struct, gc=False):
    url: str
    detail: str | None = None


class Part(msgspec.Struct, gc=False):
    """One piece of a message. Kinds that kpgate does not count (audio, files) keep only their type."""

    type: str
    text: str | None = None
    image_url: ImageUrl | None = None
    refusal: str | None = None


class Function(msgspec.Struct, gc=False):
    name: str = ""
    arguments: str | None = None


class ToolCall(msgspec.Struct, gc=False):
    id: str | None = None
    type: str | None = None
    function: Function | None = None


class Message(msgspec.Struct, gc=False):
    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    refusal: str | None = None


class ChatRequest(msgspec.Struct, gc=False):
    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None


TEXT, NAME, TURN, CALLED, IMAGE = range(5)
"""What is marked in a chat's outline: texts, names of who speaks, messages, functions called, pictures."""

_FUNCTION = Value(
    null=True,
    mark=CALLED,
    members={"name": Value(string=True, mark=TEXT), "arguments": Value(string=True, null=True, mark=TEXT)},
)
_WORDS = Value(string=True, null=True)
_SAID = Value(string=True, null=True, mark=TEXT)
_PART = Value(
    required=("type",),
    single=True,
    members={
        "type": Value(string=True),
        "text": _SAID,
        "refusal": _SAID,
        "image_url": Value(
            null=True, mark=IMAGE, required=("url",), members={"url": Value(string=True), "detail": _WORDS}
        ),
    },
)
_MESSAGE = Value(
    required=("role",),
    mark=TURN,
    members={
        "role": Value(string=True, mark=TEXT),
        "content": Value(string=True, null=True, mark=TEXT, items=_PART),
        "name": Value(string=True, null=True, mark=NAME),
        "refusal": _SAID,
        "tool_calls": Value(
            null=True, items=Value(members={"id": _WORDS, "type": _WORDS, "function": _FUNCTION})
        ),
        "function_call": _FUNCTION,
    },
)
CONVERSATION = Shape(Value(items=_MESSAGE), counted=(TEXT, NAME))
"""What `list[Message]` takes, where no member is there twice."""


Prompt = str | list[str | int | list[int]]


class CompletionRequest(msgspec.Struct, gc=False):
    model: str
    prompt: Prompt | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None


class EmbeddingRequest(msgspec.Struct, gc=False):
    model: str
    input: Prompt


_chat = msgspec.json.Decoder(ChatRequest)
_completion = msgspec.json.Decoder(CompletionRequest)
_embedding = msgspec.json.Decoder(EmbeddingRequest)


def decode_chat(body: bytes, depth_max: int) -> Call:
    """Read a chat completion request.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    offsets, request, texts = read_outlined(_chat, body, READ, depth_max, MESSAGES, CONVERSATION)
    if not request.messages and texts is None:
        raise InvalidRequest("messages: expected at least one message", param="messages")
    given, older = request.max_completion_tokens, request.max_tokens
    call = _call(request, offsets, older if given is None else given, request.n, texts)
    call.capped = (given is None) != (older is None)
    return call


def decode_completion(body: bytes, depth_max: int) -> Call:
    """Read a completion request.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    offsets, request = read_body(_completion, body, READ, depth_max)
    cap = 16 if request.max_tokens is None else request.max_tokens
    return _call(request, offsets, cap, max(request.n or 1, request.best_of or 1))


def decode_embedding(body: bytes, depth_max: int) -> Call:
    """Read an embedding request.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    offsets, request = read_body(_embedding, body, READ, depth_max)
    return Call(request.model, request, offsets)


Edits: TypeAlias = dict[int, bytes | None]
"""What is put in place of a body's values, by where they stand."""


def forward(body: bytes, call: Call, upstream_model: str, cap: int = 0) -> bytes:
    """The body to send upstream: the caller's bytes, with the model's name there and usage asked for on streams.

    Units: `cap` output tokens a choice, 0 for none: what the caller gave is lowered to it, or it is set.
    """
    edits: Edits = {}
    if upstream_model != call.model:
        edits[MODEL] = msgspec.json.encode(upstream_model)
    if call.stream and not call.usage_wanted:
        edits[STREAM_OPTIONS] = with_usage(call.scan)
    if cap:
        bound(edits, call, cap)
    return splice(body, call.scan, edits) if edits else body


def bound(edits: Edits, call: Call, cap: int) -> None:
    """Have no more output asked for than `cap`. A provider may read either of a chat's two fields."""
    if call.capped and call.output_cap <= cap:
        return
    content = call.content
    chat = isinstance(content, ChatRequest)
    given, older = content.max_completion_tokens if chat else None, content.max_tokens
    if given is not None and given > cap:
        edits[MAX_COMPLETION_TOKENS] = b"%d" % cap
    if older is not None:
        if older > cap:
            edits[MAX_TOKENS] = b"%d" % cap
    elif given is None:
        edits[MAX_COMPLETION_TOKENS if chat else MAX_TOKENS] = b"%d" % cap


def with_usage(offsets: Scan) -> bytes:
    """The `stream_options` of a body, with usage asked for."""
    raw = offsets.raw(STREAM_OPTIONS)
    if raw is None or raw == b"null":
        return USAGE_PLEASE
    options = msgspec.json.decode(raw)
    options["include_usage"] = True
    return msgspec.json.encode(options)


def _call(
    request: Any, offsets: Scan, cap: int | None, choices: int | None, texts: Outline | None = None
) -> Call:
    if cap is not None and not 0 <= cap <= 1 << 31:
        raise InvalidRequest("max_tokens: expected an integer from 0 to 2147483648", param="max_tokens")
    if choices is not None and not 1 <= choices <= 1024:
        raise InvalidRequest("n: expected an integer from 1 to 1024", param="n")
    options = request.stream_options
    usage_wanted = options is not None and options.include_usage is True
    call = Call(request.model, request, offsets, request.stream is True, usage_wanted, cap or 0, choices or 1)
    call.texts = texts
    return call

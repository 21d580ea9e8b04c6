"""The Gemini API's shapes, as far as kpgate reads them: requests, replies and the events of streams have them alike.

Google reads every field's name in camelCase and in snake_case; here is camelCase, and `camel` leads to it.
Source: ai.google.dev, API reference, "Generating content", "Caching", "Function calling", "Tokens" (checked November
2026).
"""

import re
from typing import Any

import msgspec

NOTHING = msgspec.Raw(b"")


class Blob(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    """Bytes where they stand. Shape: `data` is base64."""

    mime_type: str = ""
    data: str = ""


class Link(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    mime_type: str = ""
    file_uri: str = ""


class FunctionCall(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    name: str = ""
    args: msgspec.Raw = NOTHING
    id: str | None = None


class ResponsePart(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    inline_data: Blob | None = None
    file_data: Link | None = None


class FunctionResponse(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    name: str = ""
    response: msgspec.Raw = NOTHING
    id: str | None = None
    parts: list[ResponsePart] | None = None
    will_continue: bool | None = None
    scheduling: Any = None


class Part(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    """One piece of a turn: exactly one of its kinds. What the last fields hold is only known to be there."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: Link | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: Any = None
    code_execution_result: Any = None
    tool_call: Any = None
    tool_response: Any = None
    video_metadata: Any = None
    media_resolution: Any = None
    media_processing: Any = None


class Content(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    """A turn. Shape: `role` is user or model; Google takes one part for a list of it."""

    parts: list[Part] | Part | None = None
    role: str | None = None


def parts_of(content: Content) -> list[Part]:
    """A turn's parts, also where one stands for a list."""
    parts = content.parts
    return parts if isinstance(parts, list) else [] if parts is None else [parts]


class FunctionDeclaration(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    name: str = ""
    description: str = ""
    parameters: dict[str, Any] | None = None
    parameters_json_schema: Any = None
    behavior: Any = None
    response: Any = None
    response_json_schema: Any = None


class Tool(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    """Functions, or one of Google's own tools, which kpgate does not read."""

    function_declarations: list[FunctionDeclaration] | FunctionDeclaration | None = None


def declarations_of(tool: Tool) -> list[FunctionDeclaration]:
    """A tool's functions, also where one stands for a list."""
    found = tool.function_declarations
    return found if isinstance(found, list) else [] if found is None else [found]


class Logprob(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    token: str = ""
    log_probability: float | None = None


class TopLogprobs(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    candidates: list[Logprob] | None = None


class LogprobsResult(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    chosen_candidates: list[Logprob] | None = None
    top_candidates: list[TopLogprobs] | None = None


class Candidate(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    logprobs_result: LogprobsResult | None = None
    grounding_metadata: Any = None


class ModalityTokens(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    modality: str = ""
    token_count: int | None = None


class UsageMetadata(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: list[ModalityTokens] | None = None
    candidates_tokens_details: list[ModalityTokens] | None = None


class PromptFeedback(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    block_reason: str | None = None
    block_reason_message: str | None = None


class Fault(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    """An error. Shape: `details` are Google's error model's, each with its `@type`."""

    code: int | None = None
    message: str | None = None
    status: str | None = None
    details: list[Any] | None = None


class Answer(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    """A reply, or an event of a stream, which has the same shape; or an error in its place."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageMetadata | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Fault | None = None


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])

# A field's name with an underscore, or one that could be: then it is worth the way over `camel`. None of Google's is
# longer, and without a bound a long text of underscores would take the square of its length.
_SNAKE = re.compile(rb'"\w{0,40}_\w{0,40}"\s*:|\\u005[fF]')
_OPAQUE = frozenset(
    (
        "args",
        "default",
        "enum",
        "example",
        "labels",
        "parametersJsonSchema",
        "partMetadata",
        "response",
        "responseJsonSchema",
        "_responseJsonSchema",
    )
)
"""What stands in these is the caller's own."""
_NAMED = frozenset(("properties", "defs"))
"""Maps from the caller's own names to shapes of Google's."""


def may_be_snake(body: bytes) -> bool:
    """Whether a field's name may be in snake_case."""
    return _SNAKE.search(body) is not None


def camel(raw: bytes) -> bytes:
    """JSON with every field's name of Google's in camelCase; what is the caller's own stays byte for byte.

    Errors: ValueError, with the name, where a field stands there in both spellings.
    """
    if raw[:1] == b"[":
        return b"[" + b",".join([camel(bytes(one)) for one in _items.decode(raw)]) + b"]"
    if raw[:1] != b"{":
        return raw
    found: dict[str, bytes] = {}
    for name, value in _members.decode(raw).items():
        spelled, said = _camel(name), bytes(value)
        if spelled in found:
            raise ValueError(spelled)
        if spelled in _OPAQUE:
            found[spelled] = said
        elif spelled in _NAMED and said[:1] == b"{":
            own = {name: camel(bytes(shape)) for name, shape in _members.decode(said).items()}
            found[spelled] = _object(own)
        else:
            found[spelled] = camel(said)
    return _object(found)


def _object(members: dict[str, bytes]) -> bytes:
    return (
        b"{" + b",".join([msgspec.json.encode(name) + b":" + value for name, value in members.items()]) + b"}"
    )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    if not first or not rest:
        return name
    return first + "".join([word[:1].upper() + word[1:] for word in rest])

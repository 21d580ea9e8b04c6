"""Gemini request bodies: what kpgate needs to know of them. The bytes themselves are forwarded untouched.

The model stands in the path, and so does whether it streams. Source: ai.google.dev, API reference, "Generating
content" and "Counting tokens" (checked November 2026).
"""

from typing import Any

import msgspec

from kpgate._fast.body import BodyError, Keys, Scan, scan, splice
from kpgate.dialects.gemini.forms import Content, Tool, camel, may_be_snake
from kpgate.dialects.gemini.models import wants_seals
from kpgate.dialects.gemini.parts import CARRIED, UNSEALED
from kpgate.domain.body import read_body
from kpgate.domain.call import Call
from kpgate.domain.errors import InvalidRequest

CONTENTS, MODEL = 0, 6
GENERATION, WHOLE = 2, 7
READ = Keys(
    (
        "contents",
        "tools",
        "generationConfig",
        "generation_config",
        "systemInstruction",
        "system_instruction",
        "model",
        "generateContentRequest",
        "generate_content_request",
    )
)
"""Every key that kpgate reads: a body that has one of them twice is refused, for a provider may read the other."""

NAMED = Keys(("model",))
CAP, CAP_SNAKE, CHOICES, CHOICES_SNAKE = range(4)
CONFIG = Keys(("maxOutputTokens", "max_output_tokens", "candidateCount", "candidate_count"))
TOKENS_MAX, CHOICES_MAX = 1 << 31, 1024
FOREIGN, EXCUSED = f'"{CARRIED}'.encode(), f'"{UNSEALED}"'.encode()
"""How a seal begins in JSON that is another vendor's, and what stands for one where there is none."""


class GenerateRequest(msgspec.Struct, gc=False, rename="camel"):
    """What is counted of a request."""

    contents: list[Content] | Content
    system_instruction: Content | None = None
    tools: list[Tool] | Tool | None = None

    def turns(self) -> list[Content]:
        """The contents, also where one stands for a list."""
        return self.contents if isinstance(self.contents, list) else [self.contents]

    def all_tools(self) -> list[Tool]:
        """The tools, also where one stands for a list."""
        return self.tools if isinstance(self.tools, list) else [] if self.tools is None else [self.tools]


class CountRequest(msgspec.Struct, gc=False, rename="camel"):
    """What is to be counted. Shape: the contents alone, or the whole request."""

    contents: list[Content] | Content | None = None
    generate_content_request: GenerateRequest | None = None


class Asked(msgspec.Struct, gc=False):
    """A request as decoded.

    Shape: `plain` is the body with its fields in camelCase where it was not so, else empty; `config` the offsets of
    the generationConfig that stands at `place` among `READ`, None where there is none; `listed` says that a stream
    is to be a JSON list, `shows` that thoughts are asked for, which only `neutral` finds out.
    """

    request: GenerateRequest
    plain: bytes = b""
    config_bytes: bytes = b""
    config: Scan | None = None
    place: int = GENERATION
    listed: bool = False
    shows: bool = False


_one = msgspec.json.Decoder(dict[str, msgspec.Raw])
_many = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_generate = msgspec.json.Decoder(GenerateRequest)
_count = msgspec.json.Decoder(CountRequest)


def decode_generate(
    body: bytes, depth_max: int, model: str = "", stream: bool = False, listed: bool = False
) -> Call:
    """Read a request to generate.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    offsets, request, plain = _decode(_generate, body, depth_max)
    if not request.contents:
        raise InvalidRequest("contents: expected at least one", param="contents")
    asked = Asked(request, plain, listed=listed)
    cap = choices = 0
    asked.place, raw = _once(offsets, GENERATION, "generationConfig")
    if raw is not None and raw != b"null":
        asked.config_bytes, asked.config = raw, _scan(raw, depth_max)
        cap = _number(asked.config, CAP, "maxOutputTokens", TOKENS_MAX)
        choices = _number(asked.config, CHOICES, "candidateCount", CHOICES_MAX)
    return Call(model, asked, offsets, stream, True, cap, choices or 1)


def decode_count(body: bytes, depth_max: int, model: str = "") -> Call:
    """Read a request to count.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    offsets, request, plain = _decode(_count, body, depth_max)
    _once(offsets, WHOLE, "generateContentRequest")
    whole = request.generate_content_request
    if (whole is None) == (request.contents is None):
        raise InvalidRequest("contents: expected either these or generateContentRequest", param="contents")
    if whole is None:
        whole = GenerateRequest(request.contents)
    return Call(model, Asked(whole, plain), offsets)


def forward(body: bytes, call: Call, upstream_model: str, cap: int = 0) -> bytes:
    """The body to send upstream: the caller's bytes; no model but the one in the path, and no seals of other vendors'.

    Units: `cap` output tokens a choice, 0 for none: what the caller gave is lowered to it, or it is set.
    """
    edits: dict[int, bytes | None] = {MODEL: None} if call.scan.has(MODEL) else {}
    asked: Asked = call.content
    if cap:
        if asked.config is None:
            edits[asked.place] = b'{"maxOutputTokens":%d}' % cap
        elif not 0 < call.output_cap <= cap:
            spelled = CAP_SNAKE if asked.config.has(CAP_SNAKE) else CAP
            edits[asked.place] = splice(asked.config_bytes, asked.config, {spelled: b"%d" % cap})
    if FOREIGN in body or EXCUSED in body:
        edits |= _own_seals(call, wants_seals(upstream_model))
    return splice(body, call.scan, edits) if edits else body


def _own_seals(call: Call, wants: bool) -> dict[int, bytes | None]:
    """What leaves out the seals that are other vendors', and what only they stand for: Google would refuse the request.

    Shape: `wants` says that the model takes no call without a seal, but takes the excuse for it.
    """
    raw = call.scan.raw(CONTENTS)
    contents = _items(raw)
    found = False
    for content in contents:
        pieces = _items(bytes(content.get("parts", b"[]")))
        own = []
        for piece in pieces:
            name = "thoughtSignature" if "thoughtSignature" in piece else "thought_signature"
            sealed = bytes(piece.get(name, b""))
            if sealed.startswith(FOREIGN) or (sealed == EXCUSED and not wants):
                found = True
                del piece[name]
                if bytes(piece.get("text", b"")) == b'""':
                    continue
            own.append(piece)
        if len(own) < len(pieces) or found:
            content["parts"] = msgspec.Raw(msgspec.json.encode(own))
    if not found:
        return {}
    call.dropped = "thoughtSignature"
    return {CONTENTS: msgspec.json.encode([content for content in contents if content.get("parts") != b"[]"])}


def _items(raw: bytes | None) -> list[dict[str, msgspec.Raw]]:
    """A list's items, or what stands for a list of it."""
    if raw is None or raw[:1] == b"[":
        return _many.decode(raw or b"[]")
    return [_one.decode(raw)] if raw[:1] == b"{" else []


def forward_count(body: bytes, call: Call, upstream_model: str, cap: int = 0) -> bytes:
    """The same of a request to count, whose whole request names its model once more."""
    edits: dict[int, bytes | None] = {MODEL: None} if call.scan.has(MODEL) else {}
    place, raw = _once(call.scan, WHOLE, "generateContentRequest")
    if raw is not None and raw[:1] == b"{":
        named = upstream_model if "/" in upstream_model else f"models/{upstream_model}"
        edits[place] = splice(raw, scan(raw, NAMED), {0: msgspec.json.encode(named)})
    return splice(body, call.scan, edits) if edits else body


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes, depth_max: int) -> tuple[Scan, Any, bytes]:
    """The offsets, the request, and the body in camelCase where that is another one."""
    offsets, request = read_body(decoder, body, READ, depth_max)
    if not may_be_snake(body):
        return offsets, request, b""
    try:
        plain = camel(body.strip())
    except ValueError as error:
        raise InvalidRequest(f"{error}: stands there in two spellings", param=str(error)) from None
    return offsets, read_body(decoder, plain, READ, depth_max)[1], plain


def _once(offsets: Scan, place: int, name: str) -> tuple[int, bytes | None]:
    """Where a member stands, in whichever spelling, and its bytes. Errors: InvalidRequest for both."""
    if not offsets.has(place + 1):
        return place, offsets.raw(place)
    if offsets.has(place):
        raise InvalidRequest(f"{name}: stands there in two spellings", param=name)
    return place + 1, offsets.raw(place + 1)


def _scan(raw: bytes, depth_max: int) -> Scan:
    """The offsets of a generationConfig. Errors: InvalidRequest where it is none."""
    if raw[:1] != b"{":
        raise InvalidRequest("generationConfig: expected an object", param="generationConfig")
    try:
        return scan(raw, CONFIG, depth_max)
    except BodyError as error:
        name = f"generationConfig.{error.key}" if error.key else "generationConfig"
        raise InvalidRequest(f"{name}: {error.reason}", param=name) from None


def _number(config: Scan, place: int, name: str, most: int) -> int:
    """A number of the generationConfig; Google takes digits in quotes for one. 0 where it is not there."""
    _, raw = _once(config, place, f"generationConfig.{name}")
    if raw is None or raw == b"null":
        return 0
    digits = raw.strip(b'"')
    value = int(digits) if digits.isdigit() and len(digits) < 12 else 0
    if not 0 < value <= most:
        where = f"generationConfig.{name}"
        raise InvalidRequest(f"{where}: expected an integer from 1 to {most}", param=where)
    return value

"""A turn's pieces: from Google's parts to the neutral form's, and back. Requests and replies have them alike."""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from kpgate.dialects.gemini.forms import Blob, FunctionCall, FunctionResponse, Link, ResponsePart
from kpgate.dialects.gemini.forms import Part as Piece
from kpgate.domain.chat import (
    Audio,
    File,
    Image,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from kpgate.domain.seals import GOOGLE, Seal, unwrap, wrap, wrap_redacted

GOOGLES_OWN = ("gs://", "https://generativelanguage.googleapis.com/", "https://www.youtube.com/")
"""Where a URI begins that only Google can read."""
UNREAD = (
    "executable_code",
    "code_execution_result",
    "tool_call",
    "tool_response",
    "video_metadata",
    "media_resolution",
    "media_processing",
)
"""Kinds and qualities of parts that the neutral form does not have."""
CARRIED = "a3BnYXRlO"
"""How the base64 begins that carries what is under a mark of kpgate's: a thoughtSignature must be base64."""
UNSEALED = "skip_thought_signature_validator"
"""What Google says to send for a call that another vendor's model made.

Source: ai.google.dev, "Thought signatures", its questions (checked November 2026).
"""
_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-flac": "flac", "x-aac": "aac"}
_ALPHABET = str.maketrans("-_", "+/")
_EXCUSED = UNSEALED.translate(_ALPHABET)
_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "html": "text/html",
    "csv": "text/csv",
    "mp4": "video/mp4",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
}

Lack = Callable[[str, str], None]


def media(blob: Blob) -> Part:
    """What inline data is, by its type."""
    kind, _, form = blob.mime_type.partition("/")
    data = standard(blob.data)
    if kind == "image":
        return Image(media_type=blob.mime_type, data=data)
    if kind == "audio":
        form = form.partition(";")[0]
        return Audio(format=_FORMATS.get(form, form), data=data)
    return File(media_type=blob.mime_type, data=data)


def standard(text: str) -> str:
    """Base64 in its first alphabet, padded: Google takes either, and its own clients send the one for URLs."""
    if "-" in text or "_" in text:
        text = text.translate(_ALPHABET)
    return text + "=" * (-len(text) % 4)


def linked(data: Link) -> Part:
    """What a URI leads to, by its type."""
    if data.mime_type.startswith("image/"):
        return Image(media_type=data.mime_type, url=data.file_uri)
    return File(media_type=data.mime_type, url=data.file_uri)


def spoken(piece: Piece) -> list[Part]:
    """A text or a thought, and the seal on it, which a text has after it.

    Errors: ValueError for a seal that is not base64.
    """
    text = piece.text or ""
    if piece.thought:
        return [_thought(text, piece)]
    found: list[Part] = [Text(text)] if text else []
    if piece.thought_signature:
        found.append(_thought("", piece))
    return found


def _thought(text: str, piece: Piece) -> Thinking:
    """A thought under its seal, if it has one."""
    seal = unseal(piece.thought_signature)
    if seal is None:
        return Thinking(text)
    return (
        Thinking("", "", seal.text, seal.vendor)
        if seal.redacted
        else Thinking(text, seal.text, "", seal.vendor)
    )


def called(piece: Piece, made: str) -> ToolCall:
    """A function call. Shape: `made` is its id where the piece gives none.

    Errors: ValueError for arguments that are no object.
    """
    call = piece.function_call
    assert call is not None, "a piece of this kind"
    arguments = bytes(call.args) or b"{}"
    if arguments == b"null":
        arguments = b"{}"
    if arguments[:1] != b"{":
        raise ValueError("a function call's args are not an object")
    if b"\n" in arguments:
        # Google indents whole replies.
        arguments = msgspec.json.format(arguments, indent=-1)
    seal = unseal(piece.thought_signature)
    own = seal is not None and seal.vendor == GOOGLE and seal.text != _EXCUSED
    return ToolCall(
        call.id or made, call.name, arguments.decode(), seal.text if own and seal is not None else ""
    )


def answered(response: FunctionResponse, made: str) -> ToolResult:
    """What a function came to. Shape: a text under `output` or `error` alone is that text, else it is JSON."""
    raw = bytes(response.response) or b"{}"
    said = msgspec.json.decode(raw)
    text, failed = raw.decode(), False
    if isinstance(said, dict) and len(said) == 1:
        (name, value), *_ = said.items()
        if name in ("output", "error") and isinstance(value, str):
            text, failed = value, name == "error"
    parts: list[Part] = [Text(text)]
    for one in response.parts or ():
        if one.inline_data is not None:
            parts.append(media(one.inline_data))
        elif one.file_data is not None:
            parts.append(linked(one.file_data))
    return ToolResult(response.id or made, parts, response.name, failed)


def unseal(signature: str | None) -> Seal | None:
    """A thoughtSignature as its vendor gave it. None where there is none."""
    if not signature:
        return None
    signature = standard(signature)
    if signature.startswith(CARRIED):
        try:
            return unwrap(b64decode(signature, validate=True).decode(), GOOGLE)
        except (NotBase64, UnicodeDecodeError):
            pass
    return Seal(signature, GOOGLE)


def seal(signature: str, redacted: str = "", vendor: str = "") -> str | None:
    """A vendor's seal as a thoughtSignature, which is base64: another vendor's is carried in it under a mark."""
    if redacted:
        return b64encode(wrap_redacted(redacted, vendor).encode()).decode()
    kept = wrap(signature, vendor, GOOGLE)
    return b64encode(kept.encode()).decode() if kept != signature else signature or None


def excuse(pieces: Iterable[Piece]) -> None:
    """Say of the first call of a step that it bears no seal because no Gemini model made it."""
    for piece in pieces:
        if piece.function_call is not None:
            if not piece.thought_signature:
                piece.thought_signature = UNSEALED
            return


def make_id(seed: str, place: int) -> str:
    """An id for a call that came without: the same for the same call, and no other's."""
    digest = blake2b(f"{seed}\0{place}".encode("utf-8", "replace"), digest_size=9).hexdigest()
    return f"call_{digest}"


def arguments_of(call: ToolCall) -> msgspec.Raw:
    """A call's arguments as an object's bytes. Errors: ValueError for what is none."""
    text = call.arguments.strip() or "{}"
    raw = text.encode()
    if raw[:1] != b"{":
        raise ValueError("its arguments are not a JSON object")
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("its arguments are not JSON") from None
    return msgspec.Raw(raw)


def encode_parts(parts: Iterable[Part], names: dict[str, str], lack: Lack) -> list[Piece]:
    """Neutral parts as Google's. Shape: `names` are functions' by their call's id.

    Errors: ValueError for arguments that are not a JSON object; what `lack` raises for what Google has not.
    """
    found: list[Piece] = []
    for part in parts:
        kind = type(part)
        if kind is Text:
            found.append(Piece(text=part.text))  # type: ignore[union-attr]
        elif isinstance(part, Thinking):
            _think(part, found)
        elif isinstance(part, ToolCall):
            call = FunctionCall(part.name, arguments_of(part), part.id or None)
            found.append(Piece(function_call=call, thought_signature=seal(part.signature)))
        elif isinstance(part, ToolResult):
            found.append(_answer(part, names, lack))
        elif isinstance(part, Refusal):
            found.append(Piece(text=part.text))
        else:
            inline, link = _media(part, lack)
            if inline is not None or link is not None:
                found.append(Piece(inline_data=inline, file_data=link))
    return found


def _think(part: Thinking, found: list[Piece]) -> None:
    """A thought; a seal without one belongs to the text before it."""
    sealed = seal(part.signature, part.redacted, part.vendor)
    if part.text or part.redacted:
        found.append(Piece(text=part.text, thought=True, thought_signature=sealed))
    elif found and found[-1].text is not None and not found[-1].thought and not found[-1].thought_signature:
        found[-1].thought_signature = sealed
    else:
        found.append(Piece(text="", thought_signature=sealed))


def _answer(part: ToolResult, names: dict[str, str], lack: Lack) -> Piece:
    texts: list[str] = []
    more: list[ResponsePart] = []
    for one in part.parts:
        if isinstance(one, Text | Refusal):
            texts.append(one.text)
        elif isinstance(one, Image | Audio | File):
            inline, link = _media(one, lack)
            more.append(ResponsePart(inline, link))
    said: dict[str, Any] = {"error" if part.failed else "output": "\n".join(texts)}
    name = part.name or names.get(part.id, "")
    if not name:
        lack("turns", f"the result of the call {part.id[:100]!r} comes before any such call")
    response = msgspec.Raw(msgspec.json.encode(said))
    return Piece(function_response=FunctionResponse(name or part.id, response, part.id or None, more or None))


def _media(part: Part, lack: Lack) -> tuple[Blob | None, Link | None]:
    """Data where it stands, or a link to it."""
    if isinstance(part, Audio):
        if part.data:
            return Blob(f"audio/{part.format or 'wav'}", part.data), None
        lack("audio.id", "")
        return None, None
    assert isinstance(part, Image | File), "the other kinds are spoken"
    if part.data:
        return Blob(part.media_type or _type_of(getattr(part, "name", "")), part.data), None
    if part.url:
        return None, Link(part.media_type or _type_of(part.url), part.url)
    lack("file.id" if isinstance(part, File) else "image", "")
    return None, None


def _type_of(name: str) -> str:
    """A type by a name's ending; empty where it says nothing."""
    path = name.partition("?")[0].partition("#")[0]
    return _TYPES.get(path.rpartition(".")[2].lower(), "")


def logprobs_out(said: dict[str, Any] | None) -> dict[str, Any] | None:
    """OpenAI's spelling of logprobs in Google's."""
    steps = said.get("content") if said else None
    if not steps:
        return None
    found: dict[str, Any] = {"chosenCandidates": [_step(one) for one in steps]}
    if any(one.get("top_logprobs") for one in steps):
        found["topCandidates"] = [
            {"candidates": [_step(top) for top in one.get("top_logprobs") or ()]} for one in steps
        ]
    return found


def _step(one: dict[str, Any]) -> dict[str, Any]:
    return {"token": one.get("token", ""), "logProbability": one.get("logprob", 0.0)}


def logprobs_in(result: Any) -> dict[str, Any] | None:
    """Google's logprobs in OpenAI's spelling, None for none."""
    if result is None or not result.chosen_candidates:
        return None
    tops = result.top_candidates or []
    content = []
    for place, one in enumerate(result.chosen_candidates):
        near = tops[place].candidates if place < len(tops) else None
        content.append({**_logprob(one), "top_logprobs": [_logprob(top) for top in near or ()]})
    return {"content": content, "refusal": None}


def _logprob(one: Any) -> dict[str, Any]:
    return {"token": one.token, "logprob": one.log_probability or 0.0, "bytes": list(one.token.encode())}

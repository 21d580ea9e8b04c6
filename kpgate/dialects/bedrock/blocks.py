"""The parts of turns as Converse's content blocks.

What a caller names by an address is never fetched, nor is it looked for among what the operator keeps at Amazon's.
Source: docs.aws.amazon.com, Bedrock API reference, "ContentBlock" and what is in it (checked November 2026).
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from hashlib import sha256
from typing import Any

import msgspec

from kpgate.dialects.bedrock.models import may_seal
from kpgate.domain.chat import (
    Audio,
    File,
    Image,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from kpgate.domain.dialect import Aim, Unspeakable
from kpgate.domain.seals import ANTHROPIC

Json = dict[str, Any]

PICTURES = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
SOUNDS = frozenset(("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "m4a", "mpeg", "pcm", "webm"))
ID_LENGTH_MAX = 64
NAME_LENGTH_MAX = 190
NOT_FETCHED = "the bedrock API takes data, not an address"
_ODD_ID = re.compile(r"[^a-zA-Z0-9_.:-]")
_ODD_NAME = re.compile(r"[^a-zA-Z0-9 ()\[\]-]+")


class Blocks:
    """Makes the blocks of one request. Shape: `_names` of documents differ."""

    def __init__(self, aim: Aim) -> None:
        self._aim = aim
        self._seals = may_seal(aim.model)
        self._names: set[str] = set()

    def of(self, turn: Turn) -> list[Json]:
        """The blocks of a turn, with a cache point behind what is to be kept."""
        made: list[Json] = []
        for part in turn.parts:
            block = self._block(part, turn.role)
            if block is None:
                continue
            made.append(block)
            marked = part
            if isinstance(part, ToolResult) and not part.cached:
                # There is no point within a result: it stands behind it.
                marked = next((one for one in part.parts if getattr(one, "cached", False)), part)
            if getattr(marked, "cached", False):
                made.append(point(marked))
        return made

    def _block(self, part: Part, role: Role) -> Json | None:
        """One part. None: it is left out, for it is empty or has no place there."""
        if isinstance(part, Text | Refusal):
            # Bedrock refuses a text that is blank.
            return {"text": part.text} if part.text.strip() else None
        if isinstance(part, ToolCall) and role is Role.ASSISTANT:
            return {"toolUse": {"toolUseId": spell_id(part.id), "name": part.name, "input": _input(part)}}
        if isinstance(part, Thinking) and role is Role.ASSISTANT:
            return self._thought(part)
        if isinstance(part, ToolResult):
            return {"toolResult": self._result(part)}
        if role in (Role.USER, Role.TOOL):
            if isinstance(part, Image):
                return self._image(part)
            if isinstance(part, File):
                return self._document(part)
            if isinstance(part, Audio):
                return self._sound(part)
        self._aim.lack(type(part).__name__.lower())
        return None

    def _thought(self, part: Thinking) -> Json | None:
        if part.vendor == ANTHROPIC and self._seals:
            if part.redacted and _is_base64(part.redacted):
                return {"reasoningContent": {"redactedContent": part.redacted}}
            if part.signature:
                thought = {"text": part.text, "signature": part.signature}
                return {"reasoningContent": {"reasoningText": thought}}
        # Claude refuses what is not sealed, or is by another; the other models what they are given of it at all.
        self._aim.leave_out("thinking")
        return None

    def _result(self, part: ToolResult) -> Json:
        content = [said for one in part.parts if (said := self._block(one, Role.TOOL)) is not None]
        result: Json = {"toolUseId": spell_id(part.id), "content": content or [{"text": "(nothing)"}]}
        if part.failed:
            result["status"] = "error"
        return result

    def _image(self, part: Image) -> Json | None:
        if part.detail not in ("", "auto"):
            self._aim.leave_out("detail")
        form = PICTURES.get(part.media_type)
        if part.url or form is None:
            self._aim.lack(
                "image.url" if part.url else "image",
                NOT_FETCHED if part.url else f"expected one of {', '.join(PICTURES)}",
            )
            return None
        return {"image": {"format": form, "source": {"bytes": part.data}}}

    def _document(self, part: File) -> Json | None:
        form = DOCUMENTS.get(part.media_type)
        if form is None or not part.data:
            why = NOT_FETCHED if part.url else "an upload is known to its own vendor only"
            self._aim.lack("file", why if part.url or part.id else f"expected one of {', '.join(DOCUMENTS)}")
            return None
        return {"document": {"format": form, "name": self._name(part.name), "source": {"bytes": part.data}}}

    def _name(self, given: str) -> str:
        """A document's name as Bedrock takes it, unlike every other's."""
        stem = given.rpartition(".")[0] or given
        name = " ".join(_ODD_NAME.sub(" ", stem).split())[:NAME_LENGTH_MAX].strip() or "document"
        number, found = 1, name
        while found in self._names:
            number += 1
            found = f"{name} {number}"
        self._names.add(found)
        return found

    def _sound(self, part: Audio) -> Json | None:
        if part.format not in SOUNDS or not part.data:
            self._aim.lack("audio", f"expected data as one of {', '.join(sorted(SOUNDS))}")
            return None
        return {"audio": {"format": part.format, "source": {"bytes": part.data}}}


def point(marked: Any) -> Json:
    """What keeps the prompt's cache up to here, as long as is asked.

    Order: what is kept longer comes first, over the tools, the instructions and the turns.
    """
    kept: Json = {"type": "default"}
    if marked.ttl:
        kept["ttl"] = marked.ttl
    return {"cachePoint": kept}


def spell_id(id: str) -> str:
    """A call's id as Bedrock takes it: short, of letters, digits and few marks; the same for a call and its result."""
    spelled = _ODD_ID.sub("_", id) or "_"
    if len(spelled) <= ID_LENGTH_MAX:
        return spelled
    return f"{spelled[:31]}_{sha256(id.encode()).hexdigest()[:32]}"


def _input(part: ToolCall) -> msgspec.Raw:
    written = (part.arguments.strip() or "{}").encode()
    try:
        msgspec.json.decode(written, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError):
        raise Unspeakable("turns", f"the arguments of the call of {part.name!r} are no JSON object") from None
    return msgspec.Raw(written)


def _is_base64(text: str) -> bool:
    try:
        b64decode(text, validate=True)
    except (NotBase64, ValueError):
        return False
    return True

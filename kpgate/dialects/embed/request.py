"""Requests for embeddings as OpenAI has them: what is read of one for a provider of another shape, and its answer.

Source: OpenAI API reference, embeddings (checked November 2026).
"""

from base64 import b64encode
from struct import pack
from typing import Annotated, Any, Literal

import msgspec

from kpgate.domain.body import invalid
from kpgate.domain.call import Call
from kpgate.domain.dialect import Aim, Turned, Unspeakable
from kpgate.domain.usage import Usage

TOKENS_MAX = 1 << 40
Vectors = list[list[float]]


class Asked(msgspec.Struct, gc=False):
    model: str
    input: str | list[str | int | list[int]]
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: Any = None


KNOWN = frozenset(Asked.__struct_fields__)
_asked = msgspec.json.Decoder(Asked)


def read(body: bytes) -> Asked:
    """A request that was let in. Errors: InvalidRequest, for what nobody looked at yet."""
    try:
        return _asked.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None


def texts(asked: Asked, aim: Aim) -> list[str]:
    """What is to be embedded. Errors: Unspeakable for tokens, which are of OpenAI's vocabularies."""
    if asked.user is not None:
        aim.leave_out("user")
    listed = [asked.input] if isinstance(asked.input, str) else asked.input
    found = [one for one in listed if isinstance(one, str)]
    if len(found) < len(listed):
        raise Unspeakable(
            "input", "the provider of this model embeds texts, and no tokens of another vocabulary"
        )
    return found


def rest(body: bytes) -> dict[str, msgspec.Raw]:
    """What else a request has: a vendor's own fields."""
    found = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return {name: value for name, value in found.items() if name not in KNOWN}


def answer(asked: Asked, call: Call, vectors: Vectors, tokens: int) -> Turned:
    """The reply to what was asked. Shape: `tokens` is the provider's word, 0 where it says nothing.

    Errors: ValueError where it is not one vector a text.
    """
    wanted = 1 if isinstance(asked.input, str) else len(asked.input)
    if len(vectors) != wanted:
        raise ValueError(f"{wanted} texts were to be embedded, and {len(vectors)} were")
    if not 0 <= tokens <= TOKENS_MAX:
        raise ValueError("usage: expected a figure from 0 on")
    data = [
        {"object": "embedding", "index": index, "embedding": _spelled(vector, asked.encoding_format)}
        for index, vector in enumerate(vectors)
    ]
    used = tokens or call.counted
    usage = {"prompt_tokens": used, "total_tokens": used}
    said = {"object": "list", "data": data, "model": call.model, "usage": usage}
    return Turned(msgspec.json.encode(said), Usage(tokens, source="provider") if tokens else None, "")


def _spelled(vector: list[float], form: str | None) -> list[float] | str:
    if form != "base64":
        return vector
    try:
        return b64encode(pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError:
        raise ValueError("a number of a vector is too large") from None

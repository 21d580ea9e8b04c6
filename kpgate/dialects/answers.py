"""What a whole reply must have to be an answer, by the endpoint whose bytes go through.

Few are looked at here: a reply that says at its end what was answered is whole. What a model wrote is its own, its
tools' arguments too: whether these are JSON is its caller's to find out. Knows no provider.
Source: OpenAI, Anthropic and Gemini API references, the objects that are answered; OpenRouter's docs, errors: one that
comes while the model answers has the status 200 (checked November 2026).
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from kpgate.domain.call import Call
from kpgate.domain.dialect import Turned, Way
from kpgate.domain.errors import UpstreamFailed
from kpgate.domain.reply import MALFORMED

SAID_MAX = 200
"""How much of what is wrong is told. Units: characters."""
_CREDENTIAL = re.compile("40[123]|auth|key|permission|billing|quota", re.IGNORECASE)
"""What errors are called that are about the credential: their words may show a part of it."""
Some = Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1)]


class _Message(msgspec.Struct, gc=False):
    content: str | list[msgspec.Raw] | None = None


class _Choice(msgspec.Struct, gc=False):
    """One of a chat's, or of a completion's. What a filter took may have nothing but why it ended."""

    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None

    def __post_init__(self) -> None:
        if self.message is None and self.text is None and self.finish_reason is None:
            raise ValueError("nothing is answered")


class _Choices(msgspec.Struct, gc=False):
    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1)]


class _Listed(msgspec.Struct, gc=False):
    data: Some


class _Results(msgspec.Struct, gc=False):
    results: Some


class _Heard(msgspec.Struct, gc=False):
    text: str


class _Response(msgspec.Struct, gc=False):
    """Shape: one that goes on without its caller, or was cut short, may have no output so far."""

    output: list[msgspec.Raw]
    status: str | None = None

    def __post_init__(self) -> None:
        if self.status == "failed" or (not self.output and self.status in (None, "completed")):
            raise ValueError("nothing is answered")


class _Said(msgspec.Struct, gc=False):
    """An Anthropic message. Shape: a model may end its turn without a word."""

    content: list[msgspec.Raw]
    stop_reason: str | None = None

    def __post_init__(self) -> None:
        if not self.content and self.stop_reason is None:
            raise ValueError("nothing is answered")


class _Generated(msgspec.Struct, gc=False, rename="camel"):
    """Shape: of a prompt that was blocked there are no candidates."""

    candidates: list[dict[str, msgspec.Raw]] = []
    prompt_feedback: dict[str, msgspec.Raw] | None = None

    def __post_init__(self) -> None:
        if not self.candidates and self.prompt_feedback is None:
            raise ValueError("nothing is answered")


class _Count(msgspec.Struct, gc=False):
    input_tokens: int


class _Total(msgspec.Struct, gc=False, rename="camel"):
    total_tokens: int


class _Anything(msgspec.Struct, gc=False):
    """Shape: any that is no error."""

    error: None = None


ANSWERS: dict[str, type[msgspec.Struct]] = {
    "/v1/chat/completions": _Choices,
    "/v1/completions": _Choices,
    "/v1/embeddings": _Listed,
    "/v1/moderations": _Results,
    "/v1/images/generations": _Listed,
    "/v1/images/edits": _Listed,
    "/v1/images/variations": _Listed,
    "/v1/audio/transcriptions": _Heard,
    "/v1/audio/translations": _Heard,
    "/v1/responses": _Response,
    "/v1/messages": _Said,
    "/v1/messages/count_tokens": _Count,
    "/v1beta/models/{model}:generateContent": _Generated,
    "/v1beta/models/{model}:streamGenerateContent": _Generated,
    "/v1beta/models/{model}:countTokens": _Total,
}
"""What is answered whole, by the endpoint's path. What of others is no JSON, or an error, is no answer either."""


class _Failed(msgspec.Struct, gc=False):
    error: Any = None


_failed = msgspec.json.Decoder(_Failed)


def see_through(way: Way, path: str) -> Way:
    """A way whose bytes go through, to look at whole replies of an endpoint by its path where that is called for."""
    way.look = look = _look(msgspec.json.Decoder(ANSWERS.get(path, _Anything)))
    if way.turn is not None:
        way.turn = _turn(way.turn, look)
    return way


def _look(decoder: Any) -> Callable[[bytes], str]:
    def look(body: bytes) -> str:
        """What is wrong with a reply, empty for nothing."""
        try:
            decoder.decode(body)
        except MALFORMED as error:
            return _wrong(body, error)
        return ""

    return look


def _turn(
    turn: Callable[[int, bytes, Call], Turned], look: Callable[[bytes], str]
) -> Callable[[int, bytes, Call], Turned]:
    def turn_answer(status: int, body: bytes, call: Call) -> Turned:
        """The same of an answer alone. Errors: UpstreamFailed for what is none."""
        turned = turn(status, body, call)
        if status < 300 and (turned.usage is None or not turned.usage.output):
            wrong = look(body)
            if wrong:
                raise UpstreamFailed(f"the provider answered with {wrong}")
        return turned

    return turn_answer


def _wrong(body: bytes, error: Exception) -> str:
    """What a reply is that is no answer: an error's own words, or where it is not as it should be."""
    try:
        failed = _failed.decode(body).error
    except MALFORMED:
        return "what is not valid JSON, or was cut short"
    if failed:
        told = _told(failed)
        return f"an error: {told}" if told else "an error"
    return f"what is no answer: {str(error)[:SAID_MAX]}"


def _told(failed: Any) -> str:
    """An error's own words, none where it is about the credential."""
    if not isinstance(failed, dict):
        return failed[:SAID_MAX] if isinstance(failed, str) else ""
    named = [str(failed.get(name, "")) for name in ("code", "type", "status")]
    message = failed.get("message")
    if not isinstance(message, str) or _CREDENTIAL.search(" ".join(named)):
        return ""
    return message[:SAID_MAX]

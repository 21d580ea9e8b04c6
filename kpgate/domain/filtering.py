"""Whether a filter took what a provider answered, so that another one may well be asked.

Pure. It reads what providers say by their tongues, and knows none of them.
"""

import re
from collections.abc import Callable, Sequence

from kpgate.domain.chat import Refusal, Thinking
from kpgate.domain.dialect import Tongue
from kpgate.domain.errors import GatewayError
from kpgate.domain.events import EVENT_BYTES_MAX
from kpgate.domain.reply import (
    MALFORMED,
    Argued,
    Called,
    Choice,
    Finish,
    Finished,
    Piece,
    Reply,
    Said,
    Thought,
)

TAKEN = frozenset((Finish.FILTERED, Finish.REFUSED))
SPEAKS = frozenset((Thought, Called, Argued))
HELD_BYTES_MAX = 65_536
"""How much of a stream waits for its first word."""
_MARK = re.compile(
    rb'"(?:content_filter|content_filtered|guardrail_intervened|refusal)"\s*[,}]|"blockReason"'
    rb'|"finishReason"\s*:\s*"(?!STOP"|MAX_TOKENS")'
)
"""What stands in every whole reply that a filter took: few others are looked at closely."""


def is_filtered(body: bytes, tongue: Tongue) -> bool:
    """Whether a whole reply has no answer because a filter took it, or its model refuses.

    What a filter cut short after something was said is an answer.
    """
    if _MARK.search(body) is None:
        return False
    try:
        return is_taken(tongue.decode_reply(body))
    except MALFORMED:
        return False


def is_taken(reply: Reply) -> bool:
    """The same of a reply in the neutral form: every choice of it."""
    return all(_taken(choice) for choice in reply.choices)


def _taken(choice: Choice) -> bool:
    if choice.finish is Finish.REFUSED:
        return True
    return choice.finish is Finish.FILTERED and all(
        isinstance(part, Refusal | Thinking) or not getattr(part, "text", "x").strip()
        for part in choice.parts
    )


class Watch:
    """Watches a stream for its first word.

    Shape: `refuse` makes the error for a stream that a filter took before there was any; None where that is the answer.
    """

    __slots__ = ("_choices", "_events", "_open", "_reader", "_refuse", "_seen", "_taken")

    def __init__(self, tongue: Tongue, choices: int, refuse: Callable[[], GatewayError | None]) -> None:
        self._events = tongue.split(EVENT_BYTES_MAX)
        self._reader = tongue.reader()
        self._refuse = refuse
        self._choices = choices
        self._open = True
        self._seen = 0
        self._taken = 0

    def keeps(self, chunk: bytes) -> bool:
        """Take what arrived; whether nothing has been said so far. An empty chunk is the stream's end.

        Errors: what `refuse` makes.
        """
        if not self._open:
            return False
        self._seen += len(chunk)
        self._open = self._seen <= HELD_BYTES_MAX
        try:
            for name, data in self._events.feed(chunk) if chunk else self._events.finish():
                self._take(self._reader.read(name, data))
            if not chunk:
                self._take(self._reader.end())
        except MALFORMED:
            # Whoever puts the stream into the caller's dialect says what is wrong with it.
            self._open = False
        if self._open and self._taken >= self._choices:
            error = self._refuse()
            if error is not None:
                raise error
            self._open = False
        return self._open

    def _take(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            kind = type(piece)
            if kind is Finished:
                if piece.finish in TAKEN:  # type: ignore[union-attr]
                    self._taken += 1
                else:
                    self._open = False
            elif kind in SPEAKS or (kind is Said and piece.text):  # type: ignore[union-attr]
                self._open = False

"""Where a choice's text is from, as vendors place it: by characters of one text, by bytes of its pieces, or as a piece
of its own. Pure; knows no vendor.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from kpgate.domain.call import Call
from kpgate.domain.reply import Citation

URL, DOCUMENT = "url", "document"
CITATIONS = "citations"
"""What callers are told that was left out."""

T = TypeVar("T")


def source(url: str, title: str = "", quoted: str = "") -> Citation:
    """What is cited, by what is known of it; its place is still to be said."""
    return Citation(0, 0, URL if url.startswith(("http://", "https://")) else DOCUMENT, url, title, quoted)


def convert(raw: Any, kind: type[T]) -> list[T]:
    """A list of a vendor's, as far as it is one of such things: nobody's answer is worth less for what is not."""
    found: list[T] = []
    for one in raw if isinstance(raw, list) else ():
        try:
            found.append(msgspec.convert(one, kind))
        except msgspec.ValidationError:
            continue
    return found


def place(citation: Citation, start: int, end: int, length: int) -> list[Citation]:
    """A citation at its place in a text of such a length; none where it is at none, or names nothing."""
    start, end = max(0, start), min(end, length)
    names = citation.url or citation.title or citation.quoted
    return [replace(citation, start=start, end=end)] if names and start < end else []


def within(citations: Iterable[Citation], at: int, length: int) -> list[Citation]:
    """Those that begin in a piece of the text, by their places in it. Shape: `at` is where the piece begins."""
    found = []
    for one in citations:
        if at <= one.start < at + length:
            found += place(one, one.start - at, one.end - at, length)
    return found


def cut(text: str, citations: Sequence[Citation]) -> list[tuple[str, list[Citation]]]:
    """A text in pieces, each with what all of it is from. Shape: what is said of a place twice stands at one piece;
    what overlaps goes on where the one before it ends.
    """
    pieces: list[tuple[str, list[Citation]]] = []
    done, begun = 0, (-1, -1)
    for one in sorted(citations, key=lambda one: (one.start, one.end)):
        if (one.start, one.end) != begun and one.end > done:
            begun = one.start, one.end
            if one.start > done:
                pieces.append((text[done : one.start], []))
            pieces.append((text[max(done, one.start) : one.end], []))
            done = one.end
        pieces[-1][1].append(one)
    if done < len(text) or not pieces:
        pieces.append((text[done:], []))
    return pieces


def characters(text: str, size: int) -> int:
    """How many characters so many bytes of a text are."""
    return size if text.isascii() else len(text.encode()[: max(0, size)].decode(errors="ignore"))


def size(text: str, characters: int) -> int:
    """How many bytes so many characters of a text are."""
    return characters if text.isascii() else len(text[:characters].encode())


def leave_out(call: Call) -> None:
    """Have the caller told that there is something of it which its dialect has no place for."""
    said = call.dropped.split(",") if call.dropped else []
    if CITATIONS not in said:
        call.dropped = ",".join([*said, CITATIONS])

"""What OpenAI's answers say of where a text is from: pages of the web, by places in the message.

Chunks of a stream have them in `delta.annotations`, as the vendor sends it and the `ai` package reads it, though the
reference does not list it there.
Source: OpenAI API reference, chat completions: the object, `annotations`; guide "Web search" (checked November 2026).
"""

from typing import Any

import msgspec

from kpgate.domain import citing
from kpgate.domain.reply import Citation


class _Page(msgspec.Struct, gc=False):
    url: str
    start_index: int
    end_index: int
    title: str | None = None


class _Annotation(msgspec.Struct, gc=False):
    type: str
    url_citation: _Page


def read(raw: Any, length: int = 1 << 60) -> list[Citation]:
    """A message's annotations. Units: `length` characters of its text, where that is known."""
    found = []
    for one in citing.convert(raw, _Annotation):
        page = one.url_citation
        if one.type == "url_citation":
            said = Citation(0, 0, citing.URL, page.url, page.title or "")
            found += citing.place(said, page.start_index, page.end_index, length)
    return found


def spell(citation: Citation) -> dict[str, Any] | None:
    """An annotation of a message. None: it has no address, without which there is none."""
    if not citation.url:
        return None
    page = {
        "start_index": citation.start,
        "end_index": citation.end,
        "title": citation.title,
        "url": citation.url,
    }
    return {"type": "url_citation", "url_citation": page}

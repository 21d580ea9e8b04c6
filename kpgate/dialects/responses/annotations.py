"""What a response says of where its text is from: pages of the web, by places in that text.

Files that a provider keeps are known by its own ids, which mean nothing elsewhere: they are left alone.
Source: OpenAI API reference, responses: `output_text`, the event `response.output_text.annotation.added`; guide "Web
search" (checked November 2026).
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from kpgate.domain import citing
from kpgate.domain.reply import Citation


class _Annotation(msgspec.Struct, gc=False):
    type: str
    url: str
    start_index: int
    end_index: int
    title: str | None = None


def read(raw: Any, length: int) -> list[Citation]:
    """A text's annotations. Units: `length` characters."""
    found = []
    for one in citing.convert(raw, _Annotation):
        if one.type == "url_citation":
            said = Citation(0, 0, citing.URL, one.url, one.title or "")
            found += citing.place(said, one.start_index, one.end_index, length)
    return found


def spell(citation: Citation) -> dict[str, Any] | None:
    """An annotation of a text. None: it has no address, without which there is none."""
    if not citation.url:
        return None
    return {
        "type": "url_citation",
        "start_index": citation.start,
        "end_index": citation.end,
        "title": citation.title,
        "url": citation.url,
    }


def spell_all(citations: Iterable[Citation]) -> list[dict[str, Any]]:
    """Those that can be said."""
    return [said for one in citations if (said := spell(one)) is not None]

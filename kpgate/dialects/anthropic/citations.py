"""What Anthropic's text blocks say of where they are from: a block is cited as a whole.

Of documents that a request brought, Anthropic says places in them by their number there; what they are called and what
was quoted is what others can read. Written are pages of the web alone, without the seal that Anthropic puts on its own.
Source: platform.claude.com, "Citations", "Web search tool", "Streaming messages" (checked November 2026).
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from kpgate.domain import citing
from kpgate.domain.reply import Citation

PAGE = "web_search_result_location"


class _Location(msgspec.Struct, gc=False):
    """Shape: of a page `url` is there, of a search result `source`, of a document its title and its quote."""

    type: str
    url: str = ""
    source: str = ""
    title: str | None = None
    document_title: str | None = None
    cited_text: str | None = None


def read(raw: Any, start: int, end: int) -> list[Citation]:
    """A block's citations. Shape: the block is the text from `start` to before `end`."""
    found = []
    for one in citing.convert(raw, _Location):
        title = one.title or one.document_title or ""
        said = citing.source(one.url or one.source, title, one.cited_text or "")
        found += citing.place(said, start, end, end)
    return found


def spell(citation: Citation) -> dict[str, Any] | None:
    """A citation of a block. None: it is no page of the web, and of documents only Anthropic knows the numbers."""
    if citation.kind != citing.URL or not citation.url:
        return None
    return {
        "type": PAGE,
        "url": citation.url,
        "title": citation.title or None,
        "cited_text": citation.quoted,
        "encrypted_index": "",
    }


def blocks(text: str, citations: Sequence[Citation]) -> list[dict[str, Any]]:
    """A text as blocks, cut where what it is from changes."""
    made: list[dict[str, Any]] = []
    for piece, cited in citing.cut(text, citations):
        block: dict[str, Any] = {"type": "text", "text": piece}
        told = [said for one in cited if (said := spell(one)) is not None]
        if told:
            block["citations"] = told
        made.append(block)
    return made

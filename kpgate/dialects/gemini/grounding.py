"""What Gemini says of where a candidate is from: chunks that it read, and which segments of the text they support.

Shape: a segment's places are bytes of one of the candidate's parts; in a stream, of all its text so far.
Source: ai.google.dev, API reference, "GroundingMetadata", "Segment"; guide "Grounding with Google Search" (checked
November 2026).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from kpgate.domain import citing
from kpgate.domain.reply import Citation

Json = dict[str, Any]
Places = Sequence[tuple[int, str]]
"""Of each part where it begins in the choice's text, and its text; none where it is no text."""


class _Source(msgspec.Struct, gc=False):
    uri: str = ""
    title: str = ""
    text: str = ""


class _Chunk(msgspec.Struct, gc=False, rename="camel"):
    web: _Source | None = None
    retrieved_context: _Source | None = None
    maps: _Source | None = None


class _Segment(msgspec.Struct, gc=False, rename="camel"):
    start_index: int = 0
    end_index: int = 0
    part_index: int = 0


class _Support(msgspec.Struct, gc=False, rename="camel"):
    segment: _Segment
    grounding_chunk_indices: list[int] = []


def read(raw: Any, places: Places) -> list[Citation]:
    """A candidate's citations."""
    if not isinstance(raw, dict):
        return []
    chunks = [_source(one) for one in citing.convert(raw.get("groundingChunks"), _Chunk)]
    found = []
    for support in citing.convert(raw.get("groundingSupports"), _Support):
        segment = support.segment
        if not 0 <= segment.part_index < len(places):
            continue
        at, text = places[segment.part_index]
        start = citing.characters(text, segment.start_index)
        end = citing.characters(text, segment.end_index)
        for number in support.grounding_chunk_indices:
            said = chunks[number] if 0 <= number < len(chunks) else None
            for one in citing.place(said, start, end, len(text)) if said is not None else ():
                found.append(replace(one, start=one.start + at, end=one.end + at))
    return found


def _source(chunk: _Chunk) -> Citation | None:
    page = chunk.web or chunk.maps
    if page is not None:
        return Citation(0, 0, citing.URL, page.uri, page.title, page.text)
    found = chunk.retrieved_context
    return None if found is None else Citation(0, 0, citing.DOCUMENT, found.uri, found.title, found.text)


def spell(citations: Iterable[Citation], places: Places) -> Json | None:
    """Citations as a candidate's `groundingMetadata`. None where there are none."""
    chunks: list[Json] = []
    supports: dict[tuple[int, int, int], list[int]] = {}
    texts: dict[tuple[int, int, int], str] = {}
    for one in citations:
        for number, (at, text) in enumerate(places):
            for placed in citing.within([one], at, len(text)):
                chunk = _chunk(one)
                if chunk not in chunks:
                    chunks.append(chunk)
                key = number, citing.size(text, placed.start), citing.size(text, placed.end)
                texts[key] = text[placed.start : placed.end]
                supports.setdefault(key, []).append(chunks.index(chunk))
    if not supports:
        return None
    told = [_support(key, texts[key], numbers) for key, numbers in supports.items()]
    return {"groundingChunks": chunks, "groundingSupports": told}


def _chunk(citation: Citation) -> Json:
    """Shape: what is quoted has a place at documents alone."""
    said = {"uri": citation.url, "title": citation.title}
    if citation.kind == citing.DOCUMENT:
        said["text"] = citation.quoted
    kept = {name: value for name, value in said.items() if value}
    return {"retrievedContext" if citation.kind == citing.DOCUMENT else "web": kept}


def _support(key: tuple[int, int, int], text: str, numbers: list[int]) -> Json:
    number, start, end = key
    segment: Json = {"startIndex": start, "endIndex": end, "text": text}
    if number:
        segment["partIndex"] = number
    return {"segment": segment, "groundingChunkIndices": numbers}

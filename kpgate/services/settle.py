"""SETTLE: what a call really used."""

from kpgate._fast.sse import Framer, find_usage
from kpgate.domain.call import Record
from kpgate.domain.dialect import Counter, Endpoint
from kpgate.domain.usage import Usage


def whole_usage(endpoint: Endpoint, record: Record, body: bytes, vocabulary: Counter | None) -> Usage:
    """The usage of a whole reply: the provider's word, else our own count of prompt and reply."""
    raw = find_usage(body)
    said = endpoint.decode_usage(raw) if raw is not None else None
    if said is not None:
        return said
    spoken = vocabulary.count(endpoint.decode_text(body)) if vocabulary and endpoint.generates else 0
    return Usage(record.prompt_tokens, spoken, source="counted")


def stream_usage(endpoint: Endpoint, record: Record, framer: Framer, spoken: int) -> Usage:
    """The usage of a stream, ended well or not: the provider's word, else `spoken`, our count of what was sent on."""
    said = endpoint.decode_usage(framer.usage) if framer.usage is not None else None
    return (
        said if said is not None else Usage(record.prompt_tokens, spoken or framer.events, source="counted")
    )

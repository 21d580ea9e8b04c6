"""SETTLE: what a call really used."""

from kpgate.domain.call import Record
from kpgate.domain.dialect import Counter, Framing, Way
from kpgate.domain.usage import Usage


def whole_usage(way: Way, record: Record, body: bytes, vocabulary: Counter | None) -> Usage:
    """The usage of a whole reply: the provider's word, else our own count of prompt and reply."""
    said = way.find_usage(body)
    if said is not None:
        return said
    return counted(record, way.decode_text(body) if vocabulary and record.generates else "", vocabulary)


def counted(record: Record, text: str, vocabulary: Counter | None) -> Usage:
    """What is used where the provider does not say: our own count of the prompt and of what was answered."""
    spoken = vocabulary.count(text) if vocabulary and record.generates else 0
    return Usage(record.prompt_tokens, spoken, source="counted")


def stream_usage(way: Way, record: Record, framer: Framing, spoken: int) -> Usage:
    """The usage of a stream, ended well or not: the provider's word, else `spoken`, our count of what was sent on."""
    said = way.decode_usage(framer.usage) if framer.usage is not None else None
    return (
        said if said is not None else Usage(record.prompt_tokens, spoken or framer.events, source="counted")
    )

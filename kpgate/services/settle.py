"""SETTLE: what a call really used, and whether it was answered at all."""

from dataclasses import replace

from kpgate.domain.call import Record
from kpgate.domain.dialect import Counter, Framing, Turned, Way
from kpgate.domain.errors import UpstreamFailed
from kpgate.domain.usage import Usage


def read_used(way: Way, record: Record, body: bytes) -> Usage | None:
    """What a whole reply says was used, whose bytes go through. None where it does not say.

    One that says it at its end is whole, and an answer if anything was: any other is looked at.
    Errors: UpstreamFailed for one that is no answer.
    """
    if not body:
        return None
    said = way.find_usage(body)
    if said is None or not (said.output or (said.input and not record.generates)):
        wrong = way.look(body)
        if wrong:
            raise UpstreamFailed(f"provider {record.provider} answered with {wrong}")
    return said


def whole_usage(
    way: Way, record: Record, body: bytes, said: Usage | None, vocabulary: Counter | None
) -> Usage:
    """The usage of a whole reply: what it says, else our own count of prompt and reply."""
    if said is not None:
        return measured(said, record)
    return counted(record, way.decode_text(body) if vocabulary and record.generates else "", vocabulary)


def counted(record: Record, text: str, vocabulary: Counter | None) -> Usage:
    """What is used where the provider does not say: our own count of the prompt and of what was answered."""
    spoken = vocabulary.count(text) if vocabulary and record.generates else 0
    return Usage(record.prompt_tokens, spoken, source="counted", units=record.units)


def turned_usage(turned: Turned, record: Record, vocabulary: Counter | None) -> Usage:
    """The usage of a whole reply that was put into the caller's dialect."""
    said = turned.usage
    return measured(said, record) if said is not None else counted(record, turned.text, vocabulary)


def measured(usage: Usage, record: Record) -> Usage:
    """What a provider says was used, with what was asked for of that which is no token and it does not count."""
    if usage.units:
        # Who counts these alone says nothing of the tokens that were read.
        return replace(usage, input=record.prompt_tokens) if not usage.total else usage
    return replace(usage, units=record.units) if record.units else usage


def stream_usage(way: Way, record: Record, framer: Framing, spoken: int) -> Usage:
    """The usage of a stream, ended well or not: the provider's word, else `spoken`, our count of what was sent on."""
    said = way.decode_usage(framer.usage) if framer.usage is not None else None
    if said is not None:
        return measured(said, record)
    return Usage(record.prompt_tokens, spoken, source="counted", units=record.units)

"""The notes of a call's journal entries are spelled as msgspec spells them, and read by it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast.credit import END_NOTE_BYTES_MAX
from kpgate._fast.note import pack_end, pack_hold
from kpgate.domain.ledger import note_end, note_hold, read_end_note, read_hold_note
from kpgate.domain.usage import COUNTS, Usage

EDGES = [0, 1, 127, 128, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (1 << 63) - 1]
numbers = st.sampled_from(EDGES) | st.integers(0, (1 << 63) - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300).filter(
    lambda text: len(text.encode()) <= 1024
)


@given(texts, texts, numbers, numbers, numbers, numbers)
def test_a_hold_s_note_is_an_array_in_message_pack(
    request_id: str, model: str, version: int, bound: int, output: int, factor: int
) -> None:
    fields = (request_id, model, version, bound, output, factor)
    assert pack_hold(*fields) == msgspec.msgpack.encode(fields)


@given(
    texts,
    texts,
    st.lists(numbers, min_size=3, max_size=3),
    st.lists(numbers, min_size=10, max_size=10),
    texts,
)
def test_an_end_s_note_says_the_last_counts_only_where_they_say_something(
    provider: str, deployment: str, head: list[int], counts: list[int], source: str
) -> None:
    said = counts if counts[9] else counts[:9] if counts[7] or counts[8] else counts[:7]
    note = pack_end(provider, deployment, head[0], head[1], head[2], *counts, source)
    assert note == msgspec.msgpack.encode((provider, deployment, *head, said, source))


@pytest.mark.parametrize("kept", [7, 9, 10])
def test_what_was_noted_is_read_back(kept: int) -> None:
    counts = dict(zip(COUNTS, range(1, kept + 1), strict=False))
    usage = Usage(**counts, source="counted")
    note = read_end_note(note_end("acme", "gpt", 2, 200, 9, usage))
    assert (note.provider, note.deployment, note.attempts, note.status, note.price_version) == (
        *("acme", "gpt", 2, 200, 9),
    )
    assert note.usage == usage
    held = read_hold_note(note_hold("req-1", "é" * 300, 1, 2, 3, 10_000))
    assert (held.model, held.output_bound) == ("é" * 200, 3)


def test_the_longest_note_of_an_end_has_room() -> None:
    most = Usage(*[1 << 62] * 4, "provider", *[1 << 62] * 6)
    assert len(note_end("é" * 99, "\U0001f600" * 99, 15, 599, 1 << 31, most)) <= END_NOTE_BYTES_MAX


def test_a_text_without_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="1025 bytes"):
        pack_hold("r" * 1025, "m", 1, 1, 1, 1)

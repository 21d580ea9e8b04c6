"""What two answers used together."""

from kpgate.domain.usage import NOTHING, Usage


def test_two_answers_used_what_both_did() -> None:
    one = Usage(10, 4, cached=3, reasoning=2, source="provider", cache_write=1)
    other = Usage(12, 5, cached=5, source="provider", audio_input=2)
    assert one.plus(other) == Usage(22, 9, 8, 2, "provider", 2, cache_write=1)
    assert one.plus(Usage(7, source="counted")).source == "counted", "a part of it is nobody's word"
    assert NOTHING.plus(one).source == "counted"

"""What waits to be counted is measured in bytes: a hold's room is told by it."""

from hypothesis import given
from hypothesis import strategies as st

from kpgate.domain.spoken import Spoken


@given(st.lists(st.text(max_size=20), max_size=8), st.integers(0, 8))
def test_text_is_measured_in_bytes_and_what_is_forgotten_is_not_counted(texts: list[str], kept: int) -> None:
    spoken = Spoken()
    for text in texts:
        spoken.hear(text)
    assert spoken.text_bytes == sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    spoken.forget(kept)
    left = "".join(texts[:kept])
    assert spoken.text_bytes == len(left.encode("utf-8", "surrogatepass"))
    assert spoken.take_text() == left and spoken.text_bytes == spoken.heard == 0

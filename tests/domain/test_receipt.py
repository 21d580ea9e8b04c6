"""A leaf is written at once as the canonical form of its receipt, whatever a call says."""

from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast.charge import Charge
from kpgate.domain.ledger import End, Hold, Reason, note_end, note_hold, write_end, write_hold
from kpgate.domain.receipt import canonical, leaves, receipt
from kpgate.domain.usage import COUNTS, Usage

amounts = st.integers(0, 2**53 - 1)
tokens = st.integers(0, 1 << 40) | st.just(0)
texts = st.text(max_size=40)
usages = st.builds(Usage, **dict.fromkeys(COUNTS, tokens))
versions = st.integers(0, 3)
TERMS = {0: "", 1: "{}", 2: '{"input":1}', 3: "x"}


@given(amounts, amounts, texts, texts, versions, versions, usages, st.sampled_from(Reason), st.booleans())
def test_a_leaf_is_the_canonical_form_of_its_receipt(
    amount: int,
    overrun: int,
    request: str,
    model: str,
    held_by: int,
    ended_by: int,
    usage: Usage,
    reason: Reason,
    is_told: bool,
) -> None:
    asked = note_hold(request, model, held_by, 1, 1, 12_345)
    said = note_end("provider", "deployment", 1, 200, ended_by, usage) if is_told else b""
    hold = Hold(77, 5, amount, 3, 9, 1, 0, (0,) * 4, (), asked)
    end = End(99, 77, 6, amount, overrun, (0,) * 4, reason, said, True)
    terms = TERMS[ended_by if is_told and ended_by else held_by]
    charge = Charge(99, write_hold(hold), write_end(end))
    found = next(leaves([charge], TERMS.__getitem__, "0" * 32, b"secret"))
    assert found == canonical(receipt(hold, end, terms, "0" * 32, b"secret"))

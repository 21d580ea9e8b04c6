"""How upstreams are doing: the same for every process, whatever each of them learns."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast import pulse
from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.pulse import BACK, DECAY_US, EJECTED, HALF_OPEN, ILL, LIMITED, SPENT, WELL, Pulses, Rules
from tests.kit.pulses import SECOND_US, Ward, rules


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def test_failures_in_a_row_eject_for_longer_each_time_and_never_more_than_half(ward: Ward) -> None:
    ours, one, other = rules(), ward.of(0), ward.of(1)
    both = (one, other)
    assert not one.failed(0, 1, ours, both)
    one.succeeded(0)
    assert not one.failed(0, 1, ours, both)
    assert one.state(0, ours) == WELL, "not in a row"
    assert one.failed(0, 1, ours, both)
    assert one.state(9_999_999, ours) == EJECTED and one.state(10_000_000, ours) == HALF_OPEN
    assert not other.failed(1, 1, ours, both) and not other.failed(1, 1, ours, both)
    assert other.state(1, ours) == WELL, "at most half are out"
    assert one.failed(10_000_000, 1, ours, both), "a probe that fails ejects at once"
    assert one.state(24_999_999, ours) == EJECTED, "longer, up to the most"
    one.succeeded(25_000_000)
    assert one.state(25_000_000, ours) == WELL
    one.succeeded(100_000_000)
    assert one.look(100_000_000)["ejections"] == 0, "trusted again"


def test_a_process_goes_by_what_another_one_learned(ward: Ward) -> None:
    ours, here, there, peer = rules(slow_us=4 * SECOND_US), ward.of(0, 0), ward.of(0, 1), ward.of(1, 1)
    here.failed(0, 1, ours, (here, ward.of(1)))
    assert there.failed(0, 2, ours, (there, peer)), "failures in a row are counted over all processes"
    assert here.state(1, ours) == EJECTED
    assert here.look(1)["failed_why"] == 2
    assert here.probe(10_000_000, ours) and not there.probe(10_000_001, ours), "one probe at a time"
    there.succeeded(10_000_002)
    assert here.state(10_000_003, ours) == BACK
    assert here.state(14_000_002, ours) == WELL


def test_as_many_probes_as_asked_for_bring_it_back(ward: Ward) -> None:
    ours, one = rules(probes=3, percent_max=100), ward.of(0)
    one.failed(0, 1, ours, (one,))
    one.failed(0, 1, ours, (one,))
    for now_us in range(10_000_000, 10_000_002):
        assert one.probe(now_us, ours)
        one.succeeded(now_us)
        assert one.state(now_us, ours) == HALF_OPEN
    assert one.probe(10_000_003, ours)
    one.succeeded(10_000_003)
    assert one.state(10_000_003, ours) == WELL


def test_a_probe_that_never_ends_keeps_others_out_for_a_while_only(ward: Ward) -> None:
    ours, one = rules(percent_max=100, probe_us=SECOND_US), ward.of(0)
    one.failed(0, 1, ours, (one,))
    one.failed(0, 1, ours, (one,))
    assert one.probe(10_000_000, ours)
    assert not one.probe(10_999_999, ours) and one.probe(11_000_000, ours)


def test_a_success_while_it_is_out_does_not_bring_it_back(ward: Ward) -> None:
    ours, one = rules(percent_max=100), ward.of(0)
    one.failed(0, 1, ours, (one,))
    one.failed(0, 1, ours, (one,))
    one.succeeded(5)
    assert one.state(6, ours) == EJECTED


def test_a_limit_is_respected_until_its_end(ward: Ward) -> None:
    ours, one = rules(), ward.of(0)
    one.cool(5 * SECOND_US)
    one.cool(3 * SECOND_US)
    assert one.state(4_999_999, ours) == LIMITED and one.state(5_000_000, ours) == WELL
    one.cool(9 * SECOND_US, True)
    assert ward.of(0, 1).state(8_000_000, ours) == SPENT


def test_active_checks_take_out_and_bring_back_after_enough_of_a_kind(ward: Ward) -> None:
    ours, one = rules(slow_us=SECOND_US), ward.of(0)
    one.checked(0, False, 2)
    one.checked(1, True, 2)
    one.checked(2, False, 2)
    assert one.state(2, ours) == WELL
    one.checked(3, False, 2)
    assert one.state(3, ours) == ILL
    one.checked(4, True, 2)
    assert one.state(4, ours) == ILL
    one.checked(5, True, 2)
    assert one.state(5, ours) == BACK
    one.checked(6, False, 1)
    one.unchecked()
    assert one.state(2 * SECOND_US, ours) == WELL


def test_a_check_that_is_due_is_made_by_one(ward: Ward) -> None:
    here, there = ward.of(0, 0), ward.of(0, 1)
    assert here.due(10, 30) and not there.due(10, 30) and not there.due(29, 50)
    assert there.due(30, 60)


def test_open_calls_are_counted_over_processes_and_forgotten_with_their_process(ward: Ward) -> None:
    here, there = ward.of(0, 0), ward.of(0, 1)
    for one in (here, here, there):
        one.opened()
    assert (here.open, there.open) == (3, 3)
    here.ended()
    assert there.open == 2
    ward.join(1)
    assert ward.of(0, 1).open == 1, "what the dead had open is open no more"


def test_a_slow_answer_counts_at_once_and_is_forgotten_with_time(ward: Ward) -> None:
    one = ward.of(0)
    one.observe(0, 100_000, True)
    assert one.look(0)["first_token_us"] == 100_000 and one.look(0)["latency_us"] == 0
    one.observe(1, 900_000, True)
    assert one.look(1)["first_token_us"] == 900_000
    one.observe(2, 100_000, True)
    assert 700_000 < one.look(2)["first_token_us"] < 900_000
    for now_us in range(3, 60):
        one.observe(now_us, 100_000, True)
    assert one.look(60)["first_token_us"] < 110_000
    one.observe(100, 900_000, True)
    assert one.look(100 + DECAY_US)["first_token_us"] < 340_000


@settings(max_examples=100, deadline=None)
@given(answers=st.lists(st.integers(0, 100_000), min_size=1, max_size=60))
def test_what_answers_come_to_stays_within_what_they_came_to(
    tmp_path_factory: pytest.TempPathFactory, answers: list[int]
) -> None:
    one = Ward(tmp_path_factory.mktemp("ward")).of(0)
    assert one.spoken(3) == 0
    for tokens in answers:
        one.learn(3, tokens)
    assert min(answers) - 1 <= one.spoken(3) <= max(max(answers), 1)
    assert one.spoken(4) == 0


def test_what_cannot_be_is_refused(ward: Ward, tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        ward.of(300)
    with pytest.raises(ValueError):
        ward.of(0).learn(10, 1)
    with pytest.raises(ValueError):
        Rules(failures=0)
    life = Life.obtain(tmp_path, 2, SECOND_US)
    assert life is not None
    with pytest.raises(ValueError, match="another region"):
        Pulses(Region.create(pulse.areas(3, 3), 3), Seat(ward.region, life))

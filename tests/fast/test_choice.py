"""The order in which the candidates of a call are tried."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.choice import COST, LATENCY, LEAST_BUSY, WEIGHTED, Choice, Size
from kpgate._fast.pulse import Pulse, Rules
from tests.kit.oracle import choice as oracle
from tests.kit.oracle.choice import One, OracleChoice
from tests.kit.pulses import SECOND_US, Ward

Candidate = tuple[Pulse, Pulse | None, int, int, int, int, int, int, int, int, int, int, int]
FREE = (0, 0, 0, 0, 0, 0)
EVERYONE = (1 << 64) - 1
NOW_US = 100 * SECOND_US
SLOW_US = 100 * SECOND_US
SIZE = Size(prompt_tokens=1000, output_cap=100)
STRATEGIES = (WEIGHTED, COST, LATENCY, LEAST_BUSY)


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def make(
    ward: Ward, ones: Sequence[One], strategy: int = WEIGHTED, sticky: bool = False, **more: int
) -> Choice:
    """The compiled form, its upstreams brought into the states that are asked for."""
    rules = Rules(**{"failures": 1, "percent_max": 100, "slow_us": SLOW_US} | more)  # type: ignore[arg-type]
    written = []
    for i, one in enumerate(ones):
        pulse = ward.of(i)
        for _ in range(one.open):
            pulse.opened()
        if one.latency:
            pulse.observe(NOW_US, round(one.latency), False)
        bring(pulse, one, rules)
        # The prompt of a thousand tokens costs what is asked for.
        price = round(one.cost) // 1000
        seat = (pulse, None, one.priority, one.weight, one.canary, one.group, one.identity)
        written.append((*seat, price, 0, 0, 0, price, 0))
    return Choice(written, rules, strategy, sticky)


def bring(pulse: Any, one: One, rules: Rules) -> None:
    if one.state == oracle.BACK:
        pulse.checked(0, False, 1)
        pulse.checked(NOW_US - one.share * SECOND_US, True, 1)
    elif one.state == oracle.HALF_OPEN:
        # Somebody else has the probe.
        pulse.failed(0, 1, rules, (pulse,))
        assert pulse.probe(NOW_US - 1, rules)
    elif one.state in (oracle.LIMITED, oracle.SPENT):
        pulse.cool(NOW_US + 1, one.state == oracle.SPENT)
    elif one.state == oracle.EJECTED:
        pulse.failed(NOW_US - 1, 1, rules, (pulse,))
    elif one.state == oracle.ILL:
        pulse.checked(0, False, 1)


ONES = st.builds(
    One,
    priority=st.integers(0, 2),
    weight=st.integers(1, 10_000),
    canary=st.sampled_from([0, 0, 0, 1, 5_000, 10_000]),
    group=st.integers(0, 63),
    identity=st.integers(0, EVERYONE),
    cost=st.integers(0, 9).map(lambda price: price * 1000.0),
    open=st.integers(0, 3),
    latency=st.sampled_from([0.0, 5_000.0, 80_000.0]),
    state=st.sampled_from([oracle.WELL] * 5 + list(range(7))),
    share=st.integers(10, 99),
)


@settings(max_examples=300, deadline=None)
@given(
    ones=st.lists(ONES, min_size=1, max_size=12),
    asked=st.lists(st.tuples(st.integers(0, EVERYONE), st.integers(0, EVERYONE)), min_size=1, max_size=4),
    eligible=st.integers(0, EVERYONE) | st.just(EVERYONE),
    strategy=st.sampled_from(STRATEGIES),
    sticky=st.booleans(),
    grouped=st.booleans(),
    panic=st.sampled_from([0, 50, 100]),
)
def test_orders_are_the_oracles(
    tmp_path_factory: pytest.TempPathFactory, ones: list[One], asked: list[tuple[int, int]], eligible: int,
    strategy: int, sticky: bool, grouped: bool, panic: int,
) -> None:  # fmt: skip
    for i, one in enumerate(ones):
        one.group = ones[one.group % (i + 1)].group if grouped and one.group % (i + 1) < i else i
    made = make(Ward(tmp_path_factory.mktemp("ward")), ones, strategy, sticky, panic_percent=panic)
    plain = OracleChoice(ones, strategy, sticky, panic)
    for number, session in asked:
        order = made.order(number, eligible, NOW_US, SIZE, session, 0, False)
        assert order == plain.order(number, eligible, session)
        assert sorted(order) == [i for i in range(made.count) if eligible >> i & 1]


def test_every_order_comes_as_often_as_its_weights_say(ward: Ward) -> None:
    weights = [5, 3, 2, 1]
    made = make(ward, [One(weight=weight, group=i) for i, weight in enumerate(weights)])
    numbers = random.Random(20261123)
    rounds = 60_000
    seen = dict.fromkeys(itertools.permutations(range(4)), 0)
    for _ in range(rounds):
        seen[made.order(numbers.getrandbits(64), 15, NOW_US)] += 1
    chi_square = 0.0
    for order, count in seen.items():
        share = Fraction(1)
        left = sum(weights)
        for i in order:
            share *= Fraction(weights[i], left)
            left -= weights[i]
        expected = float(share * rounds)
        chi_square += (count - expected) ** 2 / expected
    # 23 degrees of freedom: beyond 49.7 once in a thousand; the seed is fixed.
    assert chi_square < 49.7


def test_the_cheapest_for_this_call_comes_first(ward: Ward) -> None:
    cheap_in, cheap_out = ward.of(0), ward.of(1)
    candidates: list[Candidate] = [
        (cheap_in, None, 0, 1, 0, 0, 1, 1, 100, 0, 0, 1, 100),
        (cheap_out, None, 0, 1, 0, 1, 2, 10, 10, 0, 0, 10, 10),
    ]
    made = Choice(candidates, Rules(), COST)
    assert made.order(7, 3, NOW_US, Size(10_000, 50), 0, 0, False) == (0, 1)
    assert made.order(7, 3, NOW_US, Size(10, 5_000), 0, 0, False) == (1, 0)
    for pulse in (cheap_in, cheap_out):
        pulse.learn(0, 1)
        pulse.learn(5, 4_000)
    assert made.order(7, 3, NOW_US, Size(10, 5_000, kind=0), 0, 0, False) == (0, 1), "answers are short here"
    assert made.order(7, 3, NOW_US, Size(10, 5_000, kind=5), 0, 0, False) == (1, 0), (
        "for these callers they are not"
    )
    assert made.expected(1, Size(100, 5_000, 2, 5), 10_000) == -(-(100 * 10 + 2 * 4_000 * 10) // 1_000_000)
    assert made.within(3, Size(1_000_000, 1, kind=0), 5, 10_000) == 1
    assert made.within(3, Size(1_000_000, 1, kind=0), 5, 1_000) == 3, "who pays a tenth"


def test_of_two_that_chance_chose_the_quicker_comes_first(ward: Ward) -> None:
    ones = [One(group=i, latency=latency) for i, latency in enumerate((10_000.0, 20_000.0, 90_000.0))]
    made = make(ward, ones, LATENCY)
    numbers = random.Random(7)
    firsts = Counter(made.order(numbers.getrandbits(64), 7, NOW_US)[0] for _ in range(3_000))
    assert firsts[2] == 0 and firsts[0] > firsts[1] > 800, "the slowest never wins against another"
    for _ in range(9):
        ward.of(0).opened()
    firsts = Counter(made.order(numbers.getrandbits(64), 7, NOW_US)[0] for _ in range(3_000))
    assert firsts[1] > firsts[0], "calls that wait there count, too"


def test_who_was_never_measured_is_tried_by_one_call(ward: Ward) -> None:
    made = make(ward, [One(group=0, latency=10_000.0), One(group=1)], LATENCY)
    assert {made.order(number, 3, NOW_US)[0] for number in range(50)} == {1}
    ward.of(1).opened()
    assert {made.order(number, 3, NOW_US)[0] for number in range(50)} == {0}


def test_the_least_busy_is_by_weight(ward: Ward) -> None:
    made = make(ward, [One(group=0, open=5, weight=3), One(group=1, open=2, weight=1)], LEAST_BUSY)
    assert made.order(7, 3, NOW_US) == (0, 1)
    ward.of(0).opened()
    ward.of(0).opened()
    ward.of(0).opened()
    ward.of(0).opened()
    assert made.order(7, 3, NOW_US) == (1, 0)


def test_a_session_stays_where_it_is_and_moves_alone(ward: Ward) -> None:
    ones = [One(group=i, identity=oracle.mix(i + 1), weight=1 + i) for i in range(4)]
    made = make(ward, ones, sticky=True)
    homes = {
        session: made.order(session * 31, 15, NOW_US, None, oracle.mix(session))[0]
        for session in range(1, 2_001)
    }
    again = {session: made.order(session * 77, 15, NOW_US, None, oracle.mix(session))[0] for session in homes}
    assert homes == again, "whatever chance says"
    shares = Counter(homes.values())
    assert shares[3] > shares[2] > shares[1] > shares[0] > 100, "by weight"
    without = {session: made.order(1, 0b1011, NOW_US, None, oracle.mix(session))[0] for session in homes}
    assert all(without[session] == home for session, home in homes.items() if home != 2)
    assert {without[session] for session, home in homes.items() if home == 2} == {0, 1, 3}, "they spread"


def test_a_canary_gets_its_share_of_sessions_and_nobody_else(ward: Ward) -> None:
    made = make(ward, [One(group=0, identity=1), One(group=1, identity=2, canary=500)])
    orders = {session: made.order(1, 3, NOW_US, None, oracle.mix(session)) for session in range(1, 10_001)}
    chosen = sum(order == (1, 0) for order in orders.values())
    assert 400 < chosen < 600, "about five of a hundred"
    assert set(orders.values()) == {(0, 1), (1, 0)}
    assert all(
        made.order(9, 3, NOW_US, None, oracle.mix(session)) == order for session, order in orders.items()
    )


def test_who_is_back_takes_its_share_little_by_little(ward: Ward) -> None:
    made = make(ward, [One(group=0), One(group=1, state=oracle.BACK, share=20)])
    numbers = random.Random(11)
    shares = []
    for later_s in (0, 40, 79, 81):
        at_us = NOW_US + later_s * SECOND_US
        shares.append(sum(made.order(numbers.getrandbits(64), 3, at_us)[0] for _ in range(2_000)) / 2_000)
    assert shares[0] == pytest.approx(0.10, abs=0.03) and shares[1] == pytest.approx(0.30, abs=0.03)
    assert shares[2] == pytest.approx(0.5, abs=0.04) and shares[3] == pytest.approx(0.5, abs=0.04)


def test_one_call_probes_who_is_half_open_and_the_others_go_elsewhere(ward: Ward) -> None:
    rules, one = Rules(failures=1, percent_max=100, base_us=1, max_us=1, probe_us=SECOND_US), ward.of(0)
    one.failed(0, 1, rules, (one,))
    made = Choice([(one, None, 0, 1, 0, 0, 1, *FREE), (ward.of(1), None, 1, 1, 0, 1, 2, *FREE)], rules)
    assert made.order(1, 3, NOW_US, None, 0, 0, True) == (0, 1), "who only asks takes no probe"
    assert made.order(1, 3, NOW_US, None, 0, 0, False) == (0, 1)
    assert made.order(1, 3, NOW_US, None, 0, 0, False) == (1, 0)
    one.succeeded(NOW_US)
    assert made.order(1, 3, NOW_US, None, 0, 0, False) == (0, 1)


def test_with_too_few_well_all_are_used(ward: Ward) -> None:
    ones = [One(group=i, state=oracle.ILL if i < 2 else oracle.WELL) for i in range(3)]
    made = make(ward, ones, panic_percent=50)
    numbers = random.Random(3)
    firsts = Counter(made.order(numbers.getrandbits(64), 7, NOW_US)[0] for _ in range(3_000))
    assert min(firsts[i] for i in range(3)) > 800
    calm = make(ward, ones, panic_percent=33)
    assert {calm.order(number, 7, NOW_US)[0] for number in range(50)} == {2}


def test_the_credentials_of_one_deployment_are_used_in_turn(ward: Ward) -> None:
    keys = [ward.of(100 + i) for i in range(3)]
    candidates: list[Candidate] = [(ward.of(i), keys[i], 0, 1, 0, 0, 1, *FREE) for i in range(3)]
    candidates.append((ward.of(3), None, 1, 1, 0, 3, 2, *FREE))
    made = Choice(candidates, Rules())
    orders = [made.order(number, 15, NOW_US) for number in range(6)]
    assert [order[0] for order in orders] == [1, 2, 0, 1, 2, 0]
    assert all(order[1] == 3 for order in orders), "another deployment comes before another credential"
    keys[2].cool(NOW_US + 1, True)
    ward.of(0).cool(NOW_US + 1)
    orders = [made.order(number, 15, NOW_US) for number in range(4)]
    assert all(order[:2] == (1, 3) and set(order[2:]) == {0, 2} for order in orders)
    assert made.states(NOW_US) == [oracle.LIMITED, oracle.WELL, oracle.SPENT, oracle.WELL]


def test_a_long_prompt_is_judged_by_what_long_ones_cost(ward: Ward) -> None:
    stepped: Candidate = (
        ward.of(0),
        None,
        0,
        1,
        0,
        0,
        1,
        1_000_000,
        2_000_000,
        7,
        1_000,
        3_000_000,
        5_000_000,
    )
    level: Candidate = (ward.of(1), None, 0, 1, 0, 1, 2, 2_000_000, 3_000_000, 0, 0, 2_000_000, 3_000_000)
    made = Choice([stepped, level], Rules(), COST)
    short, long = Size(1_000, 10, 2), Size(1_001, 10, 2)
    assert (made.expected(0, short, 10_000), made.expected(0, long, 10_000)) == (1_047, 3_003 + 100 + 7)
    assert made.order(7, 3, NOW_US, short, 0, 0, False) == (0, 1)
    assert made.order(7, 3, NOW_US, long, 0, 0, False) == (1, 0)
    assert (made.within(3, short, 1_047, 10_000), made.within(3, long, 2_062, 10_000)) == (1, 2)


def test_a_candidate_alone_and_none_at_all(ward: Ward) -> None:
    made = make(ward, [One(group=0), One(group=1, priority=1)])
    assert made.order(7, 3, NOW_US) == (0, 1)
    assert made.order(7, 2, NOW_US) == (1,)
    assert made.order(7, 0, NOW_US) == ()
    assert made.order(7, EVERYONE, NOW_US) == (0, 1)
    assert len(made.scores(NOW_US, SIZE)) == 2


def test_what_cannot_be_is_refused(ward: Ward) -> None:
    good: Candidate = (ward.of(0), None, 0, 1, 0, 0, 1, *FREE)
    for candidates in ([], [good] * 65, [(*good[:3], 0, *good[4:])], [(*good[:5], 1, *good[6:])]):
        with pytest.raises(ValueError):
            Choice(candidates, Rules())  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        Size(kind=10)
    with pytest.raises(IndexError):
        Choice([good], Rules()).expected(1, SIZE, 10_000)

"""Limits: the compiled rules against the plain ones, and each promise by name."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpgate._fast import limit
from kpgate._fast.commit import DEPLOYMENT, KEY, MODEL, PARTY, Region
from kpgate._fast.limit import DONE, FULL, NEVER, REFUSED, STALE, Gate, Limits, Verdict
from tests.kit.node import Node
from tests.kit.oracle import limit as plain

MINUTE_US = 60_000_000
HOUR_US = 3_600_000_000


def gate_of(terms: plain.Terms) -> Gate:
    figures: dict[str, int] = {"concurrency_max": terms.concurrency_max}
    for name, rate in (("request", terms.requests), ("token", terms.tokens)):
        if rate:
            figures[f"{name}_units"] = rate.units
            figures[f"{name}_window_us"] = rate.window_us
            figures[f"{name}_burst"] = rate.burst
    return Gate(terms.scope, terms.number, **figures)


def tokens_gate(burst: int, *, scope: int = KEY, units: int = 60, number: int = 1) -> Gate:
    return Gate(scope, number, token_units=units, token_window_us=MINUTE_US, token_burst=burst)


def requests_gate(burst: int, *, scope: int = KEY, units: int = 60, number: int = 1) -> Gate:
    return Gate(scope, number, request_units=units, request_window_us=MINUTE_US, request_burst=burst)


def places_gate(places: int, *, scope: int = KEY, number: int = 1) -> Gate:
    return Gate(scope, number, concurrency_max=places)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
def limits(node: Node) -> Limits:
    return node.sit(0)


windows = st.sampled_from([1, 7, 1_000_003, MINUTE_US, 24 * HOUR_US, 1 << 42])
small = st.integers(1, 12)
rates = st.builds(plain.Rate, st.one_of(small, st.sampled_from([10**12, 1 << 40])), windows, small)
rates_or_none = st.one_of(st.none(), rates)


def terms_of(scope: int) -> st.SearchStrategy[plain.Terms]:
    return st.builds(
        plain.Terms,
        st.just(scope),
        st.integers(0, 1),
        rates_or_none,
        rates_or_none,
        st.integers(0, 3),
    )


fixed_gates = st.tuples(*(st.lists(terms_of(scope), max_size=1) for scope in (KEY, PARTY, MODEL))).map(
    lambda lists: [terms for one in lists for terms in one]
)
candidates = st.lists(terms_of(DEPLOYMENT), max_size=3)
steps_us = st.one_of(
    st.integers(-5, 50), st.integers(0, 2 * MINUTE_US), st.sampled_from([10**6, MINUTE_US, HOUR_US, 1 << 45])
)
tokens = st.one_of(st.integers(0, 14), st.just(1 << 40))
moves = st.one_of(
    st.tuples(st.just("admit"), fixed_gates, candidates, tokens),
    st.tuples(st.just("settle"), st.integers(0, 9), st.one_of(st.integers(-1, 40), st.just(1 << 40))),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("move"), st.integers(-1, 9), terms_of(DEPLOYMENT), tokens),
    st.tuples(st.just("wait")),
)


class Pair:
    """The compiled rules and the plain ones side by side."""

    def __init__(self, limits: Limits, calls_max: int) -> None:
        self.limits = limits
        self.plain = plain.Limits(calls_max)
        self.now_us = 1_000_000_000
        self.calls: list[tuple[int, plain.Call | None]] = []
        self.verdict = Verdict()
        self.wait_us = 0

    def compare(self, outcome: int, answer: plain.Answer) -> None:
        seen = self.verdict
        assert outcome == answer.outcome
        if outcome == STALE:
            return
        assert seen.chosen == answer.chosen
        assert (seen.refused_scope, seen.refused_kind) == (
            answer.refused
            if answer.refused[1] != plain.CONCURRENCY
            else (seen.refused_scope, plain.CONCURRENCY)
        )
        assert seen.wait_us == answer.wait_us
        assert (seen.requests_limit, seen.requests_remaining) == answer.requests[:2]
        assert (seen.tokens_limit, seen.tokens_remaining) == answer.tokens[:2]
        assert seen.requests_reset_us == answer.requests[2]
        assert seen.tokens_reset_us == answer.tokens[2]
        assert bool(seen.call) == bool(answer.call)
        self.wait_us = max(0, seen.wait_us)

    def step(self, move: tuple[Any, ...]) -> None:
        verb, *rest = move
        if verb == "wait":
            self.now_us += self.wait_us
        elif verb == "admit":
            fixed, others, amount = rest
            gates = tuple(map(gate_of, fixed)), tuple(map(gate_of, others))
            outcome = self.limits.admit(self.now_us, *gates, amount, self.verdict)
            self.compare(outcome, answer := self.plain.admit(self.now_us, fixed, others, amount))
            if outcome == DONE:
                self.calls.append((self.verdict.call, answer.call))
        elif verb == "move" and (rest[0] < 0 or rest[0] < len(self.calls)):
            at, to, amount = rest
            handle, call = self.calls[at] if at >= 0 else (0, None)
            outcome = self.limits.move(self.now_us, handle, gate_of(to), amount, self.verdict)
            self.compare(outcome, answer := self.plain.move(self.now_us, call, to, amount))
            if outcome == DONE and at >= 0:
                self.calls[at] = (self.verdict.call, answer.call)
            elif outcome == DONE:
                self.calls.append((self.verdict.call, answer.call))
        elif verb in ("settle", "cancel") and rest[0] < len(self.calls):
            handle, call = self.calls[rest[0]]
            used = rest[1] if verb == "settle" else 0
            outcome = (
                self.limits.settle(self.now_us, handle, used)
                if verb == "settle"
                else self.limits.cancel(self.now_us, handle)
            )
            assert outcome == self.plain.settle(self.now_us, call, used)

    def check(self) -> None:
        assert self.limits.open_calls() == len(self.plain.open)
        assert self.limits.stale_calls() == self.plain.stale
        for scope in (KEY, PARTY, MODEL, DEPLOYMENT):
            for number in (0, 1):
                assert self.limits.in_use(scope, number) == self.plain.in_use.get((scope, number), 0)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(play=st.lists(st.tuples(steps_us, moves), max_size=25))
def test_every_answer_is_the_plain_rules_answer(play: list[Any], tmp_path_factory: Any) -> None:
    node = Node(tmp_path_factory.mktemp("node"), calls=4)
    pair = Pair(node.sit(0), 4)
    for step_us, move in play:
        pair.now_us += step_us
        pair.step(move)
        pair.check()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rate=rates, spent=st.integers(1, 12), asked=st.integers(1, 12))
def test_waiting_wait_us_admits_and_a_microsecond_less_does_not(
    rate: plain.Rate, spent: int, asked: int, tmp_path_factory: Any
) -> None:
    limits = Node(tmp_path_factory.mktemp("node")).sit(0)
    gate = gate_of(plain.Terms(KEY, 1, tokens=rate))
    verdict = Verdict()
    limits.admit(1_000, (gate,), (), min(spent, rate.burst), verdict)
    outcome = limits.admit(1_000, (gate,), (), asked, verdict)
    if outcome == NEVER:
        assert asked > rate.burst
        assert verdict.wait_us == -1
    elif outcome == REFUSED:
        then_us = 1_000 + verdict.wait_us
        assert limits.admit(then_us - 1, (gate,), (), asked, verdict) == REFUSED
        assert limits.admit(then_us, (gate,), (), asked, verdict) == DONE


def test_a_call_takes_from_every_gate_or_from_none(limits: Limits) -> None:
    wide, narrow = requests_gate(10), requests_gate(1, scope=PARTY)
    verdict = Verdict()
    assert limits.admit(0, (wide, narrow), (), 0, verdict) == DONE
    assert limits.admit(0, (wide, narrow), (), 0, verdict) == REFUSED
    assert (verdict.refused_scope, verdict.refused_kind) == (PARTY, limit.REQUESTS)
    assert limits.peek(0, (wide,), verdict) == DONE
    assert verdict.requests_remaining == 9


def test_the_first_candidate_with_room_is_chosen(limits: Limits) -> None:
    first, second = places_gate(1, scope=DEPLOYMENT), places_gate(1, scope=DEPLOYMENT, number=2)
    verdict = Verdict()
    chosen = []
    for _ in range(2):
        assert limits.admit(0, (), (first, second), 0, verdict) == DONE
        chosen.append(verdict.chosen)
    assert chosen == [0, 1]
    assert limits.admit(0, (), (first, second), 0, verdict) == REFUSED
    assert (verdict.refused_scope, verdict.refused_kind) == (DEPLOYMENT, limit.CONCURRENCY)
    assert limits.admit(0, (), (first, second, Gate(DEPLOYMENT, 3)), 0, verdict) == DONE
    assert (verdict.chosen, verdict.call) == (2, 0)


def test_the_wait_is_for_the_fixed_gates_and_the_soonest_candidate(limits: Limits) -> None:
    slow, quick = tokens_gate(10, scope=DEPLOYMENT, units=1), tokens_gate(10, scope=DEPLOYMENT, number=2)
    verdict = Verdict()
    for _ in range(2):
        assert limits.admit(0, (), (slow, quick), 10, verdict) == DONE
    assert limits.admit(0, (), (slow, quick), 3, verdict) == REFUSED
    assert verdict.wait_us == 3_000_000


def test_without_any_limit_no_lock_is_taken_and_no_call_opened(node: Node) -> None:
    seat, limits = node.sit_with(0)
    seat.stores_left = 0
    verdict = Verdict()
    free = Gate(KEY, 10**9), Gate(PARTY, 1)
    assert limits.admit(0, free, (Gate(DEPLOYMENT, 1),), 5, verdict) == DONE
    assert (verdict.call, verdict.chosen, verdict.requests_limit) == (0, 0, -1)
    assert limits.settle(0, 0, 5) == DONE


def test_requests_alone_leave_nothing_to_give_back(limits: Limits) -> None:
    verdict = Verdict()
    assert limits.admit(0, (requests_gate(2),), (), 100, verdict) == DONE
    assert (verdict.call, limits.open_calls(), verdict.requests_remaining) == (0, 0, 1)


def test_refund_never_exceeds_capacity(limits: Limits) -> None:
    gate, verdict = tokens_gate(100), Verdict()
    assert limits.admit(0, (gate,), (), 60, verdict) == DONE
    call = verdict.call
    assert limits.settle(HOUR_US, call, 0) == DONE
    limits.peek(HOUR_US, (gate,), verdict)
    assert verdict.tokens_remaining == 100


def test_more_than_was_reserved_puts_the_bucket_into_debt(limits: Limits) -> None:
    gate, verdict = tokens_gate(100), Verdict()
    limits.admit(0, (gate,), (), 10, verdict)
    assert limits.settle(0, verdict.call, 160) == DONE
    assert limits.admit(0, (gate,), (), 1, verdict) == REFUSED
    assert verdict.wait_us == 61_000_000
    assert verdict.tokens_remaining == 0


def test_usage_that_nobody_knows_stays_as_reserved(limits: Limits) -> None:
    gate, verdict = tokens_gate(100), Verdict()
    limits.admit(0, (gate,), (), 10, verdict)
    limits.settle(0, verdict.call, -1)
    limits.peek(0, (gate,), verdict)
    assert verdict.tokens_remaining == 90


def test_a_stale_handle_has_no_effect_and_is_counted(node: Node, limits: Limits) -> None:
    gate, verdict = places_gate(5), Verdict()
    limits.admit(0, (gate,), (), 0, verdict)
    first = verdict.call
    assert limits.settle(0, first, 0) == DONE
    limits.admit(0, (gate,), (), 0, verdict)
    before = node.state()
    assert verdict.call != first
    for handle in (first, 12345, -1, 1 << 62):
        assert limits.settle(0, handle, 0) == STALE
        assert limits.move(0, handle, places_gate(1, scope=DEPLOYMENT), 0, Verdict()) == STALE
    assert node.state() == before
    assert limits.stale_calls() == 8


def test_a_full_slab_is_an_outcome_of_its_own(limits: Limits, node: Node) -> None:
    gate, verdict = (
        Gate(KEY, 1, concurrency_max=100, request_units=50, request_window_us=1, request_burst=50),
        Verdict(),
    )
    calls = []
    for _ in range(node.calls):
        assert limits.admit(0, (gate,), (), 0, verdict) == DONE
        calls.append(verdict.call)
    before = node.state()
    assert limits.admit(0, (gate,), (), 0, verdict) == FULL
    assert node.state() == before
    assert len(set(calls)) == node.calls
    assert limits.settle(0, calls[3], 0) == DONE
    assert limits.admit(0, (gate,), (), 0, verdict) == DONE


def test_failover_gives_the_old_deployment_its_place_and_tokens_back(limits: Limits) -> None:
    terms = {"token_units": 60, "token_window_us": MINUTE_US, "token_burst": 100, "concurrency_max": 2}
    old, new = Gate(DEPLOYMENT, 1, **terms), Gate(DEPLOYMENT, 2, **terms)
    verdict = Verdict()
    assert limits.admit(0, (places_gate(1),), (old,), 40, verdict) == DONE
    call = verdict.call
    assert limits.move(0, call, new, 30, verdict) == DONE
    assert verdict.call == call
    assert [limits.in_use(DEPLOYMENT, n) for n in (1, 2)] == [0, 1]
    assert limits.in_use(KEY, 1) == 1
    assert limits.move(0, call, new, 100, verdict) == DONE
    assert limits.move(0, call, new, 101, verdict) == NEVER
    assert limits.in_use(DEPLOYMENT, 2) == 1
    assert limits.settle(0, call, 5) == DONE
    assert [limits.in_use(scope, n) for scope, n in ((DEPLOYMENT, 2), (KEY, 1))] == [0, 0]
    assert limits.open_calls() == 0


def test_a_raised_limit_keeps_its_tokens_and_fills_at_the_new_rate(limits: Limits) -> None:
    verdict = Verdict()
    limits.admit(0, (tokens_gate(10),), (), 10, verdict)
    raised = Gate(KEY, 1, token_units=3600, token_window_us=HOUR_US, token_burst=100)
    limits.peek(5_000_000, (raised,), verdict)
    assert verdict.tokens_remaining == 5
    lowered = tokens_gate(2)
    limits.peek(5_000_000, (lowered,), verdict)
    assert verdict.tokens_remaining == 2


def test_time_never_goes_back_for_a_late_clock(limits: Limits) -> None:
    gate, verdict = requests_gate(1), Verdict()
    assert limits.admit(10_000_000, (gate,), (), 0, verdict) == DONE
    assert limits.admit(9_000_000, (gate,), (), 0, verdict) == REFUSED
    # The late clock has a second more to wait, by itself.
    assert verdict.wait_us == 2_000_000


def test_an_expired_call_is_ended_and_its_owner_is_late(limits: Limits) -> None:
    gate, verdict = places_gate(1), Verdict()
    limits.admit(0, (gate,), (), 0, verdict)
    assert limits.end_expired(limits.life_us - 1) == 0
    assert limits.end_expired(limits.life_us) == 1
    assert limits.in_use(KEY, 1) == 0
    assert limits.settle(limits.life_us, verdict.call, 0) == STALE


@pytest.mark.parametrize(
    "figures",
    [
        {"request_units": 5},
        {"request_units": 5, "request_window_us": 1},
        {"token_units": (1 << 40) + 1, "token_window_us": 1, "token_burst": 1},
        {"token_units": 1, "token_window_us": (1 << 42) + 1, "token_burst": 1},
        {"token_units": -1, "token_window_us": 1, "token_burst": 1},
        {"concurrency_max": -1},
    ],
)
def test_what_cannot_be_a_limit_is_refused_at_once(figures: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"no (rate|concurrency)"):
        Gate(KEY, 1, **figures)


def test_gates_in_the_wrong_place_are_refused(limits: Limits) -> None:
    gate, verdict = places_gate(1), Verdict()
    for fixed, others in (((gate, gate), ()), ((), (gate,)), ((places_gate(1, scope=DEPLOYMENT),), ())):
        with pytest.raises(ValueError, match=r"gates|candidates"):
            limits.admit(0, fixed, others, 0, verdict)
    with pytest.raises(IndexError):
        limits.admit(0, (places_gate(1, number=8),), (), 0, verdict)
    with pytest.raises(ValueError, match="tokens"):
        limits.admit(0, (gate,), (), -1, verdict)


def test_a_million_keys_take_memory_only_where_touched(tmp_path: Path) -> None:
    region = Region.create(limit.areas(), 4)
    assert region.size_bytes > 250_000_000
    assert Path(region.path).stat().st_blocks * 512 < 16_000_000

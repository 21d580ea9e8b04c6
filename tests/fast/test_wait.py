"""Waits behave as futures for a task; the wheel fires each timer once, in time, never early."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine
from time import time_ns
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast.wait import Clock, Timer, Wait, Wheel, clock, wall_us

RUNS: list[Callable[[Coroutine[Any, Any, Any]], Any]] = [asyncio.run, uvloop.run]


@pytest.fixture(params=RUNS, ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return request.param


def test_a_wait_delivers_its_value_to_a_task(run):
    async def main():
        loop = asyncio.get_running_loop()
        wait = Wait(loop)
        loop.call_soon(wait.resolve, (1, 2))
        assert not wait.done
        assert await wait == (1, 2)
        assert wait.done

    run(main())


def test_a_wait_that_has_ended_does_not_suspend():
    wait = Wait(asyncio.new_event_loop())
    wait.loop.close()
    wait.resolve(b"x")

    async def reader():
        return await wait

    with pytest.raises(StopIteration) as stop:
        reader().send(None)
    assert stop.value.value == b"x"


def test_a_wait_is_failed_where_it_is_awaited(run):
    async def main():
        loop = asyncio.get_running_loop()
        wait = Wait(loop)
        loop.call_soon(wait.fail, KeyError("gone"))
        with pytest.raises(KeyError, match="gone"):
            await wait
        assert isinstance(wait.exception(), KeyError)
        with pytest.raises(KeyError):
            await wait

    run(main())


def test_only_the_first_end_counts():
    loop = asyncio.new_event_loop()
    wait = Wait(loop)
    assert wait.resolve(1)
    assert not wait.resolve(2)
    assert not wait.fail(KeyError())
    assert not wait.cancel()
    assert wait.result() == 1
    loop.close()


def test_one_wait_serves_many_times(run):
    async def main():
        loop = asyncio.get_running_loop()
        wait = Wait(loop)
        for number in range(5):
            loop.call_soon(wait.resolve, number)
            assert await wait == number
            wait.reset()
            assert not wait.done

    run(main())


def test_a_wait_is_not_armed_again_under_somebody_who_waits(run):
    async def main():
        loop = asyncio.get_running_loop()
        wait = Wait(loop)

        async def reader():
            return await wait

        task = loop.create_task(reader())
        await asyncio.sleep(0)
        with pytest.raises(asyncio.InvalidStateError):
            wait.reset()
        wait.resolve(7)
        assert await task == 7

    run(main())


def test_a_cancelled_task_ends_its_wait(run):
    async def main():
        loop = asyncio.get_running_loop()
        wait = Wait(loop)

        async def reader():
            await wait

        task = loop.create_task(reader())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert wait.cancelled()
        assert not wait.resolve(1)
        with pytest.raises(asyncio.CancelledError):
            wait.result()
        wait.reset()
        assert wait.resolve(1)

    run(main())


def test_cancelling_after_the_end_still_cancels_the_task(run):
    async def main():
        loop = asyncio.get_running_loop()
        wait = Wait(loop)

        async def reader():
            await wait

        task = loop.create_task(reader())
        await asyncio.sleep(0)
        wait.resolve(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_callbacks_can_be_added_late_and_removed(run):
    async def main():
        loop = asyncio.get_running_loop()
        wait = Wait(loop)
        seen: list[str] = []
        first, second, third = (lambda w, n=n: seen.append(n) for n in ("first", "second", "third"))
        for callback in (first, second, third):
            wait.add_done_callback(callback)
        assert wait.remove_done_callback(first) == 1
        assert wait.remove_done_callback(first) == 0
        wait.resolve()
        wait.add_done_callback(lambda w: seen.append("late"))
        await asyncio.sleep(0)
        assert seen == ["second", "third", "late"]

    run(main())


def test_a_pending_wait_has_no_result():
    loop = asyncio.new_event_loop()
    with pytest.raises(asyncio.InvalidStateError):
        Wait(loop).result()
    with pytest.raises(asyncio.InvalidStateError):
        Wait(loop).exception()
    loop.close()


def test_a_driver_in_the_slot_is_stepped_at_once():
    loop = asyncio.new_event_loop()
    wait = Wait(loop)
    steps: list[int] = []

    class Driver:
        def step(self) -> None:
            steps.append(wait.result())

    wait.waiter = Driver()
    wait.resolve(3)
    assert steps == [3]
    assert wait.waiter is None
    loop.close()


def test_a_wait_is_let_go():
    loop = asyncio.new_event_loop()

    class Value:
        pass

    value = Value()
    gone = weakref.ref(value)
    wait = Wait(loop)
    wait.resolve(value)
    del value
    wait.reset()
    assert gone() is None
    loop.close()


def test_a_timer_fires_once_and_never_early():
    fired: list[int] = []
    wheel = Wheel(tick_us=100)
    timer = Timer(lambda: fired.append(wheel.now_us))
    wheel.add(timer, 250)
    for now_us in range(0, 1000, 10):
        wheel.advance(now_us)
    assert fired == [300]
    assert wheel.live == 0
    assert not timer.armed


def test_a_cancelled_timer_does_not_fire():
    wheel = Wheel(tick_us=100)
    fired: list[int] = []
    timers = [Timer(lambda n=n: fired.append(n)) for n in range(3)]
    for timer in timers:
        wheel.add(timer, 100)
    timers[1].cancel()
    timers[1].cancel()
    assert wheel.live == 2
    wheel.advance(100)
    assert fired == [0, 2]


def test_a_deadline_may_be_moved_both_ways():
    wheel = Wheel(tick_us=100)
    fired: list[str] = []
    later, sooner = Timer(lambda: fired.append("later")), Timer(lambda: fired.append("sooner"))
    wheel.add(later, 200)
    wheel.add(sooner, 900)
    wheel.add(later, 1000)
    wheel.add(sooner, 300)
    assert wheel.live == 2
    wheel.advance(400)
    assert fired == ["sooner"]
    wheel.advance(999)
    assert fired == ["sooner"]
    wheel.advance(1000)
    assert fired == ["sooner", "later"]


def test_a_timer_far_beyond_the_horizon_waits_its_time():
    wheel = Wheel(tick_us=100)
    fired: list[int] = []
    wheel.add(Timer(lambda: fired.append(wheel.now_us)), 1_000_000)
    for now_us in range(0, 1_000_100, 100):
        wheel.advance(now_us)
    assert fired == [1_000_000]


def test_a_first_advance_from_any_clock_fires_only_what_is_due():
    wheel = Wheel()
    fired: list[str] = []
    wheel.add(Timer(lambda: fired.append("due")), 10**12)
    wheel.add(Timer(lambda: fired.append("not yet")), 10**12 + 10**6)
    wheel.advance(10**12 + 1)
    assert fired == ["due"]
    assert wheel.live == 1


def test_one_timer_s_error_stops_no_other():
    wheel = Wheel(tick_us=100)
    fired: list[int] = []
    error = KeyError("mine")

    def broken() -> None:
        raise error

    wheel.add(Timer(broken), 100)
    wheel.add(Timer(lambda: fired.append(1)), 100)
    assert list(wheel.advance(100)) == [error]
    assert fired == [1]
    assert list(wheel.advance(200)) == []


def test_a_callback_may_rearm_itself_and_cancel_its_neighbours():
    wheel = Wheel(tick_us=100)
    fired: list[str] = []
    victim = Timer(lambda: fired.append("victim"))

    class Periodic(Timer):
        def fire(self) -> None:
            fired.append("periodic")
            victim.cancel()
            wheel.add(self, wheel.now_us + 100)

    periodic = Periodic()
    wheel.add(periodic, 100)
    wheel.add(victim, 100)
    for now_us in (100, 200, 300):
        wheel.advance(now_us)
    assert fired == ["periodic"] * 3
    assert wheel.live == 1


def test_a_dropped_wheel_lets_its_timers_go():
    wheel = Wheel(tick_us=100)

    class Node(Timer):
        pass

    node = Node()
    gone = weakref.ref(node)
    wheel.add(node, 100)
    del node, wheel
    gc.collect()
    assert gone() is None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 7), st.integers(0, 120_000)),
            st.tuples(st.just("cancel"), st.integers(0, 7), st.just(0)),
            st.tuples(st.just("advance"), st.just(0), st.integers(0, 70_000)),
        ),
        max_size=60,
    )
)
def test_the_wheel_agrees_with_a_dictionary(moves: list[tuple[str, int, int]]):
    wheel = Wheel(tick_us=100)
    fired: list[int] = []
    timers = [Timer(lambda n=n: fired.append(n)) for n in range(8)]
    expected: dict[int, int] = {}
    now_us = 0
    for move, number, amount in moves:
        if move == "add":
            wheel.add(timers[number], amount)
            expected[number] = amount
        elif move == "cancel":
            timers[number].cancel()
            expected.pop(number, None)
        else:
            now_us += amount
            # What is due by the last whole tick has fired; what fires is due.
            wheel.advance(now_us)
            for due in fired:
                assert expected.pop(due) <= now_us
            fired.clear()
        assert wheel.live == len(expected)
        assert [timer.armed for timer in timers] == [n in expected for n in range(8)]
    wheel.advance(now_us + 10_000_000)
    assert sorted(fired) == sorted(expected)
    assert wheel.live == 0


def test_a_clock_is_the_machine_s_or_another() -> None:
    before_us, now_us, after_us = clock(), Clock(clock).now(), clock()
    assert before_us <= now_us <= after_us
    assert Clock(lambda: 17).now() == 17
    assert abs(wall_us() - time_ns() // 1000) < 60_000_000


@pytest.mark.parametrize("value", [None, b"", b"bytes", (), (1, 2), ValueError("a value"), StopIteration(3)])
def test_a_wait_gives_the_very_value_it_was_resolved_with(run, value):
    async def main():
        loop = asyncio.get_running_loop()
        wait = Wait(loop)
        loop.call_soon(wait.resolve, value)
        assert await wait is value
        assert await wait is value, "it does not suspend any more"

    run(main())

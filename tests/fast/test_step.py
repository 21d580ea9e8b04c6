"""A coroutine driven beside others: as far as it goes, on by whatever ends its wait, and told of once it is over."""

import asyncio
from typing import Any

import pytest

from kpgate._fast.step import Aside
from kpgate._fast.wait import Wait
from tests.kit.loops import looped, until


class Noting(Aside):
    """Notes how it ended."""

    def __init__(self) -> None:
        self.ends: list[BaseException | None] = []

    def over(self, error: BaseException | None) -> None:
        self.ends.append(error)


@looped
async def test_it_goes_on_straight_from_what_ends_its_wait() -> None:
    loop = asyncio.get_running_loop()
    wait, said = Wait(loop), []

    async def work() -> None:
        said.append("begun")
        said.append(await wait)

    aside = Noting()
    aside.begin(loop, work())
    assert said == ["begun"] and aside.ends == []
    wait.resolve("gone on")
    assert said == ["begun", "gone on"] and aside.ends == [None]


@looped
async def test_what_escapes_it_is_told_once() -> None:
    loop = asyncio.get_running_loop()
    wait = Wait(loop)

    async def work() -> Any:
        return await wait

    aside = Noting()
    aside.begin(loop, work())
    wait.fail(KeyError("lost"))
    assert [type(error) for error in aside.ends] == [KeyError]


@looped
async def test_what_it_wakes_is_stepped_after_it_never_inside() -> None:
    loop = asyncio.get_running_loop()
    first, second, order = Wait(loop), Wait(loop), []

    async def waker() -> None:
        await first
        second.resolve()
        order.append("waker")

    async def woken() -> None:
        await second
        order.append("woken")

    one, other = Noting(), Noting()
    one.begin(loop, waker())
    other.begin(loop, woken())
    first.resolve()
    assert order == ["waker"] and other.ends == []
    await until(lambda: other.ends)
    assert order == ["waker", "woken"]


@looped
async def test_one_that_is_begun_within_another_begins_after_it() -> None:
    loop = asyncio.get_running_loop()
    order: list[str] = []
    inner, outer = Noting(), Noting()

    async def inside() -> None:
        order.append("inside")

    async def around() -> None:
        inner.begin(loop, inside())
        order.append("around")

    outer.begin(loop, around())
    assert order == ["around"]
    await until(lambda: inner.ends == [None])


@looped
async def test_on_anything_but_a_wait_a_task_takes_over() -> None:
    loop = asyncio.get_running_loop()
    aside = Noting()

    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("from within the task")

    aside.begin(loop, work())
    await until(lambda: aside.ends)
    with pytest.raises(ValueError, match="from within"):
        raise aside.ends[0] or AssertionError

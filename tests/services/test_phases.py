"""The small services, one by one: heads, places in flight, ejection, retries, the record."""

import asyncio
from typing import Any

import orjson
import pytest

from kpgate._fast.head import gather
from kpgate._fast.wait import Wheel
from kpgate.domain.call import Record
from kpgate.domain.caller import Caller, Party
from kpgate.domain.errors import (
    HeadersTooLarge,
    InvalidRequest,
    Overloaded,
    RateLimited,
    UnsupportedEncoding,
    UpstreamFailed,
)
from kpgate.domain.settings import Retries
from kpgate.domain.usage import Usage
from kpgate.services.receive import Ids, Inflight, check_head, is_request_id, onward
from kpgate.services.record import encode_text, line
from kpgate.services.route import HEDGES_SAVED_MAX, Hedging, Retrying
from tests.kit.loops import looped

HOST = (b"host", b"x")


def test_a_head_keeps_what_is_read_and_joins_lists() -> None:
    head = gather(
        [HOST, (b"x-api-key", b"k"), (b"x-forwarded-for", b"a"), (b"x-forwarded-for", b"b"), (b"z", b"")]
    )
    assert (head.credential(), head.forwarded_for, head.traceparent) == (b"k", b"a, b", None)


@pytest.mark.parametrize(
    ("sent", "credential"),
    [
        ((b"authorization", b"Bearer  k "), b"k"),
        ((b"authorization", b"bearer k"), b"k"),
        ((b"authorization", b"Basic k"), None),
        ((b"x-goog-api-key", b"k"), b"k"),
        ((b"z", b"k"), None),
    ],
)
def test_credentials_come_in_three_headers(sent: tuple[bytes, bytes], credential: bytes | None) -> None:
    assert gather([HOST, sent]).credential() == credential


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([], InvalidRequest),
        ([(b"host", b"")], InvalidRequest),
        ([HOST, HOST], InvalidRequest),
        ([HOST, (b"authorization", b"a"), (b"authorization", b"b")], InvalidRequest),
        ([HOST, (b"content-encoding", b"gzip")], UnsupportedEncoding),
        ([HOST] + [(b"a", b"b")] * 100, HeadersTooLarge),
        ([HOST, (b"a", b"b" * 65_536)], HeadersTooLarge),
    ],
)
def test_heads_that_are_refused(headers: list[tuple[bytes, bytes]], error: type[Exception]) -> None:
    with pytest.raises(error):
        check_head(gather(headers))


def test_only_a_trace_and_what_callers_may_pass_goes_on() -> None:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    head = gather([HOST, (b"traceparent", trace), (b"openai-beta", b"v2"), (b"cookie", b"secret")])
    sent = onward(b"POST / HTTP/1.1\r\nhost: p\r\n", head, "id-1", 12)
    begins = b"POST / HTTP/1.1\r\nhost: p\r\ncontent-length: 12\r\nx-request-id: id-1\r\ntraceparent: 00-0af7"
    assert sent.startswith(begins)
    assert b"openai-beta: v2\r\n" in sent and b"secret" not in sent and sent.endswith(b"\r\n\r\n")


def test_ids_are_kept_if_they_may_be_and_never_given_twice() -> None:
    ids = Ids("r-")
    assert len({ids.next() for _ in range(100)}) == 100
    assert ids.keep(b"my.id_1-2") == "my.id_1-2"
    assert ids.keep(b"no spaces") is None
    assert not is_request_id(b"") and not is_request_id(b"x" * 129)


@looped
async def test_places_are_given_in_turn_and_the_queue_is_bounded_in_length_and_time() -> None:
    wheel = Wheel(now_us=0)
    inflight = Inflight(1, 500_000, wheel, asyncio.get_running_loop())
    assert inflight.enter() and not inflight.enter()
    waiting = asyncio.ensure_future(inflight.queue(0, 5))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await inflight.queue(0, 5)
    inflight.leave()
    await waiting
    assert inflight.taken == 1
    late = asyncio.ensure_future(inflight.queue(0, 5))
    await asyncio.sleep(0)
    assert not wheel.advance(700_000)
    with pytest.raises(Overloaded):
        await late
    inflight.leave()
    assert (inflight.taken, wheel.live) == (0, 0)


@looped
async def test_who_waited_in_vain_takes_no_room_in_the_queue() -> None:
    wheel = Wheel(now_us=0)
    inflight = Inflight(1, 500_000, wheel, asyncio.get_running_loop())
    assert inflight.enter()
    for now_us in (0, 700_000, 1_400_000):
        waiting = asyncio.ensure_future(inflight.queue(now_us, 5))
        await asyncio.sleep(0)
        assert not wheel.advance(now_us + 700_000)
        with pytest.raises(Overloaded, match="in time"):
            await waiting


@looped
async def test_the_highest_priority_is_served_first_and_the_lowest_goes_first() -> None:
    wheel = Wheel(now_us=0)
    inflight = Inflight(4, 500_000, wheel, asyncio.get_running_loop())
    assert all(inflight.enter() for _ in range(4))
    order: list[str] = []

    async def call(name: str, priority: int) -> None:
        try:
            await inflight.queue(0, priority)
            order.append(name)
        except Overloaded as error:
            order.append(f"{name}: {error.message}")

    names = {"low": 0, "default": 5, "lower": 0, "high": 9, "higher": 9, "late": 0, "another": 5}
    calls = []
    for name, priority in names.items():
        calls.append(asyncio.ensure_future(call(name, priority)))
        await asyncio.sleep(0)
    for _ in range(4):
        inflight.leave()
    await asyncio.gather(*calls)
    displaced, full = "calls of a higher priority came first", "too many calls are in flight and waiting"
    assert order == [
        f"lower: {displaced}",
        f"late: {full}",
        f"low: {displaced}",
        "high",
        "higher",
        "default",
        "another",
    ]
    assert (inflight.taken, wheel.live) == (4, 0)


@looped
async def test_who_left_the_queue_is_not_counted_in_it() -> None:
    wheel = Wheel(now_us=0)
    inflight = Inflight(2, 500_000, wheel, asyncio.get_running_loop())
    assert inflight.enter() and inflight.enter()
    waiting = [asyncio.ensure_future(inflight.queue(0, priority)) for priority in (1, 7)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.sleep(0)
    third = asyncio.ensure_future(inflight.queue(0, 1))
    await asyncio.sleep(0)
    inflight.leave()
    inflight.leave()
    await asyncio.gather(waiting[0], third)
    assert (inflight.taken, wheel.live) == (2, 0)


@looped
async def test_new_bounds_count_who_is_in_already() -> None:
    wheel = Wheel(now_us=0)
    inflight = Inflight(3, 500_000, wheel, asyncio.get_running_loop())
    assert all(inflight.enter() for _ in range(3))
    waiting = [asyncio.ensure_future(inflight.queue(0, 5)) for _ in range(2)]
    await asyncio.sleep(0)
    inflight.follow(2, 500_000)
    inflight.leave()
    assert (inflight.taken, inflight.enter()) == (2, False), "nobody comes in while there are too many"
    inflight.leave()
    await waiting[0]
    assert inflight.taken == 2 and not waiting[1].done()
    inflight.follow(4, 500_000)
    await waiting[1]
    assert (inflight.taken, inflight.enter(), inflight.enter()) == (3, True, False)
    for _ in range(4):
        inflight.leave()
    assert (inflight.taken, wheel.live) == (0, 0)


@looped
async def test_retries_have_a_budget_and_leave_limits_to_other_deployments() -> None:
    wheel = Wheel(now_us=0)
    retrying = Retrying(Retries(max=1, budget_min=2), wheel, asyncio.get_running_loop())
    failed, limited = UpstreamFailed("x"), RateLimited("x")
    assert retrying.allows(failed, 1, 1, 0)
    assert not retrying.allows(failed, 2, 1, 0)
    assert retrying.allows(limited, 1, 2, 0) and not retrying.allows(limited, 1, 1, 0)
    assert not retrying.allows(InvalidRequest("x"), 1, 2, 0)
    retrying.begin()
    retrying.begin()
    assert sum(retrying.allows(failed, 1, 1, 0) for _ in range(200)) == 98, (
        "a hundred, of which two are spent"
    )
    assert not retrying.allows(failed, 1, 1, 4)
    assert retrying.allows(failed, 1, 1, 9), (
        "nine calls save one retry, and no third may be under way without"
    )
    assert not retrying.allows(failed, 1, 1, 9)
    assert [retrying.allows(failed, 1, 1, 10_000) for _ in range(101)] == [True] * 100 + [False]
    pause = asyncio.ensure_future(retrying.pause(1, 0))
    await asyncio.sleep(0)
    wheel.advance(1_000_000)
    await pause


def record(**more: Any) -> Record:
    caller = Caller("key1", 1, Party(1, "acme"))
    record = Record("id-1", 1_000, "/v1/chat/completions", "POST")
    for name, value in {"caller": caller, "model": "m", "status": 200, "total_us": 4_000, **more}.items():
        setattr(record, name, value)
    return record


def test_a_record_says_who_ended_it_and_shows_no_body() -> None:
    fields = orjson.loads(line(record(usage=Usage(3, 4, source="provider"))))
    assert (fields["end"], fields["total_us"], fields["input_tokens"]) == ("ok@respond", 4_000, 3)
    assert "asked" not in fields and "error" not in fields
    failed = orjson.loads(line(record(error=UpstreamFailed("it broke"))))
    assert (failed["end"], failed["code"]) == ("upstream@receive", "upstream_failed")


def test_bodies_are_logged_only_where_they_were_kept() -> None:
    assert orjson.loads(line(record(asked="a", said="b")))["asked"] == "a"


def test_people_get_a_line_that_they_can_read() -> None:
    text = encode_text(line(record(provider="p"))).decode()
    assert " 200 ok@respond POST /v1/chat/completions m p key1 4.0 ms" in text
    assert "\n" not in text


def test_second_attempts_are_a_share_of_calls_and_a_few_are_kept() -> None:
    hedging = Hedging(1_000_000, 5)
    spent = 0
    for calls in range(1, 1_001):
        hedging.save()
        if hedging.affords:
            hedging.spend()
            spent += 1
        assert spent * 100 <= calls * 5
    assert spent == 50
    for _ in range(1_000):
        hedging.save()
    kept = 0
    while hedging.affords:
        hedging.spend()
        kept += 1
    assert kept == HEDGES_SAVED_MAX

"""The operations that a governed call makes in `_fast`, one list a compiled module: what `bench micro` measures.

Owns what is done and on which bytes; knows nothing of clocks. A module without an entry here fails a test.
"""

import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.carriers import Plug, request
from bench.provider import REPLY, delta, whole
from bench.tokens import CJK, PROSE
from bench.twins import NAMES, chat_body, choice_of
from kpgate._fast import body, credit, journal, limit, metric, pulse, sse
from kpgate._fast.account import PLAIN, Accounts
from kpgate._fast.bill import Bill, Tariff
from kpgate._fast.charge import Charge
from kpgate._fast.choice import COST, Size
from kpgate._fast.chunks import Chunks
from kpgate._fast.client import Client
from kpgate._fast.commit import DEPLOYMENT, KEY, MODEL, PARTY, Life, Region, Seat
from kpgate._fast.credit import Credit, Decision, Purse
from kpgate._fast.digits import decimal, spell
from kpgate._fast.head import gather, parse
from kpgate._fast.heading import Heading
from kpgate._fast.heap import give_back
from kpgate._fast.http1 import Connection
from kpgate._fast.journal import Journal, make_segment
from kpgate._fast.lane import Lane
from kpgate._fast.leaf import Speller
from kpgate._fast.limit import Gate, Limits, Verdict
from kpgate._fast.members import Members
from kpgate._fast.metric import RequestCells, Shard
from kpgate._fast.note import pack_end, pack_hold
from kpgate._fast.onward import write_head
from kpgate._fast.outbox import Outbox
from kpgate._fast.outline import outline
from kpgate._fast.pen import Pen
from kpgate._fast.pulse import Pulses
from kpgate._fast.routes import Router
from kpgate._fast.segment import SegmentFile
from kpgate._fast.usage import Counts
from kpgate._fast.wait import Timer, Wait, Wheel
from kpgate.dialects.openai.request import CONVERSATION
from kpgate.domain.ledger import End, Hold, note_end, write_end, write_hold
from kpgate.domain.price import Price
from kpgate.domain.traits import see
from kpgate.domain.usage import COUNTS, Usage
from kpgate.services.meters import LATENCY_BOUNDS_US
from kpgate.stores.vocabulary import open_vocabulary

Work = Callable[[], object]

TERMS = {
    "request_units": 10**9,
    "request_window_us": 60_000_000,
    "request_burst": 10**9,
    "token_units": 10**11,
    "token_window_us": 60_000_000,
    "token_burst": 10**11,
    "concurrency_max": 100_000,
}
SEGMENT_BYTES = 64 << 20
ANCHOR_US = 1_767_182_400_000_000
HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-type", b"application/json"),
    (b"x-request-id", b"req-0123456789abcdef"),
    (b"x-kpgate-overhead-ms", b"0.05"),
    *((b"x-ratelimit-%d" % number, b"999999") for number in range(6)),
]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Operation:
    """One thing done over and over. Shape: `work` does it once and leaves everything as it was.

    It is a Python function even around a single compiled one, as an empty Python function is taken off.
    """

    name: str
    work: Work


def of_account(folder: Path) -> list[Operation]:
    """What the clerk does to accounts."""
    ledger = _Ledger(folder)
    accounts, journal_bytes = ledger.accounts, bytes(60)
    legs = ((1, PLAIN, -10, 0), (2, PLAIN, 10, 0))

    def moved() -> None:
        if accounts.transfer(1_000_000, legs, True, journal_bytes)[0] != credit.DONE:
            ledger.refill()

    return [
        Operation("a transfer of 2 legs", moved),
        Operation("load an account", lambda: accounts.load_account(3, 10**9, 0)),
        Operation("read an account", lambda: accounts.account(1_000_000, 1)),
    ]


def of_body(folder: Path) -> list[Operation]:
    """A request's body: read where its keys are, exchange the model's name."""
    keys = body.Keys(NAMES)
    small, usual, long = (chat_body(size) for size in (90, 300, 64_000))
    found = body.scan(usual, keys)
    edits: dict[int, bytes | None] = {0: b'"gpt-4o-mini-2024-07-18"'}
    return [
        Operation(f"scan a chat body of {len(small)} B", lambda: body.scan(small, keys)),
        Operation(f"scan a chat body of {len(usual)} B", lambda: body.scan(usual, keys)),
        Operation("scan a chat body of 64 KB", lambda: body.scan(long, keys)),
        Operation("read the model's name of a scan", lambda: found.string(0)),
        Operation(f"splice a model's name into {len(usual)} B", lambda: body.splice(usual, found, edits)),
    ]


def of_chunks(folder: Path) -> list[Operation]:
    """A chunked request body."""
    data = b"".join(b"400\r\n" + b"x" * 1024 + b"\r\n" for _ in range(4)) + b"0\r\n\r\n"

    def decode() -> object:
        chunks = Chunks()
        chunks.feed(bytearray(data))
        return chunks.take()

    return [Operation("decode 4 chunks of 1 KB", decode)]


def of_client(folder: Path) -> list[Operation]:
    """A client's connection, with a coroutine that answers at once."""
    data, sent = request(chat_body(300)), whole("x" * 200)

    async def answer(exchange: Client) -> None:
        exchange.take_body(1 << 20)
        exchange.reply(200, [], sent)

    async def stream(exchange: Client) -> None:
        exchange.open(200, [])
        for _ in range(10):
            exchange.write(sent)
        exchange.finish()

    return [
        Operation("a call read, stepped and answered with no header", _called(answer, data)),
        Operation("a call answered with a stream of 10 pieces", _called(stream, data)),
    ]


class _Taker:
    """Where a body goes."""

    def take(self, piece: bytes, last: bool) -> bool:
        return True

    def fail(self, error: Exception) -> None:
        raise error


def of_inlet(folder: Path) -> list[Operation]:
    """A request's body that is looked at, and then given on."""
    data, sent, taker = request(b"x" * 65_536), whole("x" * 200), _Taker()

    async def pour(exchange: Client) -> None:
        await exchange.peek(0, 1 << 20)
        exchange.pour(taker, 200)
        exchange.reply(200, [], sent)

    return [Operation("a body of 64 KB looked at, given on, and answered", _called(pour, data))]


def of_commit(folder: Path) -> list[Operation]:
    """The node's one lock."""
    region = Region.create(limit.areas(64, 64, 64, 64, 256), 4)
    seat = Seat(region, Life.claim(folder, 0, 4))
    return [
        Operation("take the lock and give it back", lambda: seat.heal()),
        Operation("publish a change", lambda: seat.publish(KEY, 1)),
        Operation("ask for changes where there are none", lambda: region.changes(region.generation)),
    ]


def of_credit(folder: Path) -> list[Operation]:
    """One call's hold and charge: an account, and the budgets of a key and its party."""
    ledger = _Ledger(folder)
    hold, post, flush, written = ledger.credit.hold, ledger.credit.post, ledger.journal.flush, ledger.journal
    rich, bounded, decision = Purse(1), Purse(1, (1, 2)), Decision()
    note, end = bytes(60), bytes(40)
    now_us = 1_000_000

    def charged(purse: Purse) -> Work:
        def work() -> None:
            nonlocal now_us
            now_us += 100
            if hold(now_us, 0, purse, 900, note, decision) != credit.DONE:
                ledger.refill()
            else:
                post(now_us, decision.handle, 700, 0, end)

        return work

    one = charged(bounded)

    def batch() -> None:
        for _ in range(8):
            one()
        flush(written.tail)

    return [
        Operation("a decision made", lambda: Decision()),
        Operation("hold and post", charged(rich)),
        Operation("hold and post, 2 budgets", charged(bounded)),
        Operation("8 times hold and post, 2 budgets, and a flush to the file", batch),
    ]


def of_digits(folder: Path) -> list[Operation]:
    """Figures of a reply's headers."""
    return [
        Operation("a number of 6 digits", lambda: decimal(999_999)),
        Operation("a duration in milliseconds", lambda: spell(120_000)),
        Operation("a duration in minutes", lambda: spell(359_000_000)),
    ]


def of_bill(folder: Path) -> list[Operation]:
    """What a call may cost, and what it costs."""
    price = Price(250_000, 1_000_000, 125_000, 1_000_000, 4_000_000, 8_000_000, 300_000, 7)
    bill, tariff = Bill(price), Tariff(250_000, 1_000_000, 7)
    return [
        Operation("the most that a call may cost", lambda: tariff.bound(200, 4096, 10_000)),
        Operation(
            "a charge for ten kinds",
            lambda: bill.charge(2000, 150, 1000, 50, 10, 20, 5, 30, 40, 2, 10_000),
        ),
    ]


def of_note(folder: Path) -> list[Operation]:
    """What a call's journal entries say of it."""
    hold = ("0a1b2c3d4e5f-1f", "gpt-4.1-mini", 7, 200, 4096, 10_000)
    end: tuple[Any, ...] = ("openai", "gpt-4.1-mini", 1, 200, 7, 200, 150, *[0] * 8, "provider")
    return [
        Operation("the note of a hold", lambda: pack_hold(*hold)),
        Operation("the note of an end", lambda: pack_end(*end)),
    ]


def of_charge(folder: Path) -> list[Operation]:
    """A charged call as the clerk reads it, and its leaf."""
    note = pack_hold("0a1b2c3d4e5f-1f", "gpt-4.1-mini", 7, 200, 4096, 10_000)
    held = write_hold(Hold(7, 9000, 2, 3, 4, 5, 6, (0,) * 4, ((1, 2, 3, 4),), note))
    ended: tuple[Any, ...] = ("openai", "gpt-4.1-mini", 1, 200, 7, 200, 150, *[0] * 8, "provider")
    said = pack_end(*ended)
    posted = write_end(End(9, 7, 8, 350, 0, (0,) * 4, 0, said, True))
    return [Operation("the two entries of a charge read", lambda: Charge(9, held, posted))]


def of_leaf(folder: Path) -> list[Operation]:
    """A charge's leaf, its salt and hash with it."""
    note = pack_hold("0a1b2c3d4e5f-1f", "gpt-4.1-mini", 7, 200, 4096, 10_000)
    held = write_hold(Hold(7, 9000, 2, 3, 4, 5, 6, (0,) * 4, ((1, 2, 3, 4),), note))
    said = note_end("openai", "gpt-4.1-mini", 1, 200, 7, Usage(200, 150, 0, 0, "provider"))
    charge = Charge(9, held, write_end(End(9, 7, 8, 350, 0, (0,) * 4, 0, said, True)))
    speller = Speller("kp1-0a1b2c3d4e5f", COUNTS, 1, b"secret")
    return [
        Operation("a leaf hashed", lambda: speller.hashes([charge], lambda _: "p" * 43, lambda _: "t" * 43))
    ]


def of_heading(folder: Path) -> list[Operation]:
    """A reply's headers."""

    def write() -> object:
        headers = Heading()
        headers.extend(HEADERS)
        headers.count(b"x-ratelimit-remaining-tokens", 999_999)
        headers.last(b"x-ratelimit-reset-tokens", 120_000)
        return headers

    return [Operation(f"{len(HEADERS) + 2} headers", write)]


def of_members(folder: Path) -> list[Operation]:
    """A log line."""
    line = Members()

    def write() -> bytes:
        line.begin()
        for name in (b"id", b"model", b"provider", b"deployment"):
            line.put(name, "gpt-4o-mini-2024-07-18")
        for name in (b"status", b"total_us", b"input_tokens", b"output_tokens"):
            line.count(name, 123_456)
        return line.take()

    return [Operation("an object of four texts and four numbers", write)]


def of_onward(folder: Path) -> list[Operation]:
    """The head of a request to a provider."""
    opening = b"POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\nauthorization: Bearer sk-0123456789\r\n"
    head = parse(request(b"").partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    return [Operation("a head", lambda: write_head(opening, head, "req-0123456789ab-1f", 512))]


def of_pen(folder: Path) -> list[Operation]:
    """JSON from pieces."""

    def write(text: str) -> bytes:
        pen = Pen()
        pen.raw(b'{"content":')
        pen.text(text)
        pen.raw(b',"index":')
        pen.number(7)
        pen.raw(b"}")
        return pen.done()

    plain, escaped = (PROSE * 5)[:1000].replace("\n", " "), 'a "quoted" line\n' * 60
    return [
        Operation("a text of 1 KB", lambda: write(plain)),
        Operation("one with 180 escapes", lambda: write(escaped)),
    ]


def of_usage(folder: Path) -> list[Operation]:
    """What a reply says was used."""
    counts, body = Counts(), REPLY.partition(b"\r\n\r\n")[2]
    return [Operation("the usage of a whole reply", lambda: counts.find(body))]


def of_head(folder: Path) -> list[Operation]:
    """A request's head, from bytes and from a list."""
    data = request(b"").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    pairs = parse(data).pairs()

    def read() -> object:
        head = parse(data)
        return head.method, head.path, head.credential(), head.content_length

    return [
        Operation(f"parse {len(pairs)} headers and read the credential", read),
        Operation(f"gather {len(pairs)} headers from a list", lambda: gather(pairs)),
    ]


def of_heap(folder: Path) -> list[Operation]:
    """What a worker does once."""
    return [Operation("free memory given back, again", give_back)]


def of_http1(folder: Path) -> list[Operation]:
    """An upstream connection over a transport that goes nowhere."""
    plug = Plug()
    connection = Connection(plug, (b"openai-",))
    connection.connection_made(plug)
    buffer = connection.get_buffer(-1)
    ask, said = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n\r\n", chat_body(300)
    piece = b"c8\r\n" + b"x" * 200 + b"\r\n"

    def feed(data: bytes) -> None:
        buffer[: len(data)] = data
        connection.buffer_updated(len(data))

    def call() -> None:
        connection.send(ask, said)
        connection.head()
        feed(REPLY)
        connection.take_whole()
        connection.rest()

    def stream() -> None:
        connection.send(ask, said)
        feed(STREAM_HEAD)
        for _ in range(10):
            connection.chunk()
            feed(piece)
        feed(b"0\r\n\r\n")
        connection.take()
        connection.rest()

    return [
        Operation("a call sent, its reply of 0.7 KB parsed and taken", call),
        Operation("a call whose reply is a stream of 10 chunks of 200 B", stream),
    ]


def of_flow(folder: Path) -> list[Operation]:
    """A client's pace: the deadline of an idle connection, moved on after each call."""
    data = request(chat_body(300))

    async def answer(exchange: Client) -> None:
        exchange.reply(200, [], b"")

    return [Operation("a call with nothing in its reply", _called(answer, data))]


def of_journal(folder: Path) -> list[Operation]:
    """An entry of a call's size, in memory and to its file."""
    ledger = _Ledger(folder)
    append, flush, written = ledger.journal.append, ledger.journal.flush, ledger.journal
    body = bytes(120)

    def appended() -> None:
        if append(journal.METER, body, 1_000_000) <= 0:
            ledger.refill()

    def flushed() -> None:
        appended()
        flush(written.tail)

    return [
        Operation("append an entry of 144 B", appended),
        Operation("append an entry of 144 B and flush it", flushed),
        Operation("flush where nothing waits", lambda: flush(0)),
    ]


def of_segment(folder: Path) -> list[Operation]:
    """An entry's bytes, and those of a turn of the loop, into a segment's file."""
    size = 16 << 20
    make_segment(folder, size, size, b"")

    def writing(data: bytes) -> Work:
        file, places = SegmentFile(folder), itertools.cycle(range(0, size - len(data), len(data)))
        return lambda: file.put(size, size, next(places), data)

    return [
        Operation("write 260 B", writing(bytes(260))),
        Operation("write 9,000 B", writing(bytes(9_000))),
    ]


def of_lane(folder: Path) -> list[Operation]:
    """What a listener's connections share: the reply's head."""
    data, sent = request(chat_body(300)), whole("x" * 200)

    async def answer(exchange: Client) -> None:
        exchange.reply(200, HEADERS, sent)

    return [Operation(f"a call answered with {len(HEADERS)} headers", _called(answer, data))]


def of_limit(folder: Path) -> list[Operation]:
    """One verdict: a request, a token and a concurrency limit at each of four scopes."""
    region = Region.create(limit.areas(64, 64, 64, 64, 256), 4)
    limits = Limits(region, Seat(region, Life.claim(folder, 0, 4)), 3_600_000_000)
    fixed = (Gate(KEY, 1, **TERMS), Gate(PARTY, 1, **TERMS), Gate(MODEL, 1, **TERMS))
    candidates = (Gate(DEPLOYMENT, 1, **TERMS),)
    verdict = Verdict()
    now_us = 1_000_000

    def settled() -> None:
        nonlocal now_us
        now_us += 100
        limits.admit(now_us, fixed, candidates, 500, verdict)
        limits.settle(now_us, verdict.call, 420)

    return [
        Operation("a verdict made", lambda: Verdict()),
        Operation("admit and settle, 4 request and 4 token limits", settled),
        Operation("look at 3 gates", lambda: limits.peek(now_us, fixed, verdict)),
    ]


def of_metric(folder: Path) -> list[Operation]:
    """The cells that one record moves."""
    shard = Shard(Region.create(metric.areas(1), 1), 0)
    bounds = LATENCY_BOUNDS_US
    cells = RequestCells(
        requests=(shard.counter("requests", 'a="b"'),),
        total=(shard.histogram("total", 'a="b"', bounds), shard.histogram("again", 'a="b"', bounds)),
        overhead=(shard.histogram("overhead", 'a="b"', bounds),),
        prompt_tokens=(shard.counter("tokens", 'kind="input"'),),
        completion_tokens=(shard.counter("tokens", 'kind="output"'),),
    )
    counter, size = shard.counter("one", ""), shard.histogram("size", "", bounds)
    return [
        Operation(
            "RequestCells.record: 3 counters, 3 histograms", lambda: cells.record(9_000, 60, 0, 90, 18)
        ),
        Operation("Counter.add", lambda: counter.add(1)),
        Operation("Histogram.observe", lambda: size.observe(9_000)),
    ]


def of_outbox(folder: Path) -> list[Operation]:
    """The end of a loop's turn. What is put in comes from connections: a call's in-between is at `client`."""
    outbox = Outbox(Plug())  # type: ignore[arg-type]  # it asks a loop for nothing but `call_soon`
    data, sent = request(chat_body(300)), whole("x" * 200)

    async def answer(exchange: Client) -> None:
        exchange.reply(200, [], sent)

    return [
        Operation("flush where nothing waits", lambda: outbox.flush()),
        Operation("8 calls answered in one turn", _called(answer, data, 8)),
    ]


def of_choice(folder: Path) -> list[Operation]:
    """An order of deployments."""
    two, eight = (choice_of(count, folder / f"choice-{count}") for count in (2, 8))
    cheap = choice_of(8, folder / "choice-cost", COST)
    size = Size(1000, 500)
    number = 0x9E3779B97F4A7C15
    return [
        Operation("order 2 deployments", lambda: two.order(number, 3, 1)),
        Operation("order 8 deployments", lambda: eight.order(number, 255, 1)),
        Operation("order 8 deployments by cost", lambda: cheap.order(number, 255, 1, size)),
    ]


def _turns(texts: int) -> bytes:
    """A conversation of so many texts of 1 KB, no two of them alike."""
    said = (PROSE * 5)[:1000]
    return json.dumps([{"role": "user", "content": f"{number} {said}"} for number in range(texts)]).encode()


def of_outline(folder: Path) -> list[Operation]:
    """Where the texts of a conversation stand."""
    turns = _turns(16)
    return [Operation("outline 16 KB", lambda: outline(turns, 0, len(turns), CONVERSATION))]


def of_recall(folder: Path) -> list[Operation]:
    """Counts that are known from the last time."""
    vocabulary, turns = open_vocabulary("o200k_base", folder), _turns(16)

    def again() -> int:
        texts = outline(turns, 0, len(turns), CONVERSATION)
        assert texts is not None, "it is a conversation"
        vocabulary.unseen(texts)
        return vocabulary.count_outlined(texts)

    again()
    return [Operation("outline 16 KB, all of it counted before", again)]


def of_prose(folder: Path) -> list[Operation]:
    """What a prompt is like."""
    return [Operation("the words and marks of 600 characters of English", lambda: see(PROSE[:600]))]


def of_pulse(folder: Path) -> list[Operation]:
    """What an answered call says of its upstream."""
    region = Region.create(pulse.areas(1, 64), 1)
    one = Pulses(region, Seat(region, Life.claim(folder, 0, 1))).of(1)
    return [
        Operation("a call was answered", lambda: one.succeeded(1)),
        Operation("it began after so long", lambda: one.observe(1, 1000, True)),
    ]


def of_routes(folder: Path) -> list[Operation]:
    """A name among 1,000 models."""
    entries = [[f"model-{number}", f"alias-{number}"] for number in range(990)]
    router = Router([*entries, *([f"family-{number}-*"] for number in range(10))])
    return [
        Operation("find an alias among 1,000 models", lambda: router.match("alias-500")),
        Operation("find a name by pattern", lambda: router.match("family-7-mini")),
    ]


def of_sse(folder: Path) -> list[Operation]:
    """Events of a streamed reply, and the usage of a whole one."""
    event = b"data: " + json.dumps(delta(" word"), separators=(",", ":")).encode() + b"\n\n"
    plain, collecting = sse.Framer(True, 1 << 20), sse.Framer(True, 1 << 20, collect=True)
    reply = whole("word " * 40).partition(b"\r\n\r\n")[2]

    def collected() -> None:
        collecting.feed(event)
        if collecting.text_bytes > 8192:
            collecting.take_text()

    return [
        Operation(f"feed an event of {len(event)} B", lambda: plain.feed(event)),
        Operation(f"feed an event of {len(event)} B, its text kept", collected),
        Operation("a framer made", lambda: sse.Framer(True, 1 << 20, collect=True)),
        Operation(f"find the usage in a reply of {len(reply)} B", lambda: sse.find_usage(reply)),
    ]


def of_step(folder: Path) -> list[Operation]:
    """A coroutine that waits, and is stepped on by what ends its wait."""
    data, sent = request(chat_body(300)), whole("x" * 200)
    plug = Plug()
    waits: list[Wait] = []

    async def answer(exchange: Client) -> None:
        for wait in waits:
            await wait
        exchange.reply(200, [], sent)

    def waiting(count: int) -> Work:
        call = _called(answer, data, plug=plug)

        def work() -> None:
            waits[:] = [Wait(plug) for _ in range(count)]
            call()
            for wait in list(waits):
                wait.resolve()
            plug.turn()

        return work

    return [
        Operation("a call that waits once", waiting(1)),
        Operation("a call that waits 5 times", waiting(5)),
    ]


def of_tokens(folder: Path) -> list[Operation]:
    """Counting by o200k_base."""
    vocabulary = open_vocabulary("o200k_base", folder)
    prose, other = (PROSE * 5)[:1000], (CJK * 20).encode()[:999].decode("utf-8", "ignore")
    short = "You are a helpful assistant."
    return [
        Operation("count 28 B of English", lambda: vocabulary.count(short)),
        Operation("count 1 KB of English", lambda: vocabulary.count(prose)),
        Operation("count 1 KB of Chinese and Japanese", lambda: vocabulary.count(other)),
    ]


def of_wait(folder: Path) -> list[Operation]:
    """Awaitables and timers."""
    plug, wheel, timer = Plug(), Wheel(), Timer()
    kept = [Timer() for _ in range(1000)]
    for number, one in enumerate(kept):
        wheel.add(one, 300_000_000 + number * 1000)
    at_us = 300_000_000

    def made() -> None:
        Wait(plug).resolve(1)

    def armed() -> None:
        wheel.add(timer, 120_000_000)
        timer.cancel()

    def later() -> None:
        nonlocal at_us
        at_us += 1
        wheel.add(kept[500], at_us)

    return [
        Operation("a wait made and resolved", made),
        Operation("a timer made", lambda: Timer()),
        Operation("Wheel.add and cancel", armed),
        Operation("Wheel.add, a later deadline", later),
        Operation("Wheel.advance, nothing due", lambda: wheel.advance(0)),
    ]


class _Ledger:
    """A region with accounts, and a journal that is given room whenever it runs out."""

    def __init__(self, folder: Path) -> None:
        areas = credit.areas(accounts=64, budgets=64, holds=256) | journal.areas()
        region = Region.create(areas, 4)
        seat = Seat(region, Life.claim(folder, 0, 4))
        self.journal = Journal(region, seat, folder)
        self.credit = Credit(region, seat, self.journal, 3_600_000_000)
        self.accounts = Accounts(region, seat, self.journal)
        self.journal.stand(SEGMENT_BYTES, 0, 1, SEGMENT_BYTES, 0, ANCHOR_US)
        for number in (1, 2):
            self.accounts.load_account(number, 2**52, 0)
            self.accounts.load_budget(number, (2**52, 2**52, 2**52))

    def refill(self) -> None:
        """Begin again in a new segment, when the ring or the segment is full."""
        assert self.journal.flush(self.journal.tail)
        if self.journal.prepare(SEGMENT_BYTES // 4):
            self.journal.trim(self.journal.tail)


def _called(
    answer: Callable[[Any], Awaitable[None]], data: bytes, clients: int = 1, plug: Plug | None = None
) -> Work:
    """A request arriving at each connection of one lane, in one read each, and the end of the loop's turn."""
    loop: Any = plug or Plug()
    lane = Lane(
        answer,
        wheel=Wheel(),
        loop=loop,
        outbox=Outbox(loop),
        error=lambda code, words: RuntimeError(words),
        alarm=loop.alarm,
        clients_max=clients,
    )
    lane.bound(
        head_us=10_000_000,
        idle_us=75_000_000,
        body_idle_us=30_000_000,
        write_stall_us=60_000_000,
        bytes_a_second_min=240,
    )
    connected = [Client(lane) for _ in range(clients)]
    for one in connected:
        one.connection_made(loop)

    def call() -> None:
        for client in connected:
            buffer = client.get_buffer(-1)
            buffer[: len(data)] = data
            client.buffer_updated(len(data))
        loop.turn()

    return call


OPERATIONS: dict[str, Callable[[Path], list[Operation]]] = {
    "account": of_account,
    "bill": of_bill,
    "body": of_body,
    "charge": of_charge,
    "choice": of_choice,
    "chunks": of_chunks,
    "client": of_client,
    "commit": of_commit,
    "credit": of_credit,
    "digits": of_digits,
    "flow": of_flow,
    "head": of_head,
    "heading": of_heading,
    "heap": of_heap,
    "http1": of_http1,
    "inlet": of_inlet,
    "journal": of_journal,
    "lane": of_lane,
    "leaf": of_leaf,
    "limit": of_limit,
    "members": of_members,
    "metric": of_metric,
    "note": of_note,
    "onward": of_onward,
    "outbox": of_outbox,
    "outline": of_outline,
    "pen": of_pen,
    "prose": of_prose,
    "pulse": of_pulse,
    "recall": of_recall,
    "routes": of_routes,
    "segment": of_segment,
    "sse": of_sse,
    "step": of_step,
    "tokens": of_tokens,
    "usage": of_usage,
    "wait": of_wait,
}
"""By module. A function gets a folder of its own to write in."""

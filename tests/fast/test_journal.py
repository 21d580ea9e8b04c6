"""The journal: what was committed is what is read back, whoever is killed on the way."""

import os
import random
import signal
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpgate._fast.commit import JOURNAL, Life, Seat
from kpgate._fast.journal import Journal, segment_name, spell_entry
from tests.kit.desk import NOTE, RING_BYTES, SEGMENT_BYTES, Desk, gather, notes
from tests.kit.oracle import journal as oracle

BODIES = [bytes([size % 251]) * size for size in (0, 1, 8, 9, 100, 200, 1000, 4000)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path).stand()


def test_what_was_put_and_flushed_is_read_back_where_it_was_put(desk: Desk) -> None:
    lsns = desk.put(*BODIES)
    assert desk.journal.flush(desk.journal.tail)
    assert [entry for entry in desk.read() if entry[1] == NOTE] == [
        (lsn, NOTE, body) for lsn, body in zip(lsns, BODIES, strict=True)
    ]


def test_the_files_are_the_oracle_s_to_the_byte(desk: Desk) -> None:
    rng = random.Random(1)
    lsns = desk.put(*[rng.randbytes(rng.randrange(300)) for _ in range(1_000)])
    desk.journal.flush(desk.journal.tail)
    found = oracle.read(desk.files, SEGMENT_BYTES)
    assert found == desk.read()
    assert [lsn for lsn, kind, _ in found if kind == NOTE] == lsns
    assert lsns[-1] > 2 * SEGMENT_BYTES, "a border was crossed"
    assert all(spell_entry(*entry[1::-1], entry[2])[:24] for entry in found)


@pytest.mark.parametrize("last", range(3_900, 4_060, 8))
def test_an_entry_of_any_length_meets_a_segment_s_border(tmp_path: Path, last: int) -> None:
    desk = Desk(tmp_path).stand()
    bodies = [b"a" * 4_040] * 15 + [b"b" * last] + [b"c" * size for size in (0, 8, 24, 40, 56)] * 4
    desk.put(*bodies)
    desk.journal.flush(desk.journal.tail)
    assert notes(desk.read()) == bodies
    assert notes(oracle.read(desk.files, SEGMENT_BYTES)) == bodies


def test_nothing_is_put_over_what_is_not_yet_written(desk: Desk) -> None:
    count = 0
    while desk.journal.append(NOTE, b"x" * 200, 5):
        count += 1
    assert desk.journal.tail - desk.journal.written <= RING_BYTES
    assert desk.journal.flush(desk.journal.tail)
    assert desk.journal.append(NOTE, b"y", 5)
    desk.journal.flush(desk.journal.tail)
    assert notes(desk.read()) == [b"x" * 200] * count + [b"y"]


def test_nothing_is_put_where_there_is_no_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path).stand(0)
    put = []
    while lsn := desk.journal.append(NOTE, b"x" * 1_000, 5):
        put.append(lsn)
        desk.journal.flush(desk.journal.tail)
    assert desk.journal.tail <= desk.journal.prepared == 2 * SEGMENT_BYTES
    assert desk.journal.prepare(SEGMENT_BYTES)
    assert desk.journal.append(NOTE, b"x", 5)


def test_killed_at_any_store_an_entry_is_whole_or_not_there(tmp_path: Path) -> None:
    desk = Desk(tmp_path).stand()
    desk.put(b"before")
    seen = set()
    for stop in range(200):
        tail = desk.journal.tail
        desk.seat.stores_left = stop
        desk.journal.append(NOTE, b"entry" * 7, 5)
        done = desk.seat.stores_left
        desk.seat.stores_left = -1
        # The lock is still its own: a life of which nothing can be stored any more is another incarnation's to mend.
        desk = _after_death(desk)
        assert desk.journal.tail in (tail, tail + 64)
        seen.add(desk.journal.tail - tail)
        desk.journal.flush(desk.journal.tail)
        desk.put(b"after")
        desk.journal.flush(desk.journal.tail)
        assert set(notes(desk.read())) <= {b"before", b"entry" * 7, b"after"}
        if done:
            break
    assert seen == {0, 64}


def test_killed_at_any_store_on_the_way_into_the_next_segment(tmp_path: Path) -> None:
    before, seen = [b"a" * 4_040] * 16, []
    for stop in range(1_000):
        folder = tmp_path / str(stop)
        folder.mkdir()
        desk = Desk(folder).stand()
        desk.put(*before[1:], b"b" * 3_800)
        tail = desk.journal.tail
        assert desk.journal.flush(tail)
        desk.seat.stores_left = stop
        desk.journal.append(NOTE, b"c" * 1_000, 5)
        done = desk.seat.stores_left
        desk = _after_death(desk)
        seen.append(desk.journal.tail > 2 * SEGMENT_BYTES)
        assert seen[-1] or desk.journal.tail == tail
        assert desk.journal.flush(desk.journal.tail)
        assert notes(desk.read())[16:] == [b"c" * 1_000] * seen[-1]
        if done:
            break
    assert seen == sorted(seen)
    assert set(seen) == {False, True}


def _after_death(desk: Desk) -> Desk:
    """The same region as another process finds it."""
    other = object.__new__(Desk)
    other.folder, other.files, other.region = desk.folder, desk.files, desk.region
    index = desk.life.index
    desk.life.close()
    life = Life.obtain(desk.folder, index)
    assert life is not None
    other.life = life
    other.seat = Seat(desk.region, life)
    # A test that waits for its turn is no test of patience.
    other.seat.patience_us = 1_000_000
    assert other.seat.heal()
    other.journal = Journal(desk.region, other.seat, desk.files)
    return other


def test_whole_segments_are_trimmed_and_reading_goes_on(desk: Desk) -> None:
    lsns = desk.put(*[b"z" * 1_000] * 150)
    desk.journal.flush(desk.journal.tail)
    assert desk.journal.trim(lsns[100]) == 0, "nothing is posted"
    desk.journal.note_posted(lsns[100])
    assert desk.journal.trim(desk.journal.tail) == 1
    assert desk.journal.trimmed == lsns[100]
    assert desk.journal.trim(lsns[3]) == 0
    assert desk.journal.trimmed == lsns[100]
    found: list[tuple[int, int, bytes]] = []
    gather(desk.files, lsns[100], found)
    assert [lsn for lsn, kind, _ in found if kind == NOTE] == lsns[100:]


def test_whoever_opens_the_journal_before_it_stands_uses_it_after(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    life = Life.obtain(tmp_path, 1)
    assert life is not None
    early = Journal(desk.region, Seat(desk.region, life), desk.files)
    assert early.append(NOTE, b"a", 5) == 0
    assert not early.flush(SEGMENT_BYTES)
    desk.stand()
    assert early.append(NOTE, b"a", 5) > 0
    assert early.flush(early.tail)


def take_pen(desk: Desk, index: int) -> Life:
    """As a process does that then stops in the middle of writing. Source: `Control` and `Head` in `_fast`."""
    life = Life.obtain(desk.folder, index)
    assert life is not None
    word = index + 1 << 52 | Seat(desk.region, life).incarnation << 32 | 1
    with Path(desk.region.path).open("r+b", 0) as region:
        (offset,) = struct.unpack("<Q", os.pread(region.fileno(), 8, 64 + 24 * JOURNAL))
        os.pwrite(region.fileno(), struct.pack("<Q", word), offset + 128)
    return life


def test_the_pen_is_the_living_s_and_whoever_comes_writes_for_the_dead(desk: Desk) -> None:
    lsns = desk.put(*BODIES)
    with (desk.files / segment_name(SEGMENT_BYTES)).open("r+b") as file:
        file.seek(lsns[1] - SEGMENT_BYTES)
        file.write(b"\xff" * 500)
    life = take_pen(desk, 1)
    for _ in range(3):
        assert not desk.journal.flush(desk.journal.tail)
    assert desk.journal.flush(lsns[0]), "what is written needs nobody"
    assert not desk.journal.failed
    life.close()
    assert desk.journal.flush(desk.journal.tail)
    assert notes(desk.read()) == BODIES


def test_threads_of_a_process_that_flush_at_once_leave_no_gap(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 1 << 20).stand(8)
    bodies = [bytes([n % 251]) * (n % 300) for n in range(2_000)]
    stop = threading.Event()

    def flush() -> None:
        while not stop.is_set():
            desk.journal.flush(desk.journal.tail)

    threads = [threading.Thread(target=flush) for _ in range(2)]
    for thread in threads:
        thread.start()
    desk.put(*bodies)
    stop.set()
    for thread in threads:
        thread.join()
    assert desk.journal.flush(desk.journal.tail)
    assert notes(desk.read()) == bodies


def test_the_region_s_time_never_goes_back(desk: Desk) -> None:
    desk.journal.set_anchor(1_000_000_000)
    desk.journal.append(NOTE, b"a", 50)
    assert desk.journal.time_us == 1_000_000_050
    desk.journal.set_anchor(0)
    desk.journal.append(NOTE, b"a", 60)
    assert desk.journal.time_us == 1_000_000_050


@pytest.fixture
def children() -> Iterator[list[int]]:
    running: list[int] = []
    yield running
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_processes_that_are_killed_while_they_write_leave_a_journal_without_gaps(
    tmp_path: Path, children: list[int]
) -> None:
    desk = Desk(tmp_path, 1 << 20).stand(40)
    rng = random.Random(3)
    for _ in range(12):
        children += [_spawn(desk, number) for number in (1, 2, 3)]
        assert _wait_for(desk, desk.journal.written + rng.randrange(20_000, 80_000))
        while children:
            os.kill(children[-1], signal.SIGKILL)
            os.waitpid(children.pop(), 0)
        assert desk.seat.heal()
        while not desk.journal.flush(desk.journal.tail):
            pass
        while desk.journal.prepare(40 * SEGMENT_BYTES):
            pass
    counts: dict[int, list[int]] = {}
    for body in notes(desk.read()):
        who, pid, number = body[0], body[1:9], body[9:17]
        counts.setdefault(hash((who, pid)), []).append(int.from_bytes(number, "little"))
    assert len(counts) > 12
    for numbers in counts.values():
        assert numbers == list(range(len(numbers))), "each process's entries, all of them, in order"


def _spawn(desk: Desk, index: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    life = Life.obtain(desk.folder, index)
    assert life is not None
    journal = Journal(desk.region, Seat(desk.region, life), desk.files)
    name = bytes([index]) + os.getpid().to_bytes(8, "little")
    number = 0
    while True:
        lsn = journal.append(NOTE, name + number.to_bytes(8, "little") + b"." * (number % 90), 5)
        if lsn > 0:
            number += 1
        journal.flush(journal.tail)


def _wait_for(desk: Desk, position: int) -> bool:
    ready = desk.journal.prepared - 2 * SEGMENT_BYTES
    while desk.journal.written < min(position, ready):
        os.sched_yield()
    return True


def test_several_may_sync_at_once_and_what_is_durable_only_rises(desk: Desk) -> None:
    other = Journal(desk.region, desk.seat, desk.files)
    stop, fell = threading.Event(), []

    def sync(journal: Journal) -> None:
        seen = 0
        while not stop.is_set():
            journal.sync()
            now = journal.durable
            if now < seen:
                fell.append((seen, now))
            seen = now

    threads = [threading.Thread(target=sync, args=(one,)) for one in (desk.journal, other, other)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        desk.put(b"x" * 50)
        assert desk.journal.flush(desk.journal.tail)
    stop.set()
    for thread in threads:
        thread.join()
    assert fell == [] and desk.journal.sync() == desk.journal.tail == desk.journal.durable

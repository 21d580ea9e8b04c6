"""The journal: what was committed is what is read back, whatever is killed, cut or flipped on the way."""

import os
import random
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpgate._fast import journal as fast
from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.journal import Journal, areas, find_sync, recover, segments, spell_entry
from tests.kit.oracle import journal as oracle

SEGMENT_BYTES = 64 * 1024
RING_BYTES = 32 * 1024
NOTE = 9
BODIES = [bytes([size % 251]) * size for size in (0, 1, 8, 9, 100, 200, 1000, 4000)]


def gather(files: Path, since: int, found: list[tuple[int, int, bytes]]) -> tuple[int, str]:
    return recover(files, since, SEGMENT_BYTES, lambda more, end: found.extend(more))


class Desk:
    """A region with a journal, and a seat at it."""

    def __init__(self, folder: Path, ring_bytes: int = RING_BYTES) -> None:
        self.folder = folder
        (folder / "journal").mkdir(exist_ok=True)
        self.files = folder / "journal"
        self.region = Region.create(areas(ring_bytes), 8)
        self.life = Life.claim(folder, 0, 8)
        self.seat = Seat(self.region, self.life)
        self.journal = Journal(self.region, self.seat, self.files)

    def stand(self, segments_ready: int = 3) -> "Desk":
        firsts = segments(self.files)
        end, problem = recover(self.files, 0, SEGMENT_BYTES, lambda found, end: None) if firsts else (0, "")
        assert not problem
        first = firsts[-1] + SEGMENT_BYTES if firsts else SEGMENT_BYTES
        self.journal.stand(first, end, 1, SEGMENT_BYTES, 1_000_000, 0)
        while self.journal.prepare(segments_ready * SEGMENT_BYTES):
            pass
        return self

    def put(self, *bodies: bytes) -> list[int]:
        lsns = []
        for body in bodies:
            lsn = self.journal.append(NOTE, body, 5)
            if not lsn:
                assert self.journal.flush(self.journal.tail)
                self.journal.prepare(3 * SEGMENT_BYTES)
                lsn = self.journal.append(NOTE, body, 5)
            assert lsn > 0
            lsns.append(lsn)
        return lsns

    def read(self) -> list[tuple[int, int, bytes]]:
        found: list[tuple[int, int, bytes]] = []
        _, problem = gather(self.files, 0, found)
        assert not problem
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path).stand()


def notes(found: list[tuple[int, int, bytes]]) -> list[bytes]:
    return [body for _, kind, body in found if kind == NOTE]


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
    assert other.seat.heal()
    other.journal = Journal(desk.region, other.seat, desk.files)
    return other


def test_cut_at_any_byte_the_rest_is_a_prefix(tmp_path: Path) -> None:
    desk = Desk(tmp_path).stand()
    bodies = [bytes([n]) * n for n in range(1, 60)]
    desk.put(*bodies)
    desk.journal.flush(desk.journal.tail)
    path = desk.files / fast.segment_name(SEGMENT_BYTES)
    whole = path.read_bytes()
    used = desk.journal.tail - SEGMENT_BYTES
    for cut in range(0, used, 7):
        path.write_bytes(whole[:cut] + b"\xaa" * (len(whole) - cut))
        found: list[tuple[int, int, bytes]] = []
        end, problem = gather(desk.files, 0, found)
        assert not problem
        assert notes(found) == bodies[: len(notes(found))]
        assert end <= SEGMENT_BYTES + cut


def test_a_flipped_bit_is_found_and_before_a_sync_it_is_damage(tmp_path: Path) -> None:
    desk = Desk(tmp_path).stand()
    desk.put(*[bytes([n]) * n for n in range(1, 20)])
    desk.journal.flush(desk.journal.tail)
    durable = desk.journal.sync()
    desk.journal.append(fast.SYNC, durable.to_bytes(8, "little"), 5)
    desk.put(b"later" * 10)
    desk.journal.flush(desk.journal.tail)
    path = desk.files / fast.segment_name(SEGMENT_BYTES)
    whole = path.read_bytes()
    intact = desk.read()
    rng = random.Random(2)
    for at in range(0, desk.journal.tail - SEGMENT_BYTES, 3):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        found: list[tuple[int, int, bytes]] = []
        end, problem = gather(desk.files, 0, found)
        assert found == intact[: len(found)]
        assert len(found) < len(intact)
        assert end <= SEGMENT_BYTES + at
        assert bool(problem) == (SEGMENT_BYTES + at < durable)
    assert find_sync(desk.files, durable, SEGMENT_BYTES) == 0


def test_a_new_start_goes_on_beyond_and_nothing_cut_comes_back(tmp_path: Path) -> None:
    first = Desk(tmp_path).stand(1)
    first.put(b"one", b"two")
    first.journal.flush(first.journal.tail)
    torn = first.journal.tail
    first.put(b"never written")
    first.life.close()
    second = Desk(tmp_path).stand(1)
    assert second.journal.tail > first.journal.prepared
    second.put(b"three")
    second.journal.flush(second.journal.tail)
    second.life.close()
    third = Desk(tmp_path).stand(1)
    third.put(b"four")
    third.journal.flush(third.journal.tail)
    assert notes(third.read()) == [b"one", b"two", b"three", b"four"]
    # What was beyond the end of the first is not read, even if it is whole.
    path = first.files / fast.segment_name(SEGMENT_BYTES)
    with path.open("r+b") as file:
        file.seek(torn - SEGMENT_BYTES)
        file.write(spell_entry(NOTE, torn + 4096, b"ghost"))
    assert notes(third.read()) == [b"one", b"two", b"three", b"four"]
    found: list[tuple[int, int, bytes]] = []
    end, _ = gather(first.files, torn, found)
    assert notes(found) == [b"three", b"four"], "whoever had read up to the cut goes on in the next segment"
    assert end == third.journal.tail


def test_whole_segments_are_trimmed_and_reading_goes_on(desk: Desk) -> None:
    lsns = desk.put(*[b"z" * 1_000] * 150)
    desk.journal.flush(desk.journal.tail)
    assert desk.journal.trim(lsns[100]) == 1
    found: list[tuple[int, int, bytes]] = []
    gather(desk.files, lsns[100], found)
    assert [lsn for lsn, kind, _ in found if kind == NOTE] == lsns[100:]


def test_a_disk_that_fails_ends_writing_for_good(desk: Desk) -> None:
    desk.put(b"a")
    for path in desk.files.iterdir():
        path.unlink()
    fresh = Journal(desk.region, desk.seat, desk.files)
    assert not fresh.flush(fresh.tail)
    assert fresh.failed
    assert desk.journal.append(NOTE, b"b", 5) == 0


def test_a_full_disk_is_an_error_that_may_pass(desk: Desk) -> None:
    ready = desk.journal.prepared
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT_BYTES // 2, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            desk.journal.prepare(10 * SEGMENT_BYTES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert desk.journal.prepared == ready
    assert not list(desk.files.glob("*.new"))
    assert not desk.journal.failed
    assert desk.journal.prepare(10 * SEGMENT_BYTES)


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

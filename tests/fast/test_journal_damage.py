"""The journal and what befalls disks: cuts, flipped bits, files that are gone, no room, no folder."""

import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpgate._fast import journal as fast
from kpgate._fast.journal import Journal, find_sync, segments, spell_entry, torn_bytes
from tests.kit.desk import NOTE, SEGMENT_BYTES, Desk, gather, notes


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path).stand()


@pytest.mark.parametrize("rest", [b"\0", b"\xaa"])
def test_cut_at_any_byte_the_rest_is_a_prefix(tmp_path: Path, rest: bytes) -> None:
    desk = Desk(tmp_path).stand()
    bodies = [bytes([n]) * n for n in range(1, 30)]
    lsns = desk.put(*bodies)
    ends = [*lsns[1:], desk.journal.tail]
    desk.journal.flush(desk.journal.tail)
    path = desk.files / fast.segment_name(SEGMENT_BYTES)
    whole = path.read_bytes()
    for cut in range(desk.journal.tail - SEGMENT_BYTES):
        path.write_bytes(whole[:cut] + rest * (len(whole) - cut))
        found: list[tuple[int, int, bytes]] = []
        end, problem = gather(desk.files, 0, found)
        assert not problem
        # An entry whose last bytes are zeros is whole before it ends.
        whole_ones = sum(end <= SEGMENT_BYTES + cut for end in ends)
        assert len(notes(found)) >= whole_ones
        assert notes(found) == bodies[: len(notes(found))]
        assert len(notes(found)) == whole_ones or (
            rest == b"\0" and not whole[cut : end - SEGMENT_BYTES].strip(rest)
        )


def test_a_flipped_bit_is_found_and_before_a_sync_it_is_damage(tmp_path: Path) -> None:
    desk = Desk(tmp_path).stand()
    desk.put(*[bytes([n]) * n for n in range(1, 12)])
    desk.journal.flush(desk.journal.tail)
    durable = desk.journal.sync()
    desk.journal.append(fast.SYNC, durable.to_bytes(8, "little"), 5)
    last = desk.put(b"later", b"last")[1]
    desk.journal.flush(desk.journal.tail)
    intact = desk.read()
    for position in range(SEGMENT_BYTES, desk.journal.tail):
        for bit in range(8):
            flip(desk.files, position, bit)
            found: list[tuple[int, int, bytes]] = []
            end, problem = gather(desk.files, 0, found)
            assert found == intact[: len(found)]
            assert len(found) < len(intact)
            assert end <= position
            assert bool(problem) == (position < durable)
            if bit == position % 8:
                found = []
                _, problem = gather(desk.files, 0, found, rebooted=False)
                assert bool(problem) == (position < last), "no machine went down: only the last may be torn"
            flip(desk.files, position, bit)
    assert desk.read() == intact
    assert find_sync(desk.files, durable, SEGMENT_BYTES) == 0


@pytest.mark.parametrize("count", [1, 40], ids=["in a segment", "over borders"])
def test_a_journal_that_is_written_on_while_it_is_read_is_whole(tmp_path: Path, count: int) -> None:
    desk = Desk(tmp_path).stand()
    desk.put(b"one")
    desk.journal.flush(desk.journal.tail)
    later = [[b"two" * 1_300] * count, [b"three"]]
    found: list[tuple[int, int, bytes]] = []

    def each(more: list[tuple[int, int, bytes]], end: int) -> None:
        found.extend(more)
        if later and end == desk.journal.tail:
            # Nothing is beyond what was read; once that is looked into, there is.
            desk.put(*later.pop(0))
            desk.journal.flush(desk.journal.tail)
            desk.journal.append(fast.SYNC, desk.journal.sync().to_bytes(8, "little"), 5)
            desk.journal.flush(desk.journal.tail)

    assert fast.recover(desk.files, 0, SEGMENT_BYTES, each) == (desk.journal.tail, "")
    assert notes(found) == [b"one", *[b"two" * 1_300] * count, b"three"]


def flip(files: Path, position: int, bit: int) -> None:
    with (files / fast.segment_name(position - position % SEGMENT_BYTES)).open("r+b", 0) as file:
        file.seek(position % SEGMENT_BYTES)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1 << bit]))


def test_a_flipped_bit_in_what_pads_a_segment_out_is_found(tmp_path: Path) -> None:
    desk = Desk(tmp_path).stand()
    desk.put(*[b"a" * 4_040] * 20)
    desk.journal.flush(desk.journal.tail)
    assert desk.journal.tail > 2 * SEGMENT_BYTES
    intact = desk.read()
    position = next(lsn + 24 + len(body) for lsn, _, body in reversed(intact) if lsn < 2 * SEGMENT_BYTES)
    position += -position % 16
    for at in range(position, position + 32):
        for bit in range(8):
            flip(desk.files, at, bit)
            found: list[tuple[int, int, bytes]] = []
            end, _ = gather(desk.files, 0, found)
            assert (end, len(found)) == (position, sum(lsn < position for lsn, _, _ in intact))
            flip(desk.files, at, bit)


def test_what_is_cut_off_is_counted(desk: Desk) -> None:
    desk.put(b"one", b"two")
    desk.journal.flush(desk.journal.tail)
    end = desk.journal.tail
    assert torn_bytes(desk.files, end, SEGMENT_BYTES) == 0
    with (desk.files / fast.segment_name(SEGMENT_BYTES)).open("r+b") as file:
        file.seek(end - SEGMENT_BYTES)
        file.write(b"half an entry")
    assert gather(desk.files, 0, []) == (end, "")
    assert torn_bytes(desk.files, end, SEGMENT_BYTES) == len(b"half an entry")


def test_a_file_that_is_gone_is_no_cut_tail(tmp_path: Path) -> None:
    desk = Desk(tmp_path).stand()
    lsns = desk.put(*[b"z" * 1_000] * 150)
    desk.journal.flush(desk.journal.tail)
    durable = desk.journal.sync()
    (desk.files / fast.segment_name(2 * SEGMENT_BYTES)).unlink()
    _, problem = gather(desk.files, lsns[70], [])
    assert "missing" in problem
    for path in desk.files.iterdir():
        path.unlink()
    end, problem = gather(desk.files, durable, [])
    assert end == durable
    assert "missing" in problem
    assert gather(desk.files, 0, []) == (0, "")


def test_no_lsn_comes_twice_even_if_all_files_are_gone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.journal.stand(SEGMENT_BYTES, 5 * SEGMENT_BYTES + 4_096, 2, SEGMENT_BYTES, 0, 0)
    assert segments(desk.files) == [6 * SEGMENT_BYTES]
    assert desk.journal.tail > 6 * SEGMENT_BYTES
    for first, size in ((SEGMENT_BYTES + 16, SEGMENT_BYTES), (SEGMENT_BYTES, 1_000), (0, 3 << 16)):
        with pytest.raises(ValueError, match="no segment"):
            desk.journal.stand(first, 0, 3, size, 0, 0)


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


def test_a_disk_that_fails_ends_writing_for_good(desk: Desk) -> None:
    desk.put(b"a")
    for path in desk.files.iterdir():
        path.unlink()
    fresh = Journal(desk.region, desk.seat, desk.files)
    assert not fresh.flush(fresh.tail)
    assert fresh.failed
    assert desk.journal.append(NOTE, b"b", 5) == 0


@pytest.fixture
def half_a_segment() -> Iterator[None]:
    """No file may be longer: the system writes as far as that, then says no."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT_BYTES // 2, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, old)


def test_a_write_that_stops_short_is_gone_on_with_until_it_fails(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    desk = Desk(tmp_path, 128 * 1024).stand()
    desk.put(*[b"a" * 1_000] * 50)
    request.getfixturevalue("half_a_segment")
    assert not desk.journal.flush(desk.journal.tail)
    assert desk.journal.failed == errno.EFBIG
    assert desk.journal.written == SEGMENT_BYTES + SEGMENT_BYTES // 2
    assert desk.journal.append(NOTE, b"b", 5) == 0
    assert desk.journal.sync() < desk.journal.written, "what a disk that failed has is not asked"


def test_a_folder_that_cannot_be_written_to_is_said_at_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.files.rmdir()
    with pytest.raises(FileNotFoundError):
        desk.journal.stand(SEGMENT_BYTES, 0, 1, SEGMENT_BYTES, 0, 0)
    desk.files.touch()
    with pytest.raises(NotADirectoryError):
        desk.journal.stand(SEGMENT_BYTES, 0, 1, SEGMENT_BYTES, 0, 0)
    assert not desk.journal.standing
    assert desk.journal.append(NOTE, b"a", 5) == 0


def test_a_full_disk_is_an_error_that_may_pass(desk: Desk, request: pytest.FixtureRequest) -> None:
    ready = desk.journal.prepared
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    request.getfixturevalue("half_a_segment")
    with pytest.raises(OSError, match="too large"):
        desk.journal.prepare(10 * SEGMENT_BYTES)
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert desk.journal.prepared == ready
    assert not list(desk.files.glob("*.new"))
    assert not desk.journal.failed
    assert desk.journal.prepare(10 * SEGMENT_BYTES)

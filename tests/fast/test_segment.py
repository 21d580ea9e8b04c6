"""A segment's file says what was written to it, to whoever reads it, whatever ends its writer."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kpgate._fast.journal import segment_name
from kpgate._fast.segment import SegmentFile

BYTES = 1 << 16
DIES = """
import os, signal, sys
from kpgate._fast.segment import SegmentFile
file = SegmentFile(sys.argv[1])
for number in range(100):
    file.put(65536, 65536, 8 * number, b"%07d;" % number)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for first in (BYTES, 2 * BYTES):
        (tmp_path / segment_name(first)).write_bytes(bytes(BYTES))
    return tmp_path


def test_what_is_written_is_read_at_once(folder: Path) -> None:
    file = SegmentFile(folder)
    for first, offset, data in (
        (BYTES, 0, b"a"),
        (BYTES, BYTES - 3, b"end"),
        (2 * BYTES, 4_095, b"two pages"),
    ):
        assert file.put(first, BYTES, offset, data) == len(data)
        assert (folder / segment_name(first)).read_bytes()[offset : offset + len(data)] == data
    assert file.put(BYTES, BYTES, 1, b"b") == 1, "back in the first"
    found = (folder / segment_name(BYTES)).read_bytes()
    assert (len(found), found[:3]) == (BYTES, b"ab\0")


def test_short_and_long_pieces_are_one_text(folder: Path) -> None:
    file, whole, sizes = SegmentFile(folder), b"", (1, 2048, 2049, 260, 9_000, 4_096, 3)
    for number, size in enumerate(sizes):
        piece = bytes([number + 1]) * size
        assert file.put(BYTES, BYTES, len(whole), piece) == size
        whole += piece
        assert (folder / segment_name(BYTES)).read_bytes()[: len(whole) + 1] == whole + b"\0"


def test_a_piece_that_the_system_refuses_is_an_error_and_ends_nobody(folder: Path) -> None:
    file = SegmentFile(folder)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        assert file.put(BYTES, BYTES, 0, b"a" * 3_000) == 3_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
        assert file.put(BYTES, BYTES, 3_000, b"b" * 3_000) == 1_096, "as much as there is room for"
        with pytest.raises(OSError) as caught:
            file.put(BYTES, BYTES, 4_096, b"b" * 3_000)
        assert caught.value.errno == errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_it_is_there_after_its_writer_was_killed(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DIES, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (folder / segment_name(BYTES)).read_bytes()[:800] == b"".join(
        b"%07d;" % each for each in range(100)
    )


def test_a_file_that_is_not_there_is_an_error_and_the_last_one_stays(folder: Path) -> None:
    file = SegmentFile(folder)
    file.put(BYTES, BYTES, 0, b"a")
    with pytest.raises(OSError) as caught:
        file.put(9 * BYTES, BYTES, 0, b"b")
    assert caught.value.errno == errno.ENOENT
    assert file.put(BYTES, BYTES, 1, b"c") == 1


def test_a_file_that_is_too_short_is_a_failed_disk(folder: Path) -> None:
    os.truncate(folder / segment_name(BYTES), BYTES - 1)
    file = SegmentFile(folder)
    for _ in range(2):
        with pytest.raises(OSError) as caught:
            file.put(BYTES, BYTES, 0, b"a")
        assert caught.value.errno == errno.EIO
    assert file.put(2 * BYTES, BYTES, 0, b"b") == 1


def test_a_path_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        SegmentFile("x" * 5_000)

from collections.abc import Callable
from os import PathLike
from typing import Final, final

from kpgate._fast.commit import Region, Seat

SEGMENT: Final[int]
PAD: Final[int]
SYNC: Final[int]
HOLD: Final[int]
EXTEND: Final[int]
METER: Final[int]
POST: Final[int]
VOID: Final[int]
TRANSFER: Final[int]
MISSING: Final[str]

_Folder = str | PathLike[str]
_Entry = tuple[int, int, bytes]

@final
class Journal:
    region: Final[Region]
    segment_bytes: Final[int]
    tail: Final[int]
    written: Final[int]
    durable: Final[int]
    posted: Final[int]
    trimmed: Final[int]
    prepared: Final[int]
    reserved: Final[int]
    failed: Final[int]
    standing: Final[bool]
    anchor_us: Final[int]
    time_us: Final[int]
    def __new__(
        cls, region: Region, seat: Seat, folder: _Folder, mapped: bool | None = None
    ) -> Journal: ...
    def flush(self, position: int) -> bool: ...
    def flush_all(self) -> bool: ...
    def append(self, kind: int, body: bytes, now_us: int) -> int: ...
    def sync(self) -> int: ...
    def prepare(self, ahead_bytes: int) -> bool: ...
    def stand(
        self,
        first: int,
        previous_end: int,
        start: int,
        segment_bytes: int,
        last_us: int,
        anchor_us: int,
    ) -> None: ...
    def open(self) -> None: ...
    def note_posted(self, lsn: int) -> None: ...
    def set_anchor(self, anchor_us: int) -> None: ...
    def fail(self) -> None: ...
    def trim(self, lsn: int) -> int: ...
    def entries(self, since: int, until: int, count: int = 10_000) -> tuple[list[_Entry], int]: ...

def entry_bytes(body_bytes: int) -> int: ...
def segment_name(first: int) -> str: ...
def spell_entry(kind: int, lsn: int, body: bytes) -> bytes: ...
def make_segment(folder: _Folder, first: int, size: int, beginning: bytes) -> None: ...
def segments(folder: _Folder) -> list[int]: ...
def read_entries(
    folder: _Folder, since: int, until: int, segment_bytes: int, count: int
) -> tuple[list[_Entry], int, str]: ...
def recover(
    folder: _Folder,
    since: int,
    segment_bytes: int,
    each: Callable[[list[_Entry], int], object],
    rebooted: bool = True,
) -> tuple[int, str]: ...
def torn_bytes(folder: _Folder, since: int, segment_bytes: int) -> int: ...
def find_sync(folder: _Folder, since: int, segment_bytes: int) -> int: ...
def areas(ring_bytes: int = 16777216) -> dict[int, tuple[int, int]]: ...

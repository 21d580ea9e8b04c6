from os import PathLike
from typing import final

@final
class SegmentFile:
    def __new__(cls, folder: str | PathLike[str]) -> SegmentFile: ...
    def put(self, first: int, segment_bytes: int, offset: int, data: bytes) -> int: ...

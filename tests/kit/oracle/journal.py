"""The journal's files as anybody may read them: plain Python, from the format's description alone."""

import struct
from pathlib import Path

HEAD = struct.Struct("<IIQBBHI")
SEGMENT, PAD = 1, 2


def crc32c(data: bytes) -> int:
    """Castagnoli's, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def read(folder: Path, segment_bytes: int) -> list[tuple[int, int, bytes]]:
    """All entries but padding, up to the first that is not whole. Order: segments that follow one another."""
    found = []
    for path in sorted(folder.glob("*.kpj")):
        first = int(path.stem, 16)
        data = path.read_bytes()
        assert len(data) == segment_bytes
        at = 0
        while at + 32 <= len(data):
            length, crc, lsn, kind, _, _, body_bytes = HEAD.unpack_from(data, at)
            summed = 32 if kind == PAD else length
            if length < 32 or length % 16 or at + length > len(data) or lsn != first + at:
                break
            if crc32c(data[at + 8 : at + summed]) != crc:
                break
            if kind != PAD:
                found.append((lsn, kind, data[at + 24 : at + 24 + body_bytes]))
            at += length
    return found

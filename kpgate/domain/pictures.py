"""How large a picture in a data URL is, read from its first bytes. Nothing is fetched."""

from base64 import b64decode
from binascii import Error as NotBase64
from struct import error as TooShort
from struct import unpack_from

HEAD_CHARACTERS = 88_000
"""How much of a picture is looked at for its size: a JPEG may have metadata before it."""


def image_size(url: str) -> tuple[int, int] | None:
    """Width and height of a PNG, JPEG, GIF or WebP in a data URL. Units: pixels. None where that cannot be told."""
    if not url.startswith("data:"):
        return None
    comma = url.find(",", 0, 200)
    if comma < 0 or not url[:comma].endswith(";base64"):
        return None
    return encoded_size(url[comma + 1 : comma + 1 + HEAD_CHARACTERS])


def encoded_size(encoded: str) -> tuple[int, int] | None:
    """The same of a picture's base64."""
    encoded = encoded[:HEAD_CHARACTERS]
    try:
        data = b64decode(encoded[: len(encoded) & ~3])
        size = _size(data)
    except (NotBase64, TooShort, ValueError):
        return None
    return size if size is not None and min(size) > 0 else None


def _size(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = unpack_from(">II", data, 16)
        return width, height
    if data.startswith((b"GIF87a", b"GIF89a")):
        width, height = unpack_from("<HH", data, 6)
        return width, height
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp_size(data)
    return _jpeg_size(data) if data.startswith(b"\xff\xd8") else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """The size in the first frame header. Source: ITU-T T.81, annex B."""
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None

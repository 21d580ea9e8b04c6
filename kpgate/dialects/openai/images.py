"""What an image costs in tokens: by its size, its detail and the model's rule. Nothing is fetched.

Source: OpenAI, images and vision guide, calculating costs (checked November 2026).
"""

from base64 import b64decode
from binascii import Error as NotBase64
from math import ceil
from struct import error as TooShort
from struct import unpack_from

HEAD_CHARACTERS = 88_000
"""How much of a data URL is looked at for the size: a JPEG may have metadata before it."""

TILES = (
    ("gpt-4o-mini", 2833, 5667),
    ("gpt-5", 70, 140),
    ("o1", 75, 150),
    ("o3", 75, 150),
    ("gpt-4o", 85, 170),
    ("gpt-4", 85, 170),
)
PATCHES = (
    ("gpt-4.1-mini", 1.62),
    ("gpt-4.1-nano", 2.46),
    ("gpt-5-mini", 1.62),
    ("gpt-5-nano", 2.46),
    ("o4-mini", 1.72),
)
PATCHES_MAX = 1536
TILES_MAX = 8
DEFAULT_TILES = (85, 170)


def image_tokens(url: str, detail: str | None, model: str) -> int:
    """The tokens of one image. One whose size cannot be told, as behind a remote URL, counts as the largest."""
    name = model.rsplit("/", 1)[-1]
    size = image_size(url)
    for prefix, factor in PATCHES:
        if name.startswith(prefix):
            return ceil((PATCHES_MAX if size is None else _patches(*size)) * factor)
    base, tile = next(
        ((base, tile) for prefix, base, tile in TILES if name.startswith(prefix)), DEFAULT_TILES
    )
    if detail == "low":
        return base
    return base + tile * (TILES_MAX if size is None else _tiles(*size))


def _tiles(width: int, height: int) -> int:
    """512-pixel tiles after fitting into 2048 x 2048 and bringing the shorter side down to 768."""
    scale = min(1.0, 2048 / max(width, height))
    scale *= min(1.0, 768 / (min(width, height) * scale))
    return ceil(width * scale / 512) * ceil(height * scale / 512)


def _patches(width: int, height: int) -> int:
    return min(PATCHES_MAX, ceil(width / 32) * ceil(height / 32))


def image_size(url: str) -> tuple[int, int] | None:
    """Width and height of a PNG, JPEG, GIF or WebP in a data URL. Units: pixels. None where that cannot be told."""
    if not url.startswith("data:"):
        return None
    comma = url.find(",", 0, 200)
    if comma < 0 or not url[:comma].endswith(";base64"):
        return None
    encoded = url[comma + 1 : comma + 1 + HEAD_CHARACTERS]
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

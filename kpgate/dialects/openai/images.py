"""What an image costs in tokens: by its size, its detail and the model's rule. Nothing is fetched.

Source: OpenAI, images and vision guide, calculating costs (checked November 2026).
"""

from math import ceil

from kpgate.domain.pictures import image_size

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

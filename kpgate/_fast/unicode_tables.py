"""Writes `_unicode.h`: the class of every code point, as the pre-tokenizers of cl100k_base and o200k_base need it.

Run by the build. The classes are those of Unicode 16, which the reference implementation's patterns mean: the
`unicodedata` of a Python may be older or newer, so a release of it is a build requirement.
"""

from pathlib import Path

import unicodedata2

UNICODE = "16.0.0"
UPPER, LOWER, OTHER_LETTER, MARK, NUMBER, SPACE, BREAK = 1, 2, 4, 8, 16, 32, 64
CLASSES = {"Lu": UPPER, "Lt": UPPER, "Ll": LOWER, "Lm": OTHER_LETTER, "Lo": OTHER_LETTER}
CLASSES |= {"Mn": MARK, "Mc": MARK, "Me": MARK, "Nd": NUMBER, "Nl": NUMBER, "No": NUMBER}
WHITE_SPACE = {
    *range(9, 14),
    0x20,
    0x85,
    0xA0,
    0x1680,
    *range(0x2000, 0x200B),
    0x2028,
    0x2029,
    0x202F,
    0x205F,
    0x3000,
}
BLOCK = 128
POINTS = 0x110000


def classes() -> bytearray:
    """The class of each code point. Source: Unicode 16, General_Category and White_Space."""
    if unicodedata2.unidata_version != UNICODE:
        raise RuntimeError(f"unicodedata2 {UNICODE} is needed, not {unicodedata2.unidata_version}")
    table = bytearray(CLASSES.get(unicodedata2.category(chr(point)), 0) for point in range(POINTS))
    for point in WHITE_SPACE:
        table[point] |= SPACE
    for point in (10, 13):
        table[point] |= BREAK
    return table


def write(path: Path) -> None:
    """Write the header: blocks that are alike are kept once. An unchanged file is left alone."""
    table = classes()
    blocks: dict[bytes, int] = {}
    index = [blocks.setdefault(bytes(table[at : at + BLOCK]), len(blocks)) for at in range(0, POINTS, BLOCK)]
    rows = ",".join(str(byte) for block in blocks for byte in block)
    text = (
        "/* Written by unicode_tables.py. */\n#include <stdint.h>\n"
        f"static const uint16_t kp_unicode_index[{len(index)}] = {{{','.join(map(str, index))}}};\n"
        f"static const uint8_t kp_unicode_class[{len(blocks) * BLOCK}] = {{{rows}}};\n"
    )
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


if __name__ == "__main__":
    write(Path(__file__).with_name("_unicode.h"))

"""`domain.language` by the plainest means."""

from collections.abc import Sequence

from kpgate.domain.language import COMMON, JAPANESE_SHARE, SCRIPTS, WORDS_MIN


def language_by(letters: int, scripts: Sequence[int], words: Sequence[int]) -> str:
    """The language of a text with so many letters of `SCRIPTS` and words of `COMMON`."""
    if scripts[0] and scripts[0] * JAPANESE_SHARE >= letters:
        return "ja"
    most = max(scripts)
    if most and most * JAPANESE_SHARE >= letters * 3:
        return list(SCRIPTS)[scripts.index(most)]
    most = max(words)
    if most < WORDS_MIN or words.count(most) > 1:
        return ""
    return list(COMMON)[words.index(most)]

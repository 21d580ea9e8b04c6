"""The language of a text, by its script and its commonest words. A guess: it says nothing rather than something wrong.

Scripts that one language has nearly alone tell at once. Latin and Cyrillic texts are told by words that hardly ever
fail to occur in two sentences; short ones, mixed ones and languages that are not listed here give nothing.
"""

from kpgate._fast.prose import Prose

LENGTH_MAX = 1000
"""How much of a text is looked at. Units: characters."""
WORDS_MIN = 2
"""So many of a language's words must be there, and more than of any other's."""

SCRIPTS: dict[str, tuple[tuple[int, int], ...]] = {
    "ja": ((0x3040, 0x30FF),),
    "ko": ((0xAC00, 0xD7AF), (0x1100, 0x11FF)),
    "zh": ((0x4E00, 0x9FFF),),
    "th": ((0x0E00, 0x0E7F),),
    "he": ((0x0590, 0x05FF),),
    "el": ((0x0370, 0x03FF),),
    "hi": ((0x0900, 0x097F),),
    "ar": ((0x0600, 0x06FF),),
}
"""Ranges of code points. Japanese comes first, for it mixes Chinese characters in."""
JAPANESE_SHARE = 5
"""One letter of so many that is its own is enough there."""

COMMON: dict[str, frozenset[str]] = {
    "en": frozenset(
        [
            "the",
            "and",
            "is",
            "are",
            "to",
            "of",
            "in",
            "that",
            "it",
            "you",
            "for",
            "with",
            "this",
            "what",
            "how",
            "can",
            "please",
            "i",
            "my",
            "a",
            "an",
        ]
    ),
    "de": frozenset(
        [
            "der",
            "die",
            "das",
            "und",
            "ist",
            "nicht",
            "ein",
            "eine",
            "ich",
            "zu",
            "mit",
            "für",
            "auf",
            "von",
            "wie",
            "was",
            "bitte",
            "den",
            "im",
            "sie",
        ]
    ),
    "fr": frozenset(
        [
            "le",
            "la",
            "les",
            "et",
            "est",
            "un",
            "une",
            "des",
            "je",
            "que",
            "pour",
            "dans",
            "avec",
            "ce",
            "sur",
            "pas",
            "vous",
            "comment",
            "du",
            "au",
        ]
    ),
    "es": frozenset(
        [
            "el",
            "los",
            "las",
            "y",
            "es",
            "un",
            "una",
            "que",
            "de",
            "en",
            "por",
            "para",
            "con",
            "no",
            "como",
            "se",
            "mi",
            "cómo",
            "qué",
            "del",
        ]
    ),
    "it": frozenset(
        [
            "il",
            "lo",
            "gli",
            "e",
            "è",
            "un",
            "una",
            "che",
            "di",
            "per",
            "con",
            "non",
            "come",
            "si",
            "mi",
            "della",
            "nel",
            "sono",
            "perché",
        ]
    ),
    "pt": frozenset(
        [
            "o",
            "os",
            "as",
            "e",
            "é",
            "um",
            "uma",
            "que",
            "de",
            "em",
            "por",
            "para",
            "com",
            "não",
            "como",
            "se",
            "meu",
            "da",
            "do",
            "você",
        ]
    ),
    "nl": frozenset(
        [
            "de",
            "het",
            "een",
            "en",
            "is",
            "van",
            "ik",
            "dat",
            "niet",
            "op",
            "te",
            "voor",
            "met",
            "hoe",
            "wat",
            "zijn",
            "naar",
            "er",
            "je",
        ]
    ),
    "sv": frozenset(
        [
            "och",
            "att",
            "det",
            "är",
            "en",
            "ett",
            "jag",
            "som",
            "på",
            "inte",
            "för",
            "med",
            "hur",
            "vad",
            "den",
            "av",
            "kan",
            "du",
        ]
    ),
    "pl": frozenset(
        [
            "i",
            "w",
            "nie",
            "na",
            "się",
            "jest",
            "to",
            "że",
            "jak",
            "z",
            "do",
            "co",
            "czy",
            "dla",
            "po",
            "o",
            "proszę",
            "są",
        ]
    ),
    "tr": frozenset(
        [
            "ve",
            "bir",
            "bu",
            "ne",
            "için",
            "ile",
            "nasıl",
            "mi",
            "da",
            "de",
            "çok",
            "var",
            "olarak",
            "ben",
            "gibi",
        ]
    ),
    "ru": frozenset(
        ["и", "в", "не", "на", "что", "это", "как", "с", "по", "для", "я", "мне", "из", "к", "у", "так", "но"]
    ),
    "uk": frozenset(["і", "в", "не", "на", "що", "це", "як", "з", "до", "для", "я", "у", "та", "але", "чи"]),
}


_BY_SCRIPT = tuple(SCRIPTS)
_BY_WORDS = tuple(COMMON)


def language_of(prose: Prose) -> str:
    """The language of a text, as `en`; empty where it is not clear.

    Shape: `prose` counted the scripts of `SCRIPTS` and, before any other kinds, the words of `COMMON`.
    """
    own = prose.of_script(0)
    if own and own * JAPANESE_SHARE >= prose.letters:
        return _BY_SCRIPT[0]
    most = found = 0
    for place in range(len(_BY_SCRIPT)):
        count = prose.of_script(place)
        if count > most:
            most, found = count, place
    if most and most * JAPANESE_SHARE >= prose.letters * 3:
        return _BY_SCRIPT[found]
    most = second = 0
    for place in range(len(_BY_WORDS)):
        count = prose.of_kind(place)
        if count > most:
            most, second, found = count, most, place
        elif count > second:
            second = count
    return "" if most < WORDS_MIN or second == most else _BY_WORDS[found]

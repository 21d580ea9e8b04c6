"""The language of a text, by its script and its commonest words. A guess: it says nothing rather than something wrong.

Scripts that one language has nearly alone tell at once. Latin and Cyrillic texts are told by words that hardly ever
fail to occur in two sentences; short ones, mixed ones and languages that are not listed here give nothing.
"""

import re

LOOKED_AT = 1000
"""Units: characters."""
WORDS_MIN = 2
"""So many of a language's words must be there, and more than of any other's."""

_SCRIPTS: tuple[tuple[str, str], ...] = (
    ("ja", "\u3040-\u30ff"),
    ("ko", "\uac00-\ud7af\u1100-\u11ff"),
    ("zh", "\u4e00-\u9fff"),
    ("th", "\u0e00-\u0e7f"),
    ("he", "\u0590-\u05ff"),
    ("el", "\u0370-\u03ff"),
    ("hi", "\u0900-\u097f"),
    ("ar", "\u0600-\u06ff"),
)
_EXPRESSIONS = tuple((name, re.compile(f"[{span}]")) for name, span in _SCRIPTS)
_LETTERS = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+")

_COMMON: dict[str, frozenset[str]] = {
    "en": frozenset("the and is are to of in that it you for with this what how can please i my a an".split()),
    "de": frozenset("der die das und ist nicht ein eine ich zu mit für auf von wie was bitte den im sie".split()),
    "fr": frozenset("le la les et est un une des je que pour dans avec ce sur pas vous comment du au".split()),
    "es": frozenset("el los las y es un una que de en por para con no como se mi cómo qué del".split()),
    "it": frozenset("il lo gli e è un una che di per con non come si mi della nel sono perché".split()),
    "pt": frozenset("o os as e é um uma que de em por para com não como se meu da do você".split()),
    "nl": frozenset("de het een en is van ik dat niet op te voor met hoe wat zijn naar er je".split()),
    "sv": frozenset("och att det är en ett jag som på inte för med hur vad den av kan du".split()),
    "pl": frozenset("i w nie na się jest to że jak z do co czy dla po o proszę są".split()),
    "tr": frozenset("ve bir bu ne için ile nasıl mi da de çok var olarak ben gibi".split()),
    "ru": frozenset("и в не на что это как с по для я мне из к у так но".split()),
    "uk": frozenset("і в не на що це як з до для я у та але чи".split()),
}


def language_of(text: str) -> str:
    """The language, as `en`; empty where it is not clear."""
    text = text[:LOOKED_AT]
    letters = len(_LETTERS.findall(text))
    if not letters:
        return ""
    for name, expression in _EXPRESSIONS:
        # Japanese mixes Chinese characters in: a fifth of its own is enough.
        if len(expression.findall(text)) * 5 >= letters * (1 if name == "ja" else 3):
            return name
    words = [word.lower() for word in _WORD.findall(text)]
    counts = sorted(((sum(word in common for word in words), name) for name, common in _COMMON.items()), reverse=True)
    (most, name), (next_most, _) = counts[0], counts[1]
    return name if most >= WORDS_MIN and most > next_most else ""

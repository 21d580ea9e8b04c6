"""Counting what has characters of three bytes, and what was merged before, against tiktoken: equal on everything."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.tokens import Vocabulary
from kpgate.domain.encodings import ENCODINGS
from kpgate.stores.vocabulary import open_vocabulary
from tests.kit.reference import Pair, agree, reference

COMMON = (
    "的一是不了在人有我他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后"
    "小么心多天而能好都然没日于起还发成事只作当想看文无开手用主行方又如前所本见经头面公同三已老从动两长知"
    "民样现分将外但身些与高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定女问力机给等几很业最间"
    "新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并内加化由却代军产入先山五太水万市眼"
    "体别处总才场师书比住"
)
KANA = (
    "あいうえおかがきくけこさしすせそただちっつてでとどなにのはばひふへほまみむめもやよらりるれろわをんア"
    "イウエオカキクケコサシスセソタチッテトナニノハヒフマミムメモヤラリルレロワンー"
)
HANGUL = (
    "가각간갇갈감강같개거것게겠결경계고공과관교구국그기나는다대도동들등라로를리마만말면모무문미바반방보부"
    "비사상생서선성세소수시실아안않알야어없에여연영오와요우운원위으은을의이인일자장전정제조좋주중지진차처"
    "체초치크타터통트파포표하학한할함합해했행현화후히"
)
RARE = "㐀㒰䶵龥鿿꠰ꯍ힣豈﨩ﾝｱ＠ⅷ㊀㎏"
SIGNS = "。、，！？：；「」『』（）【】《》〈〉…—·～％＋－＝／"
OTHERS = (
    "\n",
    "\r\n",
    " ",
    "  ",
    "\t",
    "\u3000",
    "\u2003",
    "\u00a0",
    "a",
    "B",
    "Vim",
    "ABC",
    "1",
    "１２",
    "²",
    "'s",
    "'",
)
OTHERS += (
    "é",
    "ß",
    "я",
    "слово",
    "ـ",
    "ا",
    "😀",
    "👩‍👩‍👧",
    "🇨🇳",
    "\u3099",
    "\ufe0f",
    "\u0301",
    "\u200d",
    "ｋ",
    "Ｋ",
    "(",
    "/",
    ".",
    "\x00",
)
OTHERS += ("ไทย", "हिन्दी", "ქა", "Ꭰ", "ꭰ", "\ufeff", "\ufffd", "\ud800")
ALPHABETS = (COMMON, KANA, HANGUL, RARE, SIGNS)


@pytest.fixture(scope="module", params=list(ENCODINGS))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return open_vocabulary(request.param, tmp_path_factory.mktemp("tokens"), {}), reference(request.param)


@pytest.fixture(scope="module")
def written(pair: Pair) -> list[str]:
    """The tokens that are text and have a character of three bytes."""
    tokens = (token.decode("utf-8", "ignore") for token in pair[1].token_byte_values())
    return sorted({token for token in tokens if any("\u0800" <= one <= "\uffff" for one in token)})


def test_long_runs_of_letters(pair: Pair) -> None:
    seeded = random.Random(1)
    for alphabet in (*ALPHABETS, COMMON + KANA, HANGUL + COMMON, "".join(ALPHABETS)):
        for size in (*range(1, 40), 300, 4_000):
            agree(pair, "".join(seeded.choices(alphabet, k=size)))


def test_letters_and_signs_among_everything_else(pair: Pair) -> None:
    seeded = random.Random(2)
    for _ in range(20_000):
        parts = []
        for _ in range(seeded.randint(1, 8)):
            alphabet = seeded.choice((*ALPHABETS, OTHERS))
            parts += seeded.choices(alphabet, k=seeded.randint(1, 5))
        agree(pair, "".join(parts))


def test_what_may_stand_before_and_behind_each_sort(pair: Pair) -> None:
    sorts = ("国", "の", "한", "㐀", "。", "「", "。。", "\u3099", "１", "\u3000", "")
    edges = (*(chr(point) for point in range(128)), *OTHERS, "")
    for sort in sorts:
        for following in sorts:
            for edge in edges:
                agree(pair, f"{edge}{sort}{following}{edge}{sort}")


def test_every_token_with_what_it_is_made_of(pair: Pair, written: list[str]) -> None:
    seeded = random.Random(3)
    for token in written:
        other = seeded.choice(written)
        agree(pair, "\n".join((token, token[:-1] + other, token + other[:1], other[-1:] + token, token * 2)))


def test_tokens_side_by_side(pair: Pair, written: list[str]) -> None:
    seeded = random.Random(4)
    for _ in range(10_000):
        agree(pair, "".join(seeded.choices(written, k=seeded.randint(2, 12))))


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.one_of(st.sampled_from("".join(ALPHABETS)), st.characters()), max_size=120))
def test_any_text_of_mostly_letters(pair: Pair, text: str) -> None:
    agree(pair, text)


def test_a_text_may_end_anywhere(pair: Pair) -> None:
    text = "「ここに」置く，使用Vim编辑器。한국어 문장도 있고\nWords, too: 12 😀 ещё раз\u3099。"
    for start in range(len(text)):
        for end in range(start, len(text) + 1):
            agree(pair, text[start:end])


def test_bytes_that_end_within_a_character_are_no_text(pair: Pair) -> None:
    text = "東京は夜の七時、ok。".encode()
    for size in range(len(text) + 1):
        try:
            whole = text[:size].decode()
        except UnicodeDecodeError:
            with pytest.raises(UnicodeDecodeError):
                pair[0].count_bytes(text[:size])
        else:
            assert pair[0].count_bytes(text[:size]) == len(pair[1].encode_ordinary(whole))


def twice(pair: Pair, text: str) -> None:
    """What is remembered of a text is what it was counted as."""
    expected = len(pair[1].encode_ordinary(text))
    assert [pair[0].count(text) for _ in range(2)] == [expected] * 2


def test_words_of_every_length_are_remembered_whole(pair: Pair) -> None:
    seeded = random.Random(5)
    for alphabet in ("qzxjkv", "абвгдежз", "αβγδεζ", HANGUL, "éèàz"):
        for size in range(1, 40):
            word = seeded.choices(alphabet, k=size)
            twice(pair, "".join(word))
            twice(pair, " " + "".join(word) + " and more words behind")
            for place in range(size):
                other = [*word]
                other[place] = seeded.choice(alphabet)
                twice(pair, "".join(other))


@pytest.mark.parametrize("byte", ["-", "~", "=", " ", "\t", "a", "0", "\x00"])
def test_ruled_lines_are_remembered_with_their_ends(pair: Pair, byte: str) -> None:
    for size in (*range(14, 60), 78, 100, 127, 128, 129, 1_024, 1_100, 65_535, 65_536):
        for before, after in (
            ("", ""),
            (" ", "\n"),
            ("#", ">"),
            ("  ", "\r\n\r\n"),
            ("<!", "-->"),
            ("", "x"),
        ):
            twice(pair, before + byte * size + after)
    for place in range(60):
        twice(pair, byte * place + "+" + byte * (60 - place))


def test_vocabularies_remember_apart(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tokens")
    text = (
        "Достопримечательность превысокомногорассмотрительствующий 그렇습니다만 "
        + "-=" * 9
        + "#" * 70
        + "\n今日は良い天気です"
    )
    for encoding in (*ENCODINGS, *ENCODINGS):
        expected = len(reference(encoding).encode_ordinary(text))
        assert open_vocabulary(encoding, folder, {}).count(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        lambda size: "国" * size,
        lambda size: "国" * size + "a",
        lambda size: "国a" * size,
        lambda size: "。" * size + "\n",
        lambda size: "。\n" * size,
        lambda size: "ている" * size,
        lambda size: " 한" * size,
        lambda size: "㐀" * size + "'",
        lambda size: "國\u3099" * size,
        lambda size: "-" * size + "\n",
        lambda size: "я" * size,
    ],
)
def test_a_long_piece_costs_as_much_a_byte_as_a_short_one(pair: Pair, text: Callable[[int], str]) -> None:
    """It would take hours if it did not."""
    ours: Vocabulary = pair[0]
    agree(pair, text(2_000))
    assert ours.count(text(1_000_000)) > 0

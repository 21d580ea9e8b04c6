"""Token counts, against tiktoken on the same ranks: equal on everything, and never in trouble."""

import json
import random
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.outline import Outline, Shape, Value, outline
from kpgate._fast.tokens import Vocabulary, build_table
from kpgate.domain.encodings import ENCODINGS
from kpgate.stores.vocabulary import open_vocabulary
from tests.kit.oracle.tokens import merged
from tests.kit.reference import Pair, agree, reference

CONTEXTS = ("{}", "a{}b", " {} ", "A{}'s", "1{}2", "{}{}\n", "\n{}", "!{}a", "{}A", "aB{}c")
PARTS = [
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "a",
    "B",
    "ab",
    "Cd",
    "'s",
    "'S",
    "'LL",
    "'\u017f",
    "'re",
    "1",
    "23",
    "4567",
]
PARTS += [
    "!",
    "/",
    "//\n",
    "é",
    "\u0301",
    "中",
    "文",
    "ǅ",
    "ʰ",
    "😀",
    "\u200d",
    "\u3000",
    "\x00",
    "'",
    '"',
    "ß",
    "İ",
]
PARTS += ["\u0345", "ª", "²", "Ⅷ", "हिन्दी", "العربية", "ไทย", "\ud800", "\udfff", "<|endoftext|>"]


@pytest.fixture(scope="module", params=list(ENCODINGS))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", lambda *_: pytest.fail("no network is needed"))
        yield open_vocabulary(request.param, tmp_path_factory.mktemp("tokens"), {}), reference(request.param)


def test_every_code_point_in_every_context(pair: Pair) -> None:
    for context in CONTEXTS:
        before, *between, after = context.split("{}")
        for start in range(0, 0x110000, 256):
            points = [chr(point) for point in range(start, start + 256) if not 0xD800 <= point < 0xE000]
            if points:
                # Joined, not formatted one by one: that took as long as counting them.
                points = [point.join(("", *between, "")) for point in points]
                agree(pair, before + (after + before).join(points) + after)


def test_mixtures_of_what_is_tricky(pair: Pair) -> None:
    seeded = random.Random(20261123)
    for _ in range(20_000):
        agree(pair, "".join(seeded.choices(PARTS, k=seeded.randint(1, 14))))


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=200))
def test_any_text(pair: Pair, text: str) -> None:
    agree(pair, text)


@pytest.mark.parametrize("unit", ["a", " ", "ab", "\n", "é", "A", "1", "!?", "\u0301", "\t ", "中文", "'s"])
def test_long_runs(pair: Pair, unit: str) -> None:
    for size in (*range(20, 60), 4_000):
        agree(pair, unit * size)


def test_a_megabyte_of_one_letter_is_counted(pair: Pair) -> None:
    assert pair[0].count("a" * 1_000_000) == pair[0].count("a" * 500_000) * 2


def test_merging_is_least_rank_first_leftmost_of_equals(pair: Pair) -> None:
    ours, theirs = pair
    ranks = dict(theirs._mergeable_ranks)
    seeded = random.Random(7)
    for size in (2, 5, 30, 47, 48, 49, 50, 90):
        piece = "".join(seeded.choices("etaoinshrdlu", k=size))
        assert ours.encode(piece) == merged(piece.encode(), ranks)


def test_pieces_are_the_text_s_bytes(pair: Pair) -> None:
    text = "Größe, 中文 and 😀 'll do.\n"
    assert b"".join(pair[0].pieces(text)) == text.encode()
    assert len(pair[0].pieces(text)) == pair[0].count(text)


def test_bytes_are_counted_as_text_and_must_be_utf_8(pair: Pair) -> None:
    text = "Ünïcode " * 3_000
    assert pair[0].count_bytes(text.encode()) == pair[0].count(text)
    assert pair[0].count_bytes(b"") == 0
    with pytest.raises(UnicodeDecodeError):
        pair[0].count_bytes(b"\xff\xfe")


def test_threads_count_alike(pair: Pair) -> None:
    texts = [f"text number {number}, " * 2_000 for number in range(4)]
    expected = [pair[0].count(text) for text in texts]
    found = [0] * len(texts)

    def count(place: int) -> None:
        found[place] = pair[0].count(texts[place])

    threads = [threading.Thread(target=count, args=(place,)) for place in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def table(folder: Path) -> Path:
    open_vocabulary("cl100k_base", folder, {})
    return next(folder.glob("*.kpt"))


@pytest.mark.parametrize("place", [0, 16, 20, 24, 28, 36, 70, 5_000, 1_000_000, -1])
def test_a_damaged_table_is_refused_and_made_anew(tmp_path: Path, place: int) -> None:
    path = table(tmp_path)
    data = bytearray(path.read_bytes())
    data[place] ^= 0x41
    path.write_bytes(data)
    with pytest.raises(ValueError, match="table"):
        Vocabulary.open(path)
    assert open_vocabulary("cl100k_base", tmp_path, {}).count("made anew") == 2


@pytest.mark.parametrize("size", [0, 10, 64, 100_000])
def test_a_table_that_was_cut_short_is_refused(tmp_path: Path, size: int) -> None:
    path = table(tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match="table"):
        Vocabulary.open(path)


@pytest.mark.parametrize("ranks", [b"", b"x", b"YQ== 1", b"YQ== 0\nYg== 2", b"YQ== 0", b"!!! 0"])
def test_malformed_ranks_make_no_table(tmp_path: Path, ranks: bytes) -> None:
    with pytest.raises(ValueError):
        build_table(ranks, tmp_path / "t", "cl100k_base")
    assert not list(tmp_path.iterdir())


def test_processes_that_build_at_once_all_succeed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from kpgate.stores.vocabulary import open_vocabulary\n"
        "print(open_vocabulary('cl100k_base', Path(sys.argv[1]), {}).count('hello world'))"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", script, str(tmp_path)]
    runs = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) for _ in range(4)]
    assert [run.communicate()[0].strip() for run in runs] == [b"2"] * 4
    assert len(list(tmp_path.iterdir())) == 1


TEXTS = Shape(Value(items=Value(string=True, mark=0)), counted=(0,))


def outlined(body: bytes) -> Outline:
    found = outline(body, 0, len(body), TEXTS)
    assert found is not None
    return found


def in_place(pair: Pair, texts: list[str], body: bytes) -> None:
    """What stands in a body is counted as the texts are, at first and when it comes again."""
    expected = sum(len(pair[1].encode_ordinary(text)) for text in texts)
    assert [pair[0].count_outlined(outlined(body)) for _ in range(2)] == [expected] * 2


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), max_size=6),
    escaped=st.booleans(),
)
def test_texts_in_a_body_are_counted_as_they_are(pair: Pair, texts: list[str], escaped: bool) -> None:
    in_place(pair, texts, json.dumps(texts, ensure_ascii=escaped).encode())


def test_every_escape_is_counted_as_what_it_stands_for(pair: Pair) -> None:
    short = {
        '"': '\\"',
        "\\": "\\\\",
        "/": "\\/",
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
    }
    for text, said in short.items():
        for size in range(40):
            in_place(pair, ["x" * size + text + "y"], f'["{"x" * size}{said}y"]'.encode())
    for start in range(0, 0x110000, 4096):
        points = [point for point in range(start, start + 4096, 7) if not 0xD800 <= point < 0xE000]
        text = "".join(map(chr, points))
        in_place(pair, [text], json.dumps([text]).encode())
        raw = re.sub(r"\\u[0-9a-f]{4}", lambda found: "\\u" + found[0][2:].upper(), json.dumps([text]))
        in_place(pair, [text], raw.encode())


def test_what_was_counted_lately_is_known_whole_and_nothing_else_is(pair: Pair) -> None:
    ours = pair[0]
    text = "".join(f"turn {number}, " for number in range(300))
    body = json.dumps([text, "short"]).encode()
    assert ours.unseen(outlined(body)) == len(text) + len("short")
    ours.count_outlined(outlined(body))
    assert ours.unseen(outlined(body)) == len("short")
    for place in range(0, len(text), 17):
        other = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
        assert ours.unseen(outlined(json.dumps([other]).encode())) == len(other)
    for padded in (text + "\x00", text + "\x00" * 16, text[:-1], text * 2, text + text[:1024]):
        raw = json.dumps([padded]).encode()
        assert ours.unseen(outlined(raw)) == len(raw) - 4


def test_a_text_of_any_length_is_known_to_its_last_byte(pair: Pair) -> None:
    ours = pair[0]
    whole = "".join(f"length {number}, " for number in range(200))
    for size in (*range(256, 292), *range(1000, 1060), *range(2030, 2070)):
        for text in (whole[:size], whole[: size - 1] + "~"):
            texts = outlined(json.dumps([text]).encode())
            assert ours.unseen(texts) == size
            ours.count_outlined(texts)
            assert ours.unseen(outlined(json.dumps([text]).encode())) == 0


def test_what_one_owner_s_texts_came_to_nobody_else_can_tell(pair: Pair) -> None:
    ours = pair[0]
    text = "what only one party said, " * 20
    body = json.dumps([text]).encode()

    def of(owner: int) -> Outline:
        texts = outlined(body)
        texts.owner = owner
        return texts

    ours.count_outlined(of(1))
    assert ours.unseen(of(1)) == 0
    assert [ours.unseen(of(owner)) for owner in (0, 2, 1 << 32, (1 << 64) - 1)] == [len(text)] * 4
    assert ours.count_outlined(of(2)) == ours.count_outlined(of(1)) == ours.count(text)


def test_more_texts_than_are_remembered_are_counted_all_the_same(pair: Pair) -> None:
    texts = [f"{number} " * 90 for number in range(40_000)]
    body = json.dumps(texts).encode()
    ours = pair[0]
    first = ours.count_outlined(outlined(body))
    assert first == sum(map(ours.count, texts)) == ours.count_outlined(outlined(body))


def test_every_pair_of_ascii_between_all_sorts(pair: Pair) -> None:
    for before, after in (
        ("", "abcdefghijklmnopq"),
        ("x", "ABCdef 0123456789"),
        (" ", "  \n/'s the end...."),
    ):
        for first in range(128):
            agree(pair, "".join(f"{before}{chr(first)}{chr(second)}{after}" for second in range(128)))


SORTS = ("a", "B", "1", " ", "\n", "\r", "\t", "/", ".", "'", "\x1c", "é", "中", "\u0301", "\u00a0")


def test_runs_of_every_length_end_where_they_do(pair: Pair) -> None:
    for sort in SORTS:
        for following in (*SORTS, ""):
            agree(pair, "".join(f"x {sort * size}{following}" for size in range(1, 36)))
            for size in range(1, 20):
                agree(pair, f"{sort * size}{following}")


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(st.tuples(st.sampled_from(SORTS), st.integers(1, 18)), max_size=30))
def test_runs_in_any_order(pair: Pair, parts: list[tuple[str, int]]) -> None:
    agree(pair, "".join(sort * size for sort, size in parts))


ALPHABETS = (
    "ab",
    "etaoin",
    "abcdefghijklmnopqrstuvwxyz",
    "!?.",
    "=-",
    "абвгд",
    "áéíóú",
    "中文字",
    "가나다라",
)
SYLLABLES = ("the", "ing", "inter", "nation", "al", "s", "un", "iz", "ation", "x", "zz", "qqqq")


def test_words_longer_than_any_window_merge_as_they_should(pair: Pair) -> None:
    seeded = random.Random(20261127)
    for alphabet in ALPHABETS:
        for size in (*range(120, 140), 300, 1000, 3000):
            agree(pair, "".join(seeded.choices(alphabet, k=size)))
    for size in (20, 40, 80, 300):
        for _ in range(20):
            agree(pair, "".join(seeded.choices(SYLLABLES, k=size)))
    for unit in ("\r\n", "=-", "- ", "aab", "~~~~-", "ab" * 20 + "c", "x" * 47 + "y", "-" * 90 + "="):
        for size in (*range(60, 70), 700):
            agree(pair, unit * size)


@pytest.mark.parametrize("unit", ["a", "z", "-", "=", "~", " ", "\n", "0", "*", "_", "\t", "\x00"])
def test_one_character_again_and_again(pair: Pair, unit: str) -> None:
    for size in (*range(1015, 1060), 1100, 1279, 1280, 2047, 2048, 2049, 5_001):
        agree(pair, unit * size)


def test_vocabularies_do_not_share_what_they_merged(tmp_path: Path) -> None:
    words = " ".join(f"zq{number}xk uncopyrightable Gesundheitsamt" for number in range(50))
    for encoding in (*ENCODINGS, *ENCODINGS):
        ours = open_vocabulary(encoding, tmp_path, {})
        assert [ours.count(words) for _ in range(2)] == [len(reference(encoding).encode_ordinary(words))] * 2

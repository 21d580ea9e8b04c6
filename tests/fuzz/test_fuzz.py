"""Every kept input, and some thousand more that a seed makes of them, shows no defect."""

from itertools import islice

import pytest

from tests.fuzz.mutation import mutations
from tests.fuzz.target import INPUT_BYTES_MAX, corpus, names, target

SEEDS = (1, 2)
MUTATIONS = 2500


def checked(name: str, data: bytes) -> None:
    try:
        target(name).check(data)
    except Exception as error:
        error.add_note(f"{name}: {data!r}")
        raise


@pytest.mark.parametrize("name", names())
def test_the_kept_inputs_show_no_defect(name: str) -> None:
    for data in corpus(name).values():
        checked(name, data)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", names())
def test_what_a_seed_makes_of_them_shows_no_defect(name: str, seed: int) -> None:
    inputs = list(corpus(name).values())
    for data in islice(mutations(seed, inputs, target(name).WORDS), MUTATIONS):
        checked(name, data)


@pytest.mark.parametrize("name", names())
def test_a_corpus_is_small(name: str) -> None:
    kept = corpus(name)
    assert 5 <= len(kept) <= 50
    assert max(map(len, kept.values())) <= INPUT_BYTES_MAX


def test_a_seed_determines_what_is_run() -> None:
    inputs = [b"one", b"another"]
    runs = [list(islice(mutations(7, inputs, [b"word"]), 50)) for _ in range(2)]
    assert runs[0] == runs[1]

"""tiktoken's own encodings, from the ranks that are installed, and a vocabulary held against one of them."""

import base64

import pytest
import tiktoken
import tiktoken_ext.openai_public as openai_public

from kpgate._fast.tokens import Vocabulary
from kpgate.stores.vocabulary import read_ranks

Pair = tuple[Vocabulary, tiktoken.Encoding]


def reference(encoding: str) -> tiktoken.Encoding:
    """tiktoken's own encoding, without a network."""
    ranks = {}
    for line in read_ranks(encoding, {}).splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: ranks)
        pattern = getattr(openai_public, encoding)()["pat_str"]
    return tiktoken.Encoding(encoding, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def agree(pair: Pair, text: str) -> None:
    """Assert that both find the same tokens, and count as many."""
    ours, theirs = pair
    expected = theirs.encode_ordinary(text)
    assert ours.encode(text) == expected
    assert ours.count(text) == len(expected)

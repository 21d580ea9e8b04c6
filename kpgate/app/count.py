"""Counting a text's tokens outside a gateway: which encoding a model has, and the count."""

from pathlib import Path

from kpgate.stores.vocabulary import open_vocabulary

# Source: tiktoken's model table (checked November 2026). Longer prefixes stand before shorter ones.
PREFIXES: tuple[tuple[str, str], ...] = (
    ("gpt-3.5", "cl100k_base"),
    ("gpt-35", "cl100k_base"),
    ("gpt-4o", "o200k_base"),
    ("gpt-4.1", "o200k_base"),
    ("gpt-4.5", "o200k_base"),
    ("gpt-4", "cl100k_base"),
    ("gpt-5", "o200k_base"),
    ("gpt-oss-", "o200k_base"),
    ("chatgpt-4o", "o200k_base"),
    ("o1", "o200k_base"),
    ("o3", "o200k_base"),
    ("o4-mini", "o200k_base"),
    ("text-embedding-", "cl100k_base"),
    ("davinci-002", "cl100k_base"),
    ("babbage-002", "cl100k_base"),
    ("ft:gpt-4o", "o200k_base"),
    ("ft:gpt-4.1", "o200k_base"),
    ("ft:gpt-4", "cl100k_base"),
    ("ft:gpt-3.5", "cl100k_base"),
)
ENCODINGS = ("cl100k_base", "o200k_base")


def encoding_for(model: str) -> str | None:
    """The encoding of a model, or of an encoding's own name; None when neither is known."""
    if model in ENCODINGS:
        return model
    name = model.rpartition("/")[2]
    return next((encoding for prefix, encoding in PREFIXES if name.startswith(prefix)), None)


def count_text(text: str, encoding: str, cache_dir: Path) -> int:
    """The tokens of a text, ordinary text throughout: what looks like a special token is not one."""
    return open_vocabulary(encoding, cache_dir).count(text)

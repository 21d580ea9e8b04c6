"""Counting a text's tokens outside a gateway: a thin line from a model's name to a number."""

from pathlib import Path

from kpgate.domain.encodings import encoding_for_model
from kpgate.stores.vocabulary import open_vocabulary


def count_text(text: str, model: str, cache_dir: Path) -> tuple[int, str, str]:
    """The tokens of a text, the encoding they were counted by, and how exact that is for the model.

    What looks like a special token is ordinary text.
    """
    encoding, grade = encoding_for_model(model)
    return open_vocabulary(encoding, cache_dir).count(text), encoding, grade

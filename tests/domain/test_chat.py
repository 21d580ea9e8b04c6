"""A chat in the neutral form: whoever looks first whether it asks for anything more overlooks nothing."""

from dataclasses import fields
from typing import Any

import pytest

from kpgate.domain.chat import Chat

BESIDE = {"turns", "output_cap", "stream", "user", "hints", "unknown"}
"""What is no more than an answer to its turns, or changes none."""
SAID: dict[str, Any] = {
    "choices": 2,
    "verbosity": "low",
    "modalities": ["audio"],
    "tools": [None],
    "stop": ["end"],
}


@pytest.mark.parametrize("name", sorted({one.name for one in fields(Chat)} - BESIDE))
def test_whatever_is_asked_for_is_more(name: str) -> None:
    assert not Chat([]).asks_more()
    chat = Chat([])
    setattr(chat, name, SAID.get(name, {"anything": "at all"} if name in ("voice", "metadata") else 1))
    assert chat.asks(name)
    assert chat.asks_more()

from collections.abc import Collection, Sequence
from typing import final

_Read = tuple[int, tuple[int, ...], int, tuple[int, ...], int, int, int]

@final
class Lexicon:
    def __new__(
        cls, words: Sequence[Collection[str]], scripts: Sequence[Sequence[tuple[int, int]]]
    ) -> Lexicon: ...
    @property
    def kinds(self) -> int: ...
    @property
    def script_count(self) -> int: ...
    def read(self, text: str, length_max: int) -> _Read: ...

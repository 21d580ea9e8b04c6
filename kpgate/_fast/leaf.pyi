from collections.abc import Callable, Sequence
from typing import final

from kpgate._fast.charge import Charge

@final
class Speller:
    def __init__(self, origin: str, kinds: Sequence[str], version: int, salting: bytes) -> None: ...
    def leaf(self, charge: Charge, party: str, terms: str) -> bytes: ...
    def hashes(
        self, charges: Sequence[Charge], party: Callable[[int], str], terms: Callable[[int], str]
    ) -> bytes: ...

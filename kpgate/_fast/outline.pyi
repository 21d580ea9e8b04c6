from collections.abc import Iterable
from typing import NamedTuple, final

__pyx_capi__: dict[str, object]

class Value(NamedTuple):
    string: bool = False
    null: bool = False
    items: Value | None = None
    members: dict[str, Value] | None = None
    required: tuple[str, ...] = ()
    single: bool = False
    mark: int = -1

@final
class Shape:
    def __init__(self, value: Value, counted: Iterable[int] = ()) -> None: ...

@final
class Outline:
    owner: int
    def __init__(self, *args: object, **kwargs: object) -> None: ...
    @property
    def count(self) -> int: ...
    def tally(self, mark: int) -> int: ...
    def spans(self, mark: int) -> list[tuple[int, int]]: ...
    def raw(self, mark: int) -> list[bytes]: ...

def outline(body: bytes, start: int, end: int, shape: Shape) -> Outline | None: ...

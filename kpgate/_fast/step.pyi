from collections.abc import Coroutine
from typing import Any

from typing_extensions import disjoint_base

from kpgate._fast.wait import Timer

@disjoint_base
class Step(Timer):
    def step(self) -> None: ...

class Aside(Step):
    def begin(self, loop: object, coroutine: Coroutine[Any, Any, object]) -> None: ...
    def over(self, error: BaseException | None) -> None: ...

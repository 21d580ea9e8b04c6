from typing_extensions import disjoint_base

from kpgate._fast.wait import Timer

@disjoint_base
class Step(Timer):
    def step(self) -> None: ...

from typing_extensions import disjoint_base

from kpgate._fast.lane import Lane
from kpgate._fast.step import Step

@disjoint_base
class Flow(Step):
    @property
    def lane(self) -> Lane: ...

from kpgate._fast.wait import Timer

class Step(Timer):
    def step(self) -> None: ...

from typing import final

@final
class Recall:
    def __init__(self) -> None: ...

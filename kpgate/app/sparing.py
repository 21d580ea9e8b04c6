"""What may come in floods, and of which only some is written down."""

MINUTE_US = 60_000_000


class Sparing:
    """Lets so many through a window of time and counts the others. Units: microseconds."""

    def __init__(self, most: int, window_us: int = MINUTE_US) -> None:
        self._most = most
        self._window_us = window_us
        self._window = -1
        self._let = 0
        self._missed = 0

    def let(self, now_us: int) -> bool:
        """Whether one more may pass."""
        window = now_us // self._window_us
        if window != self._window:
            self._window, self._let = window, 0
        self._let += 1
        if self._let > self._most:
            self._missed += 1
            return False
        return True

    def take_missed(self) -> int:
        """How many did not pass since this was last asked."""
        missed, self._missed = self._missed, 0
        return missed

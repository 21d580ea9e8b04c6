"""What failed in a background loop, told on standard error: where and as what, never with which values."""

import traceback
from collections.abc import Callable
from pathlib import Path

from kpgate.app.sparing import Sparing

WINDOW_US = 10_000_000


class Failures:
    """Tells of failures: of one that goes on once in ten seconds, with how often it was met and not told of.

    Units: `clock` microseconds, monotonic. Shape: `say` is given an event and its fields.
    """

    def __init__(self, say: Callable[..., None], clock: Callable[[], int]) -> None:
        self._say = say
        self._clock = clock
        # By what and where: as many as there are places in the source that fail.
        self._sparing: dict[tuple[str, str, int | None], Sparing] = {}

    def note(self, error: Exception) -> None:
        """Tell of an error, or count it."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        name, file, line = what = (type(error).__name__, Path(place.filename).name, place.lineno)
        sparing = self._sparing.setdefault(what, Sparing(1, WINDOW_US))
        if sparing.let(self._clock()):
            missed = sparing.take_missed()
            self._say(name, file=file, line=line, **({"missed": missed} if missed else {}))


def where(error: BaseException) -> list[str]:
    """Where an error arose, innermost last: places only, as its words may hold a caller's."""
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]

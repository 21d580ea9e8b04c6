"""How the server's threads share a core with the loop's: under load they wait until it rests.

A thread that wakes is let in at once while there is little to do. Where there is much, each reply would have the loop
broken in on by the thread that sends it: two switches a call. Then they are scheduled as batch work, which breaks in on
nobody; but not beside long work off the loop, which they would wait for. Owns how the kernel schedules the threads that
Python did not start; knows no server. Linux alone has this.
Source: sched(7) (November 2026); docs/decisions/0012-batch-under-load.md.
"""

import contextlib
import os
import threading
from pathlib import Path

BUSY_SHARE = 0.3
CALM_SHARE = 0.15
"""Of a core, used by the loop's thread alone."""
OWN_SHARE = 0.55
"""Of what the whole process uses: six to seven tenths where calls alone are served, less than half beside a long
prompt, whose bytes the server's threads carry."""
CALM_LOOKS = 10
TASKS = Path("/proc/self/task")


class Pace:
    """Looks at how busy the loop is. Order: made and asked on the loop's thread, which is the process's first one."""

    def __init__(self) -> None:
        self._looked_us = self._used_us = self._all_us = 0
        self._calm_looks = 0
        self._batch = False

    def look(self, now_us: int, used_us: int, all_us: int) -> None:
        """Told again and again. Units: microseconds on any steady clock; of CPU that the loop's thread and all of the
        process's have used."""
        passed_us, own_us, whole_us = now_us - self._looked_us, used_us - self._used_us, all_us - self._all_us
        self._looked_us, self._used_us, self._all_us = now_us, used_us, all_us
        if own_us < OWN_SHARE * whole_us:
            self._schedule(batch=False)
        elif own_us >= BUSY_SHARE * passed_us:
            self._calm_looks = 0
            self._schedule(batch=True)
        elif own_us >= CALM_SHARE * passed_us:
            self._calm_looks = 0
        else:
            self._calm_looks += 1
            if self._calm_looks == CALM_LOOKS:
                self._schedule(batch=False)

    def _schedule(self, *, batch: bool) -> None:
        if batch == self._batch or not TASKS.exists():
            return
        self._batch = batch
        policy, known = os.SCHED_BATCH if batch else os.SCHED_OTHER, _known()
        for task in TASKS.iterdir():
            if int(task.name) not in known:
                # One that has ended meanwhile, or a sandbox that allows none of this.
                with contextlib.suppress(OSError):
                    os.sched_setscheduler(int(task.name), policy, os.sched_param(0))


def _known() -> set[int | None]:
    """The threads that Python started, the first one among them."""
    return {thread.native_id for thread in threading.enumerate()}

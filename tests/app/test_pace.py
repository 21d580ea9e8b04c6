"""Whether the threads of a server are scheduled as batch work while the loop is busy, and those of Python never."""

import _thread
import os
import threading
from collections.abc import Iterator

import pytest

from kpgate.app.pace import CALM_LOOKS, TASKS, Pace

TICK_US = 100_000

pytestmark = pytest.mark.skipif(not TASKS.exists(), reason="only Linux schedules by thread")


class Looks:
    """A pace that is told of one tick after the other."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.now_us = self.used_us = self.all_us = 0
        self(0)

    def __call__(self, share: float, times: int = 1, beside: float = 0.05) -> None:
        for _ in range(times):
            self.now_us += TICK_US
            self.used_us += int(share * TICK_US)
            self.all_us += int((share + beside) * TICK_US)
            self.pace.look(self.now_us, self.used_us, self.all_us)


class Threads:
    """One that Python knows, and one that only the kernel does."""

    def __init__(self) -> None:
        self.over = threading.Event()
        begun = threading.Semaphore(0)

        def wait(name: str) -> None:
            setattr(self, name, threading.get_native_id())
            begun.release()
            self.over.wait()
            begun.release()

        self.own = self.foreign = 0
        self.known = threading.Thread(target=wait, args=("own",))
        self.known.start()
        _thread.start_new_thread(wait, ("foreign",))
        begun.acquire()
        begun.acquire()
        self._ended = begun

    def end(self) -> None:
        self.over.set()
        self.known.join()
        self._ended.acquire()
        self._ended.acquire()


@pytest.fixture
def threads() -> Iterator[Threads]:
    found = Threads()
    yield found
    found.end()


def test_what_the_server_started_is_batch_work_while_the_loop_is_busy(threads: Threads) -> None:
    look = Looks()
    look(0.2, times=50)
    assert os.sched_getscheduler(threads.foreign) == os.SCHED_OTHER
    look(0.6)
    assert os.sched_getscheduler(threads.foreign) == os.SCHED_BATCH
    assert os.sched_getscheduler(threads.own) == os.SCHED_OTHER
    assert os.sched_getscheduler(os.getpid()) == os.SCHED_OTHER
    look(0.2, times=50)
    look(0.1, times=CALM_LOOKS - 1)
    assert os.sched_getscheduler(threads.foreign) == os.SCHED_BATCH, "a pause is no calm"
    look(0.1)
    assert os.sched_getscheduler(threads.foreign) == os.SCHED_OTHER


def test_beside_long_work_off_the_loop_nobody_waits_for_it(threads: Threads) -> None:
    look = Looks()
    look(0.45, beside=0.55)
    assert os.sched_getscheduler(threads.foreign) == os.SCHED_OTHER
    look(0.6, beside=0.3)
    assert os.sched_getscheduler(threads.foreign) == os.SCHED_BATCH
    look(0.35, beside=0.6)
    assert os.sched_getscheduler(threads.foreign) == os.SCHED_OTHER, "at once"


def test_a_sandbox_that_forbids_it_changes_nothing(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(task: int, policy: int, param: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    Looks()(0.9)
    assert os.sched_getscheduler(threads.foreign) == os.SCHED_OTHER

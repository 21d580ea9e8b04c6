"""The way to management from a command: through the clerk while a gateway runs, else straight to the data directory.

What it takes to carry an operation out by itself is loaded here and by the clerk; workers only ask.
"""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from kpgate.app.bank import opened
from kpgate.app.control import PATIENCE_S, PAUSE_S, Ask, Control, lost, new_id, wall_us
from kpgate.app.directory import Directory
from kpgate.app.office import Office
from kpgate.domain.audit import GATEWAY, Actor
from kpgate.domain.errors import StoreUnavailable
from kpgate.domain.management import Asked, Ping
from kpgate.domain.settings import Ledger
from kpgate.services.management import Management
from kpgate.stores.audit import SqliteAudit
from kpgate.stores.sqlite import SqliteStore

ALONE = Ledger(enabled=True)


def operator() -> Actor:
    """Whoever runs this process: on the machine itself, so everything is up to them."""
    return Actor(via="cli", peer=f"uid {os.getuid()}", request=new_id())


@contextmanager
def reach(directory: Directory, patience_s: float = PATIENCE_S, actor: Actor = GATEWAY) -> Iterator[Ask]:
    """Whatever carries out what somebody asks for: the clerk if a gateway runs, else the store itself, held alone.

    Errors: StoreUnavailable when the directory is in use and no clerk answers in time.
    """
    deadline = time.monotonic() + patience_s
    while True:
        lock = directory.join(alone=True)
        if lock is not None:
            try:
                yield from _directly(directory, actor)
            finally:
                os.close(lock)
            return
        with suppress(StoreUnavailable):
            control = Control(directory, PAUSE_S)
            control.ask(Ping(id=new_id()))
            break
        if time.monotonic() >= deadline:
            raise lost()
        time.sleep(PAUSE_S)
    yield Control(directory, patience_s, actor).ask


def _directly(directory: Directory, actor: Actor) -> Iterator[Ask]:
    pepper = directory.pepper()
    with closing(SqliteStore(directory.store)) as store:
        # Nobody serves, so there is nobody to tell.
        audit = SqliteAudit(store.connection)
        management = Management(store, pepper, lambda kind, number: True, wall_us, audit.append)
        office = Office(audit, management, wall_us, opens=lambda: opened(directory, ALONE, store, wall_us))
        yield lambda operation: office.answer(Asked(operation, actor))

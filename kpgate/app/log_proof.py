"""Every log of receipts proved: leaves against charges, heads against leaves and signers. For `kpgate ledger check`.

It must not know what a receipt says.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import apsw
import msgspec

from kpgate._fast.charge import Charge
from kpgate.app.log_check import head_problem, publics
from kpgate.app.verify import Signer, vouched
from kpgate.domain.ledger import show_call
from kpgate.domain.receipt import follower, leaves, log_secret
from kpgate.stores.log import Damaged, SqliteLog


def log_problems(
    connection: apsw.Connection, pepper: bytes, terms: Callable[[int], str], followed: bool
) -> Iterator[str]:
    """Of every log each leaf against the charge that it is rebuilt from, every tile, head and signer.

    Shape: `terms` spell a price by its version; a log that another one was begun for, as leaves of it were gone, is
    proved only where `followed` ones are to be.
    """
    logs = SqliteLog(connection).all()
    ends = [one.since for one in logs[1:]] + [1 << 62]
    if logs:
        yield from _signer_problems(logs[0])
    elif connection.execute("SELECT EXISTS (SELECT 1 FROM charges)").fetchall()[0][0]:
        yield "calls were charged, but there is no log of them"
    before = ""
    # Where nothing was ever charged there is no log, and one end too many.
    for log, until in zip(logs, ends, strict=False):
        if not before and log.since:
            yield f"the log {log.origin} is the first, and does not begin with the first charge"
        if log.before and (follower(log.before) != log.origin or log.before.partition(":")[0] != before):
            yield f"the log {log.origin} is not the one that follows {before}"
        before = log.origin
        if not followed and is_followed(log):
            continue
        charged = "FROM charges WHERE lsn >= ? AND lsn < ?"
        charges = connection.execute(f"SELECT count(*) {charged}", (log.since, until)).fetchall()[0][0]
        if charges != log.size:
            yield f"the log {log.origin} has {log.size} leaves, but {charges} calls were charged"
        rows = connection.execute(f"SELECT lsn, hold, post, leaf {charged} ORDER BY lsn", (log.since, until))
        misplaced: list[str] = []
        spelled = leaves(_in_order(rows, misplaced.append), terms, log.origin, log_secret(pepper, log.origin))
        try:
            log.check_all(spelled, partial(head_problem, log, known=publics(log)))
        except Damaged as error:
            yield str(error)
        except (ValueError, msgspec.MsgspecError) as error:
            yield f"the log {log.origin} has a leaf of a charge that cannot be read: {error}"
        yield from misplaced[:1]


def is_followed(log: SqliteLog) -> bool:
    """Whether leaves of a log are gone that its newest head covers, and the next log says that it follows that head."""
    head, after = log.head(), log.follower()
    return (
        head is not None
        and head.size > log.size
        and after.startswith(f"{log.origin}:{head.size}:{head.root.hex()}:")
        and not head_problem(log, head, publics(log))
    )


def _in_order(rows: Iterator[tuple[Any, ...]], say: Callable[[str], object]) -> Iterator[Charge]:
    """Charges as a log has them; `say` is told of those that claim to be other leaves."""
    for index, (lsn, hold, post, leaf) in zip(count(), rows, strict=False):
        charge = Charge(lsn, hold, post)
        if leaf != index:
            say(f"{show_call(charge.call)}: it is leaf {index}, the store says {leaf}")
        yield charge


def _signer_problems(log: SqliteLog) -> Iterator[str]:
    """What does not hold of those who signed, whoever vouches for them."""
    try:
        signers = msgspec.convert(log.signers(), list[Signer])
    except msgspec.ValidationError as error:
        yield f"signers: {error}"
        return
    yield from vouched(signers, "")[1]

"""The log of receipts as a start finds it: the newest head against its tree and the key that signed it.

Where leaves are gone that it covers, another log begins. All the rest of a log is `log_proof`'s to prove.
"""

import json
from collections.abc import Callable

import apsw

from kpgate.app.signing import is_signed, key_id
from kpgate.domain.audit import GATEWAY, OK, Entry
from kpgate.domain.receipt import head_bytes
from kpgate.stores.audit import SqliteAudit
from kpgate.stores.log import Damaged, Head, Shortened, SqliteLog
from kpgate.stores.tokens import SqliteTokens

FOLLOWED = "log.follow"


def follow_shortened(
    log: SqliteLog, connection: apsw.Connection, wall_us: Callable[[], int]
) -> dict[str, str]:
    """Look at the newest head; where it covers leaves that are gone, another log begins, which names that head.

    Shape: what happened, empty where all fits. Errors: Damaged, apsw.Error.
    """
    head = log.head()
    if head is not None and (problem := head_problem(log, head, publics(log))):
        raise Damaged(problem)
    try:
        log.check()
        return {}
    except Shortened as error:
        assert head is not None, "it covers too much"
        said = {"problem": str(error), "follows": log.origin}
        with connection:
            log.follow(head.size, head.root)
            said["log"] = log.origin
            # Tokens' keys are made of the log's name: workers are to read it anew, where there are some already.
            SqliteTokens(connection).add_signer(wall_us(), wall_us())
            SqliteAudit(connection).append(Entry(wall_us(), GATEWAY, FOLLOWED, json.dumps(said), OK))
        return said


def publics(log: SqliteLog) -> dict[str, bytes]:
    """The public keys of those who signed, by id."""
    return {one["id"]: bytes.fromhex(one["public"]) for one in log.signers()}


def head_problem(log: SqliteLog, head: Head, known: dict[str, bytes]) -> str:
    """Why a head is not one that was signed; empty where it is."""
    public = known.get(head.key)
    if public is None:
        return f"head {head.size} of log {log.origin} is signed by {head.key}, which is not among the signers"
    if key_id(public) != head.key:
        return f"signer {head.key}: it is not its public key's id"
    said = head_bytes(log.origin, head.size, head.root, head.time_us, head.key)
    if not is_signed(public, head.signature, said):
        return f"head {head.size} of log {log.origin} is not as {head.key} signed it"
    return ""

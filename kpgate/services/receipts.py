"""Receipts: leaves made of charges, heads signed, proofs given to whom a call belongs.

The log itself is a store's. Order: a head is stored before it is shown, and covers only what is committed.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from kpgate._fast.charge import Charge
from kpgate._fast.journal import POST
from kpgate.domain.errors import NotFound
from kpgate.domain.ledger import read_call, read_end, read_hold
from kpgate.domain.receipt import hashes, head_bytes, leaves, receipt
from kpgate.stores.ledger import SqliteLedger
from kpgate.stores.log import Head, SqliteLog


class Signs(Protocol):
    """A key that signs heads."""

    id: str

    def sign(self, message: bytes) -> bytes: ...


class Receipts:
    """The log of one ledger. `secret`, an origin's, keeps parties and calls from being guessed.

    Units: `wall_us` since 1970.
    """

    def __init__(
        self, log: SqliteLog, secret: Callable[[str], bytes], signer: Signs, wall_us: Callable[[], int]
    ) -> None:
        self._log = log
        self._secret = secret
        self._signer = signer
        self._wall_us = wall_us
        self._signed = head.size if (head := log.head()) else 0

    def sign_with(self, signer: Signs) -> None:
        """Have another key sign from now on; what is committed by now the old one signs."""
        self.sign()
        self._signer = signer

    def append(self, ledger: SqliteLedger, charges: Sequence[Charge]) -> int:
        """Make leaves of charges; the index of the first. Order: within the posting's transaction."""
        log, terms = self._log, ledger.terms
        if charges and charges[0].lsn < log.since:
            return log.append([self.leaf(ledger, one) for one in charges])
        return log.append_hashes(hashes(charges, terms, log.origin, self._secret(log.origin)))

    def forget(self) -> None:
        """The transaction failed."""
        self._log.forget()

    def sign(self) -> Head | None:
        """Sign a head over all that is committed, where there is more than was signed."""
        size = self._log.size
        if size <= self._signed:
            return None
        root, now_us = self._log.root(size), self._wall_us()
        said = head_bytes(self._log.origin, size, root, now_us, self._signer.id)
        head = Head(size, root, now_us, self._signer.id, self._signer.sign(said))
        self._log.keep_head(head)
        self._signed = size
        return head

    def show(self, ledger: SqliteLedger, call: str, party: int | None) -> dict[str, Any]:
        """A call's receipt with its proof, as `kpgate verify` reads it. Shape: `party` None for whoever manages.

        Errors: NotFound, also for another party's.
        """
        try:
            found = ledger.charge(read_call(call))
        except ValueError:
            found = None
        if found is None or (party is not None and found[0] != party):
            raise NotFound(f"there is no receipt {call[:40]!r}: it was not charged, or is another party's")
        _, index, refunded, charge = found
        log = self._log.covering(charge.lsn)
        if log is self._log and index >= self._signed:
            self.sign()
        head = log.head()
        assert head is not None, "what is posted is signed"
        return {
            "leaf": self._receipt(ledger, charge),
            "index": index,
            "proof": [step.hex() for step in log.inclusion(index, head.size)],
            "head": _show_head(log.origin, head),
            "signers": self._log.signers(),
            "price_terms": ledger.terms(charge.price_version),
            "refunded_microkpt": refunded,
        }

    def show_log(self, before: int, size: int) -> dict[str, Any]:
        """The newest head, or the first that covers `size`, and the proof that the log of `before` is its beginning.

        Errors: NotFound for sizes that are not there.
        """
        if size <= 0:
            self.sign()
        head = self._log.head(size)
        if head is None or before > head.size:
            raise NotFound("the log has no head of such a size yet")
        proof = self._log.consistency(before, head.size) if before else []
        return {
            "head": _show_head(self._log.origin, head),
            "before": before,
            "proof": [step.hex() for step in proof],
            "signers": self._log.signers(),
            **({"continues": self._log.before} if self._log.before else {}),
        }

    def leaf(self, ledger: SqliteLedger, charge: Charge) -> bytes:
        """The bytes of a charge's leaf."""
        origin = self._log.covering(charge.lsn).origin
        return next(leaves([charge], ledger.terms, origin, self._secret(origin)))

    def _receipt(self, ledger: SqliteLedger, charge: Charge) -> dict[str, Any]:
        terms = ledger.terms(charge.price_version)
        origin = self._log.covering(charge.lsn).origin
        hold, end = read_hold(charge.call, charge.hold), read_end(charge.lsn, POST, charge.post)
        return receipt(hold, end, terms, origin, self._secret(origin))


def _show_head(origin: str, head: Head) -> dict[str, Any]:
    return {
        "log": origin,
        "size": head.size,
        "root": head.root.hex(),
        "time_us": head.time_us,
        "key": head.key,
        "signature": head.signature.hex(),
    }

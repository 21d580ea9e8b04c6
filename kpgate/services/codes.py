"""Redemption codes: made, listed, ended, and redeemed once, whatever happens.

Redeeming is one operation of the ledger, whose id comes from the code: who asks again, after a crash or at the same
time, asks for the same operation. Order: the clerk's alone.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from hashlib import blake2b

import msgspec

from kpgate.domain.code import (
    CodeOperation,
    CreateCodes,
    ListCodes,
    RedeemCode,
    RevokeCode,
    mint,
    read_code,
)
from kpgate.domain.durations import instant
from kpgate.domain.errors import Conflict, IdReused, InvalidCode, InvalidRequest, NotFound, RateLimited
from kpgate.domain.keys import digest
from kpgate.domain.ledger import CODE
from kpgate.domain.management import Answer
from kpgate.domain.money import Movement, Transfer
from kpgate.stores.codes import Code, SqliteCodes

WRONG_MAX = 10
WRONG_WINDOW_US = 60_000_000
PARTIES_MAX = 10_000
REFUSED_MAX = 100
"""So often the ledger may refuse to credit what a code is worth, before the code is good for nothing."""


class Tools(msgspec.Struct, frozen=True):
    """What codes are redeemed with: `transfer` and `settle` are the ledger's, `transaction` the store's.

    Units: `time_us` the ledger's time, microseconds since 1970, which never goes back; `clock` monotonic.
    """

    store: SqliteCodes
    transfer: Callable[[Transfer], Answer]
    settle: Callable[[], None]
    transaction: Callable[[], AbstractContextManager[None]]
    time_us: Callable[[], int]
    clock: Callable[[], int]
    pepper: bytes


class Codes:
    """Answers operations on codes."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._store = tools.store
        self._wrong: dict[str, tuple[int, int]] = {}

    def answer(self, operation: CodeOperation) -> Answer:
        """Carry an operation out.

        Errors: InvalidRequest, NotFound, Conflict, IdReused, InvalidCode, RateLimited, and those of a transfer.
        """
        # What was decided and is not in the store yet may be a code that was redeemed.
        self._tools.settle()
        match operation:
            case CreateCodes():
                return self._create(operation)
            case ListCodes():
                found = self._store.select(operation.after, operation.count)
                more = found[-1].number if len(found) == operation.count else None
                return {"codes": [self._show(code) for code in found], "after": more}
            case RevokeCode():
                return self._revoke(operation.code)
            case RedeemCode():
                return self._redeem(operation)

    def _create(self, operation: CreateCodes) -> Answer:
        # Who asks again an hour later for codes that last 30 days asks for the same ones: instants are left out.
        asked = msgspec.structs.replace(operation, expires_us=0, grant_expires_us=0)
        content = digest(self._tools.pepper, msgspec.json.encode(asked))
        seed = blake2b(operation.id.encode(), key=self._tools.pepper, person=b"kpgate.codes").digest()
        made = [mint(seed, place) for place in range(operation.count)]
        before = self._store.batch(operation.id)
        if before is not None and before[0] != content:
            raise IdReused("this id was used for other codes")
        expires_us = operation.expires_us if before is None else before[1]
        if before is None:
            now_us = self._tools.time_us()
            for name, at_us in (
                ("expires", operation.expires_us),
                ("grant_expires", operation.grant_expires_us),
            ):
                if at_us and at_us <= now_us:
                    raise InvalidRequest(f"{name}: lies in the past", param=name)
            terms = (
                operation.amount,
                operation.memo,
                now_us,
                operation.expires_us,
                operation.grant_expires_us,
            )
            hashes = [(code_id, self._digest(letters)) for code_id, letters, _ in made]
            with self._tools.transaction():
                self._store.add(operation.id, content, hashes, terms)
        return {
            "amount_microkpt": operation.amount,
            "expires_at": instant(expires_us),
            "codes": [{"id": code_id, "code": code} for code_id, _, code in made],
        }

    def _revoke(self, code_id: str) -> Answer:
        code = self._store.get(code_id)
        if code is None:
            raise NotFound(f"no code has the id {code_id[:32]!r}")
        if code.party is not None:
            raise Conflict("this code was redeemed: take the credit back with a clawback")
        with self._tools.transaction():
            self._store.revoke(code_id, self._tools.time_us())
        code = self._store.get(code_id)
        assert code is not None, "codes stay"
        return self._show(code)

    def _redeem(self, operation: RedeemCode) -> Answer:
        party = operation.party
        self._check_tries(party)
        letters = read_code(operation.code.reveal())
        code = None if letters is None else self._store.find(self._digest(letters))
        if code is None or not self._is_for(code, party):
            self._note_wrong(party)
            raise InvalidCode("the code is not known, or cannot be redeemed any more", param="code")
        if code.party is None:
            tries = self._store.tries(code.id)
            movement = Movement(
                kind="grant" if code.grant_expires_us else "top_up",
                party=party,
                amount=code.amount,
                memo=code.memo,
                expires_us=code.grant_expires_us,
            )
            self._tools.transfer(Transfer(id=f"{CODE}{code.id}:{tries}", movements=(movement,)))
        return {
            "party": party,
            "code": code.id,
            "amount_microkpt": code.amount,
            "expires_at": instant(code.grant_expires_us),
        }

    def _check_tries(self, party: str) -> None:
        began_us, count = self._wrong.get(party, (0, 0))
        left_us = began_us + WRONG_WINDOW_US - self._tools.clock()
        if count >= WRONG_MAX and left_us > 0:
            raise RateLimited("too many codes that are none: wait a minute", retry_after_us=left_us)

    def _note_wrong(self, party: str) -> None:
        now_us = self._tools.clock()
        began_us, count = self._wrong.pop(party, (now_us, 0))
        if now_us - began_us >= WRONG_WINDOW_US:
            began_us, count = now_us, 0
        if len(self._wrong) >= PARTIES_MAX:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[party] = (began_us, count + 1)

    def _digest(self, letters: str) -> bytes:
        return digest(self._tools.pepper, b"code:" + letters.encode())

    def _is_for(self, code: Code, party: str) -> bool:
        """Whether a party may redeem a code, or has."""
        if code.party is None:
            return self._state(code) == "active" and self._store.tries(code.id) < REFUSED_MAX
        return code.party == party

    def _state(self, code: Code) -> str:
        now_us = self._tools.time_us()
        if code.party is not None:
            return "redeemed"
        if code.revoked_us:
            return "revoked"
        over = any(0 < end_us <= now_us for end_us in (code.expires_us, code.grant_expires_us))
        return "expired" if over else "active"

    def _show(self, code: Code) -> Answer:
        return {
            "id": code.id,
            "amount_microkpt": code.amount,
            "memo": code.memo,
            "state": self._state(code),
            "created_at": instant(code.created_us),
            "expires_at": instant(code.expires_us),
            "grant_expires_at": instant(code.grant_expires_us),
            "redeemed_by": code.party,
            "redeemed_at": instant(code.redeemed_us or 0),
        }

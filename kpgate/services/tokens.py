"""Party tokens: signed for a key, listed, revoked; and the budgets that count what each of them spends.

A token's budget is a number of the region's that serves one token after the other. It is given on once nothing is held
in it and the one before has ended for long enough; its tag then says another name, in the region first, in the store
next, and only then is the token shown to anybody. Order: the clerk's alone.
Source: docs/decisions/0008-party-tokens.md.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from kpgate._fast.account import BUSY, BudgetState
from kpgate.domain.audit import OK, Entry
from kpgate.domain.caller import AUDITOR, Caller
from kpgate.domain.durations import instant
from kpgate.domain.errors import (
    IdReused,
    InvalidApiKey,
    InvalidRequest,
    NotFound,
    RoleRequired,
    StoreUnavailable,
    TooManyTokens,
)
from kpgate.domain.keys import digest
from kpgate.domain.management import Answer, Asked, entry
from kpgate.domain.roles import narrowed_models
from kpgate.domain.token import (
    LIFE_MAX_US,
    LIFE_US,
    LIVE_MAX,
    TOKEN_BYTES_MAX,
    ListTokens,
    RevokeToken,
    RotateTokenSigner,
    ShowToken,
    SignToken,
    Token,
    TokenOperation,
)
from kpgate.stores.ledger import BudgetRow
from kpgate.stores.tokens import Shown, Signers, SqliteTokens

LOCK_TRIES = 1000
RETRY_US = 250_000
TRIED = 16
"""So many numbers that are free by now are looked at, for one in which nothing is held."""
SECOND_US = 1_000_000


class Cells(Protocol):
    """The budgets in the region, as the clerk changes them."""

    def budget(self, number: int) -> BudgetState | None: ...

    def load_budget(
        self,
        number: int,
        caps: tuple[int, int, int],
        days: tuple[tuple[int, int], ...] = ...,
        months: tuple[tuple[int, int], ...] = ...,
        total_used: int = ...,
        tag: int = ...,
    ) -> int: ...


class Keys(Protocol):
    """Who owns a key."""

    def get(self, key_id: str) -> Any: ...

    def transaction(self) -> AbstractContextManager[None]: ...


class Signs(Protocol):
    """What spells tokens."""

    def sign(self, token: Token, key: str, signers: Signers) -> str: ...


class Tools(msgspec.Struct, frozen=True):
    """What tokens are kept with. `publish` tells workers what has changed, `note` adds a row to the audit log; `caps`
    are those of a budget by number; `settle` posts all that is decided; `cells_max` is how many budgets the region has.

    Units: microseconds since 1970: `time_us` as decisions see it, which never goes back, `wall_us` as workers judge by.
    """

    store: SqliteTokens
    cells: Cells
    keys: Keys
    signs: Signs
    publish: Callable[[], bool]
    note: Callable[[Entry], object]
    caps: Callable[[int], tuple[int, int, int]]
    settle: Callable[[], None]
    time_us: Callable[[], int]
    wall_us: Callable[[], int]
    pepper: bytes
    cells_max: int
    live_max: int = LIVE_MAX


class Tokens:
    """Answers operations on party tokens."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._store = tools.store

    def answer(self, asked: Asked) -> Answer:
        """Carry an operation out; a change is in the audit log with it.

        Errors: InvalidRequest, InvalidApiKey, RoleRequired, NotFound, IdReused, TooManyTokens, StoreUnavailable.
        """
        operation: TokenOperation = asked.what  # type: ignore[assignment]
        match operation:
            case SignToken():
                return self._sign(operation, asked)
            case ListTokens():
                return self._list(operation)
            case ShowToken():
                return self._show(self._get(operation.token))
            case RevokeToken():
                return self._revoke(operation, asked)
            case RotateTokenSigner():
                return self._rotate(operation, asked)

    def mend(self, row: BudgetRow) -> None:
        """Have the region agree with the store about whose a budget is, which a clerk that died may not have done.

        Rule: where they differ nothing is held in it, and nobody can hold under the tag that the store has: what its
        token used is what is posted, once all is.
        """
        if self._read(row.number).tag != row.tag:
            self._tools.settle()
            self._load(row.number, row.tag, row.caps[2], self._store.used(row.number, row.tag))

    def _now_us(self) -> int:
        """When a token is over at the earliest: of a wall clock that is set back none lives anew."""
        return max(self._tools.time_us(), self._tools.wall_us())

    # Signing

    def _sign(self, operation: SignToken, asked: Asked) -> Answer:
        tools, now_us = self._tools, self._now_us()
        caller = self._parent(operation.key, now_us)
        named = f"{caller.number}:{operation.id}".encode()
        token_id = blake2b(named, key=tools.pepper, person=b"kpgate token id", digest_size=16).hexdigest()
        # Who asks again a minute later for a token that lasts an hour asks for the same one.
        wanted = msgspec.structs.replace(operation, life_us=0)
        content = digest(tools.pepper, msgspec.json.encode(wanted))
        signers = self._store.signers()
        before = self._store.get(token_id)
        if before is None:
            token = self._drafted(operation, caller, token_id, signers)
            token = self._keep(token, content, asked, caller.key_id)
        else:
            token = before.token
            if self._store.content(token.number) != content:
                raise IdReused("this id was used for another token")
        if token.expires_us > now_us:
            self._enforce(token)
        said = self._told(token, caller.key_id, caller.party.name)
        return {**said, "token": tools.signs.sign(token, caller.key_id, signers)}

    def _parent(self, key_id: str, now_us: int) -> Caller:
        """The key that asks, as it is now.

        Errors: InvalidApiKey, NotFound; RoleRequired for one that makes no calls.
        """
        key = self._tools.keys.get(key_id)
        if key is None:
            raise NotFound(f"no key has the id {key_id!r}")
        caller: Caller = key.caller
        if key.revoked_us or 0 < caller.expires_us <= now_us:
            raise InvalidApiKey("the API key was revoked or has expired")
        if caller.role == AUDITOR:
            raise RoleRequired("a key of the role auditor reads: it makes no calls, and has no tokens signed")
        return caller

    def _drafted(self, operation: SignToken, caller: Caller, token_id: str, signers: Signers) -> Token:
        """What is to be signed, no wider than the key's own. Errors: InvalidRequest, TooManyTokens."""
        now_us = self._now_us()
        for cap in self._tools.caps(caller.budget) if caller.budget else ():
            if 0 < cap < operation.cap:
                raise InvalidRequest(f"cap: the key itself may spend {cap} microKPT", param="cap_microkpt")
        made_us = now_us - now_us % SECOND_US
        ends_us = made_us + (operation.life_us or LIFE_US)
        if caller.expires_us and caller.expires_us < ends_us:
            if operation.life_us:
                raise InvalidRequest("expires: the key itself ends before that", param="expires")
            ends_us = caller.expires_us
        ends_us -= ends_us % SECOND_US
        if not now_us < ends_us <= made_us + LIFE_MAX_US:
            raise InvalidRequest("expires: expected from a second to a day", param="expires")
        live, first_us = self._store.live(caller.number, now_us)
        if live >= self._tools.live_max:
            raise TooManyTokens(
                f"the key has {live} live tokens, as many as it may have",
                retry_after_us=max(1, first_us - now_us),
            )
        return Token(
            number=0,
            id=token_id,
            key=caller.number,
            budget=0,
            tag=1,
            cap=operation.cap,
            models=narrowed_models(caller.models, operation.models),
            expires_us=ends_us,
            made_us=made_us,
            label=operation.label,
            signer=signers.known[-1][0],
        )

    def _keep(self, token: Token, content: bytes, asked: Asked, key: str) -> Token:
        """Find a budget for a new token, and keep both."""
        if len(self._tools.signs.sign(token, key, self._store.signers())) > TOKEN_BYTES_MAX - 64:
            raise InvalidRequest("models: too many, or too long, for a token", param="models")
        for number, tag in self._store.free_budgets(self._now_us(), TRIED):
            if self._take_over(number, tag + 1, token.cap):
                token = msgspec.structs.replace(token, budget=number, tag=tag + 1)
                break
        with self._tools.keys.transaction():
            token = self._store.add(token, content)
            if token.budget >= self._tools.cells_max:
                raise TooManyTokens(
                    "there is no room for more tokens on this node: raise [ledger] accounts_max",
                    retry_after_us=SECOND_US,
                )
            self._tools.note(entry(asked, self._tools.wall_us(), OK, token=token.id))
        return token

    def _take_over(self, number: int, tag: int, cap: int) -> bool:
        """Have a budget be another token's, unless something is held in it still."""
        try:
            self._load(number, tag, cap, 0)
        except ValueError:
            return False
        return True

    def _enforce(self, token: Token) -> None:
        """Have the region count for a token, if it does not yet, and nobody else has its number by now."""
        if self._read(token.budget).tag != token.tag and self._store.tag(token.budget) == token.tag:
            self._tools.settle()
            self._load(token.budget, token.tag, token.cap, self._store.used(token.budget, token.tag))

    def _load(self, number: int, tag: int, cap: int, used: int) -> None:
        """Errors: ValueError while something is held."""
        for _ in range(LOCK_TRIES):
            if self._tools.cells.load_budget(number, (0, 0, cap), (), (), used, tag) != BUSY:
                return
        raise StoreUnavailable("the token is kept and not yet in force", retry_after_us=RETRY_US)

    def _read(self, number: int) -> BudgetState:
        for _ in range(LOCK_TRIES):
            state = self._tools.cells.budget(number)
            if state is not None:
                return state
        raise StoreUnavailable("the budgets could not be read in time", retry_after_us=RETRY_US)

    # The rest

    def _list(self, operation: ListTokens) -> Answer:
        now_us = self._now_us()
        found = self._store.select(now_us, operation.key, operation.party, operation.after, operation.count)
        more = found[-1].token.number if len(found) == operation.count else None
        return {"tokens": [self._show(one) for one in found], "after": more}

    def _get(self, token_id: str, key: str = "", party: str = "") -> Shown:
        found = self._store.get(token_id)
        if found is None or (key and found.key != key) or (party and found.party != party):
            raise NotFound(f"no party token has the id {token_id}")
        return found

    def _revoke(self, operation: RevokeToken, asked: Asked) -> Answer:
        found = self._get(operation.token, operation.key, operation.party)
        if not found.token.revoked_us:
            now_us = self._now_us()
            with self._tools.keys.transaction():
                self._store.revoke(found.token.number, now_us)
                self._tools.note(entry(asked, now_us, OK))
        self._tell()
        return self._show(self._get(operation.token))

    def _rotate(self, operation: RotateTokenSigner, asked: Asked) -> Answer:
        """Asked twice it is done twice, which costs nothing."""
        now_us = self._now_us()
        until_us = now_us if operation.at_once else now_us + LIFE_MAX_US
        with self._tools.keys.transaction():
            self._store.add_signer(now_us, until_us)
            self._tools.note(entry(asked, now_us, OK))
        self._tell()
        return {"id": operation.id, "done": True, "signer": self._store.signers().known[-1][0]}

    def _tell(self) -> None:
        if not self._tools.publish():
            raise StoreUnavailable("the change is kept and not yet in force", retry_after_us=RETRY_US)

    def _show(self, one: Shown) -> Answer:
        return self._told(one.token, one.key, one.party)

    def _told(self, token: Token, key: str, party: str) -> Answer:
        """A token as its key sees it, and management. Units: microKPT; instants are RFC 3339 in UTC."""
        seen = self._read(token.budget)
        # Whoever has ended for long is not looked at any more: its budget is another's.
        used, held = (seen.total.used, seen.total.held) if seen.tag == token.tag else (None, None)
        return {
            "id": token.id,
            "key": key,
            "party": party,
            "label": token.label,
            "models": list(token.models),
            "cap_microkpt": token.cap,
            "used_microkpt": used,
            "held_microkpt": held,
            "made_at": instant(token.made_us),
            "expires_at": instant(token.expires_us),
            "revoked_at": instant(token.revoked_us),
        }

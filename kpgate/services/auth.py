"""AUTH: who is calling, from where, and which models they may use. A warm request asks no store.

A worker keeps the hash of every key of the node in a compact set, so that a flood of unknown keys costs memory
look-ups only, and the keys in use in a bounded cache. What changes is dropped by the region's ring of changes,
before the next request is looked at. A party token needs no store at all: its signature says who signed it, once.
No credential is kept, shown or logged here: only keyed hashes.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Protocol, TypeVar

import msgspec

from kpgate.domain.access import Address, Network, client_address, matches, read_address, read_network, within
from kpgate.domain.caller import ANONYMOUS, AUDITOR, CALL, Caller, Party
from kpgate.domain.errors import (
    InvalidApiKey,
    ModelNotAllowed,
    RoleRequired,
    SourceNotAllowed,
    StoreUnavailable,
)
from kpgate.domain.fingerprints import Fingerprints
from kpgate.domain.keys import Found, is_ours, is_whole, peppered
from kpgate.domain.token import Token, is_token
from kpgate.domain.whole import Whole
from kpgate.stores.protocol import KEY, PARTY, TIER, TOKEN, TOKEN_SIGNER, KeyReader

Q = TypeVar("Q")
A = TypeVar("A")

MEMO_MAX = PARENTS_MAX = 10_000
REVOKED_MAX = 100_000
CHANCES_MAX = 64
"""So many keys that were used meanwhile are passed over where one has to leave the cache."""
NO_CHANGE = (1 << 63) - 1
REVOKED = "the party token was revoked"
PAUSE_US = 100_000
"""After a store failed, for how long it is not asked again."""


class Changes(Protocol):
    """The ring in which changes of keys are published: the region."""

    @property
    def generation(self) -> int:
        """The number of the newest change."""

    def changes(self, since: int) -> tuple[int, list[tuple[int, int]] | None]:
        """What changed after `since`, as (kind, number), and the generation reached; None for "all of it"."""


class Eyes(Protocol):
    """What reads party tokens."""

    def learn(self) -> set[int]:
        """Read who signs, and the numbers of tokens that were revoked. Errors: StoreUnavailable."""

    def read(self, credential: bytes) -> Token:
        """What a token says. Errors: InvalidApiKey, which says why it is none."""


class Terms(msgspec.Struct, frozen=True):
    """What a configuration says about callers. `trusted` are the operator's own proxies."""

    enabled: bool = True
    trusted: tuple[Network, ...] = ()


class Entry:
    """A key or party token in the cache: its caller, or what is said to whoever uses a dead one.

    Units: `until_us` microseconds since the epoch, 0 for never. Shape: `token` is a token's number, 0 for a key;
    `used` says that it was asked for since its place in the cache was looked at.
    """

    __slots__ = ("caller", "gone", "networks", "token", "until_us", "used")

    def __init__(
        self,
        caller: Caller,
        until_us: int = 0,
        networks: tuple[Network, ...] = (),
        gone: str = "",
        token: int = 0,
    ) -> None:
        self.caller = caller
        self.until_us = until_us
        self.networks = networks
        self.gone = gone
        self.token = token
        self.used = False


def _entry(found: Found | None) -> Entry:
    if found is None:
        return Entry(ANONYMOUS, gone="the API key is not known here")
    caller = found.key.caller
    until_us = min(filter(None, (caller.expires_us, found.until_us)), default=0)
    gone = "the API key was revoked" if found.key.revoked_us else ""
    return Entry(caller, until_us, tuple([read_network(text) for text in caller.networks]), gone)


def _entry_of(token: Token, parent: Entry) -> Entry:
    """What a token may: no more than its key."""
    if parent.gone:
        return Entry(ANONYMOUS, gone="the key of this party token was revoked")
    caller = replace(
        parent.caller, role=CALL, models=token.models, token=token.id, cell=token.budget, tag=token.tag
    )
    until_us = min(filter(None, (token.expires_us, parent.until_us)))
    return Entry(caller, until_us, parent.networks, token=token.number)


class Keyring:
    """The keys of the node as one worker knows them. It outlives configurations.

    Units: `wall_us` gives microseconds since the epoch.
    """

    def __init__(
        self,
        reader: KeyReader,
        changes: Changes,
        pepper: bytes,
        wall_us: Callable[[], int],
        cache_keys: int = 100_000,
        eyes: Eyes | None = None,
    ) -> None:
        self._eyes = eyes
        self._revoked: set[int] | None = None
        self._parents: dict[int, Entry] = {}
        self.wall_us = wall_us
        self._reader = reader
        self._changes = changes
        self._peppered = peppered(pepper)
        self._cache_keys = cache_keys
        self._cache: dict[bytes, Entry] = {}
        self._digests: dict[int, tuple[bytes, ...]] = {}
        self._tokens: dict[int, set[bytes]] = {}
        self._known: Fingerprints | None = None
        self._unread: set[int] = set()
        self._generation = -1
        self._retry_us = 0

    def load(self) -> None:
        """Read the hashes of all keys. Without it the first request does.

        Errors: StoreUnavailable; the next request tries again.
        """
        self._catch_up()
        self._learn()
        if self._eyes is not None:
            self._ended()

    def generation(self) -> Whole:
        """The number of the newest change that has been caught up with."""
        return self._generation

    def generation_of(self, caller: Caller) -> Whole:
        """The number of the newest change, for a caller whose call is under way; NO_CHANGE where its key or token is in
        force no longer, or that cannot be told: then nothing more is held for it.
        """
        if self._changes.generation != self._generation:
            self._catch_up()
        return self._generation if self._stands(caller) else NO_CHANGE

    def _stands(self, caller: Caller) -> bool:
        """Whether a caller's key is in force, and its token."""
        try:
            if caller.token:
                kept = [self._cache[hashed] for hashed in self._tokens.get(caller.number, ())]
                mine = [entry.token for entry in kept if entry.caller.token == caller.token]
                return bool(mine) and mine[0] not in self._ended()
            # What is known of a key is dropped when it changes.
            if caller.number in self._digests:
                return not all(self._cache[hashed].gone for hashed in self._digests[caller.number])
            key = self._ask(self._reader.of_number, caller.number)
            return key is not None and not key.revoked_us
        except StoreUnavailable:
            return False

    def find(self, credential: bytes) -> Entry:
        """The entry of a credential. Order: every change answered before this call is seen.

        Errors: InvalidApiKey for one that is unknown, StoreUnavailable when that cannot be told.
        """
        if self._changes.generation != self._generation:
            self._catch_up()
        hashing = self._peppered.copy()
        hashing.update(credential)
        hashed = hashing.digest()
        entry: Entry | None = self._cache.get(hashed)
        if entry is None:
            return self._read(credential, hashed)
        if entry.token and entry.token in self._ended():
            raise InvalidApiKey(REVOKED)
        entry.used = True
        return entry

    def _read(self, credential: bytes, hashed: bytes) -> Entry:
        if is_ours(credential) and not is_whole(credential):
            raise InvalidApiKey("the API key is mistyped or cut short: its checksum does not fit")
        known = self._learn()
        if hashed not in known:
            if self._eyes is not None and is_token(credential):
                return self._read_token(credential, hashed)
            raise InvalidApiKey("the API key is not known here")
        found = self._ask(self._reader.find, hashed)
        entry = _entry(found)
        self._make_room()
        self._cache[hashed] = entry
        self._digests[entry.caller.number] = (*self._digests.get(entry.caller.number, ()), hashed)
        return entry

    def _make_room(self) -> None:
        """Have the first key in the cache leave it; one that was used meanwhile goes to the back instead."""
        if len(self._cache) < self._cache_keys:
            return
        for hashed in list(islice(self._cache, CHANCES_MAX)):
            entry = self._cache.pop(hashed)
            if not entry.used:
                break
            entry.used = False
            self._cache[hashed] = entry
        else:
            hashed = next(iter(self._cache))
            entry = self._cache.pop(hashed)
        self._forget(hashed, entry)

    def _read_token(self, credential: bytes, hashed: bytes) -> Entry:
        """The entry of a party token, kept until it ends. No store is asked where its key is known.

        Errors: InvalidApiKey, StoreUnavailable.
        """
        assert self._eyes is not None, "without eyes there are no tokens"
        ended = self._ended()
        token = self._eyes.read(credential)
        if token.number in ended:
            raise InvalidApiKey(REVOKED)
        parent = self._parents.get(token.key)
        if parent is None:
            key = self._ask(self._reader.of_number, token.key)
            parent = _entry(None if key is None else Found(key))
            if len(self._parents) >= PARENTS_MAX:
                self._parents.clear()
            self._parents[token.key] = parent
        entry = _entry_of(token, parent)
        if not entry.gone:
            self._make_room()
            self._cache[hashed] = entry
            self._tokens.setdefault(token.key, set()).add(hashed)
        return entry

    def _ended(self) -> set[int]:
        """The numbers of tokens that were revoked: read once, then heard of."""
        if self._revoked is None:
            assert self._eyes is not None, "without eyes there are no tokens"
            self._revoked = self._ask(lambda eyes: eyes.learn(), self._eyes)
        return self._revoked

    def _drop_tokens(self, number: int) -> None:
        """What was known of a key is not: nor of its tokens."""
        self._parents.pop(number, None)
        for hashed in self._tokens.pop(number, ()):
            self._cache.pop(hashed, None)

    def _catch_up(self) -> None:
        """Drop what has changed. The generation is loaded before any row that is cached under it is read."""
        reached, changed = self._changes.changes(self._generation) if self._generation >= 0 else (-1, None)
        if changed is None:
            reached = self._changes.generation
            self._cache.clear()
            self._digests.clear()
            self._tokens.clear()
            self._parents.clear()
            self._unread.clear()
            self._known = self._revoked = None
        else:
            for kind, number in changed:
                if kind == KEY:
                    self._unread.add(number)
                    for hashed in self._digests.pop(number, ()):
                        del self._cache[hashed]
                    self._drop_tokens(number)
                elif kind == PARTY:
                    self._drop(number, lambda party: party.number)
                elif kind == TIER:
                    self._drop(number, lambda party: party.tier.number)
                elif kind == TOKEN and self._revoked is not None:
                    self._revoked.add(number)
                    if len(self._revoked) > REVOKED_MAX:
                        # Most of them have ended by now: those that have not are read anew.
                        self._revoked = None
                elif kind == TOKEN_SIGNER:
                    for key in list(self._tokens):
                        self._drop_tokens(key)
                    self._revoked = None
        self._generation = reached

    def _drop(self, number: int, read: Callable[[Party], int]) -> None:
        """Rare enough for a walk through the cache: only new terms of a party or tier come here."""
        stale = [item for item in self._cache.items() if read(item[1].caller.party) == number]
        for hashed, entry in stale:
            del self._cache[hashed]
            self._forget(hashed, entry)
        for key in [key for key, parent in self._parents.items() if read(parent.caller.party) == number]:
            self._drop_tokens(key)

    def _forget(self, hashed: bytes, entry: Entry) -> None:
        number = entry.caller.number
        if entry.token:
            left_tokens = self._tokens[number]
            left_tokens.discard(hashed)
            if not left_tokens:
                del self._tokens[number]
            return
        left = tuple([other for other in self._digests[number] if other != hashed])
        if left:
            self._digests[number] = left
        else:
            del self._digests[number]

    def _learn(self) -> Fingerprints:
        """Every hash that is known, those of changed keys read first."""
        if self._known is None:
            self._known = Fingerprints(self._ask(lambda _: self._reader.all_digests(), b""))
            self._unread.clear()
        while self._unread:
            number = next(iter(self._unread))
            for hashed in self._ask(self._reader.digests, number):
                self._known.add(hashed)
                if entry := self._cache.pop(hashed, None):
                    self._forget(hashed, entry)
            self._unread.discard(number)
        return self._known

    def _ask(self, question: Callable[[Q], A], about: Q) -> A:
        now_us = self.wall_us()
        # A clock that was set back must not make the pause longer.
        if 0 < self._retry_us - now_us <= PAUSE_US:
            raise StoreUnavailable("the store of keys does not answer", retry_after_us=PAUSE_US)
        try:
            return question(about)
        except StoreUnavailable:
            self._retry_us = self.wall_us() + PAUSE_US
            raise


class Auth:
    """Says who is calling and what they may. One a configuration, over the worker's keyring."""

    def __init__(self, terms: Terms, keyring: Keyring) -> None:
        self._enabled = terms.enabled
        self._trusted = terms.trusted
        self._keyring = keyring
        self._sources: dict[tuple[str, bytes], str] = {}
        self._addresses: dict[str, Address | None] = {}
        self._allowed: dict[tuple[str, ...], dict[str, bool]] = {}

    def generation(self) -> Whole:
        """The number of the newest change that is taken into account here."""
        return self._keyring.generation()

    def generation_of(self, caller: Caller | None) -> Whole:
        """The same with all changes taken into account that there are, as long as the caller's key is in force."""
        if caller is None or not self._enabled:
            return self._keyring.generation()
        return self._keyring.generation_of(caller)

    def source(self, peer: str, forwarded_for: bytes | None) -> str:
        """The client's address: the peer's, or what its proxy says where that is trusted."""
        if forwarded_for is None or not self._trusted:
            return peer
        known = self._sources.get((peer, forwarded_for))
        if known is None:
            if len(self._sources) >= MEMO_MAX:
                self._sources.clear()
            known = client_address(peer, forwarded_for.decode("latin-1"), self._trusted)
            self._sources[peer, forwarded_for] = known
        return known

    def identify(self, credential: bytes | None, source: str) -> Caller:
        """The caller that a credential from a source stands for.

        Shape: `credential` is the header's bytes; `source` is an address from `source`.
        Errors: InvalidApiKey when it is missing, unknown, revoked or expired; SourceNotAllowed; StoreUnavailable.
        """
        if not self._enabled:
            return ANONYMOUS
        if not credential:
            raise InvalidApiKey("no API key was sent")
        entry = self._keyring.find(credential)
        if entry.gone:
            raise InvalidApiKey(entry.gone)
        if entry.until_us and entry.until_us <= self._keyring.wall_us():
            raise InvalidApiKey(f"the {'party token' if entry.token else 'API key'} has expired")
        if entry.networks and not within(self._address(source), entry.networks):
            raise SourceNotAllowed(f"this key may not be used from {source[:64]!r}")
        return entry.caller

    def authorise(self, caller: Caller, model: str) -> None:
        """Let a caller use a model.

        Errors: ModelNotAllowed; RoleRequired for a key that only reads.
        """
        tier = caller.party.tier
        if caller.role == AUDITOR:
            raise RoleRequired("a key of the role auditor reads: it makes no calls")
        if caller.models and not self._allows(caller.models, model):
            raise ModelNotAllowed(f"this key may not use the model {model[:200]!r}", param="model")
        if tier.models and not self._allows(tier.models, model):
            raise ModelNotAllowed(
                f"the tier {tier.name!r} may not use the model {model[:200]!r}", param="model"
            )

    def allows(self, caller: Caller, model: str) -> bool:
        """Whether a caller may use a model: as far as both its key and its party's tier let it."""
        return self._allows(caller.models, model) and self._allows(caller.party.tier.models, model)

    def _allows(self, patterns: tuple[str, ...], model: str) -> bool:
        """Whether a model is among those named, by name or wildcard; where none is, any is."""
        if not patterns:
            return True
        memo = self._allowed.get(patterns)
        if memo is None:
            if len(self._allowed) >= MEMO_MAX // 10:
                self._allowed.clear()
            memo = self._allowed[patterns] = {}
        allowed = memo.get(model)
        if allowed is None:
            if len(memo) >= MEMO_MAX // 10:
                memo.clear()
            allowed = memo[model] = any(matches(pattern, model) for pattern in patterns)
        return allowed

    def _address(self, source: str) -> Address | None:
        known = self._addresses.get(source)
        if known is None:
            if len(self._addresses) >= MEMO_MAX:
                self._addresses.clear()
            known = self._addresses[source] = read_address(source)
        return known

"""Keys for tests: a store in memory, its management, a ring of changes, and keyrings over them."""

from kpgate.domain.audit import GATEWAY, Actor, Entry
from kpgate.domain.errors import StoreUnavailable
from kpgate.domain.keys import Found, StoredKey
from kpgate.domain.management import Answer, CreateKey, build
from kpgate.services.auth import Auth, Keyring, Terms
from kpgate.services.management import Management
from kpgate.stores.memory import MemoryKeys

PEPPER = b"p" * 32
START_US = 1_600_000_000_000_000


class Ring:
    """A ring of changes that remembers `depth` of them; `published` says what came through it."""

    def __init__(self, depth: int = 4096) -> None:
        self.depth = depth
        self.generation = 0
        self.published: list[tuple[int, int]] = []
        self.busy = False

    def publish(self, kind: int, number: int) -> bool:
        if self.busy:
            return False
        self.published.append((kind, number))
        self.generation += 1
        return True

    def changes(self, since: int) -> tuple[int, list[tuple[int, int]] | None]:
        if self.generation - since > self.depth:
            return self.generation, None
        return self.generation, self.published[since:]


class Watched:
    """A reader that counts what it is asked, and fails when told to."""

    def __init__(self, store: MemoryKeys) -> None:
        self._store = store
        self.asked = 0
        self.broken = False

    def _ask(self) -> None:
        self.asked += 1
        if self.broken:
            raise StoreUnavailable("the store of keys does not answer")

    def find(self, digest: bytes) -> Found | None:
        self._ask()
        return self._store.find(digest)

    def of_number(self, number: int) -> StoredKey | None:
        self._ask()
        return self._store.of_number(number)

    def digests(self, number: int) -> list[bytes]:
        self._ask()
        return self._store.digests(number)

    def all_digests(self) -> list[bytes]:
        self._ask()
        return self._store.all_digests()

    def close(self) -> None:
        pass


class Keys:
    """A node's keys without a node."""

    def __init__(self) -> None:
        self.now_us = START_US
        self.count = 0
        self.store = MemoryKeys()
        self.ring = Ring()
        self.reader = Watched(self.store)
        self.noted: list[Entry] = []
        self.management = Management(
            self.store, PEPPER, self.ring.publish, lambda: self.now_us, self.noted.append
        )

    def keyring(self, cache_keys: int = 1000) -> Keyring:
        return Keyring(self.reader, self.ring, PEPPER, lambda: self.now_us, cache_keys)

    def auth(self, terms: Terms | None = None, cache_keys: int = 1000) -> Auth:
        return Auth(terms or Terms(), self.keyring(cache_keys))

    def next_id(self) -> str:
        self.count += 1
        return f"request-{self.count}"

    def random(self) -> str:
        self.count += 1
        return self.count.to_bytes(2, "big").hex() * 20

    def do(self, kind: type[object], /, **fields: object) -> Answer:
        return self.asked(GATEWAY, kind, **fields)

    def asked(self, actor: Actor, kind: type[object], /, **fields: object) -> Answer:
        return self.management.answer(build(kind, {"id": self.next_id(), **fields}), actor)

    def create(self, party: str = "acme", **fields: object) -> Answer:
        return self.do(CreateKey, party=party, random=self.random(), **fields)

"""The power goes: the disk has what was synced, and of every page that changed since any version, in any combination.

All combinations for the journal by itself, some for a whole ledger. What is found is always a beginning of what was
decided, with all that was durable; it adds up, and it is no damage. `make sim SEED=...` plays others of the latter.
"""

import os
import random
import shutil
from itertools import product
from pathlib import Path

import pytest

from kpgate._fast import journal
from kpgate._fast.credit import DONE, Decision, Purse
from kpgate._fast.journal import segment_name, segments
from kpgate.app.ledger_cli import prove
from kpgate.domain.ledger import note_end, note_hold
from kpgate.domain.money import Movement, Transfer
from kpgate.domain.usage import Usage
from tests.kit.desk import SEGMENT_BYTES, Desk, gather, notes
from tests.kit.small_node import SmallNode

SEED = int(os.environ.get("SIM_SEED", "1"))
MACHINES = int(os.environ.get("SIM_HISTORIES", "24"))
PAGE_BYTES = 4096
FUNDS = 1_000_000
Page = tuple[int, int]
"""A segment, and where in it a page begins."""


class Disk:
    """The versions of each page of a journal's files since they were synced, the synced one first."""

    def __init__(self, files: Path) -> None:
        self._files = files
        self.pages: dict[Page, list[bytes]] = {}
        self.synced()

    def synced(self) -> None:
        """The disk has all there is."""
        self.pages.clear()
        self.written()

    def written(self) -> None:
        """Something may have been written: remember the pages that changed."""
        for first in segments(self._files):
            data = (self._files / segment_name(first)).read_bytes()
            for at in range(0, len(data), PAGE_BYTES):
                versions = self.pages.setdefault((first, at), [])
                page = data[at : at + PAGE_BYTES]
                if not versions or versions[-1] != page:
                    versions.append(page)

    @property
    def changed(self) -> list[Page]:
        """Pages that have more than one version."""
        return [page for page, versions in self.pages.items() if len(versions) > 1]

    def put(self, files: Path, chosen: dict[Page, int]) -> None:
        """Have files hold these versions."""
        for (first, at), version in chosen.items():
            with (files / segment_name(first)).open("r+b") as file:
                file.seek(at)
                file.write(self.pages[first, at][version])


def test_whatever_pages_the_disk_has_in_whatever_version_a_journal_is_a_prefix_with_all_that_was_durable(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path).stand()
    # So far that the border of a segment lies among what is not synced.
    desk.put(*[bytes([n]) * 3_600 for n in range(16)])
    desk.put(b"before", b"also before")
    assert desk.journal.flush(desk.journal.tail)
    durable = desk.journal.sync()
    disk = Disk(desk.files)
    for n in range(9):
        desk.put(bytes([100 + n]) * (1_000 + 300 * n))
        if n == 4:
            # It proves what was durable before it, and nothing of what surrounds it.
            desk.journal.append(journal.SYNC, durable.to_bytes(8, "little"), 5)
        if n % 3 != 1:
            assert desk.journal.flush(desk.journal.tail)
            disk.written()
    everything = notes(desk.read())
    safe, changed, seen = 18, disk.changed, set()
    choices = [range(len(disk.pages[page])) for page in changed]
    assert len({first for first, _ in changed}) == 2 and len(changed) >= 5
    combinations = list(product(*choices))
    assert len(combinations) >= 200, "or this shows little"
    for versions in combinations:
        disk.put(desk.files, dict(zip(changed, versions, strict=True)))
        found: list[tuple[int, int, bytes]] = []
        end, problem = gather(desk.files, 0, found)
        kept = notes(found)
        assert not problem, versions
        assert kept == everything[: len(kept)] and len(kept) >= safe and end >= durable, versions
        seen.add(len(kept))
    assert seen == set(range(safe, len(everything) + 1)), "every beginning may be what is left"


class Till:
    """A ledger that charges calls until the power goes."""

    def __init__(self, node: SmallNode, chance: random.Random) -> None:
        self.node = node
        self.chance = chance
        node.begin()
        for party in ("acme", "bolt"):
            movement = Movement(kind="issue", party=party, amount=FUNDS)
            node.bank.treasury.answer(Transfer(id=f"fund-{party}", movements=(movement,)))
        self.ends: list[tuple[int, int, str, int]] = []
        self.disk = Disk(node.files)
        self.durable = node.bank.journal.durable

    def charge(self) -> None:
        node, decision, amount = self.node, Decision(), self.chance.randrange(1, 900)
        worker, party = self.chance.choice(node.workers), self.chance.choice(("acme", "bolt"))
        account, owner = node.bank.ledger.number_of(f"spend:{party}"), node.bank.ledger.party(party)
        assert account is not None and owner is not None
        asked = note_hold("request" * self.chance.randrange(1, 12), "model", node.version, 1, 1, 10_000)
        purse = Purse(account, party=owner)
        assert worker.credit.hold(node.now_us, 0, purse, amount, asked, decision) == DONE
        said = note_end("provider", "deployment", 1, 200, node.version, Usage(amount, 0))
        assert worker.credit.post(node.now_us, decision.handle, amount, 0, said) == DONE
        self.ends.append((worker.journal.tail, decision.call, party, amount))
        node.now_us += self.chance.randrange(1, 5_000)

    def step(self) -> None:
        self.charge()
        if self.chance.random() < 0.5:
            assert self.node.workers[0].journal.flush(self.node.bank.journal.tail)
            self.disk.written()

    def sync(self) -> None:
        self.node.bank.poster.sync()
        self.durable = self.node.bank.journal.durable
        self.disk.synced()


@pytest.mark.timeout(60 + MACHINES * 2)
def test_whatever_pages_the_disk_has_a_ledger_stands_and_has_all_that_was_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(SEED)
    till = Till(SmallNode(tmp_path / "node", monkeypatch), chance)
    for turn in range(3):
        for _ in range(25):
            till.step()
        if turn < 2:
            till.sync()
            if turn == 0:
                # What was posted before the power went must be there too.
                till.node.bank.poster.post()
    node = till.node
    node.bank.poster.write()
    till.disk.written()
    everything = node.entries()
    node.leave()
    kept_counts = set()
    for machine in range(MACHINES):
        root = tmp_path / f"machine-{machine}"
        shutil.copytree(node.directory.root, root, ignore=shutil.ignore_patterns("run", "*.sock"))
        versions = {page: chance.randrange(len(till.disk.pages[page])) for page in till.disk.changed}
        found = SmallNode(root, monkeypatch)
        found.now_us, found.ahead_us = node.now_us, node.ahead_us
        till.disk.put(found.files, versions)
        found.reboot()
        kept = found.entries()
        told = f"seed {SEED}, machine {machine}: {versions}"
        assert kept == everything[: len(kept)], told
        assert len(kept) >= sum(lsn < till.durable for lsn, _, _ in everything), told
        found.begin()
        left = dict.fromkeys(("acme", "bolt"), FUNDS)
        lsns = {lsn for lsn, _, _ in kept}
        for after, call, party, amount in till.ends:
            charge = found.bank.ledger.charge(call)
            assert charge is not None or after > till.durable, told
            if charge is not None:
                assert call in lsns, told
                left[party] -= amount
        found.bank.poster.post_all()
        assert {party: found.bank.ledger.balance(f"spend:{party}") for party in left} == left, told
        found.leave()
        assert prove(found.directory)[1] == [], told
        kept_counts.add(len(kept))
    assert len(kept_counts) > 3, "or this shows little"


def test_a_segment_that_the_disk_never_saw_ends_the_journal_and_is_no_damage(tmp_path: Path) -> None:
    desk = Desk(tmp_path).stand()
    desk.put(*[bytes([n]) * 3_600 for n in range(16)])
    assert desk.journal.flush(desk.journal.tail)
    durable = desk.journal.sync()
    desk.put(*[bytes([50 + n]) * 3_000 for n in range(6)])
    assert desk.journal.flush(desk.journal.tail)
    everything = notes(desk.read())
    second = 2 * SEGMENT_BYTES
    assert desk.journal.tail > second > durable
    (desk.files / segment_name(second)).write_bytes(bytes(SEGMENT_BYTES))
    found: list[tuple[int, int, bytes]] = []
    end, problem = gather(desk.files, 0, found)
    assert not problem and durable <= end <= second
    assert notes(found) == everything[: len(notes(found))] and len(notes(found)) >= 16

"""A real gateway whose machine loses its power: what the disk has then, and who was told of which charge.

The disk is what was synced: each sync of a journal's file first leaves a copy of it, and the copies are what a machine
finds that goes down just then. Nothing else of the files counts.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kpgate._fast.journal import POST, recover, segment_name
from kpgate.app.poster import SEGMENT_BYTES
from kpgate.domain.ledger import read_call, read_end
from tests.kit.gateway_process import ROOT, TRANSPORTS
from tests.kit.payer import Payer, read_until
from tests.kit.provider import answer, completion, events, stream
from tests.kit.whole import Whole

CALLS = 6
COPYING = """
import os
from pathlib import Path
from time import time_ns

real = os.fdatasync


def fdatasync(descriptor):
    path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    if path.suffix == ".kpj":
        copy = path.parent.parent / "disk" / f"{path.stem}.{os.getpid()}.{time_ns()}"
        copy.parent.mkdir(exist_ok=True)
        draft = copy.with_name(f".{copy.name}")
        draft.write_bytes(path.read_bytes().rstrip(bytes(1)))
        real(descriptor)
        draft.rename(copy)
    else:
        real(descriptor)


os.fdatasync = fdatasync
"""


def machine(folder: Path, sync: str, transport: str) -> Whole:
    settings = f"[ledger]\nenabled = true\n{sync}\n"
    made = Whole(folder, settings, server="workers = 2", transport=transport)
    (folder / "copying").mkdir()
    (folder / "copying" / "sitecustomize.py").write_text(COPYING)
    made.python_path = f"{folder / 'copying'}:{ROOT}"
    return made


def on_disk(gate: Whole) -> set[int]:
    """The calls whose charges are found by whoever starts from what was synced."""
    found = gate.folder / "found"
    found.mkdir(exist_ok=True)
    best: dict[str, bytes] = {}
    for copy in (gate.directory.root / "disk").glob("[!.]*"):
        first = copy.name.partition(".")[0]
        # A file only grows: the longest copy has all that the others have.
        best[first] = max(best.get(first, b""), copy.read_bytes(), key=len)
    for first, data in best.items():
        (found / segment_name(int(first, 16))).write_bytes(data + bytes(SEGMENT_BYTES - len(data)))
    charged: set[int] = set()

    def take(entries: list[tuple[int, int, bytes]], end: int) -> None:
        charged.update(read_end(*entry).call for entry in entries if entry[1] == POST)

    recover(found, 0, SEGMENT_BYTES, take)
    return charged


def told(payer: Payer, gate: Whole) -> Iterator[int]:
    """Calls, whole and streamed, each as soon as its last byte was received."""
    for _ in range(CALLS):
        gate.script(answer(completion()))
        status, headers, _ = gate.chat(payer.key)
        assert status == 200
        yield read_call(headers["x-kpgate-receipt"])
        gate.script(stream(events("hello")))
        with payer.send(stream=True) as connection:
            got = read_until(connection, b"data: [DONE]\n\n")
            if b"chunked" in got:
                got += b"" if got.endswith(b"0\r\n\r\n") else read_until(connection, b"0\r\n\r\n")
        head = got.partition(b"\r\n\r\n")[0].decode().lower()
        (line,) = [line for line in head.split("\r\n") if line.startswith("x-kpgate-receipt:")]
        yield read_call(line.partition(":")[2].strip())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_with_sync_always_no_charge_that_anybody_was_told_of_is_lost(tmp_path: Path, transport: str) -> None:
    with machine(tmp_path, 'sync = "always"\nsync_ms = 1000', transport) as gate:
        payer, count = Payer(gate), 0
        for call in told(payer, gate):
            assert call in on_disk(gate), "told, and not on the disk"
            count += 1
        assert count == 2 * CALLS


def test_without_it_what_was_not_synced_may_be_lost(tmp_path: Path) -> None:
    with machine(tmp_path, "sync_ms = 1000", "granian") as gate:
        payer = Payer(gate)
        assert not all(call in on_disk(gate) for call in told(payer, gate)), "or the other test shows nothing"

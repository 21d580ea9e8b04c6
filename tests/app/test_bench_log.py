"""The log that is measured is the log that appending makes. No figure is asserted."""

from pathlib import Path

import pytest

from bench.log import build, measure
from kpgate.stores.log import SqliteLog
from kpgate.stores.sqlite import SqliteStore


@pytest.mark.parametrize("leaves", [1, 256, 300, 65_536, 66_000])
def test_a_log_built_of_tiles_is_the_one_that_is_appended(leaves: int, tmp_path: Path) -> None:
    found = []
    for name in ("built", "appended"):
        store = SqliteStore(tmp_path / name)
        log = SqliteLog(store.connection)
        log.open("00" * 16)
        if name == "built":
            build(log, store, leaves)
        else:
            with store.connection:
                log.append([b"%d" % number for number in range(leaves)])
        with store.connection:
            log.append([b"one more"])
        tiles = store.connection.execute("SELECT * FROM tiles ORDER BY level, number").fetchall()
        found.append((log.size, log.root(leaves), log.root(leaves + 1), tiles))
        store.close()
    assert found[0] == found[1]


def test_every_figure_is_there_of_a_small_log() -> None:
    result = measure(2, 1_000)
    assert len(result.goals) == 4
    assert [table.title for table in result.tables] == ["At 1,000 leaves, us", "Appending"]

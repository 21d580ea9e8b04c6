"""A vocabulary's table for gateways in tests, made once for each build of what makes them.

A gateway makes its own in an empty data directory, which costs more than the rest of a worker's start; how that is
done is the business of `tests/stores/test_vocabulary.py`. It lies beside the build, not with a run of the tests.
"""

import os
import shutil
from pathlib import Path

from kpgate._fast import tokens
from kpgate.stores.vocabulary import open_vocabulary

ENCODING = "o200k_base"
"""What models are counted by where nothing else is known of them."""
FOLDER = Path(__file__).parents[2] / "build" / "vocabularies"


def lend(cache: Path) -> None:
    """Put the table where a gateway with an empty cache looks for it."""
    # A table of another build's making is never lent.
    made = FOLDER / str(Path(tokens.__file__).stat().st_mtime_ns)
    open_vocabulary(ENCODING, made, {})
    for old in FOLDER.iterdir():
        if old != made:
            shutil.rmtree(old, ignore_errors=True)
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    for table in made.glob("*.kpt"):
        place = cache / table.name
        if place.exists():
            continue
        try:
            os.link(table, place)
        except OSError:
            shutil.copyfile(table, place)

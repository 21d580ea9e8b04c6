"""What holds for every test: it runs the code that stands in the sources, and what takes longest begins first."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = (
    "tests/sim/",
    "tests/services/test_treasury_history.py",
    "tests/fast/test_tokens.py",
    "tests/life/",
)
"""What begins first, so that no process of the tests works alone at the end."""


def pytest_configure(config: pytest.Config) -> None:
    """A compiled module that is older than its source would be tested in its place."""
    stale = []
    for compiled in (ROOT / "kpgate").rglob("*.so"):
        stem = compiled.name.partition(".")[0]
        sources = [compiled.with_name(stem + ending) for ending in (".pyx", ".py", ".pxd")]
        if any(one.exists() and one.stat().st_mtime > compiled.stat().st_mtime for one in sources):
            stale.append(stem)
    if stale:
        raise pytest.UsageError(
            f"compiled before their sources were changed: {', '.join(stale)}; run `make build`"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a module stay together and in their order."""

    def turn(item: pytest.Item) -> int:
        found = (number for number, place in enumerate(LONGEST) if item.nodeid.startswith(place))
        return next(found, len(LONGEST))

    items.sort(key=turn)

"""Every compiled module has operations that are measured, and each of them works. No figure is asserted."""

from pathlib import Path

import pytest

import kpgate._fast
from bench.operations import OPERATIONS

MODULES = sorted(path.stem for path in Path(kpgate._fast.__path__[0]).glob("*.pyx"))


def test_every_compiled_module_has_operations() -> None:
    assert sorted(OPERATIONS) == MODULES, "a module of _fast has its operations in bench/operations.py"


@pytest.mark.parametrize("module", OPERATIONS)
def test_operations_can_be_done_over_and_over(module: str, tmp_path: Path) -> None:
    operations = OPERATIONS[module](tmp_path)
    assert operations and len({one.name for one in operations}) == len(operations)
    for one in operations:
        one.work()
        one.work()

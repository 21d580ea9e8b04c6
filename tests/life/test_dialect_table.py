"""Every client against every provider's dialect, through a real gateway: what docs/dialects.md says of it is so."""

from collections.abc import Iterator

import pytest

from tests.kit.dialect_table import CELLS, Crossing, crossing, written
from tests.kit.gateway_process import TRANSPORTS

PAGE = written()


@pytest.fixture(scope="module", params=TRANSPORTS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crossing]:
    with crossing(tmp_path_factory.mktemp("table"), request.param) as made:
        yield made


@pytest.mark.parametrize("cell", CELLS, ids=", ".join)
def test_a_cell_is_as_the_page_says(made: Crossing, cell: tuple[str, str, str]) -> None:
    assert made.outcome(*cell) == PAGE.get(cell), "`make dialects` writes the table anew"


def test_the_page_has_no_other_cells() -> None:
    assert sorted(PAGE) == sorted(CELLS)

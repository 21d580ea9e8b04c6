"""Every client against every provider's dialect, through a real gateway: what docs/dialects.md says of it is so."""

from collections.abc import Iterator

import pytest

from tests.kit.callers.common import ASKS
from tests.kit.callers.npm_client import Node
from tests.kit.dialect_table import CALLERS, CELLS, PROVIDERS, YES, Crossing, crossing, written
from tests.kit.gateway_process import TRANSPORTS

PAGE = written()


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Node() as node:
        yield node


@pytest.fixture(scope="module", params=TRANSPORTS)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, node: Node
) -> Iterator[Crossing]:
    with crossing(tmp_path_factory.mktemp("table"), request.param, node) as made:
        yield made


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("caller", CALLERS)
def test_a_row_is_as_the_page_says(made: Crossing, caller: str, provider: str) -> None:
    for ask in ASKS:
        found = made.outcome(caller, provider, ask)
        assert found == PAGE.get((caller, provider, ask)), f"{ask}; `make dialects` writes the table anew"


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != "bedrock"])
@pytest.mark.parametrize("caller", ["openai, chat", "openai, responses", "anthropic", "gemini"])
def test_a_picture_s_address_goes_to_whoever_takes_one(made: Crossing, caller: str, provider: str) -> None:
    assert made.outcome(caller, provider, "link") == YES


def test_the_page_has_no_other_cells() -> None:
    assert sorted(PAGE) == sorted(CELLS)

"""Documents that say what is: links lead somewhere, named tests exist, log fields and commands are described."""

import re
from pathlib import Path

import pytest

from kpgate.services.record import Line

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), target


def test_every_test_that_the_architecture_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "ARCHITECTURE.md").read_text())
    assert len(named) > 10
    for path, name in named:
        text = (ROOT / path).read_text()
        assert not name or f"def {name}(" in text, f"{path}::{name}"


def test_every_log_field_is_described() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    for field in Line.__struct_fields__:
        assert f"`{field}`" in page, field


def test_the_readme_s_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\$ make (\w+)", (ROOT / "README.md").read_text())):
        assert f"\n{target}:" in makefile

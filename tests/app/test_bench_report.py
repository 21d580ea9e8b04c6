"""The benchmarks' page says what the results say, and a run that failed leaves no figures."""

import json
from pathlib import Path

from bench.report import PAGE, render, shown
from bench.results import Goal, Result, Table


def test_the_page_is_what_the_results_render() -> None:
    assert PAGE.read_text() == render(), "run `python -m bench report`"


def test_a_result_is_rendered_with_its_method_before_its_figures(tmp_path: Path) -> None:
    table = Table("Calls", ["target", "calls/s"], [["nginx", 12345.6], ["governed", 0.254]])
    goals = (Goal("ratio", 0.41, "at least", 0.25, aim=0.32), Goal("added", 3.0, "at most", 2.5, "ms"))
    Result("tried", "Tried", ("one core",), goals, (table,), ("a note",)).save(tmp_path)
    page = render(tmp_path)
    assert page.index("- one core") < page.index("| ratio |") < page.index("12,346") < page.index("- a note")
    assert "| ratio | at least 0.25, aim 0.32 | **0.41** | yes |" in page
    assert "| added | at most 2.50 ms | **3.00 ms** | no |" in page


def test_a_result_names_its_circumstances(tmp_path: Path) -> None:
    value = json.loads(Result("tried", "Tried", ()).save(tmp_path).read_text())
    assert value["machine"]["cores"] >= 1
    assert isinstance(value["python"]["optimised"], bool)
    assert {"date", "commit", "versions"} <= value.keys()


def test_figures_keep_the_digits_that_matter() -> None:
    assert [shown(cell) for cell in (None, 0.0123, 0.5, 12.345, 1234.5, 7, "x")] == [
        "-", "0.0123", "0.50", "12.35", "1,234", "7", "x",
    ]  # fmt: skip

"""`bench/README.md` from `bench/results/*.json`: method first, then what was asked, then what was found.

Measures nothing. The same files always make the same page.
"""

import json
from pathlib import Path
from typing import Any

from bench.results import DIRECT, FOLDER

PAGE = FOLDER.parent / "README.md"
ORDER = ("governed", "overhead", "stream", "bodies", "tokens", "scale", "memory", "soak", "start", "micro")
OPENING = """# Benchmarks

Rendered from `bench/results/*.json` by `python -m bench report`; not edited by hand. `make bench` measures the
governed throughput and renders this page; `python -m bench --help` lists the others; `make profile` shows where a
call's time goes. Ratios are between targets of one run on one machine and carry over better than figures do. Every
run fails if one call fails.
"""


def render(folder: Path = FOLDER) -> str:
    """The page."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    return "\n".join([OPENING, *(section(found[name]) for name in sorted(found, key=_place))])


def _place(name: str) -> tuple[int, str]:
    """Shape: the transports of one benchmark stand together."""
    bench = name.removesuffix(DIRECT)
    return ORDER.index(bench) if bench in ORDER else len(ORDER), name


def section(result: dict[str, Any]) -> str:
    """One benchmark."""
    parts = [f"## {result['title']}\n", "\n".join(f"- {line}" for line in result["method"]) + "\n"]
    parts.append(on_what(result) + "\n")
    if result["goals"]:
        parts.append(goals(result["goals"]))
    for one in result["tables"]:
        parts.append(f"**{one['title']}**\n\n" + table(one["columns"], one["rows"]))
    if result["notes"]:
        parts.append("\n".join(f"- {note}" for note in result["notes"]) + "\n")
    return "\n".join(parts)


def on_what(result: dict[str, Any]) -> str:
    """The circumstances, in a line."""
    machine, python = result["machine"], result["python"]
    build = "optimised build" if python["optimised"] else "build without profile-guided optimisation"
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        f"{result['date']}, commit `{result['commit'] or 'unknown'}`, {machine['cores']} cores ({machine['cpu']}), "
        f"{machine['kernel']}, {python['implementation']} {python['version']} ({build}"
        f"{', LTO' if python['lto'] else ''}), {versions}."
    )


def goals(found: list[dict[str, Any]]) -> str:
    """What was asked beside what was found."""
    rows = []
    for goal in found:
        unit = f" {goal['unit']}" if goal["unit"] else ""
        asked = f"{goal['sense']} {shown(goal['bound'])}{unit}"
        if goal["aim"] is not None:
            asked += f", aim {shown(goal['aim'])}"
        found_here = f"**{shown(goal['value'])}{unit}**"
        rows.append([goal["what"], asked, found_here, "yes" if goal["reached"] else "no"])
    return table(["what", "asked", "found", "reached"], rows)


def table(columns: list[str], rows: list[list[Any]]) -> str:
    """A table of the page; figures stand to the right."""
    numeric = [
        bool(rows) and all(isinstance(row[at], int | float | None) for row in rows)
        for at in range(len(columns))
    ]
    lines = [columns, ["---:" if right else "---" for right in numeric]]
    lines += [[shown(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def shown(cell: Any) -> str:
    """A cell as people read it: three or four digits that matter."""
    if cell is None:
        return "-"
    if isinstance(cell, float):
        if abs(cell) >= 1000:
            return f"{cell:,.0f}"
        return f"{cell:.1f}" if abs(cell) >= 100 else f"{cell:.2f}" if abs(cell) >= 0.1 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def write() -> Path:
    """Render the page into its place."""
    PAGE.write_text(render())
    return PAGE

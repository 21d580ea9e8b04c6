"""What commands print: tables at a terminal, one JSON document in a pipe. It computes nothing."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kpgate.app.config import Loaded
from kpgate.app.doctor import Finding, Status

STYLES = {Status.WELL: "green", Status.WARNING: "yellow", Status.PROBLEM: "red"}


def show_check(loaded: Loaded, terminal: bool) -> None:
    """The settings with their sources, then what is wrong with them."""
    if not terminal:
        emit(
            {
                "valid": not loaded.problems,
                "file": loaded.file,
                "problems": [_as_json(problem) for problem in loaded.problems],
                "warnings": [_as_json(warning) for warning in loaded.warnings],
                "settings": {
                    name: {"value": value, "source": loaded.sources[name]}
                    for name, value in loaded.values.items()
                },
            }
        )
        return
    console = Console()
    table = Table("setting", "value", "from", box=None, pad_edge=False, header_style="bold")
    for name, value in loaded.values.items():
        source = loaded.sources[name]
        shown = escape("-" if value is None else _as_toml(value))
        table.add_row(escape(name), shown, escape(source), style="dim" if source == "default" else "")
    console.print(table)
    for warning in loaded.warnings:
        console.print(f"[yellow]warning[/] {escape(str(warning))}", soft_wrap=True)
    for problem in loaded.problems:
        console.print(f"[red]problem[/] {escape(str(problem))}", soft_wrap=True)
    count = len(loaded.problems)
    console.print(
        f"{count} problem{'s' * (count != 1)}" if count else "[green]The configuration is valid.[/]"
    )


def show_findings(findings: Sequence[Finding], terminal: bool) -> None:
    """What `doctor` found, and what to do about each."""
    problems = sum(finding.status is Status.PROBLEM for finding in findings)
    if not terminal:
        emit({"well": not problems, "findings": [msgspec.to_builtins(finding) for finding in findings]})
        return
    console = Console()
    for finding in findings:
        style = STYLES[finding.status]
        line = f"[{style}]{finding.status:<8}[/] {escape(finding.name)}: {escape(finding.found)}"
        console.print(line, soft_wrap=True)
        if finding.remedy:
            console.print(f"         -> {escape(finding.remedy)}", soft_wrap=True)
    console.print(f"{problems} problem{'s' * (problems != 1)}" if problems else "[green]All is well.[/]")


def show_count(tokens: int, about: dict[str, Any], terminal: bool) -> None:
    """A token count: the number to people, a document to programs."""
    if terminal:
        Console().print(
            f"[bold]{tokens:,}[/] tokens ({about['encoding']}, {about['grade']}, {about['bytes']:,} bytes)"
        )
    else:
        emit({"tokens": tokens, **about})


def emit(document: Any) -> None:
    """One JSON document on standard output; a reader that left early is no error."""
    try:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more at exit: give it somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _as_json(problem: Any) -> dict[str, Any]:
    return {"place": problem.place, "setting": problem.path, "message": problem.message}


def _as_toml(value: Any) -> str:
    """A value as a configuration file would have it."""
    return msgspec.json.encode(value).decode()

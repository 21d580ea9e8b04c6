"""The `kpgate` command on a data directory, in this process."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from kpgate.app.cli import cli


def run(data: Path, *words: str) -> Result:
    """What came of a command."""
    return CliRunner().invoke(cli, [*words, "--data", str(data)])


def said(data: Path, *words: str) -> Any:
    """What a command that went well said in JSON."""
    result = run(data, *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)

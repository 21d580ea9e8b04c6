"""The commands, as a person or a script meets them."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from click.testing import CliRunner

import kpgate
from kpgate.app.cli import cli
from kpgate.app.options import ServeOptions

CANARY = "canary-51c0e"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("KPGATE_"):
            monkeypatch.delenv(name)


def run(*arguments: str, **more: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, list(arguments), prog_name="kpgate", **more)  # type: ignore[arg-type]
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_the_version_is_one_line() -> None:
    assert run("--version") == (0, f"kpgate {kpgate.__version__}\n")


def test_help_lists_every_command_without_importing_what_they_need() -> None:
    script = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from kpgate.app.cli import cli\n"
        "output = CliRunner().invoke(cli, ['--help']).output\n"
        "assert all(name in output for name in ('check', 'doctor', 'keys', 'serve', 'tokens')), output\n"
        "heavy = {'rich', 'msgspec', 'ssl', 'granian', 'uvloop', 'apsw', 'tomllib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(kpgate.__file__).parents[1])


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kpgate", "--version"],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(kpgate.__file__).parents[1],
    )
    assert done.stdout == f"kpgate {kpgate.__version__}\n"


def test_check_prints_json_in_a_pipe() -> None:
    Path("kpgate.toml").write_text("[server]\nport = 81\n")
    code, output = run("check")
    document = json.loads(output)
    assert code == 0
    assert document["valid"] is True
    assert document["settings"]["server.port"] == {"value": 81, "source": "kpgate.toml:2"}


def test_check_lists_problems_and_fails_without_showing_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPGATE_SERVER__PORT", CANARY)
    Path("my.toml").write_text(
        f'[[providers]]\nname = "a"\napi_key = "{CANARY}"\nbase_url = "https://x:{CANARY}@y"\n'
        f'headers = {{ Cookie = "{CANARY}", X-Note = "{CANARY}" }}\nproxy = "http://{CANARY}:x@p"\n'
    )
    code, output = run("check", "--config", "my.toml")
    assert code == 1
    assert CANARY not in output
    assert {problem["setting"] for problem in json.loads(output)["problems"]} == {
        "server.port",
        "providers[0].api_key",
        "providers[0].base_url",
        "providers[0].headers.Cookie",
        "providers[0].proxy",
    }


def test_check_prints_a_table_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kpgate.app.console")
    Path("kpgate.toml").write_text(f'[server]\nport = "[bold]{CANARY}"\n[[providers]]\nname = "a[0]"\n')
    monkeypatch.setenv("COLUMNS", "200")
    from kpgate.app import console
    from kpgate.app.config import load

    printed: list[str] = []
    monkeypatch.setattr(console.Console, "print", lambda self, *parts, **_: printed.extend(map(str, parts)))
    console.show_check(load(None, {}), terminal=True)
    assert any("2 problems" in part for part in printed)
    assert CANARY not in "".join(printed)


def test_serve_hands_on_what_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ServeOptions] = []

    def serve(options: ServeOptions) -> int:
        seen.append(options)
        return 3

    module = types.ModuleType("kpgate.app.serve")
    module.run = serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kpgate.app.serve", module)
    assert run("serve", "--port", "0", "--data", "d", "--demo")[0] == 3
    assert seen == [ServeOptions(port=0, data=Path("d"), demo=True)]
    assert {name: value for name, value in seen[0].overrides().items() if value is not None} == {
        "server.port": 0
    }
    monkeypatch.setenv("KPGATE_DATA", "elsewhere")
    run("serve", "--transport", "direct")
    assert seen[1] == ServeOptions(data=Path("elsewhere"), transport="direct")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("serve", "--port", "70000"),
        ("serve", "--transport", "x"),
        ("tokens", "count"),
        ("check", "x"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments: tuple[str, ...]) -> None:
    code, output = run(*arguments)
    assert code == 2
    assert output.rstrip().splitlines()[-1].startswith("Error: ")


@pytest.fixture
def _vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter of words in place of the vocabulary: what is tried is the command."""

    def count_text(text: str, model: str, cache_dir: Path) -> tuple[int, str, str]:
        return len(text.split()), "o200k_base", "exact"

    module = types.ModuleType("kpgate.app.count")
    module.count_text = count_text  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kpgate.app.count", module)


@pytest.mark.usefixtures("_vocabulary")
def test_tokens_are_counted_from_a_file_and_from_a_pipe() -> None:
    Path("text").write_text("one two three")
    code, output = run("tokens", "count", "--model", "gpt-4o", "text")
    assert (code, json.loads(output)) == (
        0,
        {"tokens": 3, "model": "gpt-4o", "encoding": "o200k_base", "grade": "exact", "bytes": 13},
    )
    for arguments in ((), ("-",)):
        code, output = run("tokens", "count", "--model", "gpt-4o", *arguments, input="one two")
        assert (code, json.loads(output)["tokens"]) == (0, 2)


@pytest.mark.usefixtures("_vocabulary")
def test_bytes_that_are_no_text_are_refused() -> None:
    Path("text").write_bytes(b"a\xff")
    code, output = run("tokens", "count", "--model", "gpt-4o", "text")
    assert code == 1
    assert output == "Error: text is not UTF-8 text (byte 1)\n"


def test_a_cache_that_cannot_be_written_is_one_line() -> None:
    code, output = run("tokens", "count", "--model", "gpt-4o", "--cache", "/proc/self", input="one")
    assert code == 1
    assert output.startswith("Error: o200k_base: its table cannot be kept in /proc/self: ")
    assert output.count("\n") == 1

"""The reference pages say what the code does: stale or silent pages fail here."""

import re
from pathlib import Path

import click
import pytest

from kpgate.app import cli as commands
from kpgate.app.config import load
from kpgate.app.reference import EXAMPLES, FILES, PAGES, example
from kpgate.app.settings_tree import dotted, every
from kpgate.domain.errors import REGISTRY
from kpgate.domain.metrics import METRICS
from kpgate.domain.settings import Settings

ROOT = Path(__file__).parents[2]


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_would_be_written_now(name: str) -> None:
    if name == "docs/cli.md":
        pytest.importorskip("kpgate.app.keys_cli")
    assert page(name) == PAGES[name](), "run make docs"


def test_the_example_as_it_stands_changes_nothing() -> None:
    loaded = load(ROOT / "kpgate.example.toml", {})
    assert loaded.problems == ()
    assert loaded.settings == Settings()


def test_the_example_without_its_comments_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = re.sub(r"(?m)^#(?! |$)", "", example())
    config = tmp_path / "kpgate.toml"
    config.write_text(text, encoding="utf-8")
    loaded = load(config, {"OPENAI_API_KEY": "x", "TOP_UP_SECRET": "x" * 32, "OLD_TOP_UP_SECRET": "y" * 32})
    # The only thing amiss is that files of certificates are not there.
    assert all(" cannot be read: " in problem.message for problem in loaded.problems), loaded.problems
    assert {re.sub(r"\[\d+\]", "", problem.path) for problem in loaded.problems} == set(FILES)
    assert loaded.sources["models[0].deployments[0].timeouts.idle_s"].startswith(str(config))


def test_the_example_shows_every_setting_and_gives_nothing_beyond() -> None:
    shown = set(re.findall(r"(?m)^# ?(\w+) = ", example()))
    assert {field.name for _, _, field in every(Settings) if field.part is None} == shown
    paths = {dotted(path).replace("[0]", "") for path, _, _ in every(Settings)}
    assert {name for name in EXAMPLES if "." in name} <= paths


def test_every_setting_is_described_on_its_page() -> None:
    text = page("docs/settings.md")
    for path, _, field in every(Settings):
        assert field.description, dotted(path)
        if len(path) > 1:
            assert f"| `{field.name}` |" in text, dotted(path)


def test_every_error_and_every_metric_is_on_its_page() -> None:
    assert all(f"| `{code}` |" in page("docs/errors.md") for code in REGISTRY)
    assert all(f"| `{metric.name}` |" in page("docs/metrics.md") for metric in METRICS)


def test_metrics_are_named_once_and_by_the_rules() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    for metric in METRICS:
        assert re.fullmatch(r"(kpgate|gen_ai)_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert not {"key", "id", "request_id", "party", "peer"} & set(metric.labels)


def test_every_option_of_every_command_has_help_and_is_on_the_page() -> None:
    text = page("docs/cli.md")

    def walk(group: click.Group, path: str) -> None:
        for name, command in group.commands.items():
            at = f"{path} {name}"
            assert f"## `{at}`" in text
            assert command.help, at
            for option in command.params:
                if isinstance(option, click.Option):
                    assert option.help, f"{at} {option.name}"
                    assert option.opts[0] in text
            if isinstance(command, click.Group):
                walk(command, at)

    walk(commands.cli, "kpgate")

"""The pass-through's settings: opted into, priced or refused, and a model for the books."""

from pathlib import Path

import pytest

from kpgate.app.config import Loaded, load

PROVIDER = '[[providers]]\nname = "x"\nbase_url = "https://x.example/v1"\napi_key = "env:KEY"\n'


def read(tmp_path: Path, text: str) -> Loaded:
    config = tmp_path / "kpgate.toml"
    config.write_text(text)
    return load(config, {"KEY": "sk-1"})


@pytest.mark.parametrize(
    ("passthrough", "more", "path"),
    [
        ("passthrough = {}", "[ledger]\nenabled = true", "providers[0].passthrough.request"),
        ("passthrough = { free = true, request = 1 }", "", "providers[0].passthrough.free"),
        ("passthrough = { request = 0 }", "", "providers[0].passthrough.request"),
        ("passthrough = { price = 1 }", "", "providers[0].passthrough.price"),
        ("passthrough = { paths = [] }", "", "providers[0].passthrough.paths"),
        (
            "passthrough = {}",
            '[[models]]\nname = "providers/x"\ndeployments = [{ provider = "x", model = "m" }]',
            "providers[0].passthrough",
        ),
        ('dialect = "echo"\npassthrough = {}', "", "providers[0].passthrough"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, passthrough: str, more: str, path: str) -> None:
    loaded = read(tmp_path, f"{PROVIDER}{passthrough}\n{more}\n")
    assert path in [problem.path for problem in loaded.problems], loaded.problems


def test_a_provider_that_opts_in_is_a_model_of_its_own(tmp_path: Path) -> None:
    loaded = read(tmp_path, f"{PROVIDER}passthrough = {{ request = 1 }}\n[ledger]\nenabled = true\n")
    assert loaded.settings is not None, loaded.problems
    (model,) = loaded.settings.models
    assert (model.name, model.price is not None and model.price.request) == ("providers/x", 1)
    closed = read(tmp_path, PROVIDER)
    assert closed.settings is not None and closed.settings.models == ()

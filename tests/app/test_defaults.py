"""What presets and the catalogue say where a configuration says nothing, and that it is shown."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.app import prices
from kpgate.app.config import Loaded, load
from kpgate.app.defaults import Saying, underlay, vendor_of
from kpgate.domain.price_step import LongPrice
from kpgate.domain.settings import Prices
from kpgate.domain.usage import Usage

KEY = {"KEY": "k"}
LEDGER = "[ledger]\nenabled = true\n"


def read(folder: Path, text: str, environ: dict[str, str] = KEY) -> Loaded:
    file = folder / "kpgate.toml"
    file.write_text(text)
    return load(file, environ)


def provider(preset: str, more: str = "") -> str:
    return f'[[providers]]\nname = "p"\npreset = "{preset}"\napi_key = "env:KEY"\n{more}\n'


def model(there: str, more: str = "") -> str:
    return f'[[models]]\nname = "m"\ndeployments = [{{ provider = "p", model = "{there}" }}]\n{more}\n'


def said(loaded: Loaded) -> list[str]:
    return [f"{one.path}: {one.message}" for one in loaded.problems]


def test_a_preset_gives_address_and_dialect_and_says_so(tmp_path: Path) -> None:
    loaded = read(tmp_path, provider("mistral"))
    assert loaded.settings is not None, said(loaded)
    (found,) = loaded.settings.providers
    assert (found.base_url, found.dialect) == ("https://api.mistral.ai/v1", "openai")
    assert loaded.sources["providers[0].base_url"] == "preset mistral"
    assert loaded.sources["providers[0].dialect"] == "preset mistral"
    assert loaded.sources["providers[0].preset"].endswith("kpgate.toml:3")


def test_what_is_set_beside_a_preset_holds(tmp_path: Path) -> None:
    loaded = read(tmp_path, provider("mistral", 'base_url = "http://127.0.0.1:9/v1"'))
    assert loaded.settings is not None
    assert loaded.settings.providers[0].base_url == "http://127.0.0.1:9/v1"
    assert loaded.sources["providers[0].base_url"].endswith("kpgate.toml:5")


def test_the_environment_can_name_a_preset(tmp_path: Path) -> None:
    text = '[[providers]]\nname = "p"\napi_key = "env:KEY"\n'
    loaded = read(tmp_path, text, {**KEY, "KPGATE_PROVIDERS__0__PRESET": "groq"})
    assert loaded.settings is not None, said(loaded)
    assert loaded.settings.providers[0].base_url == "https://api.groq.com/openai/v1"


def test_an_address_s_parts_are_asked_for_by_name(tmp_path: Path) -> None:
    loaded = read(tmp_path, provider("vertex", 'url_parts = { region = "us-east5" }'))
    assert any(one.startswith("providers[0].url_parts.project: missing") for one in said(loaded))
    loaded = read(tmp_path, provider("vertex", 'url_parts = { region = "us-east5", project = "mine" }'))
    assert loaded.settings is not None, said(loaded)
    assert loaded.settings.providers[0].base_url == (
        "https://us-east5-aiplatform.googleapis.com/v1/projects/mine/locations/us-east5/endpoints/openapi"
    )


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ('preset = "mistrol"', 'preset: no preset is named "mistrol" (did you mean "mistral"?)'),
        ('preset = "mistral"\ndialect = "echo"', 'dialect: is "openai" by its preset: leave it out'),
        ("preset = 3", "preset: expected a string"),
        ('preset = "cloudflare"\nurl_parts = 3', "url_parts.account: missing"),
        ('preset = "cloudflare"\nurl_parts = { account = "a/../b" }', "base_url: must not have"),
        ('preset = "databricks"\nurl_parts = { workspace = "u:p@host" }', "base_url: must not hold"),
    ],
)
def test_what_is_wrong_with_a_preset_is_told_where_it_stands(tmp_path: Path, more: str, wanted: str) -> None:
    loaded = read(tmp_path, f'[[providers]]\nname = "p"\napi_key = "env:KEY"\n{more}\n')
    assert any(one.startswith(f"providers[0].{wanted}") for one in said(loaded)), said(loaded)


def test_a_part_that_no_address_has_is_a_warning(tmp_path: Path) -> None:
    loaded = read(tmp_path, provider("mistral", 'url_parts = { account = "a" }'))
    assert [one.path for one in loaded.warnings if "no part" in one.message] == [
        "providers[0].url_parts.account"
    ]


def test_a_known_model_has_its_vendor_s_price_and_encoding(tmp_path: Path) -> None:
    loaded = read(tmp_path, LEDGER + provider("openai") + model("gpt-4o-mini"))
    assert loaded.settings is not None, said(loaded)
    found = loaded.settings.models[0]
    assert found.encoding == "o200k_base"
    price = found.deployments[0].price
    assert price is not None and (price.input, price.output, price.cached) == (0.15, 0.6, 0.075)
    assert price.source.startswith("catalogue openai, ")
    assert loaded.sources["models[0].deployments[0].price.input"] == price.source
    assert loaded.sources["models[0].encoding"] == price.source


def test_an_address_is_as_good_as_a_preset(tmp_path: Path) -> None:
    own = '[[providers]]\nname = "p"\nbase_url = "https://api.openai.com/v1"\napi_key = "env:KEY"\n'
    loaded = read(tmp_path, LEDGER + own + model("gpt-4o-mini"))
    assert loaded.settings is not None, said(loaded)
    assert loaded.settings.models[0].deployments[0].price is not None
    other = own.replace("api.openai.com", "gateway.example.com")
    assert said(read(tmp_path, LEDGER + other + model("gpt-4o-mini"))) != []


@pytest.mark.parametrize("more", ["price = { input = 1, output = 2 }", "free = true"])
def test_the_operator_s_word_on_price_holds(tmp_path: Path, more: str) -> None:
    loaded = read(tmp_path, LEDGER + provider("openai") + model("gpt-4o-mini", more))
    assert loaded.settings is not None, said(loaded)
    assert loaded.settings.models[0].deployments[0].price is None


def test_where_nothing_is_charged_nothing_has_a_price(tmp_path: Path) -> None:
    loaded = read(tmp_path, provider("openai") + model("gpt-4o-mini", 'encoding = "cl100k_base"'))
    assert loaded.settings is not None
    assert loaded.settings.models[0].deployments[0].price is None
    assert loaded.settings.models[0].encoding == "cl100k_base"


def test_a_model_that_nobody_knows_is_refused_or_priced_by_rule(tmp_path: Path) -> None:
    text = LEDGER + provider("openai") + model("gpt-0")
    assert [one.partition(":")[0] for one in said(read(tmp_path, text))] == ["models[0].price"]
    loaded = read(tmp_path, text + "[catalogue]\nunknown_price = { input = 50, output = 60 }\n")
    assert loaded.settings is not None, said(loaded)
    assert loaded.settings.models[0].deployments[0].price == Prices(
        input=50.0, output=60.0, source="[catalogue] unknown_price"
    )
    # The rule is for what is not known: a known model keeps its vendor's price.
    loaded = read(
        tmp_path, LEDGER + provider("openai") + model("gpt-4o-mini") + "[catalogue.unknown_price]\ninput=9\n"
    )
    assert loaded.settings is not None, said(loaded)
    price = loaded.settings.models[0].deployments[0].price
    assert price is not None and price.input == 0.15


def test_prices_of_the_catalogue_can_be_left_alone(tmp_path: Path) -> None:
    text = LEDGER + provider("openai") + model("gpt-4o-mini") + "[catalogue]\nprices = false\n"
    assert [one.partition(":")[0] for one in said(read(tmp_path, text))] == ["models[0].price"]


def test_a_price_that_rises_with_length_is_the_catalogue_s(tmp_path: Path) -> None:
    loaded = read(tmp_path, LEDGER + provider("openai") + model("gpt-5.4"))
    assert loaded.settings is not None and not loaded.warnings, said(loaded)
    price = loaded.settings.models[0].deployments[0].price
    assert price is not None and (price.input, price.long_above, price.long_input) == (2.5, 272_000, 5.0)
    assert (price.long_output, price.long_cached, price.long_cache_write) == (22.5, 0.5, None)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("long_input = 5", "price.long_input: needs `long_above`"),
        ("long_above = 10", "price.long_above: needs `long_input`"),
        ("long_above = 0, long_input = 5", "price.long_above: "),
        ("long_above = 10, long_input = 0", "price.long_input: a price of 0"),
        ("long_above = 10, long_input = 5, long_output = 0", "price.long_output: a price of 0"),
        ("cached = 9e6, long_above = 10, long_input = 5e6", "price.long_cached: rises with `long_input`"),
    ],
)
def test_a_step_that_is_none_or_gives_something_away_is_refused(tmp_path: Path, step: str, told: str) -> None:
    own = f"price = {{ input = 2, output = 3, {step} }}\n"
    assert told in said(read(tmp_path, LEDGER + provider("openai") + model("gpt-5.4") + own))[0]


def test_what_a_step_does_not_say_rises_as_its_whole_does(tmp_path: Path) -> None:
    own = "price = { input = 3, output = 15, cached = 0.3, cache_write = 3.75, cache_write_long = 6, "
    own += "reasoning = 20, long_above = 200_000, long_input = 6, long_output = 22.5 }\n"
    loaded = read(tmp_path, LEDGER + provider("openai") + model("gpt-5.4") + own)
    assert loaded.settings is not None, said(loaded)
    written, ledger = loaded.settings.models[0].price, loaded.settings.ledger
    assert written is not None
    made = prices.price(written, ledger)
    assert isinstance(made, LongPrice)
    cent = 1_000_000 * 100
    assert (made.long_cached, made.long_cache_write, made.long_cache_write_long) == (
        6 * cent // 10,
        75 * cent // 10,
        12 * cent,
    )
    assert (made.long_reasoning, made.long_audio_input, made.long_image) == (30 * cent, 6 * cent, 6 * cent)
    assert made.charge(Usage(200_000)) == 200_000 * 300
    assert made.charge(Usage(200_001)) == 200_001 * 600


def test_what_is_put_into_a_cache_has_the_catalogue_s_price(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'vendor = "openai"\n[[models]]\nname = "x"\nprice = { input = 3, output = 9, cache_write = 4 }\n'
    )
    text = LEDGER + provider("openai") + model("x") + f'[catalogue]\nfile = "{own}"\n'
    loaded = read(tmp_path, text)
    assert loaded.settings is not None, said(loaded)
    price = loaded.settings.models[0].deployments[0].price
    assert price is not None and (price.cache_write, price.cache_write_long) == (4, None)
    assert not loaded.warnings


def test_rows_of_one_s_own_come_first(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'vendor = "openai"\n[[models]]\nname = "gpt-4o-mini"\nprice = { input = 9, output = 10 }\n'
    )
    text = LEDGER + provider("openai") + model("gpt-4o-mini") + f'[catalogue]\nfile = "{own}"\n'
    loaded = read(tmp_path, text)
    assert loaded.settings is not None, said(loaded)
    price = loaded.settings.models[0].deployments[0].price
    assert price is not None and price.input == 9.0
    own.write_text("[[models]]\n")
    assert any(one.startswith("catalogue.file: ") and "own.toml" in one for one in said(read(tmp_path, text)))


def test_vendors_are_told_by_preset_or_address() -> None:
    assert vendor_of("azure-foundry", "http://127.0.0.1/v1") == "azure-foundry"
    assert vendor_of("", "https://api.mistral.ai/v1") == "mistral"
    assert vendor_of("vllm", "https://api.mistral.ai/v1") == ""
    assert vendor_of("", "") == ""


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "p", "openai", "mistral", "gpt-4o"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "preset", "provider", "model", "deployments", "price", "url_parts", "enabled"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(raw=st.dictionaries(st.sampled_from(["providers", "models", "catalogue", "ledger"]), anything))
def test_nothing_that_a_file_may_say_breaks_it(raw: dict[str, Any]) -> None:
    def nothing(path: Any, text: str) -> None:
        assert isinstance(path, tuple) and text

    underlay(raw, Saying(nothing, nothing, nothing))

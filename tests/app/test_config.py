"""Configuration: where values come from, every problem at once with its place, and no secret in anything."""

import os
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast.routes import Router
from kpgate.app.config import Loaded, load
from kpgate.app.references import ReferenceFailed, resolve
from kpgate.domain.secret import Secret
from kpgate.domain.settings import Settings

CANARY = "canary-7f3a9"
GOOD = """\
[[providers]]
name = "openai"
base_url = "https://api.openai.com/v1"
api_key = "env:OPENAI_API_KEY"

[[models]]
name = "gpt-4o-mini"
deployments = [{ provider = "openai", model = "gpt-4o-mini" }]
"""
ENVIRON = {"OPENAI_API_KEY": CANARY}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str, **environ: str) -> Loaded:
    Path("kpgate.toml").write_text(text, encoding="utf-8")
    loaded = load(None, {**ENVIRON, **environ})
    everything = f"{loaded!r} {loaded.values} {loaded.sources} {loaded.problems} {loaded.warnings}"
    assert CANARY not in everything
    return loaded


def problems(text: str, **environ: str) -> list[str]:
    loaded = read(text, **environ)
    assert (loaded.settings is None) == bool(loaded.problems)
    return [str(problem) for problem in loaded.problems]


def test_without_a_file_the_defaults_stand() -> None:
    loaded = load(None, {})
    assert loaded.settings == Settings()
    assert set(loaded.sources.values()) == {"default"}
    assert loaded.file is None


def test_the_smallest_useful_file_is_valid() -> None:
    loaded = read(GOOD)
    assert loaded.problems == ()
    assert loaded.warnings == ()
    assert loaded.settings is not None
    assert loaded.settings.models[0].deployments[0].provider == "openai"
    assert loaded.sources["models[0].deployments[0].model"] == "kpgate.toml:8"
    assert loaded.sources["models[0].deployments[0].weight"] == "default"
    assert loaded.values["providers[0].api_key"] == "env:OPENAI_API_KEY"


def test_the_option_comes_before_the_variable_before_the_usual_name(tmp_path: Path) -> None:
    for name, port in (("a.toml", 1), ("b.toml", 2), ("kpgate.toml", 3)):
        Path(name).write_text(f"[server]\nport = {port}\n")
    for path, environ, port in (
        (Path("a.toml"), {"KPGATE_CONFIG": "b.toml"}, 1),
        (None, {"KPGATE_CONFIG": "b.toml"}, 2),
        (None, {}, 3),
    ):
        loaded = load(path, environ)
        assert loaded.settings is not None
        assert loaded.settings.server.port == port


def test_the_environment_comes_after_the_file_and_options_after_both() -> None:
    Path("kpgate.toml").write_text('[server]\nport = 1\nhost = "0.0.0.0"\nworkers = 3\n')
    loaded = load(None, {"KPGATE_SERVER__PORT": "2", "KPGATE_SERVER__WORKERS": "4"}, {"server.port": 5})
    assert loaded.settings is not None
    assert (loaded.settings.server.port, loaded.settings.server.workers) == (5, 4)
    assert loaded.sources["server.port"] == "command line --port"
    assert loaded.sources["server.workers"] == "environment KPGATE_SERVER__WORKERS"
    assert loaded.sources["server.host"] == "kpgate.toml:3"


def test_the_environment_reaches_every_kind_of_setting() -> None:
    loaded = load(
        None,
        {
            "KPGATE_PROVIDERS": '[{ name = "a", dialect = "echo" }]',
            "KPGATE_PROVIDERS__1__NAME": "b",
            "KPGATE_PROVIDERS__1__BASE_URL": "http://127.0.0.1:1/v1",
            "KPGATE_PROVIDERS__1__HEADERS__X_TEAM": "blue",
            "KPGATE_MODELS__0__NAME": "m",
            "KPGATE_MODELS__0__ALIASES": '["n"]',
            "KPGATE_MODELS__0__ALIASES__1": "o",
            "KPGATE_MODELS__0__DEPLOYMENTS": '[{ provider = "b", model = "x" }]',
            "KPGATE_LIMITS__KEY__REQUESTS": "5/min",
            "KPGATE_LOG__FORMAT": "json",
            "KPGATE_SERVER__TRUSTED_PROXIES": '["10.0.0.0/8"]',
        },
    )
    assert [str(problem) for problem in loaded.problems] == []
    settings = loaded.settings
    assert settings is not None
    assert settings.providers[1].headers == {"x-team": "blue"}
    assert settings.models[0].aliases == ("n", "o")
    assert settings.limits.key.requests == "5/min"
    assert settings.log.format == "json"
    assert loaded.sources["providers[0].dialect"] == "environment KPGATE_PROVIDERS"
    assert loaded.sources["providers[1].name"] == "environment KPGATE_PROVIDERS__1__NAME"


def test_items_of_a_list_come_in_their_own_order() -> None:
    environ = {f"KPGATE_PROVIDERS__{n}__NAME": f"p{n}" for n in range(12)}
    environ |= {f"KPGATE_PROVIDERS__{n}__DIALECT": "echo" for n in range(12)}
    loaded = load(None, environ)
    assert loaded.settings is not None
    assert [provider.name for provider in loaded.settings.providers] == [f"p{n}" for n in range(12)]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("KPGATE_SERVER__PROT", "1", "no such setting (did you mean KPGATE_SERVER__PORT?)"),
        ("KPGATE_SEVRER__PORT", "1", "no such setting (did you mean KPGATE_SERVER__PORT?)"),
        (
            "KPGATE_SERVER__PORT",
            f'"{CANARY}',
            "server.port: expected whole number from 0 to 65535, written as in TOML",
        ),
        ("KPGATE_SERVER__PORT", "70000", "server.port: expected a whole number <= 65535"),
        ("KPGATE_SERVER__PORT", "1\nhost = 2", "written as in TOML"),
        ("KPGATE_PROVIDERS__5__NAME", "x", "there is no item 5"),
        ("KPGATE_PROVIDERS__X__NAME", "x", "expected the number of an item after PROVIDERS__"),
        ("KPGATE_SERVER__PORT__X", "x", "no such setting"),
    ],
)
def test_a_variable_that_is_wrong_is_named(name: str, value: str, said: str) -> None:
    (found,) = problems(GOOD, **{name: value})
    assert found.startswith(f"environment {name}: ")
    assert said in found


def test_variables_that_are_no_settings_are_left_alone() -> None:
    text = GOOD.replace("env:OPENAI_API_KEY", "env:KPGATE_UPSTREAM_KEY")
    assert problems(
        text,
        KPGATE_UPSTREAM_KEY=CANARY,
        KPGATE_PORT="tcp://10.0.0.1:80",
        KPGATE_SERVICE_HOST="10.0.0.1",
        KPGATE_PORT_8080_TCP_ADDR="10.0.0.1",
        KPGATE_DATA="/data",
        KPGATE_TEST_REDIS="redis://",
    ) == []  # fmt: skip


def test_every_problem_is_found_at_once_with_its_line() -> None:
    found = problems(f"""\
[server]
port = "80"
hots = "x"
trusted_proxies = ["10.0.0.1/8"]
[tokens]
count = false
[limits]
key = {{ tokens = "5/foo", requests_burst = 3 }}
[[providers]]
name = "openai"
base_url = "https://u:{CANARY}@x/v1"
api_key = "{CANARY}"
headers = {{ Authorization = "Bearer {CANARY}", "bad name" = "{CANARY}", Host = "x" }}
[[models]]
name = "gpt"
default = true
deployments = [
  {{ provider = "openai", model = "x" }},
  {{ provider = "opnai", model = "x", weight = 0 }},
]
[[models]]
name = "other"
aliases = ["gpt"]
default = true
deployments = []
""")
    places = [problem.partition(": expected")[0] for problem in found]
    assert (
        'kpgate.toml:19: models[0].deployments[1].provider: no provider is named "opnai" (did you mean "openai"?)'
        in found
    )
    for place in (
        "kpgate.toml:2: server.port",
        'kpgate.toml:3: server.hots: no such setting (did you mean "host"?)',
        "kpgate.toml:4: server.trusted_proxies[0]: has bits set beyond its prefix: write 10.0.0.0/8",
        "kpgate.toml:8: limits.key.requests_burst: has no meaning without requests",
        "kpgate.toml:11: providers[0].base_url: must not hold a user name or password",
        "kpgate.toml:12: providers[0].api_key: a secret is written env:NAME or file:PATH, never in clear",
        "kpgate.toml:13: providers[0].headers.bad name: is not a valid header name",
        "kpgate.toml:13: providers[0].headers.Host: is set by kpgate itself",
        "kpgate.toml:19: models[0].deployments[1].weight",
        'kpgate.toml:23: models[1].aliases[0]: another model or alias is named "gpt"',
        "kpgate.toml:25: models[1].deployments",
    ):
        assert place in places


CLASHES = """\
[[providers]]
name = "p"
dialect = "echo"
[[models]]
name = "one"
aliases = [
  "first",
  {alias},
]
deployments = [
  {{ provider = "p", model = "x" }},
  {{ provider = "p", model = {model} }},
]
[[models]]
name = "two"
aliases = ["second"]
deployments = [{{ provider = "p", model = "x" }}]
"""


@pytest.mark.parametrize(
    ("alias", "model", "said"),
    [
        ("uno", "y", []),
        ("one", "y", ['kpgate.toml:8: models[0].aliases[1]: another model or alias is named "one"']),
        ("first", "y", ['kpgate.toml:8: models[0].aliases[1]: another model or alias is named "first"']),
        ("two", "y", ['kpgate.toml:15: models[1].name: another model or alias is named "two"']),
        ("second", "y", ['kpgate.toml:16: models[1].aliases[0]: another model or alias is named "second"']),
        ("o*", "y", []),
        (
            "uno",
            "x",
            [
                "kpgate.toml:12: models[0].deployments[1].model: is deployed above already, and would share its"
                " limits: make one of the two"
            ],
        ),
    ],
)
def test_names_and_deployments_that_clash_are_said(alias: str, model: str, said: list[str]) -> None:
    text = CLASHES.format(alias=repr(alias), model=repr(model))
    assert problems(text) == said
    loaded = read(text)
    if loaded.settings is not None:
        entries = [(one.name, *one.aliases) for one in loaded.settings.models]
        assert Router(entries).match("one") == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "[limits.key]\ntokens = '5/min'\n[tokens]\ncount = false",
            "token limits need [tokens] count = true",
        ),
        ("[[providers]]\nname = 'openai'\ndialect = 'echo'", 'another provider is named "openai"'),
        ("[[providers]]\nname = 'x'", "providers[1].base_url: missing"),
        ("[[providers]]\ndialect = 'echo'", "providers[1].name: missing"),
        (
            "[[providers]]\nname = 'x'\ndialect = 'azure'\nbase_url = 'https://x.openai.azure.com'",
            "providers[1].api_version: missing",
        ),
        (
            "[[providers]]\nname = 'x'\nbase_url = 'https://x'\napi_version = '2024-10-21'",
            "providers[1].api_version: is for providers of the dialect azure",
        ),
        (
            "[[providers]]\nname = 'x'\ndialect = 'azure'\nbase_url = 'https://x'\napi_version = 'a&b'",
            "providers[1].api_version: expected a version such as",
        ),
        (
            "[[providers]]\nname = 'x'\ndialect = 'gemini'\nbase_url = 'https://x'\nresponses = true",
            "providers[1].responses: is for providers of the dialects openai and azure",
        ),
        ("output = { repair = true }", "models[0].output.repair: needs validate = true"),
        ("[admin]\nport = 8080", "admin.port: is the port of [server] too"),
        ("[server]\nhost = '1.2.3'", "server.host: expected an IP address or a host name"),
        ("[retries]\nbackoff_min_ms = 300", "backoff_min_ms: is greater than backoff_max_ms (250)"),
        ("[ejection]\nbase_s = 400", "base_s: is greater than max_s (300)"),
        ("[log]\nformat = 'jsno'", 'expected one of auto, json, text (did you mean "json"?)'),
        ("[server]\ndrain_s = nan", "server.drain_s: expected"),
        ("[server]\ndrain_s = inf", "server.drain_s: expected a number <= 86400"),
        ("[server.tls]\ncert = 'no.pem'\nkey = 'no.pem'", "tls.cert: the file no.pem cannot be read"),
        ("server = 5", "server: expected a table, got a whole number"),
        ("[[log]]\n", "log: expected a table, got a list"),
        ("[auth]\nenabled = 1979-05-27", "auth.enabled: expected true or false, got a date or time"),
    ],
)
def test_a_rule_broken_is_said(more: str, said: str) -> None:
    text = f"{more}\n{GOOD}" if more.startswith("server =") else f"{GOOD}\n{more}\n"
    assert any(said in problem for problem in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("", "price: missing, and the catalogue has none"),
        ("price = { input = 0 }", "price.input: a price of 0 needs"),
        ("price = { input = 1.0, output = 0.0 }", "price.output: a price of 0 gives output away"),
        ("price = { input = 1.0 }\nfree = true", "free: has a price as well"),
        ("free = true\nholding_min_kpt = 1", "holding_min_kpt: is looked at where credit is held"),
        (
            'deployments = [{ provider = "e", model = "x", price = { input = 1.0, output = 2.0 } },'
            ' { provider = "e", model = "y", price = { input = 1.0 } }]',
            "deployments: some have a price for output and some have none",
        ),
        (
            'price = { input = 1.0, shares = [{ party = "a", basis_points = 6000 },'
            ' { party = "b", basis_points = 6000 }] }',
            "price.shares: come to more than the whole charge",
        ),
    ],
)
def test_where_credits_are_spent_nothing_is_given_away_by_accident(model: str, said: str) -> None:
    deployments = "" if "deployments" in model else 'deployments = [{ provider = "e", model = "x" }]'
    text = f"""
[ledger]
enabled = true
[[providers]]
name = "e"
dialect = "echo"
[[models]]
name = "m"
{deployments}
{model}
"""
    assert any(said in problem for problem in problems(text)), problems(text)


@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com/v1",
        "ftp://api.openai.com",
        "https://",
        "https:///v1",
        "https://host:99999/v1",
        "https://host:x/v1",
        "https://a b/v1",
        "https://host/v1?key=1",
        "https://host/v1#x",
        "https://host/../v1",
        "https://[::1/v1",
        "https://ho\\u0000st/",
        "https://user@host/v1",
        "https://host\\\\@other/v1",
    ],
)
def test_an_address_that_is_not_one_is_refused(url: str) -> None:
    assert any("base_url" in problem for problem in problems(GOOD.replace("https://api.openai.com/v1", url)))


@pytest.mark.parametrize("proxy", ["socks5://p:1", "http://u:p@p:1", "http://p:1/path", "p:3128"])
def test_a_proxy_that_is_not_one_is_refused(proxy: str) -> None:
    text = GOOD.replace("[[models]]", f'proxy = "{proxy}"\n[[models]]')
    assert any("providers[0].proxy" in problem for problem in problems(text))


def test_a_proxy_with_a_password_is_given_by_reference() -> None:
    text = GOOD.replace("[[models]]", 'proxy = "env:PROXY"\n[[models]]')
    assert problems(text, PROXY=f"http://u:{CANARY}@p:3128") == []
    assert any("providers[0].proxy: expected http://" in problem for problem in problems(text, PROXY=CANARY))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[server]\nport = = 1\n", "kpgate.toml:2: not TOML"),
        ("[server]\nport = 1\nport = 2\n", "kpgate.toml:3: not TOML"),
        ('a = """\n\n', "kpgate.toml:2: not TOML"),
    ],
)
def test_a_broken_file_says_its_line(text: str, place: str) -> None:
    assert problems(text)[0].startswith(place)


def test_a_file_that_is_no_text_or_not_there_is_a_problem() -> None:
    Path("kpgate.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    assert str(load(None, {}).problems[0]) == "kpgate.toml:2: is not UTF-8 text"
    assert "cannot be read" in str(load(Path("absent.toml"), {}).problems[0])
    assert "cannot be read" in str(load(Path("."), {}).problems[0])


def test_certificates_are_tried_before_a_server_would_abort_on_them(tmp_path: Path) -> None:
    authority = trustme.CA()
    one, other = authority.issue_cert("localhost"), authority.issue_cert("localhost")
    one.cert_chain_pems[0].write_to_path("cert.pem")
    one.private_key_pem.write_to_path("key.pem")
    other.private_key_pem.write_to_path("other.pem")
    authority.cert_pem.write_to_path("ca.pem")
    Path("junk.pem").write_text("junk")
    for name in ("key.pem", "other.pem"):
        Path(name).chmod(0o600)

    def table(key: str, ca: str) -> str:
        return f'{GOOD}[server.tls]\ncert = "cert.pem"\nkey = "{key}"\nclient_ca = "{ca}"\n'

    assert problems(table("key.pem", "ca.pem")) == []
    assert any("does not belong" in problem for problem in problems(table("other.pem", "ca.pem")))
    assert any("tls.key" in problem for problem in problems(table("junk.pem", "ca.pem")))
    assert any("no certificates" in problem for problem in problems(table("key.pem", "junk.pem")))


def test_a_secret_is_resolved_from_where_it_rests(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{CANARY}\n")
    for reference in ("env:OPENAI_API_KEY", f"file:{file}"):
        secret = resolve(reference, ENVIRON)
        assert secret.reveal() == CANARY
        assert CANARY not in f"{secret!r} {secret}"
    with pytest.raises(TypeError):
        secret.__reduce__()
    assert secret == Secret(CANARY)


@pytest.mark.parametrize(
    "reference", [CANARY, "env:", "env:1", "env:ABSENT", "file:", "file:/absent", "env:EMPTY", "env:LINES"]
)
def test_a_reference_that_leads_nowhere_says_why_and_shows_nothing(reference: str) -> None:
    with pytest.raises(ReferenceFailed) as caught:
        resolve(reference, {"EMPTY": " \n", "LINES": f"{CANARY}\r\n{CANARY}"})
    assert CANARY not in str(caught.value)


def test_a_secret_file_that_others_can_read_is_a_warning() -> None:
    Path("key").write_text(CANARY)
    os.chmod("key", 0o644)
    loaded = read(GOOD.replace("env:OPENAI_API_KEY", "file:key"))
    assert loaded.problems == ()
    assert "chmod 600" in str(loaded.warnings[0])


def test_a_hedge_with_nowhere_to_go_is_warned_of_and_a_shadow_needs_its_model() -> None:
    loaded = read(GOOD + "[models.hedge]\ndelay_s = 1.5\n")
    assert loaded.problems == () and "models[0].hedge: does nothing" in str(loaded.warnings[0])
    assert problems(GOOD + '[models.shadow]\nmodel = "gpt-4o-mimi"\n') == [
        'kpgate.toml:10: models[0].shadow.model: no model is named "gpt-4o-mimi" (did you mean "gpt-4o-mini"?)'
    ]


def test_an_unset_variable_is_a_problem() -> None:
    Path("kpgate.toml").write_text(GOOD)
    (found,) = load(None, {}).problems
    assert (
        str(found)
        == "kpgate.toml:4: providers[0].api_key: the environment variable OPENAI_API_KEY is not set"
    )


def test_header_values_are_hidden_and_references_shown() -> None:
    more = f'headers = {{ X-Team = "{CANARY}", X-Key = "env:OPENAI_API_KEY" }}\n'
    loaded = read(GOOD.replace("\n[[models]]", f"{more}\n[[models]]"))
    assert loaded.values["providers[0].headers.X-Team"] == "(hidden)"
    assert loaded.values["providers[0].headers.X-Key"] == "env:OPENAI_API_KEY"


@given(
    st.recursive(
        st.sampled_from([1, -1, "x", "", True, 1.5, "env:X", "openai"]),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    ["name", "key", "tls", "deployments", "headers", "limits", "provider", "timeouts"]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    ),
    st.sampled_from(
        ["SERVER", "PROVIDERS", "MODELS", "LIMITS", "SERVER__TLS", "PROVIDERS__0", "MODELS__0__LIMITS"]
    ),
)
def test_any_shape_is_judged_without_failing(value: object, section: str) -> None:
    def toml(part: object) -> str:
        if isinstance(part, dict):
            return "{" + ", ".join(f"{name} = {toml(item)}" for name, item in part.items()) + "}"
        if isinstance(part, list):
            return "[" + ", ".join(map(toml, part)) + "]"
        return str(part).lower() if isinstance(part, bool | int | float) else f'"{part}"'

    loaded = load(None, {f"KPGATE_{section}": toml(value)})
    assert (loaded.settings is None) == bool(loaded.problems)

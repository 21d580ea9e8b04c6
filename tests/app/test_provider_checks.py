"""What is said of a provider's API fits its dialect: who signs, with what and for where."""

from pathlib import Path

import pytest

from kpgate.app.config import load
from kpgate.app.ways import VENDORS, Ways
from kpgate.domain.settings import Provider, Settings
from kpgate.domain.surface import SIGNED, region_of

ENVIRON = {"ID": "AKIDEXAMPLE", "SECRET": "canary-51f0", "SESSION": "session"}
SIGNING = "signing = { access_key = 'env:ID', secret_key = 'env:SECRET' }"
AMAZON = "base_url = 'https://bedrock-runtime.eu-west-1.amazonaws.com'"
ELSEWHERE = "base_url = 'https://bedrock.example.com'"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def provider(*lines: str) -> Provider:
    loaded = _read(*lines)
    assert loaded.settings is not None, loaded.problems
    found: Provider = loaded.settings.providers[0]
    return found


def _read(*lines: str):  # type: ignore[no-untyped-def]
    more = "\n".join(lines)
    text = f"[[providers]]\nname = 'b'\n{more}\n[[models]]\nname = 'm'\ndeployments = [{{provider = 'b', model = 'x'}}]"
    Path("kpgate.toml").write_text(text, encoding="utf-8")
    loaded = load(None, ENVIRON)
    assert ENVIRON["SECRET"] not in f"{loaded!r} {loaded.values} {loaded.problems} {loaded.warnings}"
    return loaded


def problems(*lines: str) -> str:
    return "\n".join(str(problem) for problem in _read(*lines).problems)


def test_the_dialects_that_sign_are_those_with_a_signer() -> None:
    assert set(SIGNED) == {name for name, vendor in VENDORS.items() if vendor.signer is not None}


def test_the_region_is_the_address_s_or_what_is_said() -> None:
    assert region_of(provider("dialect = 'bedrock'", AMAZON, SIGNING)) == "eu-west-1"
    preset = provider("preset = 'bedrock'", "url_parts = { region = 'us-west-2' }", SIGNING)
    assert (preset.dialect, region_of(preset)) == ("bedrock", "us-west-2")
    said = "signing = { access_key = 'env:ID', secret_key = 'env:SECRET', region = 'ap-south-1' }"
    assert region_of(provider("dialect = 'bedrock'", ELSEWHERE, said)) == "ap-south-1"
    private = "base_url = 'https://vpce-0a.bedrock-runtime-fips.us-gov-west-1.vpce.amazonaws.com'"
    assert region_of(provider("dialect = 'bedrock'", private, SIGNING)) == "us-gov-west-1"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ("dialect = 'bedrock'", AMAZON, SIGNING, "headers = { Authorization = 'env:SECRET' }"),
            "headers.Authorization: is what signing sends",
        ),
        (
            ("dialect = 'bedrock'", AMAZON, SIGNING, "checks = { kind = 'models' }"),
            "checks.kind: is tcp with the dialect bedrock",
        ),
        (("dialect = 'bedrock'", ELSEWHERE, SIGNING), "signing.region: missing: base_url does not name one"),
        (("dialect = 'openai'", AMAZON, SIGNING), "signing: is for providers of the dialect bedrock"),
        (
            ("dialect = 'bedrock'", AMAZON, SIGNING, "api_key = 'env:SECRET'"),
            "api_key: is sent instead of what",
        ),
        (
            ("dialect = 'bedrock'", AMAZON, SIGNING.replace("env:ID", "AKID")),
            "signing.access_key: a secret is written",
        ),
        (("dialect = 'bedrock'", AMAZON, SIGNING.replace("ID", "NONE")), "NONE is not set"),
        (
            ("dialect = 'bedrock'", AMAZON, SIGNING.replace(" }", ", region = 'EU West' }")),
            "signing.region: expected a region such as us-east-1",
        ),
    ],
)
def test_signing_that_does_not_fit_is_said(lines: tuple[str, ...], said: str) -> None:
    assert said in problems(*lines)


def test_no_credential_is_a_warning_and_keys_are_one() -> None:
    assert any("has no api_key" in str(one) for one in _read("dialect = 'bedrock'", AMAZON).warnings)
    assert not _read("dialect = 'bedrock'", AMAZON, SIGNING).warnings


def test_ways_are_signed_at_the_time_of_the_call() -> None:
    now = [1_440_938_160.0]
    token = SIGNING.replace(" }", ", session_token = 'env:SESSION' }")
    made = Ways(Settings(), ENVIRON, lambda: now[0])
    ways = made.of(provider("dialect = 'bedrock'", AMAZON, token), "us.amazon.nova-2-lite-v1:0")
    way = ways["/v1/chat/completions"]
    assert way.sign is not None and b"authorization" not in way.head
    assert b"/converse-stream HTTP/1.1" in way.stream_head and b"nova-2-lite-v1%3A0/converse HTTP" in way.head
    lines = way.sign(way.head, b"{}")
    assert b"x-amz-date: 20150830T123600Z\r\n" in lines and b"x-amz-security-token: session\r\n" in lines
    assert b"Credential=AKIDEXAMPLE/20150830/eu-west-1/bedrock/aws4_request" in lines
    now[0] += 1
    assert way.sign(way.head, b"{}") != lines
    assert set(ways) >= {"/v1/messages", "/v1/responses"} and "/v1/embeddings" not in ways

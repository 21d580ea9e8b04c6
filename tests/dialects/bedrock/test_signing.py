"""Requests to Amazon, signed: as its own test suite has them, and as Bedrock is really asked.

`sigv4.json` is the signature version 4 test suite in one file, as botocore 1.44 has it (November 2026), without what
normalises paths: none of ours has a dot or an empty segment.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.bedrock.endpoints import TONGUE
from kpgate.dialects.bedrock.signing import Asking, authorize, canonicalize, signer
from kpgate.domain.identity import Identity
from kpgate.domain.secret import Secret
from tests.kit.vendors.bedrock import SKEW, refusal
from tests.kit.vendors.server import Asked
from tests.kit.whole import SECRET

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "sigv4.json").read_text())
KEYS = Identity("AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), "us-east-1")
STAMP = "20150830T123600Z"
AT_S = 1_440_938_160.0
MODEL = (
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_amazon_s_own_vectors(vector: dict[str, Any]) -> None:
    asking = Asking(vector["method"], vector["target"], [tuple(pair) for pair in vector["headers"]])
    value = authorize(KEYS, asking, vector["body"].encode(), STAMP, "service")
    assert value == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={vector['signed']}, Signature={vector['signature']}"
    )


def head(model: str = MODEL, query: str = "") -> bytes:
    return (
        f"POST {TONGUE.path(model, False)}{query} HTTP/1.1\r\nhost: bedrock-runtime.us-east-1.amazonaws.com\r\n"
        "x-secret: s\r\ncontent-type: application/json\r\nuser-agent: kpgate\r\n"
    ).encode()


def test_a_path_is_encoded_once_more_than_it_is_sent() -> None:
    path = TONGUE.path("us.amazon.nova-2-lite-v1:0", True)
    assert path == "/model/us.amazon.nova-2-lite-v1%3A0/converse-stream"
    canonical, _ = canonicalize(Asking("POST", path, [("host", "h")]), b"")
    assert canonical.splitlines()[1] == "/model/us.amazon.nova-2-lite-v1%253A0/converse-stream"


def test_what_is_signed_is_what_nobody_changes_on_the_way() -> None:
    lines = signer(KEYS, lambda: AT_S)(head(), b"{}")
    assert lines.startswith(b"x-amz-date: 20150830T123600Z\r\nauthorization: AWS4-HMAC-SHA256 ")
    assert lines.endswith(b"\r\n") and lines.count(b"\r\n") == 2
    assert b"SignedHeaders=content-type;host;x-amz-date, " in lines
    # As botocore 1.44 signs the same request, its three headers alone.
    assert b"Signature=be91976db8894fcce3760faff1b174b005aa29e189bde68906b05e9930ed458e\r\n" in lines


def test_a_session_token_goes_along_and_is_signed() -> None:
    keys = Identity(KEYS.access_key, KEYS.secret_key, KEYS.region, Secret("session"))
    lines = signer(keys, lambda: AT_S)(head(query="?a=b%20c&A=1"), b"{}")
    assert b"x-amz-security-token: session\r\n" in lines
    assert b"SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, " in lines
    assert b"Signature=6f6df66b05ef98184427b381f84949fec67c7a97db5bb5636be11c961e258a35\r\n" in lines


def test_the_clock_the_day_and_the_body_count() -> None:
    now = [AT_S]
    sign = signer(KEYS, lambda: now[0])
    first = sign(head(), b"{}")
    assert sign(head(), b"{}") == first and sign(head(), b"{ }") != first
    now[0] += 86_400
    later = sign(head(), b"{}")
    assert b"20150831/us-east-1/bedrock" in later and b"x-amz-date: 20150831T123600Z" in later


def test_no_key_is_shown() -> None:
    assert "wJalr" not in repr(KEYS)


def came(model: str, body: bytes, streamed: bool, secret: str = SECRET) -> tuple[Asked, datetime]:
    """A request as Bedrock gets it, signed, and the time of that."""
    keys = Identity("AKID", Secret(secret), "eu-west-1", Secret("token"))
    path = TONGUE.path(model, streamed)
    sent = f"POST {path} HTTP/1.1\r\nhost: h:8\r\ncontent-type: application/json\r\n".encode()
    lines = (sent + signer(keys, lambda: AT_S)(sent, body)).decode().split("\r\n")[1:-1]
    headers = dict(line.split(": ", 1) for line in lines)
    return Asked(path, headers, None, body), datetime.fromtimestamp(AT_S, UTC)


@given(st.text(min_size=1), st.binary(max_size=200), st.booleans())
def test_any_request_holds_against_a_check_of_its_own(model: str, body: bytes, streamed: bool) -> None:
    asked, at = came(model, body, streamed)
    assert refusal(asked, now=at) == ""


def test_whatever_is_changed_on_the_way_does_not_hold() -> None:
    asked, at = came(MODEL, b'{"a":1}', False)
    assert refusal(asked, now=at) == "" and refusal(asked, now=at + SKEW) == ""
    assert "expired" in refusal(asked, now=at + 2 * SKEW)
    mismatch = "not that of what came"
    assert mismatch in refusal(replace(asked, raw=b'{"a":2}'), now=at)
    assert mismatch in refusal(replace(asked, path=TONGUE.path(MODEL, True)), now=at)
    for name, value in (("host", "h:9"), ("content-type", "text/plain"), ("x-amz-security-token", "t")):
        assert mismatch in refusal(replace(asked, headers=asked.headers | {name: value}), now=at)
    assert mismatch in refusal(came(MODEL, b"{}", False, "another")[0], now=at)

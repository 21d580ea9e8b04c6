"""Signatures of webhooks: the standard's own example, and everything that is none."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.domain.errors import InvalidSignature
from kpgate.domain.secret import Secret
from kpgate.domain.webhook import Source, check, key_of, sign

SECRET = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
NOW_S = 1_614_265_330
BODY = b'{"test": 2432232314}'
SOURCE = Source("shop", (SECRET,), 300_000_000)


def headers(**more: bytes) -> list[tuple[bytes, bytes]]:
    found = {
        "webhook_id": b"msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook_timestamp": b"%d" % NOW_S,
        "webhook_signature": b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        **more,
    }
    return [(name.replace("_", "-").encode(), value) for name, value in found.items() if value]


def test_the_standard_s_example_is_let_in():
    check(SOURCE, headers(), BODY, NOW_S * 1_000_000)
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    said = b"msg_p5jXN8AQM9LWM0D4loKWxJek.%d.%b" % (NOW_S, BODY)
    right = base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
    assert sign(key_of(SECRET), b"msg_p5jXN8AQM9LWM0D4loKWxJek", NOW_S, BODY) == f"v1,{right}"


def test_one_right_signature_among_several_is_enough_by_any_secret():
    right = headers()[2][1]
    check(SOURCE, headers(webhook_signature=b"v1,AAAA v1a,x " + right), BODY, NOW_S * 1_000_000)
    both = Source("shop", (Secret("plain text is a key as well"), SECRET), 300_000_000)
    check(both, headers(), BODY, NOW_S * 1_000_000)
    own = sign(b"plain text is a key as well", b"m", NOW_S, BODY).encode()
    check(both, headers(webhook_id=b"m", webhook_signature=own), BODY, NOW_S * 1_000_000)


@pytest.mark.parametrize(
    ("sent", "body", "off_s"),
    [
        (headers(), BODY + b" ", 0),
        (headers(), BODY, 301),
        (headers(), BODY, -301),
        (headers(webhook_id=b"other"), BODY, 0),
        (headers(webhook_timestamp=b"%d" % (NOW_S + 1)), BODY, 0),
        (headers(webhook_timestamp=b"+%d" % NOW_S), BODY, 0),
        (headers(webhook_timestamp=b"9" * 300), BODY, 0),
        (headers(webhook_id=b""), BODY, 0),
        (headers(webhook_timestamp=b""), BODY, 0),
        (headers(webhook_signature=b""), BODY, 0),
        (headers(webhook_signature=b"v1,"), BODY, 0),
        (headers(webhook_signature=b"v2" + headers()[2][1][2:]), BODY, 0),
        (headers(webhook_signature=headers()[2][1] + b"="), BODY, 0),
        (headers(webhook_signature=b"v1,x " * 16 + headers()[2][1]), BODY, 0),
        (headers(webhook_signature=b"\xff"), BODY, 0),
        (headers(webhook_signature=b"v1," * 1000), BODY, 0),
        (headers() + headers()[2:], BODY, 0),
    ],
)
def test_what_is_not_signed_just_now_by_the_source_is_refused(
    sent: list[tuple[bytes, bytes]], body: bytes, off_s: int
):
    with pytest.raises(InvalidSignature):
        check(SOURCE, sent, body, (NOW_S + off_s) * 1_000_000)


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_garbage_is_refused_and_breaks_nothing(one: bytes, two: bytes, three: bytes):
    sent = headers(webhook_id=one, webhook_timestamp=two, webhook_signature=three)
    with pytest.raises(InvalidSignature):
        check(SOURCE, sent, BODY, NOW_S * 1_000_000)


def test_a_secret_that_is_no_base64_is_refused_without_being_shown():
    with pytest.raises(ValueError, match="base64") as caught:
        key_of(Secret("whsec_canary!"))
    assert "canary" not in str(caught.value)

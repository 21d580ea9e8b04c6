"""The registry of errors: every way to be refused has one code, a meaning and a remedy."""

import pytest

from kpgate.domain.errors import REGISTRY, Fault, GatewayError, Retry
from kpgate.domain.phase import Phase

CONTRACT = {
    "invalid_request": 400,
    "invalid_api_key": 401,
    "model_not_allowed": 403,
    "model_not_found": 404,
    "not_found": 404,
    "body_too_large": 413,
    "headers_too_large": 431,
    "rate_limited": 429,
    "tokens_limited": 429,
    "concurrency_limited": 429,
    "internal": 500,
    "upstream_failed": 502,
    "upstream_timeout": 504,
    "overloaded": 503,
    "draining": 503,
    "store_unavailable": 503,
}


def test_the_contract_s_codes_have_their_statuses() -> None:
    assert {code: REGISTRY[code].status for code in CONTRACT} == CONTRACT


def test_a_code_cannot_be_defined_twice() -> None:
    with pytest.raises(TypeError, match="defined twice"):
        type("Again", (GatewayError,), {"code": "internal", "meaning": "x", "remedy": "y"})


def test_an_error_needs_a_meaning_and_a_remedy() -> None:
    with pytest.raises(TypeError, match="needs a code"):
        type("Bare", (GatewayError,), {"code": "bare"})
    assert "bare" not in REGISTRY


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=REGISTRY)
def test_faults_statuses_and_retries_agree(kind: type[GatewayError]) -> None:
    assert 400 <= kind.status < 600
    assert (kind.status < 500) == (kind.fault is Fault.CALLER)
    if kind.status in (429, 503):
        assert kind.retry is Retry.LATER


def test_an_error_keeps_the_phase_it_arose_in() -> None:
    error = REGISTRY["internal"]("broken").at(Phase.ADMIT)
    assert error.at(Phase.RESPOND).phase is Phase.ADMIT

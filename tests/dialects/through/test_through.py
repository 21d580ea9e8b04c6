"""The pass-through's paths: none leads out of its place, however it is spelled."""

from contextlib import suppress
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.through.endpoints import KEPT_BACK, Passed, Road, check_path, find
from kpgate.domain.call import Call
from kpgate.domain.errors import InvalidRequest, MethodNotAllowed, NotFound

BAD = [
    b"..", b"../v2", b"files/../../admin", b"files/..", b"./files", b"files/.", b"%2e%2e/admin", b"files/%2E%2e/x",
    b"..%2fadmin", b"files%2f..%2f..%2fadmin", b"..%5cadmin", b"..\\admin", b"%252e%252e/admin", b"%25252e%25252e/x",
    b"a//b", b"/files", b"files//", b"..;/admin", b"..;x=1/admin", b"a%00b", b"a%0d%0aHost:x", b"a b", b"a\tb",
    b"caf\xc3\xa9", b"a#b", b"a%23b", b"a%3fb", b"a" * 3000, b"%2525252561",
]  # fmt: skip


def read(path: bytes, query: bytes = b"", method: str = "GET") -> Call:
    endpoint = find(method, b"/providers/" + path, query)
    assert endpoint is not None
    return endpoint.decode(b"", 64)


@pytest.mark.parametrize("path", BAD)
def test_a_path_that_leads_elsewhere_is_refused(path: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(b"x/" + path)
    assert refused.value.param == "path"


@pytest.mark.parametrize(
    "path",
    [b"files", b"files/", b"files/file-1/content", b"models/a%2Fb", b"v1/a:b@c", b"a.b/...x", b"caf%C3%A9"],
)
def test_a_path_goes_as_it_is(path: bytes) -> None:
    call = read(b"x/" + path, b"after=1&limit=2")
    assert call.model == "providers/x" and call.content.target == b"/" + path + b"?after=1&limit=2"
    assert Road("/v1", ("*",), frozenset()).begin(call) == b"GET /v1/%b?after=1&limit=2 HTTP/1.1\r\n" % path


@given(st.binary(max_size=30) | st.text("./%2eE5cCfF\\;a", max_size=30).map(str.encode))
def test_no_path_that_is_let_in_leads_out(path: bytes) -> None:
    with suppress(InvalidRequest):
        check_path(path)
        for _ in range(4):
            segments = path.replace(b"\\", b"/").split(b"/")
            assert not {b".", b".."} & set(segments) and b"\n" not in path
            path = unquote_to_bytes(path)


@pytest.mark.parametrize("path", [b"", b"x", b"x/", b"/files"])
def test_a_path_names_a_provider_and_something_there(path: bytes) -> None:
    with pytest.raises(NotFound):
        read(path)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "CONNECT", "TRACE", "get"])
def test_methods_that_are_not_forwarded(method: str) -> None:
    with pytest.raises(MethodNotAllowed) as refused:
        read(b"x/files", method=method)
    assert refused.value.allowed == ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.mark.parametrize(
    "query", [b"key=x", b"a=1&api_key=x", b"api-key=x", b"a=1;access_token=x", b"a b", b"a#b"]
)
def test_queries_that_are_not_forwarded(query: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(b"x/files", query)
    assert refused.value.param == "query"


def test_what_is_let_through_is_the_operator_s_to_say() -> None:
    road = Road("/v1", ("/files*", "/batches/*/cancel"), frozenset())
    for path in (b"files", b"files/1", b"batches/7/cancel"):
        assert road.forward(b"body", read(b"x/" + path), "*", 0) == b"body"
    for path in (b"models", b"batches/7", b"v1/files"):
        with pytest.raises(NotFound):
            road.forward(b"body", read(b"x/" + path), "*", 0)


def test_the_caller_s_credentials_stay_here() -> None:
    passed = Passed(frozenset((b"anthropic-version",)))
    assert b"content-type" in passed and b"accept" in passed and b"anthropic-beta" in passed
    assert not any(
        name in passed for name in (*KEPT_BACK, b"x-kpgate-x", b"x-forwarded-for", b"anthropic-version")
    )
    assert find("GET", b"/v1/models", b"") is None

"""The pass-through: a provider's own paths by any method, with its credential, limited, charged by the call."""

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from kpgate.domain.limits import Limits
from tests.kit.gateway_process import TRANSPORTS, request, until
from tests.kit.payer import Payer
from tests.kit.vendors.server import Answer, Asked, VendorServer
from tests.kit.whole import SECRET, Whole

PRICE = 1_000_000
"""0.01 dollars a call."""
BYTES = bytes(range(256)) * 300
GOES_ON = threading.Event()


def slowly() -> Iterator[bytes]:
    yield BYTES
    # The rest comes once the first has arrived.
    assert GOES_ON.wait(20)
    yield BYTES


def answer(asked: Asked) -> Answer:
    """What a provider has beside its models."""
    path = asked.path.partition("?")[0]
    if path == "/v1/files" and asked.method == "GET":
        listed = {"object": "list", "data": [], "has_more": False, "asked": asked.path}
        return Answer(200, "application/json", [json.dumps(listed).encode()])
    if path == "/v1/slow":
        return Answer(200, "application/octet-stream", slowly())
    if path == "/v1/endless":
        return Answer(200, "application/octet-stream", iter(lambda: BYTES, b""))
    if path == "/v1/cut":
        return Answer(200, "application/octet-stream", [BYTES], cut=True)
    if path.startswith("/v1/status/"):
        status = int(path.rpartition("/")[2])
        return Answer(status, "application/json", [b'{"error":{"message":"theirs"}}'])
    said = {"method": asked.method, "path": asked.path, "headers": asked.headers, "bytes": len(asked.raw)}
    return Answer(200, "application/json", [json.dumps(said).encode()], {"content-disposition": "inline"})


@pytest.fixture(scope="module")
def server() -> Iterator[VendorServer]:
    with VendorServer(answer) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: VendorServer
) -> Iterator[Whole]:
    providers = "".join(
        f'[[providers]]\nname = "{name}"\nbase_url = "{server.url}/v1"\napi_key = "env:KPGATE_TEST_UPSTREAM"\n'
        f'headers = {{ "x-team" = "ours" }}\n{more}\n'
        for name, more in {
            "open": "passthrough = { request = 0.01 }",
            "free": "passthrough = { free = true }",
            "some": 'passthrough = { paths = ["/files*"], request = 0.01 }',
            "tight": 'passthrough = { free = true, limits = { requests = "1/h" } }',
            "shut": "",
        }.items()
    )
    with Whole(
        tmp_path_factory.mktemp("through"), "[ledger]\nenabled = true\n" + providers, transport=request.param
    ) as gate:
        yield gate


@pytest.fixture
def payer(gate: Whole) -> Payer:
    return Payer(gate)


def ask(
    payer: Payer, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", payer.gate.port, timeout=20)
    try:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"authorization": f"Bearer {payer.key}"} | said)
        reply = connection.getresponse()
        got, kind = reply.read(), reply.headers.get("content-type", "")
        found = {name.lower(): value for name, value in reply.getheaders()}
        return reply.status, found, json.loads(got) if "json" in kind and got else got
    finally:
        connection.close()


def test_the_official_client_uses_another_part_of_the_api(payer: Payer, server: VendorServer) -> None:
    url = f"http://127.0.0.1:{payer.gate.port}/providers/open"
    with openai.OpenAI(base_url=url, api_key=payer.key, max_retries=0) as client:
        assert list(client.files.list(limit=3)) == []
    assert server.asked[-1].path == "/v1/files?limit=3"
    assert payer.paid() == PRICE
    until(lambda: any(one["path"] == "/providers/{name}" for one in payer.gate.records()))
    record = next(one for one in payer.gate.records() if one["path"] == "/providers/{name}")
    assert (record["model"], record["provider"], record["cost_microkpt"]) == ("providers/open", "open", PRICE)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_everything_goes_along_but_the_caller_s_credential(payer: Payer, method: str) -> None:
    body = None if method == "GET" else BYTES
    status, headers, said = ask(
        payer,
        "/providers/open/a/b%2Fc?x=1&y=%20",
        method,
        body,
        content_type="application/x-thing",
        x_api_key=payer.key,
        cookie="a=b",
        x_team="theirs",
        openai_organization="org",
        x_forwarded_for="1.2.3.4",
    )
    assert status == 200 and headers["content-disposition"] == "inline"
    assert (said["method"], said["path"], said["bytes"]) == (
        method,
        "/v1/a/b%2Fc?x=1&y=%20",
        len(body or b""),
    )
    sent = said["headers"]
    assert sent["authorization"] == f"Bearer {SECRET}" and payer.key not in str(sent)
    assert sent["content-type"] == "application/x-thing" and sent["openai-organization"] == "org"
    assert sent["x-team"] == "ours", "what the operator says goes before what the caller says"
    assert not {"cookie", "x-api-key", "x-forwarded-for"} & set(sent)
    assert sent["x-request-id"] == headers["x-request-id"]
    assert sent["content-length"] == str(len(body or b"")) and "transfer-encoding" not in sent
    assert payer.paid() == PRICE


def test_a_reply_is_sent_on_as_it_comes(payer: Payer) -> None:
    GOES_ON.clear()
    head = f"authorization: Bearer {payer.key}"
    with payer.gate.open(request("/providers/open/slow", head, method="GET")) as connection:
        got = b""
        while BYTES[:200] not in got:
            got += connection.recv(65_536)
        assert b"content-type: application/octet-stream" in got
        GOES_ON.set()
        while piece := connection.recv(65_536):
            got += piece
    assert got.endswith(b"0\r\n\r\n")
    assert payer.paid() == PRICE


def test_misfortune_at_the_provider(payer: Payer, server: VendorServer) -> None:
    for status, wanted in (
        (400, 400),
        (404, 404),
        (409, 409),
        (500, 502),
        (503, 502),
        (401, 502),
        (429, 429),
    ):
        asked = len(server.asked)
        found, _, said = ask(payer, f"/providers/open/status/{status}", "POST", b"{}")
        assert found == wanted, said
        assert len(server.asked) == asked + 1, "what it does is not known: it is done once"
    assert payer.paid() == 0
    assert ask(payer, "/providers/open/status/204", "DELETE")[0] == 204
    assert payer.paid() == PRICE
    with pytest.raises(http.client.IncompleteRead):
        ask(payer, "/providers/open/cut")
    assert payer.paid() == 2 * PRICE


def test_a_client_that_leaves_is_seen(payer: Payer) -> None:
    head = f"authorization: Bearer {payer.key}"
    with payer.gate.open(request("/providers/open/endless", head, method="GET")) as connection:
        assert connection.recv(100_000)
    assert payer.paid() == PRICE
    payer.gate.settled()


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/providers/open/../x", "GET", 400, "invalid_request"),
        ("/providers/open/%2e%2e/x", "GET", 400, "invalid_request"),
        ("/providers/open//x", "GET", 400, "invalid_request"),
        ("/providers/open/files?key=sk-1", "GET", 400, "invalid_request"),
        ("/providers/open", "GET", 404, "not_found"),
        ("/providers/open/", "POST", 404, "not_found"),
        ("/providers/nobody/files", "GET", 404, "model_not_found"),
        ("/providers/shut/files", "GET", 404, "model_not_found"),
        ("/providers/p/files", "GET", 404, "model_not_found"),
        ("/providers/some/models", "GET", 404, "not_found"),
        ("/providers/open/files", "OPTIONS", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_let_through(
    payer: Payer, server: VendorServer, path: str, method: str, status: int, code: str
) -> None:
    asked = len(server.asked)
    found, _, said = ask(payer, path, method, b"" if method == "POST" else None)
    assert (found, said["error"]["code"]) == (status, code)
    assert len(server.asked) == asked and payer.paid() == 0


def test_keys_limits_and_credit_hold_here_too(gate: Whole, payer: Payer) -> None:
    assert ask(payer, "/providers/some/files")[0] == 200
    stranger = Payer(gate, 0)
    stranger.key = "sk-wrong"
    assert ask(stranger, "/providers/open/files")[0] == 401
    poor = Payer(gate, PRICE - 1)
    assert ask(poor, "/providers/open/files")[2]["error"]["code"] == "insufficient_credit"
    assert ask(poor, "/providers/free/files")[0] == 200 and poor.paid() == 0
    poor.key = gate.key(poor.name, models=("m", "providers/free"))
    assert ask(poor, "/providers/free/files")[0] == 200
    assert ask(poor, "/providers/some/files")[2]["error"]["code"] == "model_not_allowed"
    poor.key = gate.key(poor.name, limits=Limits(requests="1/h"))
    assert [ask(poor, "/providers/free/files")[0] for _ in range(2)] == [200, 429]
    assert [ask(payer, "/providers/tight/files")[0] for _ in range(2)] == [200, 429]


def test_it_is_no_model(payer: Payer) -> None:
    listed = [one["id"] for one in ask(payer, "/v1/models")[2]["data"]]
    assert listed == ["m", "echo"]
    chat = json.dumps({"model": "providers/open", "messages": [{"role": "user", "content": "hi"}]}).encode()
    status, _, said = ask(payer, "/v1/chat/completions", "POST", chat)
    assert status in (400, 403) and said["error"]["param"] == "model"
    assert payer.paid() == 0


def test_a_body_that_is_too_large_is_not_sent(tmp_path: Path, server: VendorServer) -> None:
    provider = (
        f'[[providers]]\nname = "open"\nbase_url = "{server.url}"\npassthrough = {{}}\n'
        "[auth]\nenabled = false\n"
    )
    with Whole(tmp_path, provider, server="workers = 1\nbody_bytes_max = 1024") as gate:
        connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
        connection.request("PUT", "/providers/open/files", BYTES)
        assert connection.getresponse().status == 413
        connection.close()

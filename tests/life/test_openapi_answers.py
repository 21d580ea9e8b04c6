"""Every operation of the OpenAPI document, asked of a real gateway: what is answered is what the document says."""

import http.client
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from time import time
from typing import Any, NamedTuple

import jsonschema_rs
import pytest

from kpgate.app.openapi import document
from kpgate.domain.limits import Limits
from kpgate.domain.webhook import sign
from tests.kit.provider import answer, page
from tests.kit.vendors import media
from tests.kit.vendors.server import VendorServer
from tests.kit.whole import Whole

DOCUMENT = document()
MARKED = {
    "server",
    "date",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "cache-control",
}
"""Headers that HTTP itself explains."""


def closed(node: Any) -> Any:
    """The document with every object that kpgate itself makes closed, so that what is not in it is found."""
    if isinstance(node, list):
        return [closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    node = {name: closed(one) for name, one in node.items()}
    if node.get("type") == "object" and node.get("properties"):
        node["additionalProperties"] = False
    return node


SIGNS = "a secret that a shop signs with"
STRICT = closed(DOCUMENT["components"])


@cache
def validator(schema: str, *, strict: bool) -> Any:
    components = STRICT if strict else DOCUMENT["components"]
    return jsonschema_rs.validator_for({**json.loads(schema), "components": components})


def valid(schema: dict[str, Any], value: Any, components: dict[str, Any] = STRICT) -> bool:
    # Most of the time is making one, and a hundred tests ask for the same few.
    return bool(validator(json.dumps(schema), strict=components is STRICT).is_valid(value))


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Asker:
    """A client of the document: asks for operations and holds every answer to what is written there."""

    def __init__(self, gate: Whole) -> None:
        self.gate = gate
        self.asked: set[str] = set()

    def ask(self, path: str, method: str = "GET", key: str = "", sent: Any = None, **headers: str) -> Answer:
        body = sent if isinstance(sent, bytes) or sent is None else json.dumps(sent).encode()
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            said["authorization"] = f"Bearer {key}"
        connection = http.client.HTTPConnection("127.0.0.1", self.gate.port, timeout=20)
        try:
            connection.request(method, path, body, said)
            reply = connection.getresponse()
            headers_got = {name.lower(): value for name, value in reply.getheaders()}
            found = Answer(reply.status, headers_got, reply.read())
        finally:
            connection.close()
        self._check(method, path.partition("?")[0], found)
        return found

    def _check(self, method: str, path: str, found: Answer) -> None:
        template = self.template(path)
        operation = DOCUMENT["paths"].get(template, {}).get(method.lower())
        if operation is not None:
            assert str(found.status) in operation["responses"], (operation["operationId"], found)
            response = operation["responses"][str(found.status)]
            if found.status < 300:
                self.asked.add(operation["operationId"])
        else:
            response = {"$ref": f"#/components/responses/{found.status}"}
        if "$ref" in response:
            response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
        kind = found.headers["content-type"].partition(";")[0]
        contents = response["content"]
        schema = (contents.get(kind) or contents.get(f"{kind.partition('/')[0]}/*") or contents["*/*"])[
            "schema"
        ]
        assert valid(schema, found.json() if kind == "application/json" else found.body.decode("latin-1")), (
            found
        )
        self._check_headers(response.get("headers", {}), found.headers)

    def _check_headers(self, declared: dict[str, Any], headers: dict[str, str]) -> None:
        own = {name: value for name, value in headers.items() if name not in MARKED}
        assert own.keys() <= declared.keys(), "what is sent is in the document"
        for name, value in own.items():
            schema = DOCUMENT["components"]["headers"][name]["schema"]
            assert valid(schema, int(value) if schema["type"] == "integer" else value), (name, value)

    def template(self, path: str) -> str:
        """The path of the document that a path is one of."""
        for template in DOCUMENT["paths"]:
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
                return template
        return ""


@pytest.fixture(scope="module", params=["granian", "direct"])
def asker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    folder = tmp_path_factory.mktemp("whole")
    server = "workers = 1\nbody_bytes_max = 100000"
    os.environ["SHOP_SIGNS"] = SIGNS
    settings = '[ledger]\nenabled = true\n[[top_ups]]\nname = "shop"\nsecret = "env:SHOP_SIGNS"\n'
    with VendorServer(media.answer) as vendor:
        settings += f'''
            [[providers]]
            name = "v"
            base_url = "{vendor.url}/v1"
            passthrough = {{ request = 0.0001 }}
            [[models]]
            name = "plain"
            deployments = [{{ provider = "v", model = "plain" }}]
            price = {{ input = 2.5, output = 10, unit = 0.0001 }}
        '''
        with Whole(folder, settings, transport=request.param, server=server) as gate:
            gate.fund("testers", 1_000_000_000)
            yield Asker(gate)


def code(found: Answer) -> tuple[int, str]:
    return found.status, found.json()["error"]["code"]


def _probes(asker: Asker) -> None:
    for path in ("live", "liveliness", "ready", "readiness"):
        assert asker.ask(f"/health/{path}").status == 200
    assert asker.ask("/metrics").body.startswith(b"# HELP")
    assert asker.ask("/openapi.json").json() == DOCUMENT
    found = asker.ask("/health/live", "POST")
    assert (code(found), found.headers["allow"]) == ((405, "method_not_allowed"), "GET, HEAD")


def _models(asker: Asker) -> None:
    key, one = asker.gate.key(), asker.gate.key(models=("ech*",))
    assert [model["id"] for model in asker.ask("/v1/models", key=key).json()["data"]] == [
        "m",
        "echo",
        "plain",
    ]
    assert [model["id"] for model in asker.ask("/v1/models", key=one).json()["data"]] == ["echo"]
    assert asker.ask("/v1/models/m", key=key).json()["id"] == "m"
    assert code(asker.ask("/v1/models/m", key=one)) == (404, "model_not_found")
    assert code(asker.ask("/v1/models")) == (401, "invalid_api_key")
    assert code(asker.ask("/v1/models", key=key, content_encoding="gzip")) == (415, "unsupported_encoding")
    assert asker.ask("/v1/models", "DELETE", key=key).headers["allow"] == "GET, HEAD"
    claude = asker.ask("/v1/models", key=one, anthropic_version="2023-06-01")
    assert (claude.json()["data"][0]["type"], claude.json()["has_more"]) == ("model", False)
    assert claude.headers["request-id"] == claude.headers["x-request-id"]
    assert asker.ask("/v1/models/echo", key=one, anthropic_version="2023-06-01").json()["type"] == "model"
    google = asker.ask("/v1beta/models?pageSize=1", key=key).json()
    assert ([model["name"] for model in google["models"]], google["nextPageToken"]) == (["models/m"], "m")
    assert asker.ask("/v1beta/models/echo", key=one).json()["name"] == "models/echo"
    assert asker.ask("/v1beta/models/m", key=one).json()["error"]["status"] == "NOT_FOUND"


def _calls(asker: Asker) -> None:
    gate, key = asker.gate, asker.gate.key(limits=Limits(requests="1000/min", tokens="9000/min"))
    chat = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    bodies = {
        "/v1/chat/completions": chat,
        "/v1/completions": {"model": "echo", "prompt": "hello"},
        "/v1/embeddings": {"model": "echo", "input": ["hello"]},
        "/v1/responses": {"model": "echo", "input": "hello"},
    }
    for path, body in bodies.items():
        schema = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert valid(schema, body, DOCUMENT["components"])
        found = asker.ask(path, "POST", key, body)
        assert found.status == 200 and int(found.headers["x-ratelimit-remaining-tokens"]) < 9000
        assert code(asker.ask(path, "POST", key, b"{")) == (400, "invalid_request")
        assert code(asker.ask(path, "POST", sent=body)) == (401, "invalid_api_key")
        assert code(asker.ask(path, "POST", key, body | {"model": "?"})) == (404, "model_not_found")
        assert code(asker.ask(path, "POST", key, b"x" * 100_001)) == (413, "body_too_large")
        assert asker.ask(path, "GET", key).headers["allow"] == "POST"
    path = "/v1/chat/completions"
    assert asker.ask(path, "POST", key, chat | {"model": "echo", "stream": True}).body.endswith(b"[DONE]\n\n")
    gate.script(page(503), page(503))
    assert code(asker.ask(path, "POST", key, chat)) == (502, "upstream_failed")
    gate.script(answer({"error": "x"}, status=429, headers={"retry-after": "7"}))
    assert code(asker.ask(path, "POST", key, chat)) == (429, "rate_limited")
    slow = gate.key(limits=Limits(requests="1/h"))
    assert asker.ask(path, "POST", slow, chat).status == 200
    assert int(asker.ask(path, "POST", slow, chat).headers["retry-after-ms"]) > 1000
    explained = asker.ask("/kp/v1/route", "POST", key, chat).json()
    assert [(one["provider"], one["place"]) for one in explained["candidates"]] == [("p", 1)]
    embedding = asker.ask("/kp/v1/route?path=/v1/embeddings", "POST", key, bodies["/v1/embeddings"]).json()
    assert (embedding["model"], embedding["error"]) == ("echo", None)
    assert code(asker.ask("/kp/v1/route?path=/v1/x", "POST", key, chat)) == (404, "not_found")
    assert code(asker.ask("/kp/v1/route", "POST", key, chat | {"model": "?"})) == (404, "model_not_found")
    assert asker.ask("/kp/v1/route", key=key).headers["allow"] == "POST"
    health = asker.ask("/admin/v1/health", key=gate.key(role="auditor")).json()["deployments"]
    of_m = next(row for row in health if row["model"] == "m")
    assert (of_m["failures"], of_m["state"]) == (2, "limited") and 0 < of_m["for_s"] <= 7, of_m
    placed = gate.key(networks=("10.0.0.0/8",))
    assert code(asker.ask(path, "POST", placed, chat)) == (403, "source_not_allowed")


OFFERED: dict[str, Any] = {
    "/v1/moderations": {"model": "plain", "input": "hello"},
    "/v1/images/generations": {"model": "plain", "prompt": "a boat"},
    "/v1/audio/speech": {"model": "plain", "input": "hello", "voice": "alloy"},
    "/v1/rerank": {"model": "plain", "query": "hello", "documents": ["one", {"text": "two"}]},
}


def _offers(asker: Asker) -> None:
    key = asker.gate.key(limits=Limits(requests="1000/min", tokens="9000/min"))
    for path, body in OFFERED.items():
        schema = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert valid(schema, body, DOCUMENT["components"])
        found = asker.ask(path, "POST", key, body)
        assert found.status == 200 and "x-kpgate-receipt" in found.headers
        assert code(asker.ask(path, "POST", key, b"{")) == (400, "invalid_request")
        assert code(asker.ask(path, "POST", sent=body)) == (401, "invalid_api_key")
        assert code(asker.ask(path, "POST", key, body | {"model": "?"})) == (404, "model_not_found")
        assert code(asker.ask(path, "POST", key, b"x" * 100_001)) == (413, "body_too_large")
        assert code(asker.ask(path, "POST", key, body | {"model": "error-500"})) == (404, "model_not_found")
        assert asker.ask(path, "GET", key).headers["allow"] == "POST"
    events = asker.ask(
        "/v1/images/generations", "POST", key, OFFERED["/v1/images/generations"] | {"stream": True}
    )
    assert events.body.startswith(b"event: ")
    parts = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    for path in ("audio/transcriptions", "audio/translations", "images/edits", "images/variations"):
        body = parts % (b"model", b"plain") + b"--x--\r\n"
        kind = "multipart/form-data; boundary=x"
        assert asker.ask(f"/v1/{path}", "POST", key, body, content_type=kind).status == 200
        assert code(asker.ask(f"/v1/{path}", "POST", key, b"{}")) == (400, "invalid_request")
        assert code(asker.ask(f"/v1/{path}", "POST", sent=body)) == (401, "invalid_api_key")
        assert asker.ask(f"/v1/{path}", "GET", key).headers["allow"] == "POST"
    written = parts % (b"model", b"plain") + parts % (b"response_format", b"srt") + b"--x--\r\n"
    assert asker.ask("/v1/audio/transcriptions", "POST", key, written).body == b"Hello there.\n"
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        body = OFFERED["/v1/moderations"]
        assert asker.ask("/providers/v/moderations", method, key, body).json()["results"]
        assert code(asker.ask("/providers/v/moderations", method, sent=body)) == (401, "invalid_api_key")
        assert code(asker.ask("/providers/v/%2e%2e", method, key, body)) == (400, "invalid_request")
        assert code(asker.ask("/providers/none/x", method, key, body)) == (404, "model_not_found")
    assert asker.ask("/providers/v/x", "OPTIONS", key).headers["allow"] == "GET, POST, PUT, PATCH, DELETE"


def _anthropic(asker: Asker) -> None:
    key = asker.gate.key(limits=Limits(requests="1000/min", tokens="9000/min"))
    body = {"model": "echo", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        schema = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert valid(schema, body, DOCUMENT["components"])
        found = asker.ask(path, "POST", key, body)
        assert found.status == 200 and found.headers["request-id"] == found.headers["x-request-id"]
        reset = datetime.fromisoformat(found.headers["anthropic-ratelimit-tokens-reset"])
        assert reset > datetime.now(UTC) - timedelta(seconds=5)
        for wrong, status in (({"model": "?"}, 404), ({"messages": 5}, 400)):
            refused = asker.ask(path, "POST", key, body | wrong)
            assert refused.status == status and refused.json()["request_id"] == refused.headers["request-id"]
        assert asker.ask(path, "POST", sent=body).json()["error"]["type"] == "authentication_error"
        assert asker.ask(path, "POST", key, b"x" * 100_001).json()["error"]["type"] == "request_too_large"
    streamed = asker.ask("/v1/messages", "POST", key, body | {"stream": True})
    assert streamed.body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    slow = asker.gate.key(limits=Limits(requests="1/h"))
    assert asker.ask("/v1/messages", "POST", slow, body).status == 200
    limited = asker.ask("/v1/messages/count_tokens", "POST", slow, body)
    assert (limited.status, limited.json()["error"]["type"]) == (429, "rate_limit_error")


def _gemini(asker: Asker) -> None:
    key = asker.gate.key(limits=Limits(requests="1000/min", tokens="9000/min"))
    body = {"contents": [{"parts": [{"text": "hello"}]}], "generationConfig": {"maxOutputTokens": 9}}
    path = "/v1beta/models/echo:"
    for method in ("generateContent", "streamGenerateContent", "countTokens"):
        found = asker.ask(path + method, "POST", key, body)
        assert found.status == 200 and "x-ratelimit-remaining-tokens" in found.headers
        assert asker.ask(path + method, "POST", key, b"{").json()["error"]["status"] == "INVALID_ARGUMENT"
        assert asker.ask(path + method, "POST", sent=body).json()["error"]["status"] == "UNAUTHENTICATED"
        unknown = path.replace("echo", "nobody") + method
        assert asker.ask(unknown, "POST", key, body).json()["error"]["status"] == "NOT_FOUND"
        assert asker.ask(path + method, "POST", key, b"x" * 100_001).status == 413
    events = asker.ask(path + "streamGenerateContent?alt=sse", "POST", key, body)
    assert events.body.endswith(b"\r\n\r\n") and b'"finishReason":"STOP"' in events.body
    slow = asker.gate.key(limits=Limits(requests="1/h"))
    assert asker.ask(path + "countTokens", "POST", slow, body).status == 200, "a request, but no tokens"
    limited = asker.ask(path + "countTokens", "POST", slow, body)
    assert limited.json()["error"]["status"] == "RESOURCE_EXHAUSTED"


def _money(asker: Asker) -> None:
    gate, admin = asker.gate, asker.gate.key(role="admin")
    rich, poor = gate.key("rich"), gate.key("poor")
    chat = {"model": "echo", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}
    call = "/v1/chat/completions"
    assert code(asker.ask(call, "POST", poor, chat)) == (402, "insufficient_credit")
    given = [
        {"kind": "grant", "party": "rich", "amount": 10**9, "expires_us": 4 * 10**15, "memo": "=welcome"}
    ]
    asked = {"id": "grant-00000001", "movements": given}
    done = asker.ask("/admin/v1/transfers", "POST", admin, asked).json()
    assert asker.ask("/admin/v1/transfers", "POST", admin, asked).json() == done
    other = asked | {"movements": [given[0] | {"amount": 5}]}
    assert code(asker.ask("/admin/v1/transfers", "POST", admin, other)) == (409, "id_reused")
    take = {"movements": [{"kind": "transfer", "party": "poor", "to": "rich", "amount": 1}]}
    assert code(asker.ask("/admin/v1/transfers", "POST", admin, take)) == (402, "insufficient_credit")
    answered = asker.ask(call, "POST", rich, chat)
    cost, receipt = int(answered.headers["x-kpgate-cost-microkpt"]), answered.headers["x-kpgate-receipt"]
    assert cost > 0
    own = asker.ask("/kp/v1/balance", key=rich).json()
    assert own["balance_microkpt"] == 10**9 - cost and own["held_microkpt"] == 0
    assert asker.ask("/admin/v1/parties/rich/balance", key=admin).json() == own
    rows = asker.ask("/kp/v1/statement?count=5", key=rich).json()["rows"]
    assert [(row["kind"], row["amount_microkpt"]) for row in rows] == [("charge", -cost), ("grant", 10**9)]
    assert rows[0]["call"] == receipt
    table = asker.ask("/kp/v1/statement?format=csv", key=rich).body.decode().split("\r\n")
    assert table[2].endswith(",grant,1000000000,,'=welcome")
    assert asker.ask("/admin/v1/parties/rich/statement?account=earn", key=admin).json()["rows"] == []
    totals = asker.ask("/admin/v1/parties/rich/totals", key=admin).json()
    assert totals == {"party": "rich", "spend": {"charge": -cost, "grant": 10**9}, "earn": {}}
    assert asker.ask("/admin/v1/holds?count=5", key=admin).json()["holds"] == []
    shown = asker.ask(f"/kp/v1/receipts/{receipt}", key=rich).json()
    assert shown["leaf"]["amount_microkpt"] == cost
    assert asker.ask(f"/admin/v1/receipts/{receipt}", key=admin).json()["leaf"] == shown["leaf"]
    assert code(asker.ask(f"/kp/v1/receipts/{receipt}", key=poor)) == (404, "not_found")
    assert asker.ask("/kp/v1/log", key=poor).json()["head"]["size"] >= 1
    assert asker.ask("/kp/v1/me", key=rich).json()["party"] == "rich"
    assert asker.ask("/admin/v1/refunds", "POST", admin, {"call": receipt, "amount": cost - 1}).status == 200
    assert code(asker.ask("/admin/v1/refunds", "POST", admin, {"call": receipt, "amount": 2})) == (
        409,
        "conflict",
    )
    assert asker.ask("/kp/v1/balance", key=rich).json()["balance_microkpt"] == 10**9 - 1
    of_key = {"key": poor.split("-")[2], "month": 10**9}
    assert asker.ask("/admin/v1/budgets", "PUT", admin, of_key).status == 200
    assert code(asker.ask("/admin/v1/budgets", "PUT", admin, of_key | {"party": "rich"})) == (
        400,
        "invalid_request",
    )
    assert asker.ask("/admin/v1/budgets", "PUT", admin, {"party": "rich", "day": 1}).status == 200
    assert code(asker.ask(call, "POST", rich, chat)) == (402, "budget_exhausted")
    assert asker.ask("/admin/v1/parties/poor/credit-line", "PUT", admin, {"line": 10**8}).status == 200
    assert asker.ask(call, "POST", poor, chat).status == 200
    priced = asker.ask("/admin/v1/prices", key=admin).json()["prices"]
    of_echo = next(row for row in priced if row["model"] == "echo")
    assert of_echo["price"]["input"] == 250 * 1_000_000 and of_echo["price"]["output"] == 10**9
    assert (of_echo["version"], of_echo["sha256"]) == (shown["leaf"]["price"], shown["leaf"]["price_sha256"])
    balances = asker.ask("/admin/v1/accounts", key=admin).json()["accounts"]
    assert sum(balances.values()) == 0 and balances["spend:poor"] == -cost


def _codes(asker: Asker) -> None:
    admin, key = asker.gate.key(role="admin"), asker.gate.key("reader")
    asked = {"id": "batch-00000001", "amount": 5_000, "count": 2, "memo": "spring", "expires": "30d"}
    made = asker.ask("/admin/v1/codes", "POST", admin, asked).json()
    assert asker.ask("/admin/v1/codes", "POST", admin, asked).json() == made
    first, second = made["codes"]
    redeemed = asker.ask("/kp/v1/redeem", "POST", key, {"code": first["code"].lower()}).json()
    assert (redeemed["amount_microkpt"], redeemed["party"]) == (5_000, "reader")
    assert asker.ask("/kp/v1/redeem", "POST", key, {"code": first["code"]}).json() == redeemed
    assert asker.ask("/kp/v1/balance", key=key).json()["balance_microkpt"] == 5_000
    assert asker.ask(f"/admin/v1/codes/{second['id']}", "DELETE", admin).json()["state"] == "revoked"
    assert code(asker.ask(f"/admin/v1/codes/{first['id']}", "DELETE", admin)) == (409, "conflict")
    assert code(asker.ask("/kp/v1/redeem", "POST", key, {"code": second["code"]})) == (404, "invalid_code")
    listed = asker.ask("/admin/v1/codes?count=9", key=admin).json()["codes"]
    assert [(one["id"], one["state"], one["redeemed_by"]) for one in listed] == [
        (first["id"], "redeemed", "reader"),
        (second["id"], "revoked", None),
    ]
    past = asked | {"id": "batch-00000002", "expires": "2020-01-01T00:00:00Z"}
    assert code(asker.ask("/admin/v1/codes", "POST", admin, past)) == (400, "invalid_request")
    assert asker.ask("/kp/v1/redeem", key=key).headers["allow"] == "POST"
    assert code(asker.ask("/kp/v1/redeem", "POST", sent={"code": "x"})) == (401, "invalid_api_key")
    assert code(asker.ask("/kp/v1/redeem", "POST", key, {"code": 5})) == (400, "invalid_request")
    assert code(asker.ask("/kp/v1/redeem", "POST", key, b" " * 70_000)) == (413, "body_too_large")
    found = [code(asker.ask("/kp/v1/redeem", "POST", key, {"code": "KPC-NONE"})) for _ in range(10)]
    assert found == [(404, "invalid_code")] * 9 + [(429, "rate_limited")]


def _tokens(asker: Asker) -> None:
    admin, key = asker.gate.key(role="admin"), asker.gate.key("rich")
    wanted = {
        "cap_microkpt": 10**8,
        "models": ["echo"],
        "expires": "15min",
        "label": "phone",
        "id": "mine-0001",
    }
    made = asker.ask("/kp/v1/tokens", "POST", key, wanted).json()
    assert asker.ask("/kp/v1/tokens", "POST", key, wanted).json() == made
    assert code(asker.ask("/kp/v1/tokens", "POST", key, wanted | {"cap_microkpt": 1})) == (409, "id_reused")
    bare = asker.ask("/kp/v1/tokens", "POST", key, {"cap_microkpt": 10**8}).json()
    assert code(asker.ask("/kp/v1/tokens", "POST", key, {"cap_microkpt": 0})) == (400, "invalid_request")
    assert code(asker.ask("/kp/v1/tokens", "POST", bare["token"], wanted)) == (403, "role_required")
    assert asker.ask("/kp/v1/tokens", "PUT", key).headers["allow"] == "GET, POST"
    assert asker.ask(f"/kp/v1/tokens/{made['id']}", key=key).headers["allow"] == "DELETE"
    page = asker.ask("/kp/v1/tokens?count=1", key=key).json()
    assert [one["id"] for one in page["tokens"]] == [made["id"]]
    rest = asker.ask(f"/kp/v1/tokens?after={page['after']}", key=key).json()
    assert [one["id"] for one in rest["tokens"]] == [bare["id"]]
    of_key = f"/admin/v1/tokens?key={key.split('-')[2]}&party=rich&count=9"
    assert asker.ask(of_key, key=admin).json()["tokens"] == page["tokens"] + rest["tokens"]
    assert asker.ask("/kp/v1/me", key=made["token"]).json()["token"]["id"] == made["id"]
    assert asker.ask(f"/kp/v1/tokens/{made['id']}", "DELETE", key).json()["revoked_at"]
    assert asker.ask(f"/admin/v1/tokens/{bare['id']}", "DELETE", admin).json()["revoked_at"]
    assert code(asker.ask(f"/kp/v1/tokens/{'0' * 32}", "DELETE", key)) == (404, "not_found")


def _top_ups(asker: Asker) -> None:
    asker.gate.key("payer")
    body = json.dumps({"type": "top_up", "id": "pay_1", "party": "payer", "amount_microkpt": 5}).encode()
    sent_s = int(time())
    signed = {"webhook_id": "m", "webhook_timestamp": str(sent_s)}
    signature = sign(SIGNS.encode(), b"m", sent_s, body)
    path = "/kp/v1/top-ups/shop"
    said = asker.ask(path, "POST", sent=body, webhook_signature=signature, **signed).json()
    assert said["done"] and asker.gate.balance("payer")["balance_microkpt"] == 5
    assert code(asker.ask(path, "POST", sent=body, **signed)) == (401, "invalid_signature")
    assert code(asker.ask("/kp/v1/top-ups/none", "POST", sent=body, **signed)) == (404, "not_found")
    assert asker.ask(path).headers["allow"] == "POST"


FULL = {
    "party": "acme",
    "label": "ours",
    "role": "call",
    "models": ["m*"],
    "networks": ["127.0.0.0/8"],
    "limits": {
        "requests": "60/min",
        "requests_burst": 3,
        "tokens": "9/s",
        "tokens_burst": 2,
        "concurrency": 1,
    },
    "expires": "30d",
}


def _management(asker: Asker) -> None:
    admin = asker.gate.key(role="admin")
    made = asker.ask("/admin/v1/keys", "POST", admin, FULL).json()
    assert made["expires_at"] and made["key"]
    bare = asker.ask("/admin/v1/keys", "POST", admin, {"party": "acme"}).json()
    shown = asker.ask(f"/admin/v1/keys/{made['id']}", key=admin).json()
    assert shown == {name: value for name, value in made.items() if name != "key"}
    pages = asker.ask("/admin/v1/keys?party=acme&count=1", key=admin).json()
    assert [key["id"] for key in pages["keys"]] == [made["id"]]
    rest = asker.ask(f"/admin/v1/keys?party=acme&after={pages['after']}&revoked=true", key=admin).json()
    assert ([key["id"] for key in rest["keys"]], rest["after"]) == ([bare["id"]], None)
    rotate = f"/admin/v1/keys/{made['id']}/rotate"
    assert asker.ask(rotate, "POST", admin, {"grace": "1h"}).json()["key"] != made["key"]
    assert asker.ask(rotate, "POST", admin).status == 200
    assert asker.ask(f"/admin/v1/keys/{made['id']}", "DELETE", admin).json()["revoked_at"]
    assert code(asker.ask(rotate, "POST", admin)) == (409, "conflict")
    party = asker.ask("/admin/v1/parties/acme%20inc", "PUT", admin, {"limits": FULL["limits"]}).json()
    assert (party["name"], party["limits"], party["tier"]) == ("acme inc", FULL["limits"], None)
    terms = {
        "limits": FULL["limits"],
        "models": ["a*"],
        "priority": 9,
        "price_factor": 100,
        "holding_min_microkpt": 5,
    }
    gold = asker.ask("/admin/v1/tiers/gold%20one", "PUT", admin, terms).json()
    assert gold == terms | {"name": "gold one", "number": gold["number"]}
    assert asker.ask("/admin/v1/tiers/gold%20one", key=admin).json() == gold
    assert gold in asker.ask("/admin/v1/tiers", key=admin).json()["tiers"]
    party = asker.ask("/admin/v1/parties/acme%20inc", "PUT", admin, {"tier": "gold one"}).json()
    assert (party["limits"], party["tier"]) == ({}, "gold one")
    assert asker.ask("/admin/v1/parties/acme%20inc", key=admin).json() == party
    assert party in asker.ask("/admin/v1/parties?count=1000", key=admin).json()["parties"]
    assert asker.ask("/kp/v1/me", key=asker.gate.key("acme inc")).json()["tier"] == gold
    assert code(asker.ask("/admin/v1/tiers/gold%20one", "DELETE", admin)) == (409, "conflict")
    terms = {"kind": "subscription", "grant_microkpt": 700, "line_microkpt": 0, "tier": "gold one"}
    plan = asker.ask("/admin/v1/plans/monthly", "PUT", admin, terms).json()
    assert plan == terms | {"name": "monthly", "number": plan["number"]}
    assert asker.ask("/admin/v1/plans/monthly", key=admin).json() == plan
    assert plan in asker.ask("/admin/v1/plans", key=admin).json()["plans"]
    member = asker.ask("/admin/v1/parties/member", "PUT", admin, {"plan": "monthly"}).json()
    assert (member["plan"], member["tier"]) == ("monthly", "gold one")
    assert asker.ask("/admin/v1/parties/member/balance", key=admin).json()["balance_microkpt"] == 700
    assert asker.ask("/kp/v1/me", key=asker.gate.key("member")).json()["plan"] == "monthly"
    assert code(asker.ask("/admin/v1/plans/monthly", "DELETE", admin)) == (409, "conflict")
    asker.ask("/admin/v1/parties/member", "PUT", admin, {"plan": "", "tier": ""})
    assert asker.ask("/admin/v1/plans/monthly", "DELETE", admin).json() == plan
    assert asker.ask("/admin/v1/parties/acme%20inc", "PUT", admin, {"tier": ""}).json()["tier"] is None
    assert asker.ask("/admin/v1/tiers/gold%20one", "DELETE", admin).json() == gold
    assert asker.ask("/admin/v1/reload", "POST", admin).json() == {"reloaded": True}
    listed = asker.ask("/admin/v1/audit?count=2&since=1h&party=testers", key=admin).json()
    assert [(row["act"], row["outcome"]) for row in listed["rows"]] == [("reload", "ok"), ("reload", "asked")]
    assert listed["head"].startswith(f"{listed['rows'][0]['number']}:{listed['rows'][0]['hash']}")
    older = asker.ask(f"/admin/v1/audit?before={listed['before']}&key={admin.split('-')[2]}", key=admin)
    assert older.json()["rows"][0]["act"] == "tier.delete"
    assert code(asker.ask("/admin/v1/audit?since=x", key=admin)) == (400, "invalid_request")
    reader = asker.gate.key(role="auditor")
    assert code(asker.ask("/admin/v1/reload", "POST", reader)) == (403, "role_required")
    chat = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
    assert code(asker.ask("/v1/chat/completions", "POST", reader, chat)) == (403, "role_required")


MANAGEMENT = [
    (
        method.upper(),
        path.replace("{id}", "aaaaaaaaaa").replace("{name}", "acme").replace("{call}", "aaaaaaaaaa"),
        operation,
    )
    for path, entry in DOCUMENT["paths"].items()
    if path.startswith("/admin/")
    for method, operation in entry.items()
    if method != "parameters"
]


@pytest.mark.parametrize(("method", "path", "operation"), MANAGEMENT)
def test_management_refuses_in_shape(asker: Asker, method: str, path: str, operation: dict[str, Any]) -> None:
    admin, key = asker.gate.key(role="admin"), asker.gate.key()
    assert code(asker.ask(path, method)) == (401, "invalid_api_key")
    assert code(asker.ask(path, method, key)) == (403, "role_required")
    assert code(asker.ask(path, method, admin, b"", content_encoding="gzip")) == (415, "unsupported_encoding")
    assert code(asker.ask(path, method, admin, b"", traceparent="x" * 66_000)) == (431, "headers_too_large")
    assert code(asker.ask(path, method, admin, b" " * 70_000)) == (413, "body_too_large")
    served = {one for one, at, _ in MANAGEMENT if at == path}
    found = asker.ask(path, "PATCH", admin)
    assert code(found) == (405, "method_not_allowed")
    assert set(found.headers["allow"].split(", ")) == served
    if "aaaaaaaaaa" in path:
        assert code(asker.ask(path, method, admin)) == (404, "not_found")
    if "requestBody" in operation:
        assert code(asker.ask(path, method, admin, b"{")) == (400, "invalid_request")
    if operation.get("parameters"):
        assert code(asker.ask(f"{path}?nonsense=1", method, admin)) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/admin/v1/keys", {}),
        ("/admin/v1/keys", []),
        ("/admin/v1/keys", {"party": 5}),
        ("/admin/v1/keys", {"party": "a", "role": "root"}),
        ("/admin/v1/keys", {"party": "a", "models": "m"}),
        ("/admin/v1/keys", {"party": "a", "limits": {"requests": 5}}),
        ("/admin/v1/keys", {"party": "a", "limits": {"surprise": 5}}),
        ("/admin/v1/keys", {"party": "a", "expires": 5}),
        ("/admin/v1/keys", {"party": "a", "surprise": 5}),
        ("/admin/v1/keys", {"party": "a", "limits": {"concurrency": None}, "expires": None}),
        ("/admin/v1/keys/ID/rotate", {"grace": 5}),
        ("/admin/v1/keys/ID/rotate", {"surprise": 5}),
        ("/admin/v1/keys/ID/rotate", {"grace": "5s"}),
        ("/admin/v1/parties/a", {"limits": {"concurrency": "x"}}),
        ("/admin/v1/parties/a", {"surprise": 5}),
        ("/admin/v1/parties/a", {}),
        ("/admin/v1/parties/a", {"tier": None}),
        ("/admin/v1/parties/a", {"tier": 5}),
        ("/admin/v1/parties/a", {"tier": "x" * 201}),
        ("/admin/v1/plans/a", {}),
        ("/admin/v1/plans/a", {"kind": "free"}),
        ("/admin/v1/plans/a", {"grant_microkpt": -1}),
        ("/admin/v1/plans/a", {"tier": None}),
        ("/admin/v1/plans/a", {"surprise": 5}),
        ("/admin/v1/tiers/a", {}),
        ("/admin/v1/tiers/a", {"priority": 0, "price_factor": 100_000}),
        ("/admin/v1/tiers/a", {"priority": 10}),
        ("/admin/v1/tiers/a", {"priority": -1}),
        ("/admin/v1/tiers/a", {"price_factor": 0}),
        ("/admin/v1/tiers/a", {"price_factor": 100_001}),
        ("/admin/v1/tiers/a", {"models": "m"}),
        ("/admin/v1/tiers/a", {"holding_min_microkpt": -1}),
        ("/admin/v1/tiers/a", {"surprise": 5}),
    ],
)
def test_a_body_is_taken_where_its_schema_takes_it(asker: Asker, path: str, body: Any) -> None:
    admin = asker.gate.key(role="admin")
    method = "PUT" if "parties" in path or "tiers" in path or "plans" in path else "POST"
    if "ID" in path:
        made = asker.ask("/admin/v1/keys", "POST", admin, {"party": "a"}).json()
        path = path.replace("ID", made["id"])
    template = asker.template(path)
    operation = DOCUMENT["paths"][template][method.lower()]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    taken = asker.ask(path, method, admin, body).status < 300
    assert taken == valid(schema, body, DOCUMENT["components"])


def test_every_operation_is_answered_as_the_document_says(asker: Asker) -> None:
    everything = (
        _probes,
        _models,
        _calls,
        _offers,
        _anthropic,
        _gemini,
        _money,
        _codes,
        _tokens,
        _top_ups,
        _management,
    )
    for steps in everything:
        steps(asker)
    assert asker.asked == {
        operation["operationId"]
        for entry in DOCUMENT["paths"].values()
        for method, operation in entry.items()
        if method != "parameters"
    }

"""The OpenAPI document is well-formed, complete, and every reference in it leads somewhere."""

import json
import re
from typing import Any

from kpgate.app.openapi import document, encoded
from kpgate.domain.errors import REGISTRY, UNTOLD

METHODS = {"get", "post", "put", "delete", "patch", "head", "options"}
PATHS = {
    "/v1/chat/completions": {"post"},
    "/v1/completions": {"post"},
    "/v1/embeddings": {"post"},
    "/v1/responses": {"post"},
    "/v1/moderations": {"post"},
    "/v1/images/generations": {"post"},
    "/v1/audio/speech": {"post"},
    "/v1/rerank": {"post"},
    "/v1/audio/transcriptions": {"post"},
    "/v1/audio/translations": {"post"},
    "/v1/images/edits": {"post"},
    "/v1/images/variations": {"post"},
    "/providers/{name}/{path}": {"get", "post", "put", "patch", "delete"},
    "/v1/messages": {"post"},
    "/v1/messages/count_tokens": {"post"},
    "/v1beta/models/{model}:generateContent": {"post"},
    "/v1beta/models/{model}:streamGenerateContent": {"post"},
    "/v1beta/models/{model}:countTokens": {"post"},
    "/v1/models": {"get"},
    "/v1/models/{id}": {"get"},
    "/v1beta/models": {"get"},
    "/v1beta/models/{model}": {"get"},
    "/health/live": {"get"},
    "/health/liveliness": {"get"},
    "/health/ready": {"get"},
    "/health/readiness": {"get"},
    "/metrics": {"get"},
    "/openapi.json": {"get"},
    "/admin/v1/keys": {"get", "post"},
    "/admin/v1/keys/{id}": {"get", "delete"},
    "/admin/v1/keys/{id}/rotate": {"post"},
    "/admin/v1/parties": {"get"},
    "/admin/v1/parties/{name}": {"get", "put"},
    "/admin/v1/plans": {"get"},
    "/admin/v1/plans/{name}": {"get", "put", "delete"},
    "/admin/v1/tiers": {"get"},
    "/admin/v1/tiers/{name}": {"get", "put", "delete"},
    "/admin/v1/reload": {"post"},
    "/admin/v1/accounts": {"get"},
    "/admin/v1/health": {"get"},
    "/admin/v1/prices": {"get"},
    "/admin/v1/audit": {"get"},
    "/admin/v1/budgets": {"put"},
    "/admin/v1/parties/{name}/balance": {"get"},
    "/admin/v1/parties/{name}/credit-line": {"put"},
    "/admin/v1/parties/{name}/statement": {"get"},
    "/admin/v1/receipts/{call}": {"get"},
    "/admin/v1/refunds": {"post"},
    "/admin/v1/transfers": {"post"},
    "/admin/v1/codes": {"get", "post"},
    "/admin/v1/holds": {"get"},
    "/admin/v1/tokens": {"get"},
    "/admin/v1/tokens/{id}": {"delete"},
    "/kp/v1/tokens": {"get", "post"},
    "/kp/v1/tokens/{token}": {"delete"},
    "/admin/v1/parties/{name}/totals": {"get"},
    "/admin/v1/codes/{id}": {"delete"},
    "/kp/v1/balance": {"get"},
    "/kp/v1/redeem": {"post"},
    "/kp/v1/route": {"post"},
    "/kp/v1/top-ups/{source}": {"post"},
    "/kp/v1/log": {"get"},
    "/kp/v1/me": {"get"},
    "/kp/v1/receipts/{call}": {"get"},
    "/kp/v1/statement": {"get"},
}


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [r for part in node.values() for r in references(part)]
    if isinstance(node, list):
        return [r for part in node for r in references(part)]
    return []


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, entry in document()["paths"].items()
        for method, operation in entry.items()
        if method in METHODS
    ]


def test_the_paths_are_those_that_are_served() -> None:
    found = {path: METHODS & set(entry) for path, entry in document()["paths"].items()}
    assert found == PATHS


def test_the_document_is_openapi() -> None:
    doc = document()
    assert re.fullmatch(r"3\.1\.\d", doc["openapi"])
    assert {"title", "version"} <= set(doc["info"])
    assert set(doc) <= {"openapi", "info", "tags", "security", "paths", "components"}
    assert set(doc["components"]) <= {"schemas", "headers", "responses", "securitySchemes"}
    for scheme in doc["components"]["securitySchemes"].values():
        assert scheme["type"] in ("http", "apiKey")
    for requirement in doc["security"]:
        assert set(requirement) <= set(doc["components"]["securitySchemes"])
    assert json.loads(encoded()) == doc


def test_every_reference_leads_somewhere_and_nothing_stands_unused() -> None:
    doc = document()
    used = set(references(doc))
    for reference in used:
        node = doc
        for name in reference.removeprefix("#/").split("/"):
            node = node[name]
    declared = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "headers", "responses")
        for name in doc["components"][kind]
    }
    assert declared - used == set()


def test_every_operation_is_whole() -> None:
    doc, names = document(), []
    for path, method, operation in operations():
        names.append(operation["operationId"])
        assert operation["summary"]
        assert set(operation["tags"]) <= {tag["name"] for tag in doc["tags"]}
        assert any(status.startswith("2") for status in operation["responses"]), (path, method)
        for status, reply in operation["responses"].items():
            assert status.isdecimal() and ("$ref" in reply or reply["description"])
        for parameter in operation.get("parameters", []):
            assert parameter["in"] == "query" and parameter["description"]
        declared = {parameter["name"] for parameter in doc["paths"][path].get("parameters", [])}
        assert declared == set(re.findall(r"\{(\w+)\}", path))
        if "requestBody" in operation:
            assert all("schema" in one for one in operation["requestBody"]["content"].values())
    assert len(names) == len(set(names))


def schemas(node: Any) -> list[dict[str, Any]]:
    found = [node] if isinstance(node, dict) and "type" in node and not isinstance(node["type"], dict) else []
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return found + [schema for part in parts for schema in schemas(part)]


def test_every_schema_is_json_schema() -> None:
    kinds = {"object", "array", "string", "integer", "number", "boolean", "null"}
    for schema in schemas(document()["components"]["schemas"]):
        kind = schema["type"]
        assert set(kind if isinstance(kind, list) else [kind]) <= kinds
        assert set(schema.get("required", ())) <= set(schema.get("properties", schema.get("required", ())))


def test_every_error_code_is_there_but_those_nobody_reads() -> None:
    doc = document()
    codes = set(doc["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"])
    assert codes == set(REGISTRY) - UNTOLD
    described = " ".join(reply["description"] for reply in doc["components"]["responses"].values())
    assert all(f"`{code}`" in described for code in codes)


def test_replies_of_calls_name_their_headers() -> None:
    for path, _, operation in operations():
        if path.startswith("/v1/") and "models" not in path:
            headers = operation["responses"]["200"]["headers"]
            own = path.startswith("/v1/messages")
            left = "anthropic-ratelimit-tokens-remaining" if own else "x-ratelimit-remaining-tokens"
            assert {"x-request-id", "x-kpgate-model", left} <= set(headers)

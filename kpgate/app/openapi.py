"""The OpenAPI 3.1 document that `/openapi.json` serves, put together from tables.

It describes what kpgate reads of a request and adds to a reply; everything else of a provider's API passes
through, so those schemas are open.
"""

from typing import Any

import msgspec

import kpgate
from kpgate.app import openapi_anthropic as anthropic
from kpgate.app import openapi_audit as audit
from kpgate.app import openapi_catalogue as catalogue
from kpgate.app import openapi_gemini as gemini
from kpgate.app import openapi_keys as keys
from kpgate.app import openapi_models as models
from kpgate.app import openapi_money as money
from kpgate.app import openapi_offers as offers
from kpgate.app import openapi_responses as responses
from kpgate.app import openapi_routing as routing
from kpgate.app import openapi_tokens as tokens
from kpgate.app.openapi_codes import EXPLAINS, GOVERNED, HELD, LISTED, MANAGED, MONEYED, POSTED
from kpgate.app.openapi_parts import PLACES, open_to_more, ref
from kpgate.domain.errors import REGISTRY, UNTOLD, GatewayError, Retry
from kpgate.domain.roles import roles_of

Json = dict[str, Any]

# Name, schema, meaning. On every reply that kpgate makes, then those of calls with limits, then of refusals.
ALWAYS: tuple[tuple[str, Json, str], ...] = (
    ("x-request-id", {"type": "string"}, "The request's id: the caller's own if it sent a usable one."),
    ("x-kpgate-attempts", {"type": "integer"}, "Attempts at providers."),
    ("x-kpgate-overhead-us", {"type": "integer"}, "Microseconds spent in kpgate, providers left out."),
)
ROUTED: tuple[tuple[str, Json, str], ...] = (
    ("x-kpgate-model", {"type": "string"}, "The configured model that answered."),
    ("x-kpgate-provider", {"type": "string"}, "The provider that answered."),
    ("x-kpgate-output", {"type": "string"}, "Whether the answer fits the schema asked for: docs/output.md."),
)
CHARGED: tuple[tuple[str, Json, str], ...] = (
    ("x-kpgate-receipt", {"type": "string"}, "The call's id where credit was held for it: its receipt's."),
    ("x-kpgate-cost-microkpt", {"type": "integer"}, "What it was charged; not on streams."),
)
LIMITED: tuple[tuple[str, Json, str], ...] = tuple(
    (f"x-ratelimit-{word}-{unit}", {"type": kind}, f"{meaning} {unit}.")
    for unit in ("requests", "tokens")
    for word, kind, meaning in (
        ("limit", "integer", "The burst of the tightest limit on"),
        ("remaining", "integer", "What is left of the tightest limit on"),
        ("reset", "string", "When it is whole again, as 6m0s: the limit on"),
    )
)
REFUSED: tuple[tuple[str, Json, str], ...] = (
    ("retry-after", {"type": "integer"}, "Whole seconds to wait, where waiting helps."),
    ("retry-after-ms", {"type": "integer"}, "The same in milliseconds."),
    ("x-should-retry", {"type": "string", "enum": ["true", "false"]}, "Whether another try can help."),
)
ALLOWED: tuple[tuple[str, Json, str], ...] = (("allow", {"type": "string"}, "The methods that are served."),)

GEMINI_LISTED = (*LISTED, "model_not_found")

# Path, operation, summary, request schema, reply schema, whether it may stream.
CALLS: tuple[tuple[str, str, str, str, bool], ...] = (
    ("/v1/chat/completions", "createChatCompletion", "Answer a conversation.", "ChatCompletionRequest", True),
    ("/v1/completions", "createCompletion", "Continue a text.", "CompletionRequest", True),
    ("/v1/embeddings", "createEmbedding", "Embed texts as vectors.", "EmbeddingRequest", False),
)
PROBES: tuple[tuple[str, str, str, str, bool], ...] = (
    ("/health/live", "getLive", "Is the process alive?", "application/json", False),
    ("/health/liveliness", "getLiveliness", "The same as /health/live.", "application/json", False),
    ("/health/ready", "getReady", "May it be sent traffic?", "application/json", True),
    ("/health/readiness", "getReadiness", "The same as /health/ready.", "application/json", True),
    ("/metrics", "getMetrics", "Metrics of all workers, for Prometheus.", "text/plain", False),
    ("/openapi.json", "getOpenapi", "This document.", "application/json", False),
)
MANAGEMENT = keys.MANAGEMENT + money.MANAGED + tokens.MANAGED + audit.MANAGED + routing.MANAGED
QUERIES = keys.QUERIES | money.QUERIES | tokens.QUERIES | audit.QUERIES | routing.QUERIES
# What stands in paths.


def encoded() -> bytes:
    """The document as it is served."""
    return msgspec.json.encode(document())


def document() -> Json:
    """The OpenAPI 3.1 document."""
    paths = _calls()
    _add_models(paths)
    for path, operation, summary, kind, may_refuse in PROBES:
        paths[path] = {"get": _probe(operation, summary, kind, may_refuse)}
    _add_own(paths)
    for method, path, operation, summary, request, status, reply in MANAGEMENT:
        entry = paths.setdefault(path, {})
        named = [name for name in PLACES if f"{{{name}}}" in path]
        if named:
            entry["parameters"] = [
                _parameter("path", name, {"type": "string"}, PLACES[name]) for name in named
            ]
        described = _management(operation, summary, request, status, reply)
        roles = roles_of(method.upper(), path)
        entry[method] = {**described, "description": _asks_for(roles), "x-kpgate-roles": list(roles)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kpgate",
            "version": kpgate.__version__,
            "description": "An AI gateway: one address for every model provider, governed at speed.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name} for name in ("calls", "models", "probes", "holder", "management")],
        "security": [{"bearer": []}, {"apiKey": []}, {"googleKey": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "headers": {name: _header(schema, meaning) for name, schema, meaning in _all_headers()},
            "responses": _refusals(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "googleKey": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
            },
        },
    }


def _add_posted(paths: dict[str, Json]) -> None:
    """What holders ask for with a body."""
    for path, operation, summary, sent, reply in money.POSTED + routing.POSTED:
        codes = EXPLAINS if path == "/kp/v1/route" else POSTED
        answers = {"200": _success(reply), **_errors(codes)}
        posted = {**_held(operation, summary, reply), "requestBody": _body(sent), "responses": answers}
        entry = paths[path] = {"post": posted}
        if "{source}" in path:
            entry["parameters"] = [_parameter("path", "source", {"type": "string"}, PLACES["source"])]
            posted["security"] = []
            posted["description"] = (
                "No key is asked for. Signed as Standard Webhooks has it, by `webhook-id`, `webhook-timestamp`"
                " and `webhook-signature`: docs/top-ups.md."
            )


def _calls() -> dict[str, Json]:
    paths: dict[str, Json] = {}
    for path, operation, summary, schema, streams in CALLS + responses.CALLS:
        paths[path] = {"post": _call(operation, summary, schema, streams)}
    for path, operation, summary, schema, *kinds in offers.CALLS:
        paths[path] = {"post": offers.offer(_call(operation, summary, schema, False), kinds)}
    for path, operation, summary, schema, *kinds in offers.FORMS:
        described = offers.form(_call(operation, summary, schema, False))
        paths[path] = {"post": offers.offer(described, kinds)}
    paths[offers.THROUGH] = {
        "parameters": [_parameter("path", *row) for row in offers.NAMED],
        **{
            method: offers.through(_call(operation, summary, "Passed", False))
            for method, operation, summary in offers.METHODS
        },
    }
    for path, operation, summary, schema, reply, streams in anthropic.CALLS:
        paths[path] = {"post": _anthropic(_call(operation, summary, schema, streams), reply)}
    for path, operation, summary, schema, reply, streams in gemini.CALLS:
        paths[path] = {
            "parameters": [_parameter("path", "model", {"type": "string"}, gemini.MODEL)],
            "post": _gemini(_call(operation, summary, schema, streams), reply, streams),
        }
    return paths


def _add_own(paths: dict[str, Json]) -> None:
    """The holder's own view."""
    for path, operation, summary, reply in money.HELD:
        entry = paths.setdefault(path, {})
        if "{call}" in path:
            entry["parameters"] = [_parameter("path", "call", {"type": "string"}, PLACES["call"])]
        entry["get"] = _held(operation, summary, reply)
    _add_posted(paths)
    for method, path, operation, summary, request, status, reply in tokens.OWN:
        entry = paths.setdefault(path, {})
        if "{token}" in path:
            entry["parameters"] = [_parameter("path", "token", {"type": "string"}, PLACES["token"])]
        described = _management(operation, summary, request, status, reply)
        entry[method] = {**described, "tags": ["holder"], "description": "Asks for a key, not a party token."}


def _call(operation: str, summary: str, schema: str, streams: bool) -> Json:
    content: Json = {"application/json": {"schema": ref("Passed")}}
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    success = {
        "description": "The provider's reply: byte for byte where it speaks this dialect, else put into it.",
        "headers": _headers(ALWAYS + ROUTED + routing.DECIDED + CHARGED + LIMITED),
        "content": content,
    }
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["calls"],
        "requestBody": _body(schema),
        "responses": {"200": success, **_errors(GOVERNED)},
    }


def _anthropic(call: Json, reply: str) -> Json:
    """A call of Anthropic's dialect: its errors, ids and limits are Anthropic's."""
    success = call["responses"]["200"]
    success["content"]["application/json"]["schema"] = ref(reply)
    counts = reply == "MessagesCount"
    if counts:
        success["description"] = "The count."
    more = gemini.COUNTED if counts else CHARGED
    success["headers"] = _headers(ALWAYS + ROUTED + more + anthropic.LIMITED + anthropic.NAMED)
    return _refused_as(call, "anthropic")


def _gemini(call: Json, reply: str, streams: bool) -> Json:
    """A call of Gemini's dialect: its errors are Google's."""
    success = call["responses"]["200"]
    success["content"]["application/json"]["schema"] = ref(reply)
    if streams:
        call["parameters"] = [_parameter("query", *gemini.ALT)]
    if reply == "GeminiCount":
        success["description"] = "The count."
        success["headers"] = _headers(ALWAYS + ROUTED + LIMITED + gemini.COUNTED)
    return _refused_as(call, "gemini")


def _refused_as(call: Json, dialect: str, codes: tuple[str, ...] = GOVERNED) -> Json:
    """A call whose refusals are in a dialect's own words."""
    for status in sorted(_by_status(codes)):
        call["responses"][str(status)] = {"$ref": f"#/components/responses/{dialect}-{status}"}
    return call


def _add_models(paths: dict[str, Json]) -> None:
    """The lists of models: OpenAI's, which is Anthropic's to its callers, and Gemini's."""
    paths["/v1/models"] = {"get": _models("listModels", "List the models this key may use.", "ModelList", ())}
    paths["/v1/models/{id}"] = {
        "parameters": [_parameter("path", "id", {"type": "string"}, "A model's name.")],
        "get": _models("getModel", "One model.", "Model", ("model_not_found",)),
    }
    for path, schema in (("/v1/models", "Models"), ("/v1/models/{id}", "Model")):
        operation = paths[path]["get"]
        operation["description"] = models.OTHERS
        success = operation["responses"]["200"]
        success["headers"] = _headers(ALWAYS + anthropic.NAMED)
        own = success["content"]["application/json"]["schema"]
        success["content"]["application/json"]["schema"] = {
            "anyOf": [own, ref(f"Anthropic{schema}"), ref(f"Gemini{schema}")]
        }
    for path, name, summary, schema in models.LISTS:
        paths[path] = {
            "get": _refused_as(_models(name, summary, schema, ("model_not_found",)), "gemini", GEMINI_LISTED)
        }
        if "{model}" in path:
            paths[path]["parameters"] = [_parameter("path", "model", {"type": "string"}, gemini.MODEL)]


def _models(operation: str, summary: str, schema: str, more: tuple[str, ...]) -> Json:
    described: Json = {
        "operationId": operation,
        "summary": summary,
        "tags": ["models"],
        "responses": {"200": _success(schema), **_errors(LISTED + more)},
    }
    if operation in models.QUERIES:
        described["parameters"] = [_parameter("query", *row) for row in models.QUERIES[operation]]
    return described


def _probe(operation: str, summary: str, kind: str, may_refuse: bool) -> Json:
    schema = {"type": "string"} if kind == "text/plain" else {"type": "object"}
    responses: Json = {"200": {"description": "Yes.", "content": {kind: {"schema": schema}}}}
    if may_refuse:
        responses["503"] = {
            "description": "Not now: it drains, or its store does not answer.",
            "headers": _headers(REFUSED[:1]),
            "content": {kind: {"schema": schema}},
        }
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["probes"],
        "security": [],
        "responses": responses,
    }


def _management(operation: str, summary: str, request: str | None, status: int, reply: str) -> Json:
    described: Json = {
        "operationId": operation,
        "summary": summary,
        "tags": ["management"],
    }
    queries = QUERIES
    if operation in queries:
        described["parameters"] = [_parameter("query", *row) for row in queries[operation]]
    if request is not None:
        described["requestBody"] = _body(request, required=request != "Rotation")
    about_money = any(operation == row[2] for row in money.MANAGED)
    errors = _errors((*MONEYED, "too_many_tokens") if about_money or operation == "signToken" else MANAGED)
    described["responses"] = {str(status): _success(reply), **errors}
    return described


def _asks_for(roles: tuple[str, ...]) -> str:
    return (
        f"Asks for a key with a role of {', '.join(roles)}. On the admin listener if `[admin] port` is set."
    )


def _held(operation: str, summary: str, reply: str) -> Json:
    success = _success(reply)
    if operation == "getOwnStatement":
        success["content"]["text/csv"] = {"schema": {"type": "string"}}
    described: Json = {
        "operationId": operation,
        "summary": summary,
        "tags": ["holder"],
        "responses": {"200": success, **_errors(HELD)},
    }
    if operation in QUERIES:
        described["parameters"] = [_parameter("query", *row) for row in QUERIES[operation]]
    return described


def _success(schema: str) -> Json:
    return {
        "description": "Done.",
        "headers": _headers(ALWAYS),
        "content": {"application/json": {"schema": ref(schema)}},
    }


def _body(schema: str, required: bool = True) -> Json:
    return {"required": required, "content": {"application/json": {"schema": ref(schema)}}}


def _by_status(codes: tuple[str, ...]) -> dict[int, list[type[GatewayError]]]:
    """Errors by status, without those that nobody is there to read."""
    found: dict[int, list[type[GatewayError]]] = {}
    for code in codes:
        error = REGISTRY[code]
        if code not in UNTOLD:
            found.setdefault(error.status, []).append(error)
    return found


def _errors(codes: tuple[str, ...]) -> Json:
    """The error replies of a path: whole statuses, each described once under components."""
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(_by_status(codes))}


def _refusals() -> Json:
    """Every error, in the words of each dialect that has its own for it."""
    common = {str(status): _refusal(status) for status in sorted(_by_status(tuple(REGISTRY)))}
    own: Json = {}
    for status in _by_status(GOVERNED):
        own[f"gemini-{status}"] = _refusal(status, "GeminiError")
        named = anthropic.LIMITED + anthropic.NAMED
        own[f"anthropic-{status}"] = _refusal(status, "AnthropicError", named)
    return common | own


def _refusal(
    status: int, schema: str = "Error", limited: tuple[tuple[str, Json, str], ...] = LIMITED
) -> Json:
    errors = _by_status(tuple(REGISTRY))[status]
    headers = REFUSED if any(error.retry is Retry.LATER for error in errors) else REFUSED[2:]
    if status == 405:
        headers += ALLOWED
    return {
        "description": " ".join(f"`{error.code}`: {error.meaning}" for error in errors),
        "headers": _headers(ALWAYS + ROUTED + routing.DECIDED + CHARGED + limited + headers),
        "content": {"application/json": {"schema": ref(schema)}},
    }


def _all_headers() -> tuple[tuple[str, Json, str], ...]:
    own = gemini.COUNTED + anthropic.LIMITED + anthropic.NAMED
    return ALWAYS + ROUTED + routing.DECIDED + CHARGED + LIMITED + REFUSED + ALLOWED + own


def _headers(rows: tuple[tuple[str, Json, str], ...]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name, _, _ in rows}


def _header(schema: Json, meaning: str) -> Json:
    return {"description": meaning, "schema": schema}


def _parameter(where: str, name: str, schema: Json, meaning: str) -> Json:
    return {"name": name, "in": where, "required": where == "path", "description": meaning, "schema": schema}


def _schemas() -> Json:
    return {
        **keys.schemas(),
        **money.schemas(),
        **tokens.schemas(),
        **audit.schemas(),
        **anthropic.schemas(),
        **gemini.schemas(),
        **responses.schemas(),
        **offers.schemas(),
        **routing.schemas(),
        "ChatCompletionRequest": open_to_more(
            {"model": {"type": "string"}, "messages": {"type": "array"}, **_generating()},
            ("model", "messages"),
        ),
        "CompletionRequest": open_to_more(
            {"model": {"type": "string"}, "prompt": {"type": ["string", "array"]}, **_generating()},
            ("model",),
        ),
        "EmbeddingRequest": open_to_more(
            {"model": {"type": "string"}, "input": {"type": ["string", "array"]}}, ("model", "input")
        ),
        "Passed": open_to_more({}, ()),
        **catalogue.SCHEMAS,
        **models.SCHEMAS,
        "Error": _error_schema(),
    }


def _generating() -> Json:
    return {
        "stream": {"type": ["boolean", "null"]},
        "stream_options": {"type": ["object", "null"]},
        "max_tokens": {"type": ["integer", "null"]},
        "max_completion_tokens": {"type": ["integer", "null"]},
        "n": {"type": ["integer", "null"]},
    }


def _error_schema() -> Json:
    codes = sorted(code for code in REGISTRY if code not in UNTOLD)
    properties = {
        "message": {"type": "string"},
        "type": {"type": "string"},
        "param": {"type": ["string", "null"]},
        "code": {"type": "string", "enum": codes},
    }
    return {
        "type": "object",
        "properties": {"error": {"type": "object", "properties": properties, "required": list(properties)}},
        "required": ["error"],
    }

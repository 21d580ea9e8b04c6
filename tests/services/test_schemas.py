"""Schemas of strangers: what fits, where it does not, and what is left alone because it could do harm."""

import http.server
import json
import threading
from time import process_time
from typing import Any

import pytest

from kpgate.services import schemas
from kpgate.services.schemas import Schemas, Unused

NODE = {"$ref": "#/$defs/n"}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"enum": ["a", "b"]}}},
    "required": ["name"],
    "additionalProperties": False,
}


def nest(times: int, leaf: Any = 1) -> str:
    return "[" * times + json.dumps(leaf) + "]" * times


def test_what_fits_and_where_it_does_not() -> None:
    schema = Schemas().find(PERSON)
    assert schema.fault('{"name": "Ada", "tags": ["a"]}') is None
    for answer, where, rule in (
        ('{"name": 1}', "/name", "type"),
        ('{"tags": []}', "", "required"),
        ('{"name": "x", "more": 1}', "", "additionalProperties"),
        ('{"name": "x", "tags": ["a", "c"]}', "/tags/1", "enum"),
        ('```json\n{"name": "x"}\n```', "", "json"),
        ('{"name": "x"', "", "json"),
        ("", "", "json"),
        ("NaN", "", "json"),
    ):
        fault = schema.fault(answer)
        assert fault is not None and (fault.where, fault.rule) == (where, rule), answer
        assert len(fault.said) <= 200


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "strnig"}, "schema"),
        ({"properties": [1]}, "schema"),
        ({"$schema": "https://example.com/mine", "type": "object"}, "schema"),
        ({"pattern": "(?=a)b"}, "schema"),
        ({"pattern": "(a{1000}){1000}"}, "schema"),
        ({"$ref": "http://127.0.0.1:1/x"}, "schema_reference"),
        ({"$ref": "file:///etc/passwd"}, "schema_reference"),
        ({"$ref": "#/$defs/none"}, "schema_reference"),
        ({"$ref": "#anchor"}, "schema_reference"),
        ({"anyOf": [{}], "$ref": "#/anyOf/²"}, "schema_reference"),
        ({"properties": {"a": {"$id": "http://127.0.0.1:1/", "type": "string"}}}, "schema_keyword"),
        ({"unevaluatedProperties": False}, "schema_keyword"),
        ({"$dynamicRef": "#x"}, "schema_keyword"),
        ({"description": "x" * 1_000_000}, "schema_too_large"),
        ({"enum": [0] * 40_000}, "schema_too_large"),
    ],
)
def test_what_is_no_schema_or_could_do_harm_is_not_used(schema: dict[str, Any], why: str) -> None:
    found = Schemas()
    for _ in range(2):
        with pytest.raises(Unused) as error:
            found.find(schema)
        assert error.value.why == why


def test_nothing_is_ever_fetched() -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/s"
        for schema in (
            {"$ref": url},
            {"$schema": url},
            {"$id": url, "$ref": "other"},
            {"$defs": {"a": {"$ref": url}}},
            {
                "$id": url,
                "properties": {"a": {"const": 1, "$ref": "#/definitions/b"}},
                "definitions": {"b": {"$ref": url}},
            },
        ):
            with pytest.raises(Unused):
                Schemas().find(schema)
        server.shutdown()
    assert asked == []


def doubling(levels: int) -> dict[str, Any]:
    """A schema whose parts double at each level: small to write, endless to go through."""
    defs: dict[str, Any] = {
        f"a{level}": {"allOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(levels)
    }
    return {"$defs": defs | {f"a{levels}": {"type": "integer"}}, "$ref": "#/$defs/a0"}


def test_schemas_that_grow_without_end_are_left_alone() -> None:
    began = process_time()
    for schema, why in (
        (doubling(18), "schema_too_large"),
        (
            {"$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(1500)}, "$ref": "#/$defs/a0"},
            "schema_too_deep",
        ),
    ):
        with pytest.raises(Unused) as error:
            Schemas().find(schema)
        assert error.value.why == why
    assert Schemas().find(doubling(10)).fault("1") is None
    wide = Schemas().find({"items": doubling(11) | {"$defs": {}}} | {"$defs": doubling(11)["$defs"]})
    with pytest.raises(Unused):
        wide.fault(json.dumps([1] * 5_000))
    assert process_time() - began < 10, "a bound that fails makes this hours"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"$defs": {"n": {"$ref": "#/$defs/m"}, "m": NODE}, **NODE},
        {"$defs": {"n": {"anyOf": [{"type": "array", "items": NODE}, {"type": "integer"}]}}, **NODE},
    ],
)
def test_a_schema_may_refer_to_itself(schema: dict[str, Any]) -> None:
    assert Schemas().find(schema).fault(nest(60)) is None


def test_an_answer_as_deep_as_its_schema_branches_costs_no_more_than_it_should() -> None:
    several = [{"type": "array", "items": NODE, "minItems": least} for least in (5, 6, 7)]
    schema = Schemas().find({"$defs": {"n": {"anyOf": [*several, {"type": "string"}]}}, **NODE})
    began = process_time()
    fault = schema.fault(nest(60))
    assert fault is not None and fault.rule == "schema"
    assert process_time() - began < 5, "followed without remembering, this is 3 to the 60th"
    near = schema.fault(nest(2))
    assert near is not None and near.rule == "anyOf"


def test_an_answer_that_is_no_sane_one_is_not_looked_at() -> None:
    anything = Schemas().find({"type": "object"})
    for answer, why in (
        (nest(65), "answer_too_deep"),
        (nest(20_000), "answer_too_deep"),
        (json.dumps("x" * 1_100_000), "answer_too_large"),
    ):
        with pytest.raises(Unused) as error:
            anything.fault(answer)
        assert error.value.why == why
    for answer in ("1e400", "1" * 5_000, '"\\ud800"', '"\ud800"'):
        fault = anything.fault(answer)
        assert fault is not None, answer


def test_patterns_run_in_linear_time() -> None:
    schema = Schemas().find({"type": "string", "pattern": "^(a+)+$"})
    fault = schema.fault(json.dumps("a" * 100_000 + "b"))
    assert fault is not None and fault.rule == "pattern"


def test_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "KEPT_MAX", 3)
    found = Schemas()
    first = found.find({"const": 0})
    for number in range(3):
        assert found.find({"const": number}) is found.find({"const": number})
        assert found.find({"const": 0}) is first
    found.find({"const": 3})
    assert found.find({"const": 0}) is first, "what was asked for lately stays"
    assert len(found._kept) == 3

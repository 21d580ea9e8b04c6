"""From Google's subset of OpenAPI schemas to JSON schema. The other way is not needed: Google reads both.

Source: ai.google.dev, API reference, "Schema" (checked November 2026).
"""

import re
from typing import Any

_NUMBERS = frozenset(("minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"))
_DIGITS = re.compile(r"[0-9]{1,18}")
_LEFT_OUT = frozenset(("nullable", "propertyOrdering", "example"))


def json_schema(shape: dict[str, Any]) -> dict[str, Any]:
    """A schema as JSON schema says it: types in lower case, null as a type, numbers as numbers."""
    found: dict[str, Any] = {}
    for name, value in shape.items():
        if name == "type" and isinstance(value, str):
            if value != "TYPE_UNSPECIFIED":
                found["type"] = value.lower()
        elif name == "properties" and isinstance(value, dict):
            found[name] = {own: _of(one) for own, one in value.items()}
        elif name == "defs" and isinstance(value, dict):
            found["$defs"] = {own: _of(one) for own, one in value.items()}
        elif name == "ref":
            found["$ref"] = value
        elif name in ("items", "additionalProperties"):
            found[name] = _of(value)
        elif name in ("anyOf", "prefixItems") and isinstance(value, list):
            found[name] = [_of(one) for one in value]
        elif name in _NUMBERS and isinstance(value, str) and _DIGITS.fullmatch(value):
            found[name] = int(value)
        elif name not in _LEFT_OUT and not (name == "format" and value == "enum"):
            found[name] = value
    if shape.get("nullable") is True:
        _allow_null(found)
    return found


def _of(shape: Any) -> Any:
    return json_schema(shape) if isinstance(shape, dict) else shape


def _allow_null(found: dict[str, Any]) -> None:
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
        if isinstance(found.get("enum"), list):
            found["enum"] = [*found["enum"], None]
    elif isinstance(found.get("anyOf"), list):
        found["anyOf"] = [*found["anyOf"], {"type": "null"}]

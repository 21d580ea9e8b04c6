"""How schemas of the OpenAPI document are put together."""

from typing import Any

Json = dict[str, Any]


PLACES = {
    "id": "A key's id, as sk-kp-ID-... has it.",
    "name": "A party's name.",
    "call": "A call's id, as x-kpgate-receipt says it.",
    "source": "A source's name, as `[[top_ups]]` has it.",
    "token": "A party token's id, its jti.",
}
"""What stands in a path, in words."""


def ref(name: str) -> Json:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def open_to_more(properties: Json, required: tuple[str, ...]) -> Json:
    """An object that may hold more than is named."""
    schema: Json = {"type": "object", "properties": properties, "additionalProperties": True}
    return {**schema, "required": list(required)} if required else schema


def asked(properties: Json, required: tuple[str, ...] = ()) -> Json:
    """An object of a request: what is not named is refused."""
    return {**open_to_more(properties, required), "additionalProperties": False}

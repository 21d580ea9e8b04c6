"""What every caller asks for, and how it is held to what came of it.

A caller is a class of its own: `open` connects, each of `ASKS` is a method that takes a model and asserts. It knows
its client and nothing of the provider behind the gateway, which is asked for what it really got by `got`.
"""

import re
from collections.abc import Callable
from typing import Any, Protocol, Self

ASKS = ("whole", "stream", "tools", "image", "schema", "error")
HELLO = "Hello there friend"
SYSTEM = "Answer in one line."
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNg0UgGAADDAJDVqFmdAAAAAElFTkSuQmCC"
"""A PNG of one pixel, as base64: the same in both of its alphabets, for one client writes the other."""
LINK = "https://example.com/a.png"
"""Where a picture is: nobody fetches it here."""
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TIME = {
    "type": "object",
    "properties": {"zone": {"type": "string"}, "hours": {"type": "array", "items": {"type": "integer"}}},
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
RESULTS = ("21 degrees", "noon sharp")
"""What the two tools that are called answer."""


REFUSALS = {
    400: re.compile("temperature|roles must alternate"),
    429: re.compile("is limiting requests"),
    500: re.compile(r"answered 5\d\d"),
}
"""What is told of a provider's refusals: its own words where they are about the request."""
ERRORS = {"error-400": "invalid_request_error", "error-429": "rate_limit_error", "error-500": "server_error"}
"""What a refusal is called in OpenAI's words."""


def hold_schema(got: bytes) -> None:
    """Hold what the provider got to the schema: what each property is, and which must be there."""
    said = re.sub(rb"\s", b"", got)
    for name, kind in ((b"name", b"string"), (b"age", b"integer")):
        assert re.search(b'"%b":\\{[^{}]*"type":"%b"' % (name, kind), said, re.IGNORECASE), said
    assert b'"required":["name","age"]' in said, said


def hold_refusal(status: int, message: str) -> None:
    """Hold what the caller is told of a provider's refusal to what it is about."""
    assert REFUSALS[status].search(message), message


class Caller(Protocol):
    """One client. Shape: `got` gives the last request that the provider got, as it came."""

    def __init__(self, url: str, key: str, got: Callable[[], bytes]) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def whole(self, model: Callable[[str], str]) -> None:
        """A conversation with instructions, answered as a whole. Shape: `model` gives a scenario's model."""

    def stream(self, model: Callable[[str], str]) -> None:
        """The same as a stream, with what it used."""

    def tools(self, model: Callable[[str], str]) -> None:
        """Two tools called at once, whole and streamed; then their results given back."""

    def image(self, model: Callable[[str], str]) -> None:
        """A picture as base64."""

    def schema(self, model: Callable[[str], str]) -> None:
        """An answer that is JSON of a schema."""

    def error(self, model: Callable[[str], str]) -> None:
        """A provider's refusals, by the client's own classes."""


Make = type[Any]

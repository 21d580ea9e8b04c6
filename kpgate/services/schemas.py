"""Answers held against the JSON schema that their callers asked for.

Owns the compiled schemas of a worker, as many as `KEPT_MAX`. A schema is a stranger's: nothing is ever fetched for one,
its patterns run in linear time, and what would take long to compile or to go through is not used. Knows no dialect.
"""

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from typing import Any
from urllib.parse import unquote

import msgspec

KEPT_MAX = 256
SCHEMA_BYTES_MAX = 65_536
PATTERN_BYTES_MAX = 1 << 20
"""What one compiled pattern may take."""
ANSWER_BYTES_MAX = 1 << 20
DEPTH_MAX = 64
"""Of a schema with what it refers to, and of an answer."""
TREE_MAX = 20_000
"""Parts of a schema, each as often as it is referred to."""
STEPS_MAX = 2_000_000
"""Parts of the schema times parts of the answer."""
TRACED_MAX = 50_000
"""The same with each turn of a recursion: what is wrong is looked for without remembering what was seen."""
SAID_MAX = 200
UNUSED = ("$dynamicRef", "$recursiveRef", "$dynamicAnchor", "unevaluatedItems", "unevaluatedProperties")
APART = ("$defs", "definitions")


class Unused(Exception):
    """A schema, or an answer to it, is not looked at. Shape: `why` is a word for a header."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Fault(msgspec.Struct, frozen=True, gc=False):
    """Why an answer does not fit. Shape: `where` is a JSON pointer, `rule` the keyword; `said` may quote the answer."""

    where: str
    rule: str
    said: str


class Schema:
    """One schema, compiled. Errors: Unused where it is not used."""

    def __init__(self, written: bytes, schema: dict[str, Any]) -> None:
        if len(written) > SCHEMA_BYTES_MAX:
            raise Unused("schema_too_large")
        import jsonschema_rs  # house: imports - 7 MB of each worker, for models that ask for it

        tree = _Tree(schema)
        self._wrong = jsonschema_rs.ValidationError
        self._tree = tree.parts
        self._loops = tree.loops
        try:
            self._validator = jsonschema_rs.validator_for(
                schema,
                validate_formats=False,
                offline=True,
                pattern_options=jsonschema_rs.RegexOptions(PATTERN_BYTES_MAX, PATTERN_BYTES_MAX),
            )
        except (ValueError, TypeError, jsonschema_rs.ReferencingError):
            raise Unused("schema") from None

    def fault(self, text: str) -> Fault | None:
        """What is wrong with an answer; None where it fits. Errors: Unused where it is not looked at."""
        if len(text) > ANSWER_BYTES_MAX:
            raise Unused("answer_too_large")
        try:
            value = msgspec.json.decode(text)
        except RecursionError:
            raise Unused("answer_too_deep") from None
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            return Fault("", "json", f"it is not JSON: {error}"[:SAID_MAX])
        parts, depth = 1 + text.count(",") + text.count("[") + text.count("{"), _depth(value)
        if depth > DEPTH_MAX:
            raise Unused("answer_too_deep")
        if parts * self._tree > STEPS_MAX:
            raise Unused("too_costly")
        try:
            if self._validator.is_valid(value):
                return None
            if self._loops and self._tree * self._loops**depth > TRACED_MAX:
                return Fault("", "schema", "it does not fit the schema")
            self._validator.validate(value)
        except self._wrong as error:
            where = "".join(f"/{step}" for step in error.instance_path)[:SAID_MAX]
            return Fault(where, error.kind.name, error.message[:SAID_MAX])
        except (ValueError, TypeError, OverflowError):
            raise Unused("answer") from None
        return None


class Schemas:
    """Schemas by what they say. Used on the loop and beside it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Schema | str] = OrderedDict()
        self._lock = Lock()

    def find(self, schema: dict[str, Any]) -> Schema:
        """The compiled form. Errors: Unused for what is not used."""
        written = msgspec.json.encode(schema)
        key = blake2b(written, digest_size=16).digest()
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        if found is None:
            found = _compile(written, schema)
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > KEPT_MAX:
                    self._kept.popitem(last=False)
        if isinstance(found, str):
            raise Unused(found)
        return found


def _compile(written: bytes, schema: dict[str, Any]) -> Schema | str:
    try:
        return Schema(written, schema)
    except Unused as error:
        return error.why


class _Tree:
    """A schema gone through as an answer's validation would, without the answer. Errors: Unused.

    Shape: `parts` counts what there is, `loops` where a reference leads back to what it is within.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self.parts = 0
        self.loops = 0
        self._root = schema
        self._walk(schema, (), 0)

    def _walk(self, node: Any, within: tuple[str, ...], depth: int) -> None:
        self.parts += 1
        if self.parts > TREE_MAX:
            raise Unused("schema_too_large")
        if depth > DEPTH_MAX:
            raise Unused("schema_too_deep")
        if isinstance(node, dict):
            if any(name in node for name in UNUSED) or ("$id" in node and node is not self._root):
                raise Unused("schema_keyword")
            self._follow(node.get("$ref"), within, depth)
            children = [value for name, value in node.items() if name not in APART]
        else:
            children = node
        for child in children:
            if isinstance(child, dict | list):
                self._walk(child, within, depth + 1)

    def _follow(self, reference: Any, within: tuple[str, ...], depth: int) -> None:
        """Go where a reference leads, within the schema itself."""
        if not isinstance(reference, str):
            return
        if reference != "#" and not reference.startswith("#/"):
            raise Unused("schema_reference")
        if reference == "#" or reference in within:
            self.loops += 1
            return
        node: Any = self._root
        for step in unquote(reference).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and name.isdecimal() and int(name[:6]) < len(node):
                node = node[int(name[:6])]
            elif isinstance(node, dict) and name in node:
                node = node[name]
            else:
                raise Unused("schema_reference")
        self._walk(node if isinstance(node, dict | list) else [], (*within, reference), depth + 1)


def _depth(value: Any) -> int:
    """How deep a value is nested, or more than `DEPTH_MAX`."""
    depth, level = 0, [value]
    while depth <= DEPTH_MAX:
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            break
        depth += 1
    return depth

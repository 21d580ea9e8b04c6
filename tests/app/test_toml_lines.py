"""The line index agrees with tomllib on what is there, and with the writer on where."""

import json
import tomllib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpgate.app.toml_lines import Path, index, nearest


def paths_of(value: Any, path: Path = ()) -> set[Path]:
    """Every key path of a decoded document."""
    inside: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    found = {path} if path else set()
    for name, part in inside:
        found |= paths_of(part, (*path, name))
    return found


DOCUMENT = '''\
# first
title = "x"   # a comment with [brackets] and = signs
a.b . c = 1
a."quoted.key" = { inner = [1, [2, 3]], deep.er = "}" }
text = """
[not.a.table]
key = "no"
\\""" still inside""""
raw = \'\'\'
\'\'\'
list = [
  "one",  # ] not the end
  { k = "v", l = [] },

  \'th]ree\',
]
when = 1979-05-27 07:32:00

[server]
port = 80
  [server.tls]
  cert = "c"

[[models]]
name = "m"
[models.limits]
requests = "1/s"
[[models.deployments]]
provider = "p"
[[models.deployments]]
provider = "q"
[[models]]
"n\\u0061me" = "second"
[outer.inner]
x = 1
[outer]
y = 2
'''


def test_every_kind_of_place_has_its_line() -> None:
    lines = index(DOCUMENT)
    assert {key for key in paths_of(tomllib.loads(DOCUMENT)) if key not in lines} == set()
    rows = DOCUMENT.splitlines()
    for path, start in {
        ("title",): "title",
        ("a", "b", "c"): "a.b",
        ("a", "quoted.key", "inner", 1, 0): 'a."quoted',
        ("a", "quoted.key", "deep", "er"): 'a."quoted',
        ("text",): "text =",
        ("raw",): "raw =",
        ("list",): "list =",
        ("list", 0): '  "one"',
        ("list", 1, "k"): "  { k",
        ("list", 2): "  'th",
        ("when",): "when",
        ("server", "tls"): "  [server.tls]",
        ("server", "tls", "cert"): "  cert",
        ("models", 0, "limits", "requests"): "requests",
        ("models", 0, "deployments", 1, "provider"): 'provider = "q"',
        ("models", 1, "name"): '"n\\u0061me"',
        ("outer",): "[outer]",
        ("outer", "inner"): "[outer.inner]",
    }.items():
        assert rows[lines[path] - 1].startswith(start), path


def test_what_has_no_line_is_found_by_what_is_around_it() -> None:
    lines = index("a = 1\n[server]\nport = 1\n")
    assert nearest(lines, ("server", "tls", "cert")) == 2
    assert nearest(lines, ("server", "port")) == 3
    assert nearest(lines, ("nothing",)) is None


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only", "\ufeff", "a = 1", "a = 1\r\nb = 2\r\n", "[[a]]\n[[a]]"]
)
def test_small_texts(text: str) -> None:
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        value = {}
    assert paths_of(value) <= set(index(text))


@example("a = [}")
@example("'''")
@example("a = {]")
@given(st.text(alphabet="ab.=[]{}\"'\\#,\n 1", max_size=60))
def test_any_text_is_survived_and_accepted_texts_are_complete(text: str) -> None:
    lines = index(text)
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert paths_of(value) == set(lines)


# A writer that knows where it put things: documents of random shape, and the line of each leaf.

keys = st.text(alphabet="abc -.é\"'", min_size=1, max_size=4)
texts = st.text(alphabet="ab[]{}=#,'\"\\\n é", max_size=8)
leaves = st.one_of(st.integers(-9, 9), st.booleans(), texts, st.sampled_from([1.5, float("inf")]))
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
)
tables = st.dictionaries(keys, values, max_size=3)
documents = st.tuples(
    tables, st.lists(st.tuples(st.booleans(), st.lists(keys, min_size=1, max_size=2), tables), max_size=4)
)


def written(value: Any, breaks: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if "\n" in value and breaks and "'" not in value:
            return f"'''\n{value}'''"
        return json.dumps(value)
    if isinstance(value, list):
        gap = "\n  " if breaks else " "
        return "[" + "".join(f"{gap}{written(item, breaks)}, # ]'\n" for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {written(v, breaks)}" for k, v in value.items()) + "}"
    return str(value)


@given(documents, st.booleans())
def test_documents_of_any_shape(document: Any, breaks: bool) -> None:
    top, rest = document
    text, marks = "# head\n\n", []
    for is_list, names, table in [(None, [], top), *rest]:
        if names:
            header = " . ".join(json.dumps(name) for name in names)
            text += f"[[{header}]]\n" if is_list else f"[{header}]\n"
        for name, value in table.items():
            marks.append((name, text.count("\n") + 1))
            text += f"{json.dumps(name)} = {written(value, breaks)} # ok\n\n"
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = index(text)
    assert paths_of(value) == set(lines)
    for name, line in marks:
        assert any(path[-1] == name and at == line for path, at in lines.items())


def test_a_deep_document_does_not_crash() -> None:
    text = "a = " + "[" * 20_000
    assert index(text)[("a",)] == 1


def test_a_long_document_is_read_in_one_pass() -> None:
    text = "".join(f"[[models]]\nname = 'm{number}'\n" for number in range(20_000))
    assert index(text)[("models", 19_999, "name")] == 40_000

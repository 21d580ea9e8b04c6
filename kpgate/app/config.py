"""The configuration, read: a TOML file, then the environment, then the command line, judged as a whole.

It finds every problem and says where each stands; what a problem is beyond its type is `config_checks`'s.
Nothing here starts or connects to anything, and no value that may be a secret is shown.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import msgspec

from kpgate.app import toml_lines
from kpgate.app.config_checks import Draft, check
from kpgate.app.defaults import Saying, underlay
from kpgate.app.environment import overlay
from kpgate.app.passthrough import check_passthrough, with_passthrough
from kpgate.app.references import is_reference, resolve
from kpgate.app.routing_checks import check_routing
from kpgate.app.settings_tree import Field, Kind, Path, did_you_mean, dotted, fields
from kpgate.domain.settings import Settings

__all__ = ["HIDDEN", "Loaded", "Problem", "load", "resolve"]

DEFAULT = "default"
HIDDEN = "(hidden)"
REFUSED = "(refused)"
DEFAULT_FILE = "kpgate.toml"
_AT_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_EXPECTED = re.compile(r"`(\w+)(?: \| null)?`")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}


class Problem(msgspec.Struct, frozen=True):
    """Something wrong, or worth a warning: where it stands, which setting, and what to mend."""

    place: str
    path: str
    message: str
    line: int = 0

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.path, self.message) if part)


class Loaded(msgspec.Struct, frozen=True):
    """What a reading gave.

    Shape: `settings` is None when there are problems; `values` and `sources` hold every setting that could be
    read under its dotted path, secrets and header values hidden. A source is `default`, `kpgate.toml:12`,
    `environment KPGATE_...` or `command line --port`.
    """

    settings: Settings | None
    file: str | None
    values: dict[str, Any]
    sources: dict[str, str]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    def __repr__(self) -> str:
        return f"Loaded(file={self.file!r}, problems={len(self.problems)}, warnings={len(self.warnings)})"


def load(
    path: FilePath | None, environ: Mapping[str, str], options: Mapping[str, Any] | None = None
) -> Loaded:
    """Read the configuration: `path`, else KPGATE_CONFIG, else ./kpgate.toml, else defaults only.

    Shape: `options` are settings given on the command line by dotted path, as `{"server.port": 80}`; None
    values are not given. Errors: none is raised; all are in `problems`.
    """
    raw: dict[str, Any] = {}
    lines: dict[Path, int] = {}
    name, problems = _find(path, environ), []
    if name is not None:
        try:
            text = FilePath(name).read_bytes().decode("utf-8-sig")
            raw = tomllib.loads(text)
            lines = toml_lines.index(text)
        except OSError as error:
            problems.append(Problem(name, "", f"cannot be read: {error.strerror}"))
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            problems.append(Problem(f"{name}:{line}", "", "is not UTF-8 text"))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            problems.append(_syntax(name, text, error))
    reading = _Reading(name, lines)
    for at, origin, message in overlay(raw, environ):
        if message:
            problems.append(Problem(origin, dotted(at), message))
        else:
            reading.origins[at] = origin
    for option, value in (options or {}).items():
        if value is not None:
            section, field = option.split(".")
            table = raw.setdefault(section, {})
            if isinstance(table, dict):
                table[field] = value
            reading.origins[(section, field)] = f"command line --{field}"
    underlay(raw, Saying(reading.origins.__setitem__, reading.report, reading.warn))
    settings = reading.read(Settings, raw, ())
    draft = reading.draft(raw)
    check(draft, environ, reading.report, reading.warn)
    check_routing(draft, reading.report, reading.warn)
    check_passthrough(draft, reading.report, reading.warn)
    problems += sorted(reading.problems.values(), key=lambda problem: problem.line)
    sound = settings if isinstance(settings, Settings) and not problems else None
    values = reading.shown()
    sources = {dotted(at): reading.source(at) for at in values}
    return Loaded(
        settings=None if sound is None else with_passthrough(sound),
        file=name,
        values={dotted(at): value for at, value in values.items()},
        sources=sources,
        problems=tuple(problems),
        warnings=tuple(reading.warnings),
    )


def _names(raw: Mapping[str, Any], section: str) -> dict[Path, str]:
    """Every name and alias that the tables of a list give themselves, in tables that are not sound too."""
    listed = raw.get(section)
    names: dict[Path, Any] = {}
    for number, item in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(item, dict):
            aliases = item.get("aliases")
            names[(section, number, "name")] = item.get("name")
            names |= {
                (section, number, "aliases", place): alias
                for place, alias in enumerate(aliases if isinstance(aliases, list) else ())
            }
    return {path: name for path, name in names.items() if isinstance(name, str)}


def _find(path: FilePath | None, environ: Mapping[str, str]) -> str | None:
    if path is not None:
        return str(path)
    if environ.get("KPGATE_CONFIG"):
        return environ["KPGATE_CONFIG"]
    return DEFAULT_FILE if FilePath(DEFAULT_FILE).exists() else None


def _syntax(name: str, text: str, error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return Problem(name, "", "is nested too deeply")
    message = str(error)
    match = _AT_LINE.search(message)
    line = match[1] if match and match[1] else max(1, len(text.splitlines()))
    return Problem(f"{name}:{line}", "", f"not TOML: {_AT_LINE.sub('', message)}")


class _Reading:
    """One reading of one configuration.

    State: `parts` holds each table that could be read under its own path, in the file's order; `problems` the
    first thing wrong at each path; `origins` what did not come from the file.
    """

    def __init__(self, name: str | None, lines: dict[Path, int]) -> None:
        self.name = name
        self.lines = lines
        self.origins: dict[Path, str] = {}
        self.parts: dict[Path, msgspec.Struct | None] = {}
        self.given: set[Path] = set()
        self.problems: dict[Path, Problem] = {}
        self.warnings: list[Problem] = []

    def place(self, path: Path) -> str:
        """Where a path stands: the variable or option that gave it or what is around it, else file and line."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        line = toml_lines.nearest(self.lines, path)
        if self.name is None:
            return ""
        return self.name if line is None else f"{self.name}:{line}"

    def source(self, path: Path) -> str:
        return self.place(path) if path in self.given else DEFAULT

    def report(self, path: Path, message: str) -> None:
        if path not in self.problems:
            self.problems[path] = self.problem(path, message)

    def warn(self, path: Path, message: str) -> None:
        self.warnings.append(self.problem(path, message))

    def problem(self, path: Path, message: str) -> Problem:
        line = toml_lines.nearest(self.lines, path) or 0
        return Problem(self.place(path), dotted(path), message, line)

    def draft(self, raw: Mapping[str, Any]) -> Draft:
        return Draft(
            parts={path: part for path, part in self.parts.items() if part is not None},
            provider_names=_names(raw, "providers"),
            model_names=_names(raw, "models"),
        )

    def read(self, part: type[msgspec.Struct], raw: Any, path: Path) -> msgspec.Struct | None:
        """A table as its struct; None once anything it cannot do without is missing or wrong."""
        if not isinstance(raw, dict):
            self.report(path, f"expected a table, got {_kind_of(raw)}")
            return None
        self.given.add(path)
        known = fields(part)
        for name in raw:
            if name not in known:
                self.report((*path, name), f"no such setting{did_you_mean(name, known)}")
        self.parts[path] = None
        values: dict[str, Any] = {}
        whole = True
        for field in known.values():
            at = (*path, field.name)
            if field.name in raw:
                self.given.add(at)
                value, sound = self.read_field(field, raw[field.name], at)
                if sound:
                    values[field.name] = value
                elif field.required:
                    whole = False
            elif field.required:
                self.report(at, f"missing: {field.description}")
                whole = False
            elif field.kind is Kind.TABLE and field.default is not None:
                values[field.name] = self.defaults(field, at)
        made = part(**values) if whole else None
        self.parts[path] = made
        return made

    def defaults(self, field: Field, path: Path) -> msgspec.Struct:
        """A table that nobody gave, noted with all that is inside it."""
        assert isinstance(field.default, msgspec.Struct)
        self.parts[path] = field.default
        for inner in fields(type(field.default)).values():
            value = getattr(field.default, inner.name)
            if inner.kind is Kind.TABLE and value is not None:
                self.defaults(inner, (*path, inner.name))
        return field.default

    def read_field(self, field: Field, raw: Any, path: Path) -> tuple[Any, bool]:
        """A field's value, and whether it is one."""
        if field.kind is Kind.TABLE:
            assert field.part is not None
            table = self.read(field.part, raw, path)
            return table, table is not None
        if field.kind is Kind.TABLES:
            return self.read_tables(field, raw, path)
        if field.kind is Kind.VALUE:
            return self.convert(raw, field.annotation, path)
        expected = dict if field.kind is Kind.MAP else list
        if not isinstance(raw, expected):
            self.report(path, f"expected a {field.words}, got {_kind_of(raw)}")
            return None, False
        pairs = list(raw.items() if isinstance(raw, dict) else enumerate(raw))
        self.given.update((*path, name) for name, _ in pairs)
        read = {name: self.convert(value, field.item, (*path, name)) for name, value in pairs}
        sound = all(good for _, good in read.values())
        # The whole again, for what its annotation asks of it beyond the type of each item.
        return self.convert(raw, field.annotation, path) if sound else (None, False)

    def read_tables(self, field: Field, raw: Any, path: Path) -> tuple[Any, bool]:
        if not isinstance(raw, list):
            self.report(path, f"expected a list of tables, got {_kind_of(raw)}: write [[{field.name}]]")
            return None, False
        assert field.part is not None
        least, most = field.bounds
        if len(raw) < least or (most and len(raw) > most):
            self.report(path, f"expected from {least} to {most} of them, got {len(raw)}")
            return None, False
        read = [self.read(field.part, item, (*path, number)) for number, item in enumerate(raw)]
        return tuple(item for item in read if item is not None), True

    def convert(self, raw: Any, annotation: Any, path: Path) -> tuple[Any, bool]:
        try:
            value = msgspec.convert(raw, annotation)
        except msgspec.ValidationError as error:
            self.report(path, _said(str(error), annotation, raw))
            return None, False
        if isinstance(value, float) and value != value:
            self.report(path, "expected a number, got nan")
            return None, False
        return value, True

    def shown(self) -> dict[Path, Any]:
        """Every setting that could be read, by path, fit to be shown."""
        values: dict[Path, Any] = {}
        for path, part in self.parts.items():
            if part is None:
                continue
            for field in fields(type(part)).values():
                at = (*path, field.name)
                value = getattr(part, field.name)
                if field.kind is Kind.TABLE and value is not None:
                    continue
                if field.kind is Kind.TABLES and value:
                    continue
                if field.kind is Kind.MAP and value:
                    values |= {(*at, name): _veiled(field, text) for name, text in value.items()}
                else:
                    values[at] = _veiled(field, value)
        refused = set(self.problems)
        return {at: REFUSED if refused & {at, at[:-1]} else value for at, value in values.items()}


_SECRETS = ("api_key", "api_keys", "headers", "secret", "old_secret")


def _veiled(field: Field, value: Any) -> Any:
    """The value, unless it may be a secret written in clear."""
    if field.name in _SECRETS and isinstance(value, str) and not is_reference(value):
        return HIDDEN
    if isinstance(value, tuple):
        return [_veiled(field, item) for item in value] if field.name in _SECRETS else list(value)
    return value


def _kind_of(raw: Any) -> str:
    for kind, word in (
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "a string"),
        (list, "a list"),
        (dict, "a table"),
    ):
        if isinstance(raw, kind):
            return word
    return "a date or time"


def _said(message: str, annotation: Any, raw: Any) -> str:
    """msgspec's message in words, without any value it quotes."""
    if message.startswith("Invalid enum value"):
        choices = [str(choice) for choice in _choices(annotation)]
        return f"expected one of {', '.join(choices)}{did_you_mean(str(raw), choices)}"
    message = message.split(" - at ")[0]
    message = _EXPECTED.sub(lambda match: _WORDS.get(match[1], match[1]), message)
    message = re.sub(r"got .*", f"got {_kind_of(raw)}", message)
    return message[0].lower() + message[1:]


def _choices(annotation: Any) -> tuple[Any, ...]:
    info = msgspec.inspect.type_info(annotation)
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    options = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    return next((item.values for item in options if isinstance(item, msgspec.inspect.LiteralType)), ())

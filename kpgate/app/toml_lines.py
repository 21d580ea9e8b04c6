"""Where each key of a TOML text stands: a map from key path to line number.

`tomllib` reads values and forgets places. This reads places only, of texts `tomllib` has already accepted; it
judges nothing, and where it is at a loss it keeps what it found so far.
"""

import tomllib

Path = tuple[str | int, ...]

_BARE_END = frozenset(" \t\r\n=.]#")
_SCALAR_END = frozenset(",]}#\r\n")


def index(text: str) -> dict[Path, int]:
    """The line of every table, key and list item in `text`.

    Shape: paths such as `("models", 0, "name")`; a list of tables written with `[[name]]` has its first
    item's line. Units: lines from 1. Order: as they stand in the text.
    """
    reader = _Reader(text)
    try:
        reader.read_document()
    except (IndexError, ValueError, RecursionError):
        pass
    return reader.lines


def nearest(lines: dict[Path, int], path: Path) -> int | None:
    """The line of `path`, or of the closest thing around it that has one; None for an empty index."""
    for length in range(len(path), 0, -1):
        line = lines.get(path[:length])
        if line is not None:
            return line
    return None


class _Reader:
    """One pass over a text. State: the position, the current table's path, how long each list of tables is."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n") + "\n"
        self.position = 0
        self.line_position = 0
        self.line_number = 1
        self.table: Path = ()
        self.lines: dict[Path, int] = {}
        self.lengths: dict[Path, int] = {}

    def line(self) -> int:
        """The line at the position. Each character is looked at once: the position only moves on."""
        self.line_number += self.text.count("\n", self.line_position, self.position)
        self.line_position = self.position
        return self.line_number

    def note(self, path: Path) -> None:
        line = self.line()
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def read_document(self) -> None:
        self.skip_space()
        while self.position < len(self.text):
            if self.text.startswith("[[", self.position):
                self.read_header("[[")
            elif self.text[self.position] == "[":
                self.read_header("[")
            else:
                self.read_pair(self.table)
            self.skip_space()

    def read_header(self, opening: str) -> None:
        """`[a.b]` opens a table, `[[a.b]]` a further item of a list of tables."""
        start = self.position
        self.position += len(opening)
        names = self.read_key()
        after = self.position + len(opening)
        parent = self.enter((), names[:-1])
        path = (*parent, names[-1])
        if opening == "[[":
            item = self.lengths.get(path, 0)
            self.lengths[path] = item + 1
            path = (*path, item)
        elif path in self.lengths:
            path = (*path, self.lengths[path] - 1)
        self.position = start
        self.note(path)
        # A table named only by its children has their line until its own header is met.
        if opening == "[":
            self.lines[path] = self.line()
        self.table = path
        self.position = after

    def enter(self, table: Path, names: tuple[str, ...]) -> Path:
        """The path under `table` that dotted `names` lead to: through a list of tables, into its last item."""
        path = table
        for name in names:
            path = (*path, name)
            if path in self.lengths:
                path = (*path, self.lengths[path] - 1)
        return path

    def read_pair(self, table: Path) -> None:
        """`key = value`, dotted or not."""
        start = self.position
        names = self.read_key()
        after = self.position
        path = (*table, *names)
        self.position = start
        self.note(path)
        self.position = after + 1
        self.read_value(path)

    def read_key(self) -> tuple[str, ...]:
        """The parts of a key; the position ends on what follows it: `=` or `]`."""
        names = []
        while True:
            self.skip_blanks()
            start = self.position
            if self.text[start] in "\"'":
                self.skip_string()
                names.append(str(tomllib.loads(f"key = {self.text[start : self.position]}")["key"]))
            else:
                while self.text[self.position] not in _BARE_END:
                    self.position += 1
                names.append(self.text[start : self.position])
            self.skip_blanks()
            if self.text[self.position] != ".":
                return tuple(names)
            self.position += 1

    def read_value(self, path: Path) -> None:
        """Step over a value, noting what stands inside it."""
        self.skip_blanks()
        first = self.text[self.position]
        if first in "\"'":
            self.skip_string()
        elif first == "[":
            self.read_list(path)
        elif first == "{":
            self.read_inline_table(path)
        else:
            start = self.position
            while self.text[self.position] not in _SCALAR_END:
                self.position += 1
            if self.position == start:
                raise ValueError("a value was expected")

    def read_list(self, path: Path) -> None:
        self.position += 1
        item = 0
        while True:
            self.skip_separators()
            if self.text[self.position] == "]":
                self.position += 1
                return
            self.note((*path, item))
            self.read_value((*path, item))
            item += 1

    def read_inline_table(self, path: Path) -> None:
        self.position += 1
        while True:
            self.skip_separators()
            if self.text[self.position] == "}":
                self.position += 1
                return
            self.read_pair(path)

    def skip_string(self) -> None:
        """Step over a string of any of the four kinds."""
        text, quote = self.text, self.text[self.position]
        if text.startswith(quote * 3, self.position):
            self.position += 3
            while not text.startswith(quote * 3, self.position):
                # The look at the text also ends it where the string has no end.
                self.position += 2 if text[self.position] == "\\" and quote == '"' else 1
            self.position += 3
            # Up to two quotes may stand right before the closing three.
            for _ in range(2):
                if text[self.position] == quote:
                    self.position += 1
            return
        self.position += 1
        while text[self.position] != quote:
            self.position += 2 if quote == '"' and text[self.position] == "\\" else 1
        self.position += 1

    def skip_blanks(self) -> None:
        while self.text[self.position] in " \t":
            self.position += 1

    def skip_space(self) -> None:
        """Step over blanks, line ends and comments."""
        text = self.text
        while self.position < len(text) and text[self.position] in " \t\r\n#":
            if text[self.position] == "#":
                self.position = text.index("\n", self.position)
            else:
                self.position += 1

    def skip_separators(self) -> None:
        self.skip_space()
        while self.text[self.position] == ",":
            self.position += 1
            self.skip_space()

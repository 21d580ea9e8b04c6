"""The language in which rules about calls are written: read once, made into conditions, which look at every call.

`tier == "free" and prompt_tokens < 2000`, `header("x-team") in ["red", "blue"]`, `not images`,
`key startswith "batch-"`. It has no loops, no assignment and no calls but `header`: a rule's cost is bounded by its
length. Operators, from the loosest: `or`, `and`, `not`, then one comparison.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from kpgate.domain import conditions
from kpgate.domain.conditions import Condition, Constant

LENGTH_MAX = 1000
DEPTH_MAX = 16
TERMS_MAX = 64
LIST_MAX = 100

TEXT, NUMBER, TRUTH, TEXTS, NUMBERS = (
    "a text",
    "a number",
    "true or false",
    "a list of texts",
    "a list of numbers",
)

VARIABLES: dict[str, tuple[str, str]] = {
    "party": (TEXT, "the name of the caller's party"),
    "tier": (TEXT, "its tier, empty for none"),
    "key": (TEXT, "the label of the key"),
    "model": (TEXT, "the model that was asked for"),
    "prompt_tokens": (NUMBER, "the prompt, counted"),
    "output_cap": (NUMBER, "the output tokens that the caller allows a choice, 0 where it does not say"),
    "turns": (NUMBER, "how many turns the conversation has"),
    "complexity": (NUMBER, "from 0 for the simplest to 100"),
    "language": (TEXT, "of the last user turn, as `en`; empty where it is not clear"),
    "stream": (TRUTH, "whether a stream is asked for"),
    "tools": (TRUTH, "whether there are tools"),
    "images": (TRUTH, "whether there are images in the prompt"),
    "json_schema": (TRUTH, "whether the output must follow a JSON schema"),
    "reasoning": (TRUTH, "whether the caller asks for reasoning"),
}
"""What a rule can ask about: its kind and what it is."""
READS = ("turns", "complexity", "language", "tools", "images", "json_schema", "reasoning", "metadata")
"""Those for which the call's content must be read."""


class RuleError(ValueError):
    """What is wrong with a rule, and where. Units: `position` characters from its beginning."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(f"at character {position + 1}: {message}")
        self.position = position


class Compiled(NamedTuple):
    """A rule at work. Shape: `names` are those of `VARIABLES`, header and metadata that it reads."""

    test: Condition
    names: frozenset[str]


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Term(NamedTuple):
    """A part of an expression. Shape: `value` is what a constant is, None for what depends on the call."""

    kind: str
    part: Condition
    at: int
    value: Any = None


_TOKENS = re.compile(
    r"\s*(?:(?P<number>\d[\d_]*(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<sign>==|!=|<=|>=|[<>()\[\],]))"
)
_ESCAPE = re.compile(r"\\(.)")
_WORDS = frozenset({"and", "or", "not", "in", "startswith", "endswith", "contains", "true", "false"})
_ORDERS = {
    "==": (False, True, False),
    "!=": (True, False, True),
    "<": (True, False, False),
    "<=": (True, True, False),
    ">": (False, False, True),
    ">=": (False, True, True),
}
"""For which of less, equal and greater each is true."""
_HINTS = {"&&": "write `and`", "||": "write `or`", "!": "write `not`", "=": "write `==`"}


def compile_rule(text: str) -> Compiled:
    """Read a rule.

    Errors: RuleError, with the position.
    """
    if len(text) > LENGTH_MAX:
        raise RuleError(LENGTH_MAX, f"a rule is at most {LENGTH_MAX} characters long")
    reading = _Reading(_tokens(text))
    term = reading.either(0)
    token = reading.look()
    if token.kind != "end":
        raise RuleError(token.at, f"expected the end, `and` or `or`, not {token.text!r}")
    return Compiled(_truth(term), frozenset(reading.names))


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKENS.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            rest = text[at : at + 2]
            hint = next((said for sign, said in _HINTS.items() if rest.startswith(sign)), "")
            if text[at] in "\"'":
                hint = "this text has no end"
            raise RuleError(at, hint or f"cannot read {text[at]!r}")
        kind = match.lastgroup or ""
        word = match[kind]
        found.append(_Token("word" if word in _WORDS else kind, word, match.start(kind)))
        at = match.end()
    return [*found, _Token("end", "the end", len(text))]


class _Reading:
    """One reading of one rule, left to right."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._terms = 0
        self.names: set[str] = set()

    def look(self) -> _Token:
        return self._tokens[self._next]

    def take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token

    def took(self, text: str) -> bool:
        """Take the next token if it is this word or sign."""
        if self.look().text == text and self.look().kind in ("word", "sign"):
            self._next += 1
            return True
        return False

    def expect(self, text: str) -> None:
        token = self.look()
        if not self.took(text):
            raise RuleError(token.at, f"expected `{text}`, not {token.text!r}")

    def either(self, depth: int) -> _Term:
        terms = [self.both(depth)]
        while self.took("or"):
            terms.append(self.both(depth))
        return _joined(terms, conditions.Any)

    def both(self, depth: int) -> _Term:
        terms = [self.negated(depth)]
        while self.took("and"):
            terms.append(self.negated(depth))
        return _joined(terms, conditions.All)

    def negated(self, depth: int) -> _Term:
        token = self.look()
        if depth > DEPTH_MAX:
            raise RuleError(token.at, f"nested more than {DEPTH_MAX} deep")
        if self.took("not"):
            return _Term(TRUTH, conditions.Not(_truth(self.negated(depth + 1))), token.at)
        return self.compared(depth)

    def compared(self, depth: int) -> _Term:
        left, token = self.operand(depth), self.look()
        if token.text in _ORDERS and token.kind == "sign":
            self._next += 1
            return _compare(token, left, self.operand(depth))
        if token.kind != "word" or token.text in ("and", "or", "true", "false"):
            return left
        self._next += 1
        inverse = token.text == "not"
        if inverse:
            self.expect("in")
        name = "in" if inverse else token.text
        test = _contain(token, name, left, self.operand(depth))
        return _Term(TRUTH, conditions.Not(test) if inverse else test, left.at)

    def operand(self, depth: int) -> _Term:
        token = self.take()
        self._terms += 1
        if self._terms > TERMS_MAX:
            raise RuleError(token.at, f"has more than {TERMS_MAX} parts")
        if token.text == "(" and token.kind == "sign":
            term = self.either(depth + 1)
            self.expect(")")
            return term
        if token.text == "[" and token.kind == "sign":
            return self.items(token)
        if token.kind == "name":
            return self.variable(token)
        value = _constant(token)
        return _Term(_kind_of(value), Constant(value), token.at, value)

    def items(self, opening: _Token) -> _Term:
        values: list[Any] = []
        while not self.took("]"):
            if values:
                self.expect(",")
            token = self.take()
            values.append(_constant(token))
            if _kind_of(values[-1]) not in (TEXT, NUMBER) or _kind_of(values[-1]) != _kind_of(values[0]):
                raise RuleError(token.at, "a list has texts alone, or numbers alone")
            if len(values) > LIST_MAX:
                raise RuleError(token.at, f"a list has at most {LIST_MAX} items")
        if not values:
            raise RuleError(opening.at, "an empty list holds nothing")
        kind = TEXTS if isinstance(values[0], str) else NUMBERS
        return _Term(kind, Constant(None), opening.at, frozenset(values))

    def variable(self, token: _Token) -> _Term:
        name = token.text
        if name in ("header", "metadata"):
            opening, closing = ("(", ")") if name == "header" else ("[", "]")
            self.expect(opening)
            said = self.take()
            if said.kind != "text":
                raise RuleError(said.at, f'expected a name in quotes, as {name}{opening}"x"{closing}')
            self.expect(closing)
            self.names.add(name)
            key = _constant(said)
            if name == "header":
                return _Term(TEXT, conditions.Header(key.lower().encode()), token.at)
            return _Term(TEXT, conditions.Metadata(key), token.at)
        if name not in VARIABLES:
            raise RuleError(
                token.at, f"there is no {name!r}; there are {', '.join(VARIABLES)}, header, metadata"
            )
        self.names.add(name)
        return _Term(VARIABLES[name][0], conditions.Variable(name), token.at)


def _joined(terms: list[_Term], join: Callable[[tuple[Condition, ...]], Condition]) -> _Term:
    if len(terms) == 1:
        return terms[0]
    return _Term(TRUTH, join(tuple([_truth(term) for term in terms])), terms[0].at)


def _truth(term: _Term) -> Condition:
    """A part as something that is true or not. Errors: RuleError for what is neither."""
    if term.kind != TRUTH:
        raise RuleError(term.at, f"this is {term.kind}, not {TRUTH}: compare it with something")
    return term.part


def _compare(token: _Token, left: _Term, right: _Term) -> _Term:
    if left.kind != right.kind or left.kind in (TEXTS, NUMBERS):
        raise RuleError(token.at, f"`{token.text}` cannot compare {left.kind} with {right.kind}")
    if token.text not in ("==", "!=") and left.kind != NUMBER:
        raise RuleError(token.at, f"`{token.text}` compares numbers, not {left.kind}")
    if left.kind == NUMBER:
        return _Term(TRUTH, conditions.Ordered(left.part, right.part, *_ORDERS[token.text]), left.at)
    same = conditions.Same(left.part, right.part, left.kind == TEXT)
    return _Term(TRUTH, same if token.text == "==" else conditions.Not(same), left.at)


def _contain(token: _Token, name: str, left: _Term, right: _Term) -> Condition:
    """`in`, `contains`, `startswith`, `endswith`."""
    if left.value is not None:
        raise RuleError(left.at, "expected something that depends on the call")
    fits = {TEXT: (TEXT, TEXTS), NUMBER: (NUMBERS,)} if name == "in" else {TEXT: (TEXT,)}
    if right.kind not in fits.get(left.kind, ()):
        raise RuleError(token.at, f"`{name}` does not go with {left.kind} and {right.kind}")
    if right.value is None:
        raise RuleError(right.at, f"expected what is to be found in quotes or a list, after `{name}`")
    if name == "in" and right.kind != TEXT:
        return conditions.Among(left.part, right.value, left.kind == TEXT)
    if name in ("in", "contains"):
        within = (left.part, right.part) if name == "in" else (right.part, left.part)
        return conditions.Part(*within)
    return conditions.Edge(left.part, right.value, name == "endswith")


def _constant(token: _Token) -> Any:
    if token.kind == "text":
        return _ESCAPE.sub(r"\1", token.text[1:-1])
    if token.kind == "number":
        digits = token.text.replace("_", "")
        return float(digits) if "." in digits else int(digits)
    if token.text in ("true", "false"):
        return token.text == "true"
    raise RuleError(token.at, f"expected a variable, a text in quotes or a number, not {token.text!r}")


def _kind_of(value: Any) -> str:
    return TRUTH if isinstance(value, bool) else TEXT if isinstance(value, str) else NUMBER

"""What a rule about calls is made of once it is read: parts that look at one call's facts, each by its kind.

Owns how they are looked at, on every call. Knows nothing of how rules are written: `domain/rules` puts parts together
and sees to it that each is asked for its own kind alone.
"""

from kpgate.domain.traits import Facts

NUMBER_MAX = 1 << 53
"""Numbers are compared as floats, which are exact up to here; nothing that a call has is greater."""


class Condition:
    """A part of a rule: a text, a number, or true or false. It is asked for what it is, and for nothing else."""

    def holds(self, facts: Facts) -> bool:
        """Whether it is true of a call."""
        raise TypeError("this part is not true or false")

    def number(self, facts: Facts) -> float:
        """What it comes to."""
        raise TypeError("this part is no number")

    def text(self, facts: Facts) -> str:
        """What it says."""
        raise TypeError("this part is no text")


class Constant(Condition):
    """The same for all calls. Shape: what it is not is false, 0 and empty."""

    def __init__(self, value: object) -> None:
        self._holds = value is True
        self._text = value if isinstance(value, str) else ""
        self._number = 0.0
        if isinstance(value, int | float):
            self._number = float(min(value, NUMBER_MAX))

    def holds(self, facts: Facts) -> bool:
        return self._holds

    def number(self, facts: Facts) -> float:
        return self._number

    def text(self, facts: Facts) -> str:
        return self._text


class Variable(Condition):
    """What the facts have by this name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def holds(self, facts: Facts) -> bool:
        return facts.has(self._name)

    def number(self, facts: Facts) -> float:
        return facts.count(self._name)

    def text(self, facts: Facts) -> str:
        return facts.word(self._name)


class Header(Condition):
    """A header's value. Shape: `name` in lower case."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def text(self, facts: Facts) -> str:
        return facts.header(self._name)


class Metadata(Condition):
    """A value of the caller's metadata."""

    def __init__(self, key: str) -> None:
        self._key = key

    def text(self, facts: Facts) -> str:
        return facts.metadata(self._key)


class Not(Condition):
    """True where the other is not."""

    def __init__(self, one: Condition) -> None:
        self._one = one

    def holds(self, facts: Facts) -> bool:
        return not self._one.holds(facts)


class Any(Condition):
    """True where one of them is."""

    def __init__(self, parts: tuple[Condition, ...]) -> None:
        self._parts = parts

    def holds(self, facts: Facts) -> bool:
        for part in self._parts:  # noqa: SIM110 - a generator costs more than the parts
            if part.holds(facts):
                return True
        return False


class All(Condition):
    """True where each of them is."""

    def __init__(self, parts: tuple[Condition, ...]) -> None:
        self._parts = parts

    def holds(self, facts: Facts) -> bool:
        for part in self._parts:  # noqa: SIM110 - a generator costs more than the parts
            if not part.holds(facts):
                return False
        return True


class Same(Condition):
    """Two texts, or two of true and false, that are the same."""

    def __init__(self, one: Condition, other: Condition, texts: bool) -> None:
        self._one = one
        self._other = other
        self._texts = texts

    def holds(self, facts: Facts) -> bool:
        if self._texts:
            return self._one.text(facts) == self._other.text(facts)
        return self._one.holds(facts) == self._other.holds(facts)


class Ordered(Condition):
    """Two numbers in an order. Shape: true for what is less, equal, greater, as each of these says."""

    def __init__(self, one: Condition, other: Condition, less: bool, equal: bool, greater: bool) -> None:
        self._one = one
        self._other = other
        self._less = less
        self._equal = equal
        self._greater = greater

    def holds(self, facts: Facts) -> bool:
        one, other = self._one.number(facts), self._other.number(facts)
        if one == other:
            return self._equal
        return self._less if one < other else self._greater


class Among(Condition):
    """A text, or a number, that is one of a list."""

    def __init__(self, one: Condition, values: frozenset[object], texts: bool) -> None:
        self._one = one
        self._values = values
        self._texts = texts

    def holds(self, facts: Facts) -> bool:
        if self._texts:
            return self._one.text(facts) in self._values
        return self._one.number(facts) in self._values


class Part(Condition):
    """A text that stands within another."""

    def __init__(self, one: Condition, other: Condition) -> None:
        self._one = one
        self._other = other

    def holds(self, facts: Facts) -> bool:
        return self._one.text(facts) in self._other.text(facts)


class Edge(Condition):
    """A text that begins with another, or ends with it."""

    def __init__(self, one: Condition, value: str, ends: bool) -> None:
        self._one = one
        self._value = value
        self._ends = ends

    def holds(self, facts: Facts) -> bool:
        text = self._one.text(facts)
        return text.endswith(self._value) if self._ends else text.startswith(self._value)

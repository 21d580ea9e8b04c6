"""What `_fast/routes` does, in plain Python: the twin it is measured against, too."""

import re
from collections.abc import Sequence

MASK = (1 << 64) - 1


class OracleRouter:
    """Which entry a name means: exact, then the best pattern, then the default."""

    def __init__(self, entries: Sequence[Sequence[str]], default: int = -1) -> None:
        self.default = default
        self.exact: dict[str, int] = {}
        self.memo: dict[str, int] = {}
        patterns: list[tuple[tuple[int, int, int], re.Pattern[str], int]] = []
        for i, names in enumerate(entries):
            for name in names:
                if "*" in name:
                    expression = ".*".join(re.escape(part) for part in name.split("*"))
                    rank = (-name.index("*"), -len(name.replace("*", "")), len(patterns))
                    patterns.append((rank, re.compile(expression, re.DOTALL), i))
                else:
                    self.exact[name] = i
        self.patterns = [(expression, i) for _, expression, i in sorted(patterns, key=lambda p: p[0])]

    def match(self, name: str) -> int:
        found = self.exact.get(name)
        if found is not None:
            return found
        found = self.memo.get(name)
        if found is None:
            found = self.search(name)
            if len(self.memo) >= 4096:
                self.memo.clear()
            self.memo[name] = found
        return found

    def search(self, name: str) -> int:
        for expression, i in self.patterns:
            if expression.fullmatch(name):
                return i
        return self.default

"""What Claude models take, told by the version in their names: the API's fields are not the same for all of them.

A name without a version, as of a proxy's own, is taken for a model that takes everything.
Source: platform.claude.com, "Thinking", "Extended thinking", "Effort", "Mid-conversation system messages", "What's
new" pages of Opus 5.5 and Sonnet 5.5 (checked November 2026).
"""

import re
from functools import lru_cache

import msgspec

_FAMILY_FIRST = re.compile(r"claude-([a-z]+)-(\d{1,2})(?:[-.](\d{1,2}))?(?![\d])")
_VERSION_FIRST = re.compile(r"claude-(\d{1,2})(?:[-.](\d{1,2}))?-([a-z]+)")
ALWAYS_THINKS = frozenset(("fable", "mythos"))


class Takes(msgspec.Struct, frozen=True, gc=False):
    """What one model takes.

    Shape: `budget` says that it thinks by a budget of tokens, and else by an effort; `unthinking` is the
    `thinking.type` that has it think least, empty where it always does; `sampling` takes temperature, top_p and top_k;
    `system_turns` takes instructions among the turns; `xhigh` is an effort.
    """

    budget: bool = False
    unthinking: str = "disabled"
    sampling: bool = True
    system_turns: bool = False
    xhigh: bool = True


@lru_cache(maxsize=256)
def takes(model: str) -> Takes:
    """What a model takes. Shape: a provider's name for it; what stands before `claude-` is ignored."""
    name = model.lower()
    if (found := _VERSION_FIRST.search(name)) is not None:
        major, minor, family = found.groups()
    elif (found := _FAMILY_FIRST.search(name)) is not None:
        family, major, minor = found.groups()
    else:
        return Takes()
    version = (int(major), int(minor or 0))
    unthinking = "disabled"
    if family in ALWAYS_THINKS or (family == "opus" and version >= (5, 5)):
        unthinking = ""
    elif family == "sonnet" and version >= (5, 5):
        unthinking = "between_tools"
    return Takes(
        budget=version < (4, 6),
        unthinking=unthinking,
        sampling=version < (4, 7),
        system_turns=version >= (4, 8),
        xhigh=version >= (4, 7),
    )

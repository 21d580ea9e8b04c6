"""How OpenAI's models are told not to reason, by their names: not all can be, and some never do.

Source: OpenAI API reference, `reasoning_effort`; guides of GPT-5, 5.1 and 5.2 (checked November 2026).
"""

import re
from functools import lru_cache

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_PLAIN = re.compile(r"(?:^|[/:.])(?:gpt-[34]|chatgpt-|davinci|babbage)")
_TOLD = re.compile(r"(?:^|[/:.])gpt-(?:5\.\d|[6-9]|\d\d)(?!.*-pro)")


@lru_cache(maxsize=1024)
def unthinking(model: str) -> str | None:
    """The effort by which a model does not reason; empty for one that never does. None: nobody knows of one."""
    if _PLAIN.search(model):
        return ""
    return "none" if _TOLD.search(model) else None

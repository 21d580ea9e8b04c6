"""How much Gemini models can be asked to think, told by their names: by a budget of tokens, or by a level.

A name without a version, as of an alias, is taken for a model of the newest kind.
Source: ai.google.dev, "Thinking"; docs.cloud.google.com, "Thinking", its tables of levels and of budgets; that others
are refused, egoist/chatwise-releases#1206 (3 Pro, December 2025), vellum-ai/vellum-assistant#32687 (3.1 Pro, May 2026),
bolna-ai/bolna#956 (3.7 Flash, August 2026), dzivkovi/video-intel 2.7.1 (3.8 Flash, September 2026). Checked November
2026.
"""

import re
from functools import lru_cache
from typing import Any

import msgspec

from kpgate.domain.chat import Reasoning
from kpgate.domain.dialect import Aim

BUDGETS = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 32_768,
}
"""Units: tokens to think with. Source: ai.google.dev, "OpenAI compatibility"; what is beyond is the most there is."""
AS_IT_SEES_FIT = -1
LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
_LEVELS = {"none": 0, "minimal": 0, "low": 1, "medium": 2, "high": 3, "xhigh": 3, "max": 3}
_EFFORTS = ("minimal", "low", "medium", "high")


class Thinks(msgspec.Struct, frozen=True, gc=False):
    """How one model thinks.

    Shape: by a budget from `least` to `most`, which may be 0 where it can be `idle`; where `most` is 0, by one of
    `levels`, and where that is empty too it does not think. Units: tokens.
    """

    levels: tuple[str, ...] = ()
    least: int = 0
    most: int = 0
    idle: bool = False


_KNOWN = (
    (r"gemini-2\.5-pro", Thinks(least=128, most=32_768)),
    (r"gemini-2\.5-flash-lite", Thinks(least=512, most=24_576, idle=True)),
    (r"gemini-2\.5|gemini-robotics-er-1|gemini-2\.0-flash-thinking", Thinks(least=1, most=24_576, idle=True)),
    (r"gemini-(?:1|2)[.\d-]", Thinks()),
    (r"gemini-3[.\d]*-flash(?:-lite)?-image", Thinks(("MINIMAL", "HIGH"))),
    (r"gemini-3-pro", Thinks(("LOW", "HIGH"))),
    (r"gemini-3(?:\.[1-6])?-flash", Thinks(LEVELS)),
)
_REST = Thinks(LEVELS[1:])
"""The levels that every model has which has any."""
_MODELS = tuple((re.compile(name), able) for name, able in _KNOWN)


@lru_cache(maxsize=256)
def thinks(model: str) -> Thinks:
    """How a model thinks. Shape: a provider's name for it; what stands before `gemini-` is ignored."""
    name = model.lower()
    return next((able for known, able in _MODELS if known.search(name)), _REST)


@lru_cache(maxsize=256)
def wants_seals(model: str) -> bool:
    """Whether a model refuses its calls without the seal on them: all since Gemini 3 do."""
    return re.search(r"gemini-(?:1|2)[.\d-]", model.lower()) is None


def think(wanted: Reasoning, aim: Aim) -> dict[str, Any] | None:
    """A budget, or a level where the model takes one: no model takes both."""
    able, effort = thinks(aim.model), wanted.effort
    if effort and effort not in BUDGETS:
        aim.lack("reasoning", f"expected one of {', '.join(BUDGETS)}")
        effort = ""
    config: dict[str, Any] = {}
    if able.most:
        tokens = _budget(effort, wanted.budget, able, aim)
        if tokens is not None:
            config["thinkingBudget"] = tokens
    elif able.levels:
        level = _level(effort, wanted.budget, able, aim)
        if level:
            config["thinkingLevel"] = level
    else:
        if effort != "none" and wanted.budget != 0 and (effort or wanted.budget is not None):
            aim.lack("reasoning", f"{aim.model} does not think")
        return None
    if wanted.shown is not None:
        config["includeThoughts"] = wanted.shown
    return config or None


def _budget(effort: str, budget: int | None, able: Thinks, aim: Aim) -> int | None:
    """Tokens to think with, within what the model takes: an effort says more than that it is left to the model."""
    if budget is None or (budget < 0 and effort):
        budget = BUDGETS[effort] if effort else None
    if budget is None or budget < 0:
        return budget if budget is None else AS_IT_SEES_FIT
    if budget == 0 and able.idle:
        return 0
    if budget == 0:
        _thinks_on(aim)
    return min(max(budget, able.least), able.most)


def _level(effort: str, budget: int | None, able: Thinks, aim: Aim) -> str:
    """A level: the least that the model has which is no less than what is asked for. Empty for as it sees fit."""
    if budget == 0 or effort == "none":
        _thinks_on(aim)
        return able.levels[0]
    if not effort and budget is not None and budget > 0:
        effort = next((one for one in _EFFORTS if budget <= BUDGETS[one]), "high")
    if not effort:
        return ""
    wanted = _LEVELS[effort]
    return next((level for level in able.levels if LEVELS.index(level) >= wanted), able.levels[-1])


def _thinks_on(aim: Aim) -> None:
    """It was to think not at all, and thinks as little as it can: that is said."""
    aim.leave_out("reasoning")

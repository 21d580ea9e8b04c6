"""What models at Bedrock take beside what Converse has for all of them, told by their names.

Source: docs.aws.amazon.com, Bedrock user guide, "Anthropic Claude models" and "OpenAI models"; Nova user guides, "Using
the Converse API"; what Claude takes is `domain/claude` (checked November 2026).
"""

from enum import Enum
from typing import Any

from kpgate.domain.chat import Reasoning
from kpgate.domain.claude import takes
from kpgate.domain.dialect import Aim

Json = dict[str, Any]

BUDGET_LEAST = 1024
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 32_768}
"""Units: tokens to think with, for models that think by a budget. As to Anthropic itself."""
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
KNOWN = ("", "none", *EFFORTS)


class Family(Enum):
    """Models that take the same."""

    CLAUDE = "claude"
    NOVA = "nova"
    GPT = "gpt"
    OTHER = ""


_SIGNS = {"anthropic.": Family.CLAUDE, "claude": Family.CLAUDE, "nova": Family.NOVA, "gpt-oss": Family.GPT}


def family_of(model: str) -> Family:
    """The family of a model's id, an inference profile's, or their ARN."""
    name = model.lower()
    return next((family for sign, family in _SIGNS.items() if sign in name), Family.OTHER)


def may_seal(model: str) -> bool:
    """Whether thoughts of the model are sealed: Claude's are, and an ARN may say nothing of what is behind it."""
    family = family_of(model)
    return family is Family.CLAUDE or (family is Family.OTHER and model.startswith("arn:"))


def reason(wanted: Reasoning, cap: int, asked: Json, more: Json, aim: Aim) -> None:
    """How much to think. Shape: `more` is what goes to the model as it is. Units: `cap` tokens, 0 for none."""
    family = family_of(aim.model)
    if wanted.effort not in KNOWN:
        aim.lack("reasoning", f"expected one of {', '.join(KNOWN[1:])}")
    idle = wanted.effort == "none" or wanted.budget == 0
    effort = EFFORTS.get(wanted.effort) or _effort(wanted.budget)
    if family is Family.CLAUDE:
        _claude(wanted, idle, cap, asked, more, aim)
    elif family is Family.NOVA and "nova-2" in aim.model:
        kind = {"type": "disabled"} if idle else {"type": "enabled", "maxReasoningEffort": effort or "medium"}
        more["reasoningConfig"] = kind
    elif family is Family.GPT and not idle:
        if effort:
            more["reasoning_effort"] = effort
    elif not idle or family is Family.GPT:
        aim.lack("reasoning")


def _claude(wanted: Reasoning, idle: bool, cap: int, asked: Json, more: Json, aim: Aim) -> None:
    able = takes(aim.model)
    if idle:
        if not able.unthinking:
            aim.lack("reasoning", f"{aim.model} always thinks")
        elif not able.budget:
            more["thinking"] = {"type": able.unthinking}
    elif able.budget:
        budget = wanted.budget or 0
        tokens = budget if budget > 0 else BUDGETS.get(wanted.effort, BUDGETS["medium"])
        tokens = max(BUDGET_LEAST, min(tokens, cap // 2) if cap else tokens)
        if cap and tokens >= cap:
            aim.lack("reasoning", f"{aim.model} needs more than {BUDGET_LEAST} output tokens to think")
            return
        more["thinking"] = {"type": "enabled", "budget_tokens": tokens}
        # Without a cap Bedrock takes the model's own, which may be less than the budget.
        asked.setdefault("inferenceConfig", {}).setdefault("maxTokens", tokens + aim.output_default)
    else:
        more["thinking"] = {"type": "adaptive"}
        effort = EFFORTS.get(wanted.effort) or _effort(wanted.budget)
        if wanted.most or wanted.effort == "max":
            effort = "max"
        elif wanted.effort == "xhigh" and able.xhigh:
            effort = "xhigh"
        if effort:
            asked.setdefault("outputConfig", {})["effort"] = effort


def _effort(budget: int | None) -> str:
    """An effort for a budget: the least whose own budget has room for it. Units: tokens."""
    if budget is None or budget <= 0:
        return ""
    return next((EFFORTS[effort] for effort, tokens in BUDGETS.items() if budget <= tokens), "high")


def top_k(value: int, more: Json, aim: Aim) -> None:
    """How many tokens are drawn from, for models that take that."""
    family = family_of(aim.model)
    if family is Family.CLAUDE and takes(aim.model).sampling:
        more["top_k"] = value
    elif family is Family.NOVA:
        more["inferenceConfig"] = {"topK": value}
    else:
        aim.lack("top_k")

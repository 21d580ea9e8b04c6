"""The models that a key may use, listed as each dialect's clients expect it, with that dialect's paging.

Gemini's is spoken under /v1beta and to whoever sends `x-goog-api-key`, Anthropic's to whoever sends
`anthropic-version`, else OpenAI's.
Source: platform.claude.com, API reference, "List Models", "Get a Model"; ai.google.dev, API reference, "models.list",
"models.get"; OpenAI API reference, models (checked November 2026).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from kpgate.app.model_card import card
from kpgate.dialects.anthropic.endpoints import MESSAGES
from kpgate.dialects.gemini.endpoints import UNKNOWN as GEMINI
from kpgate.dialects.openai.endpoints import CHAT
from kpgate.dialects.openai.reply import encode_model, encode_models
from kpgate.domain.caller import Caller
from kpgate.domain.dialect import Endpoint
from kpgate.domain.errors import InvalidRequest, MethodNotAllowed, ModelNotFound
from kpgate.life import Equipment
from kpgate.services.exchange import Exchange
from kpgate.services.route import Plan

LISTS = ("/v1/models", "/v1beta/models")
ASIDE = "providers/"
"""How the names of those begin that are models for the books alone."""
PAGE_MAX = 1000
ANTHROPIC_PAGE, GEMINI_PAGE = 20, 50

Json = dict[str, Any]
Named = tuple[str, Plan]


def listed(path: str) -> str:
    """Which list of models a path is of, or of a model in it; empty for none."""
    return next((one for one in LISTS if path == one or path.startswith(one + "/")), "")


def speaker(exchange: Exchange) -> Endpoint | None:
    """Whose words errors are told in, by its path and headers; None where neither says."""
    path = exchange.path.decode("latin-1")
    found = listed(path)
    if not found:
        return None
    sent = {name for name, _ in exchange.headers}
    if found == LISTS[1] or b"x-goog-api-key" in sent:
        return GEMINI
    return MESSAGES if b"anthropic-version" in sent else CHAT


def show(kit: Equipment, exchange: Exchange, caller: Caller) -> bytes:
    """The list, or the model that the path names.

    Errors: MethodNotAllowed; ModelNotFound; InvalidRequest for a page that there is not.
    """
    if exchange.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(exchange.method, "GET", "HEAD")
    path = exchange.path.decode("latin-1")
    name = unquote(path.removeprefix(listed(path)).removeprefix("/"))
    spoken = speaker(exchange)
    one, many = _SHOWN[spoken.dialect if spoken is not None else "openai"]
    if name:
        plan = kit.routes.find(name)
        if plan is None or not kit.auth.allows(caller, name if plan.wild else plan.name):
            raise ModelNotFound(f"no model is named {name[:200]!r} here", param="model")
        return msgspec.json.encode(one(kit, (name, plan), caller))
    named = [plan for plan in kit.routes.plans if not (plan.wild or plan.name.startswith(ASIDE))]
    allowed = [(plan.name, plan) for plan in named if kit.auth.allows(caller, plan.name)]
    return many(kit, allowed, caller, parse_qs(exchange.query.decode("latin-1"), max_num_fields=64))


def _openai(kit: Equipment, named: Named, caller: Caller) -> Json:
    name, plan = named
    shown = encode_model(name, kit.routes.created_s, plan.owner)
    return shown | card(plan, caller.party.tier.price_factor)


def _openai_list(kit: Equipment, allowed: list[Named], caller: Caller, asked: dict[str, list[str]]) -> bytes:
    return encode_models(_openai(kit, one, caller) for one in allowed)


def _anthropic(kit: Equipment, named: Named, caller: Caller) -> Json:
    name, plan = named
    known = card(plan)
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": datetime.fromtimestamp(kit.routes.created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": known["context_window"],
        "max_tokens": known["output_tokens_max"],
    }


def _anthropic_list(
    kit: Equipment, allowed: list[Named], caller: Caller, asked: dict[str, list[str]]
) -> bytes:
    limit = _number(asked, "limit", ANTHROPIC_PAGE)
    after, before = _place(allowed, asked, "after_id"), _place(allowed, asked, "before_id")
    if after is not None and before is not None:
        raise InvalidRequest("before_id: not together with after_id", param="before_id")
    if before is not None:
        start, end = max(0, before - limit), before
        more = start > 0
    else:
        start = 0 if after is None else after + 1
        end = start + limit
        more = end < len(allowed)
    page = allowed[start:end]
    return msgspec.json.encode(
        {
            "data": [_anthropic(kit, one, caller) for one in page],
            "first_id": page[0][0] if page else None,
            "last_id": page[-1][0] if page else None,
            "has_more": more,
        }
    )


def _gemini(kit: Equipment, named: Named, caller: Caller) -> Json:
    name, plan = named
    known = card(plan)
    served = {path.rpartition(":")[2] for target in plan.targets for path in target.ways if ":" in path}
    if plan.vocabulary is not None:
        served.add("countTokens")
    shown: Json = {
        "name": f"models/{name}",
        "version": "",
        "displayName": name,
        "supportedGenerationMethods": sorted(served),
    }
    if known["context_window"]:
        shown["inputTokenLimit"] = known["context_window"]
    if known["output_tokens_max"]:
        shown["outputTokenLimit"] = known["output_tokens_max"]
    if known["capabilities"]["reasoning"] is not None:
        shown["thinking"] = known["capabilities"]["reasoning"]
    return shown


def _gemini_list(kit: Equipment, allowed: list[Named], caller: Caller, asked: dict[str, list[str]]) -> bytes:
    size = _number(asked, "pageSize", GEMINI_PAGE)
    after = _place(allowed, asked, "pageToken")
    start = 0 if after is None else after + 1
    page = allowed[start : start + size]
    shown: Json = {"models": [_gemini(kit, one, caller) for one in page]}
    if start + size < len(allowed):
        shown["nextPageToken"] = page[-1][0]
    return msgspec.json.encode(shown)


def _number(asked: dict[str, list[str]], name: str, default: int) -> int:
    written = asked.get(name, [""])[-1]
    if not written:
        return default
    if not (written.isascii() and written.isdigit()) or len(written) > 9 or int(written) < 1:
        raise InvalidRequest(f"{name}: expected a whole number from 1 to {PAGE_MAX}", param=name)
    return min(int(written), PAGE_MAX)


def _place(allowed: list[Named], asked: dict[str, list[str]], name: str) -> int | None:
    """Where a model that a page begins or ends at stands. None where none is named."""
    written = asked.get(name, [""])[-1]
    if not written:
        return None
    for place, (known, _) in enumerate(allowed):
        if known == written:
            return place
    raise InvalidRequest(f"{name}: no model is listed by that name", param=name)


_SHOWN: dict[str, tuple[Callable[[Equipment, Named, Caller], Json], Callable[..., bytes]]] = {
    "openai": (_openai, _openai_list),
    "anthropic": (_anthropic, _anthropic_list),
    "gemini": (_gemini, _gemini_list),
}

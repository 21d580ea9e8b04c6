"""The part of the OpenAPI document that is about keys, parties and settings: its paths and parameters."""

from typing import Any

from kpgate.app.openapi_parts import asked, open_to_more, ref
from kpgate.app.settings_tree import Field, fields
from kpgate.domain.caller import ROLES
from kpgate.domain.limits import Limits
from kpgate.domain.management import PAGE_MAX
from kpgate.domain.plan import KINDS
from kpgate.domain.price import AMOUNT_MAX
from kpgate.domain.tier import PRICE_FACTOR_MAX, PRIORITY_MAX

Json = dict[str, Any]

# Method, path, operation, summary, request schema or None, status, reply schema.
MANAGEMENT: tuple[tuple[str, str, str, str, str | None, int, str], ...] = (
    ("get", "/admin/v1/keys", "listKeys", "List keys. No secret is shown.", None, 200, "KeyList"),
    (
        "post",
        "/admin/v1/keys",
        "createKey",
        "Create a key; its secret is shown once.",
        "NewKey",
        201,
        "CreatedKey",
    ),
    ("get", "/admin/v1/keys/{id}", "getKey", "One key.", None, 200, "Key"),
    (
        "delete",
        "/admin/v1/keys/{id}",
        "revokeKey",
        "Revoke a key, at once and on every worker.",
        None,
        200,
        "Key",
    ),
    (
        "post",
        "/admin/v1/keys/{id}/rotate",
        "rotateKey",
        "Give a key a new secret; the old one is taken for a time of grace.",
        "Rotation",
        200,
        "CreatedKey",
    ),
    ("get", "/admin/v1/parties", "listParties", "List parties.", None, 200, "PartyList"),
    ("get", "/admin/v1/parties/{name}", "getParty", "One party.", None, 200, "Party"),
    (
        "put",
        "/admin/v1/parties/{name}",
        "setParty",
        "Set a party's limits, tier and plan, making the party if need be.",
        "PartyTerms",
        200,
        "Party",
    ),
    ("get", "/admin/v1/plans", "listPlans", "List plans.", None, 200, "PlanList"),
    ("get", "/admin/v1/plans/{name}", "getPlan", "One plan.", None, 200, "Plan"),
    (
        "put",
        "/admin/v1/plans/{name}",
        "setPlan",
        "Set all of a plan's terms, making the plan if need be.",
        "PlanTerms",
        200,
        "Plan",
    ),
    (
        "delete",
        "/admin/v1/plans/{name}",
        "deletePlan",
        "Forget a plan that no party is of.",
        None,
        200,
        "Plan",
    ),
    ("get", "/admin/v1/tiers", "listTiers", "List tiers.", None, 200, "TierList"),
    ("get", "/admin/v1/tiers/{name}", "getTier", "One tier.", None, 200, "Tier"),
    (
        "put",
        "/admin/v1/tiers/{name}",
        "setTier",
        "Set all of a tier's terms, making the tier if need be.",
        "TierTerms",
        200,
        "Tier",
    ),
    (
        "delete",
        "/admin/v1/tiers/{name}",
        "deleteTier",
        "Forget a tier that no party is of.",
        None,
        200,
        "Tier",
    ),
    (
        "post",
        "/admin/v1/reload",
        "reload",
        "Read the configuration anew: whole, or not at all.",
        None,
        200,
        "Reload",
    ),
)
_PAGED: tuple[tuple[str, Json, str], ...] = (
    ("after", {"type": "integer", "minimum": 0}, "From after this number on: `after` of the page before."),
    ("count", {"type": "integer", "minimum": 1, "maximum": PAGE_MAX}, "How many at most; 100 if absent."),
)
QUERIES: dict[str, tuple[tuple[str, Json, str], ...]] = {
    "listKeys": (
        *_PAGED,
        ("party", {"type": "string"}, "Of this party only."),
        ("revoked", {"type": "string", "enum": ["true", "false", "1", "0"]}, "Revoked ones too."),
    ),
    "listParties": _PAGED,
}


def schemas() -> Json:
    """What is asked and answered about keys, parties, tiers and plans."""
    text, number, limits = {"type": "string"}, {"type": "integer"}, ref("Limits")
    texts = {"type": "array", "items": text}
    time = {"type": ["string", "null"], "description": "RFC 3339, in UTC; null for never."}
    rules = {
        "party": text,
        "label": text,
        "role": {"type": "string", "enum": list(ROLES)},
        "models": {**texts, "description": "Names or wildcards; empty for all."},
        "networks": {**texts, "description": "CIDR blocks; empty for any."},
        "limits": limits,
    }
    times = {"created_at": time, "expires_at": time, "revoked_at": time}
    key = {"id": text, "number": number, **rules, **times}
    secret = {"type": "string", "description": "The key itself: shown here and never again."}
    expires = {"type": ["string", "null"], "description": "As 30d, or an instant in RFC 3339; absent, never."}
    grace = {"type": "string", "description": "How long the old secret serves on, as 24h."}
    after = {"type": ["integer", "null"], "description": "Ask for what is after this; null at the end."}
    until = {"type": "string", "description": "Until when the old secret serves on: rotation says it."}
    named: Json = {"type": ["string", "null"]}
    short = {**named, "maxLength": 200}
    party = {"name": text, "number": number, "limits": limits, "tier": named, "plan": named}
    terms = {"limits": limits, "models": rules["models"], **_ranked()}
    tier = {"name": text, "number": number, **terms}
    return {
        "Limits": asked(_limits()),
        "NewKey": asked({**rules, "expires": expires}, ("party",)),
        "Rotation": asked({"grace": grace}),
        "PartyTerms": asked({"limits": limits, "tier": short, "plan": short}),
        **_plans(),
        "TierTerms": asked(terms),
        "Key": open_to_more(key, tuple(key)),
        "KeyList": open_to_more(
            {"keys": {"type": "array", "items": ref("Key")}, "after": after}, ("keys", "after")
        ),
        "CreatedKey": open_to_more({**key, "key": secret, "old_secret_until": until}, (*key, "key")),
        "Party": open_to_more(party, tuple(party)),
        "PartyList": open_to_more(
            {"parties": {"type": "array", "items": ref("Party")}, "after": after}, ("parties", "after")
        ),
        "Tier": open_to_more(tier, tuple(tier)),
        "TierList": open_to_more({"tiers": {"type": "array", "items": ref("Tier")}}, ("tiers",)),
        "Reload": open_to_more({"reloaded": {"type": "boolean"}}, ("reloaded",)),
    }


def _ranked() -> Json:
    least = "What the balance of its parties must be at least; 0 is none."
    factor = "Basis points of the price: 10000 is the whole, 5000 half."
    return {
        "priority": {"type": "integer", "minimum": 0, "maximum": PRIORITY_MAX},
        "price_factor": {"type": "integer", "minimum": 1, "maximum": PRICE_FACTOR_MAX, "description": factor},
        "holding_min_microkpt": {
            "type": "integer",
            "minimum": 0,
            "maximum": AMOUNT_MAX,
            "description": least,
        },
    }


def _limits() -> Json:
    return {field.name: _limit(field) for field in fields(Limits).values()}


def _limit(field: Field) -> Json:
    kind = "string" if field.text else "integer"
    return {"type": [kind, "null"], "description": field.description}


def _plans() -> Json:
    amount: Json = {"type": "integer", "minimum": 0, "maximum": AMOUNT_MAX}
    terms: Json = {
        "kind": {"type": "string", "enum": list(KINDS)},
        "grant_microkpt": {**amount, "description": "microKPT a month, for a subscription."},
        "line_microkpt": {**amount, "description": "microKPT, for a credit line."},
    }
    wanted = {**terms, "tier": {"type": "string", "maxLength": 200}}
    named: Json = {"type": ["string", "null"]}
    plan = {"name": {"type": "string"}, "number": {"type": "integer"}, **terms, "tier": named}
    return {
        "PlanTerms": asked(wanted),
        "Plan": open_to_more(plan, tuple(plan)),
        "PlanList": open_to_more({"plans": {"type": "array", "items": ref("Plan")}}, ("plans",)),
    }

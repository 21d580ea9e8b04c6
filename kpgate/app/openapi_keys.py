"""The part of the OpenAPI document that is about keys, parties and settings: its paths and parameters."""

from typing import Any

from kpgate.domain.management import PAGE_MAX
from kpgate.domain.plan import KINDS
from kpgate.domain.price import AMOUNT_MAX

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


def plans() -> Json:
    """What is asked and answered about plans."""
    amount: Json = {"type": "integer", "minimum": 0, "maximum": AMOUNT_MAX}
    terms: Json = {
        "kind": {"type": "string", "enum": list(KINDS)},
        "grant_microkpt": {**amount, "description": "microKPT a month, for a subscription."},
        "line_microkpt": {**amount, "description": "microKPT, for a credit line."},
    }
    asked = {**terms, "tier": {"type": "string", "maxLength": 200}}
    named: Json = {"type": ["string", "null"]}
    plan = {"name": {"type": "string"}, "number": {"type": "integer"}, **terms, "tier": named}
    several = {"type": "array", "items": {"$ref": "#/components/schemas/Plan"}}
    return {
        "PlanTerms": {"type": "object", "properties": asked, "additionalProperties": False},
        "Plan": {"type": "object", "properties": plan, "additionalProperties": True, "required": list(plan)},
        "PlanList": {"type": "object", "properties": {"plans": several}, "required": ["plans"]},
    }

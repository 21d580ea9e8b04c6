"""The part of the OpenAPI document that is about keys, parties and settings: its paths and parameters."""

from typing import Any

from kpgate.domain.management import PAGE_MAX

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
    (
        "put",
        "/admin/v1/parties/{name}",
        "setParty",
        "Set a party's limits, making the party if need be.",
        "PartyTerms",
        200,
        "Party",
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
QUERIES: dict[str, tuple[tuple[str, Json, str], ...]] = {
    "listKeys": (
        (
            "after",
            {"type": "integer", "minimum": 0},
            "From after this number on: `after` of the page before.",
        ),
        ("count", {"type": "integer", "minimum": 1, "maximum": PAGE_MAX}, "How many at most; 100 if absent."),
        ("party", {"type": "string"}, "Of this party only."),
        ("revoked", {"type": "string", "enum": ["true", "false", "1", "0"]}, "Revoked ones too."),
    )
}

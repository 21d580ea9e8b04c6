"""The part of the OpenAPI document that is about the audit log."""

from typing import Any

from kpgate.app.openapi_parts import open_to_more
from kpgate.domain.audit import PAGE_MAX
from kpgate.domain.caller import ROLES

Json = dict[str, Any]

# Method, path, operation, summary, request schema or None, status, reply schema.
MANAGED: tuple[tuple[str, str, str, str, str | None, int, str], ...] = (
    ("get", "/admin/v1/audit", "listAudit", "Who did what, newest first.", None, 200, "AuditList"),
)
QUERIES: dict[str, tuple[tuple[str, Json, str], ...]] = {
    "listAudit": (
        (
            "before",
            {"type": "integer", "minimum": 0},
            "From before this number on: `before` of the page before.",
        ),
        ("count", {"type": "integer", "minimum": 1, "maximum": PAGE_MAX}, "How many at most; 100 if absent."),
        ("party", {"type": "string"}, "By keys of this party only."),
        ("key", {"type": "string"}, "By this key only."),
        ("since", {"type": "string"}, "As 24h, for what is no older, or an instant in RFC 3339."),
    )
}


def schemas() -> Json:
    """What is answered about the audit log."""
    text: Json = {"type": "string"}
    row = {
        "number": {"type": "integer"},
        "at": text,
        "via": {"type": "string", "enum": ["http", "cli", "top_up"]},
        "role": {"type": "string", "enum": [*ROLES, ""]},
        "key": {**text, "description": "Of whoever acted: its id."},
        "party": text,
        "peer": {**text, "description": "The address it came from, or the user's number on the machine."},
        "request": text,
        "act": {**text, "description": "The operation, or refused."},
        "about": {"type": "object", "description": "All that was asked but secrets."},
        "outcome": {**text, "description": "ok, asked before it is begun, or an error's code."},
        "hash": text,
    }
    page = {
        "rows": {"type": "array", "items": open_to_more(row, tuple(row))},
        "before": {
            "type": ["integer", "null"],
            "description": "Ask for what is before this; null at the end.",
        },
        "head": {**text, "description": "The newest row's number and hash: note it elsewhere."},
    }
    return {"AuditList": open_to_more(page, tuple(page))}

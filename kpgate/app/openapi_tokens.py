"""The part of the OpenAPI document that is about party tokens."""

from typing import Any

from kpgate.app.openapi_parts import asked, open_to_more
from kpgate.domain.price import AMOUNT_MAX
from kpgate.domain.token import MODELS_MAX

Json = dict[str, Any]

# Method, path, operation, summary, request schema or None, status, reply schema.
MANAGED: tuple[tuple[str, str, str, str, str | None, int, str], ...] = (
    ("get", "/admin/v1/tokens", "listTokens", "Live party tokens, none itself.", None, 200, "TokenList"),
    ("delete", "/admin/v1/tokens/{id}", "revokeToken", "End a party token at once.", None, 200, "Token"),
)
OWN: tuple[tuple[str, str, str, str, str | None, int, str], ...] = (
    ("get", "/kp/v1/tokens", "listOwnTokens", "This key's live party tokens.", None, 200, "TokenList"),
    (
        "post",
        "/kp/v1/tokens",
        "signToken",
        "Sign a party token, no wider than this key; it is shown once.",
        "NewToken",
        201,
        "SignedToken",
    ),
    ("delete", "/kp/v1/tokens/{token}", "revokeOwnToken", "End one of them at once.", None, 200, "Token"),
)
_PAGED: tuple[tuple[str, Json, str], ...] = (
    ("after", {"type": "integer", "minimum": 0}, "From after this number on: `after` of the page before."),
    ("count", {"type": "integer", "minimum": 1, "maximum": 1000}, "How many at most; 100 if absent."),
)
QUERIES: dict[str, tuple[tuple[str, Json, str], ...]] = {
    "listTokens": (
        *_PAGED,
        ("key", {"type": "string"}, "Of this key only."),
        ("party", {"type": "string"}, "Of this party's keys only."),
    ),
    "listOwnTokens": _PAGED,
}


def schemas() -> Json:
    """What is asked and answered about party tokens."""
    text: Json = {"type": "string"}
    instant: Json = {"type": ["string", "null"], "description": "RFC 3339, in UTC."}
    amount: Json = {"type": "integer", "description": "microKPT."}
    known = {"type": ["integer", "null"], "description": "microKPT; null once its end is long past."}
    token: Json = {
        "id": {**text, "description": "Its jti."},
        "key": {**text, "description": "The id of the key that it spends for."},
        "party": text,
        "label": text,
        "models": {"type": "array", "items": text},
        "cap_microkpt": amount,
        "used_microkpt": known,
        "held_microkpt": known,
        "made_at": instant,
        "expires_at": instant,
        "revoked_at": instant,
    }
    spelled = {**text, "description": "The token: shown here and never again."}
    page = {
        "tokens": {"type": "array", "items": {"$ref": "#/components/schemas/Token"}},
        "after": {"type": ["integer", "null"], "description": "Ask for what is after this; null at the end."},
    }
    return {
        "Token": open_to_more(token, tuple(token)),
        "SignedToken": open_to_more({**token, "token": spelled}, (*token, "token")),
        "TokenList": open_to_more(page, tuple(page)),
        "NewToken": asked(_wanted(), ("cap_microkpt",)),
    }


def _wanted() -> Json:
    return {
        "cap_microkpt": {"type": "integer", "minimum": 1, "maximum": AMOUNT_MAX, "description": "microKPT."},
        "models": {
            "type": "array",
            "maxItems": MODELS_MAX,
            "items": {"type": "string", "minLength": 1, "maxLength": 200},
            "description": "Names or wildcards; absent, the key's own.",
        },
        "expires": {
            "type": ["string", "null"],
            "description": "As 15min, or an instant in RFC 3339; absent, an hour. A day at most.",
        },
        "label": {"type": "string", "maxLength": 200},
        "id": {
            "type": ["string", "null"],
            "minLength": 8,
            "maxLength": 64,
            "pattern": "^[A-Za-z0-9._:-]+$",
            "description": "Asking twice with the same id and content gives the same token.",
        },
    }

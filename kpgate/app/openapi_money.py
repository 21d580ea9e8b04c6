"""The part of the OpenAPI document that is about money: its paths, its parameters, its schemas."""

from typing import Any

from kpgate.domain.price import AMOUNT_MAX
from kpgate.domain.usage import KINDS

Json = dict[str, Any]

AMOUNT: Json = {"type": "integer", "description": "microKPT."}
_CAP: Json = {"type": "integer", "minimum": 0, "maximum": AMOUNT_MAX, "description": "microKPT; 0 is none."}
_TEXT: Json = {"type": "string"}
_ID: Json = {
    "type": ["string", "null"],
    "minLength": 8,
    "maxLength": 64,
    "pattern": "^[A-Za-z0-9._:-]+$",
    "description": "Asking twice with the same id and content does it once.",
}
_INSTANT: Json = {"type": ["string", "null"], "description": "RFC 3339, in UTC."}

# Method, path, operation, summary, request schema or None, status, reply schema.
MANAGED: tuple[tuple[str, str, str, str, str | None, int, str], ...] = (
    ("get", "/admin/v1/prices", "listPrices", "What calls cost now.", None, 200, "PriceList"),
    ("get", "/admin/v1/accounts", "listAccounts", "Every account's balance.", None, 200, "Accounts"),
    (
        "post",
        "/admin/v1/transfers",
        "makeTransfers",
        "Move credit: all of it, or none.",
        "Transfers",
        200,
        "Done",
    ),
    ("get", "/admin/v1/holds", "listHolds", "What calls under way hold.", None, 200, "HoldList"),
    (
        "get",
        "/admin/v1/parties/{name}/totals",
        "getTotals",
        "What all of a party's transfers come to, by kind.",
        None,
        200,
        "Totals",
    ),
    ("get", "/admin/v1/codes", "listCodes", "List redemption codes, none itself.", None, 200, "CodeList"),
    (
        "post",
        "/admin/v1/codes",
        "createCodes",
        "Make redemption codes; they are shown once.",
        "NewCodes",
        200,
        "NewCodesMade",
    ),
    (
        "delete",
        "/admin/v1/codes/{id}",
        "revokeCode",
        "End a code that nobody has redeemed.",
        None,
        200,
        "Code",
    ),
    ("post", "/admin/v1/refunds", "refund", "Give back what a call was charged.", "Refund", 200, "Refunded"),
    ("put", "/admin/v1/budgets", "setBudget", "Cap what a party or key may spend.", "Budget", 200, "Done"),
    (
        "put",
        "/admin/v1/parties/{name}/credit-line",
        "setCreditLine",
        "How far a balance may go below 0.",
        "CreditLine",
        200,
        "Done",
    ),
    ("get", "/admin/v1/parties/{name}/balance", "getBalance", "What a party has.", None, 200, "Balance"),
    (
        "get",
        "/admin/v1/parties/{name}/statement",
        "getStatement",
        "A party's transfers, newest first.",
        None,
        200,
        "Statement",
    ),
    (
        "get",
        "/admin/v1/receipts/{call}",
        "getReceipt",
        "Any call's receipt, with its proof.",
        None,
        200,
        "Receipt",
    ),
)
# Path, operation, summary, request schema, reply schema.
POSTED: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "/kp/v1/redeem",
        "redeemCode",
        "Credit this key's party with what a code is worth, once.",
        "Redemption",
        "Redeemed",
    ),
    (
        "/kp/v1/top-ups/{source}",
        "topUp",
        "Credit a party with a payment, or take it back; once, whatever is sent again.",
        "Payment",
        "Done",
    ),
)
# Path, operation, summary, reply schema.
HELD: tuple[tuple[str, str, str, str], ...] = (
    ("/kp/v1/me", "getMe", "Who this key is.", "Me"),
    ("/kp/v1/balance", "getOwnBalance", "What this key's party has.", "Balance"),
    ("/kp/v1/statement", "getOwnStatement", "Its transfers, newest first.", "Statement"),
    (
        "/kp/v1/receipts/{call}",
        "getOwnReceipt",
        "The receipt of one of its calls, with its proof.",
        "Receipt",
    ),
    ("/kp/v1/log", "getLog", "The newest signed head of the log of receipts, and proofs.", "Log"),
)
_BEFORE = (
    "before",
    {"type": "integer", "minimum": 0},
    "From before this LSN on: `before` of the page before.",
)
_COUNT = ("count", {"type": "integer", "minimum": 1, "maximum": 1000}, "How many at most; 100 if absent.")
_WHICH = ("account", {"type": "string", "enum": ["spend", "earn"]}, "What is spent from, or what is earned.")
QUERIES: dict[str, tuple[tuple[str, Json, str], ...]] = {
    "getStatement": (_BEFORE, _COUNT, _WHICH),
    "getOwnStatement": (
        _BEFORE,
        _COUNT,
        _WHICH,
        ("format", {"type": "string", "enum": ["json", "csv"]}, "JSON, or a table for spreadsheets."),
    ),
    "listCodes": (
        (
            "after",
            {"type": "integer", "minimum": 0},
            "From after this number on: `after` of the page before.",
        ),
        _COUNT,
    ),
    "listHolds": (
        ("after", {"type": "integer", "minimum": 0}, "From after this call on: `after` of the page before."),
        _COUNT,
    ),
    "getLog": (
        ("before", {"type": "integer", "minimum": 0}, "Prove that the log of this size is its beginning."),
        ("size", {"type": "integer", "minimum": 0}, "Show the first head that covers so many leaves."),
    ),
}


def schemas() -> Json:
    """Everything that is asked and answered about money."""
    texts = {"type": "array", "items": _TEXT}
    return {
        **_asked_for(),
        **_answered(texts),
        **_proved(texts),
        **_codes(),
        "PriceList": _prices(),
        **_refunds(),
    }


def _refunds() -> Json:
    restored = "What of it the party has again: all but what was paid from grants that have ended."
    told = {
        "id": _TEXT,
        "done": {"type": "boolean"},
        "lsn": {"type": "integer"},
        "refunded_microkpt": AMOUNT,
        "restored_microkpt": {"type": "integer", "description": restored},
    }
    return {"Refund": _asked({"id": _ID, "call": _TEXT, "amount": _CAP}, "call"), "Refunded": _told(told)}


def _prices() -> Json:
    step = dict.fromkeys(("long_above", *(f"long_{kind}" for kind in KINDS)), AMOUNT)
    price = _told(dict.fromkeys((*KINDS, "request", "unit"), AMOUNT), step)
    share = _told({"party": _TEXT, "basis_points": {"type": "integer"}})
    row = {
        "model": _TEXT,
        "provider": _TEXT,
        "deployment": _TEXT,
        "price": {
            "anyOf": [price, {"type": "null"}],
            "description": "For a million tokens; null where it is free. `long_above` prompt tokens a call is charged"
            " by the `long_` prices, where there are any.",
        },
        "version": {"type": ["integer", "null"], "description": "As a receipt's `price` says it."},
        "sha256": {"type": ["string", "null"], "description": "As a receipt's `price_sha256` says it."},
        "shares": {"type": "array", "items": share},
        "source": {
            "type": ["string", "null"],
            "description": "Where it is from: the catalogue's page, a rule.",
        },
    }
    return _told({"prices": {"type": "array", "items": _told(row)}})


def _asked_for() -> Json:
    kinds = ["issue", "top_up", "grant", "reward", "adjust", "clawback", "transfer", "payout"]
    movement = {
        "kind": {"type": "string", "enum": kinds},
        "party": {"type": "string", "minLength": 1, "maxLength": 200},
        "amount": {"type": "integer", "minimum": -AMOUNT_MAX, "maximum": AMOUNT_MAX},
        "to": _TEXT,
        "memo": {"type": "string", "maxLength": 200},
        "expires_us": {"type": "integer", "minimum": 0, "maximum": 253_402_300_800_000_000},
        "reverses": {
            "type": "string",
            "maxLength": 64,
            "description": "The operation whose credit is taken back first; empty: what ends first.",
        },
    }
    several = {
        "type": "array",
        "minItems": 1,
        "maxItems": 8,
        "items": _asked(movement, "kind", "party", "amount"),
    }
    caps = {"day": _CAP, "month": _CAP, "total": _CAP}
    return {
        "Transfers": _asked({"id": _ID, "movements": several}, "movements"),
        "Budget": _asked({"id": _ID, "party": _TEXT, "key": _TEXT, **caps}),
        "CreditLine": _asked({"id": _ID, "line": _CAP}),
        "NewCodes": _asked({"id": _ID, **_new_codes()}, "amount"),
        "Payment": _asked(_payment(), "type", "id", "party", "amount_microkpt"),
        "Redemption": _asked({"code": {"type": "string", "maxLength": 100}}, "code"),
    }


def _payment() -> Json:
    again = "The payment's, the same whenever it is told of."
    return {
        "type": {"type": "string", "enum": ["top_up", "clawback"]},
        "id": {"type": "string", "minLength": 1, "maxLength": 200, "description": again},
        "party": {"type": "string", "minLength": 1, "maxLength": 200},
        "amount_microkpt": {"type": "integer", "minimum": 1, "maximum": AMOUNT_MAX},
        "memo": {"type": "string", "maxLength": 200},
    }


def _new_codes() -> Json:
    end = {"type": ["string", "null"], "description": "As 30d, or an instant in RFC 3339; absent, never."}
    return {
        "amount": {"type": "integer", "minimum": 1, "maximum": AMOUNT_MAX, "description": "microKPT."},
        "count": {"type": "integer", "minimum": 1, "maximum": 1000},
        "memo": {"type": "string", "maxLength": 200},
        "expires": end,
        "grant_expires": end,
    }


def _codes() -> Json:
    code = {
        "id": _TEXT,
        "amount_microkpt": AMOUNT,
        "memo": _TEXT,
        "state": {"type": "string", "enum": ["active", "redeemed", "revoked", "expired"]},
        "created_at": _INSTANT,
        "expires_at": _INSTANT,
        "grant_expires_at": _INSTANT,
        "redeemed_by": {"type": ["string", "null"]},
        "redeemed_at": _INSTANT,
    }
    after = {"type": ["integer", "null"], "description": "Ask for what is after this; null at the end."}
    shown = _told(
        {"id": _TEXT, "code": {"type": "string", "description": "The code: shown here and never again."}}
    )
    several = {"type": "array", "items": {"$ref": "#/components/schemas/Code"}}
    hold = {
        "call": _TEXT,
        "party": {"type": ["string", "null"]},
        "amount_microkpt": AMOUNT,
        "metered_microkpt": AMOUNT,
        "is_sent": {"type": "boolean", "description": "Whether a provider was asked."},
    }
    kinds: Json = {"type": "object", "additionalProperties": AMOUNT}
    redeemed = {"party": _TEXT, "code": _TEXT, "amount_microkpt": AMOUNT, "expires_at": _INSTANT}
    return {
        "Code": _told(code),
        "CodeList": _told({"codes": several, "after": after}),
        "NewCodesMade": _told(
            {"amount_microkpt": AMOUNT, "expires_at": _INSTANT, "codes": {"type": "array", "items": shown}}
        ),
        "Redeemed": _told(redeemed),
        "HoldList": _told({"holds": {"type": "array", "items": _told(hold)}, "after": after}),
        "Totals": _told({"party": _TEXT, "spend": kinds, "earn": kinds}),
    }


def _answered(texts: Json) -> Json:
    lot = _told({"amount_microkpt": AMOUNT, "expires_us": {"type": "integer"}})
    balance = {
        "party": _TEXT,
        "balance_microkpt": AMOUNT,
        "held_microkpt": AMOUNT,
        "free_microkpt": AMOUNT,
        "earned_microkpt": AMOUNT,
    }
    row = _told(
        {
            "lsn": {"type": "integer"},
            "part": {"type": "integer"},
            "kind": _TEXT,
            "at": _INSTANT,
            "amount_microkpt": AMOUNT,
            "call": {"type": ["string", "null"]},
            "memo": _TEXT,
        }
    )
    token = dict.fromkeys(("cap_microkpt", "used_microkpt", "held_microkpt"), AMOUNT)
    token |= {"id": _TEXT, "label": _TEXT, "expires_at": _INSTANT}
    me = {
        "key": _TEXT,
        "party": _TEXT,
        "role": _TEXT,
        "label": _TEXT,
        "models": texts,
        "networks": texts,
        "limits": {"$ref": "#/components/schemas/Limits"},
        "tier": {"anyOf": [{"$ref": "#/components/schemas/Tier"}, {"type": "null"}]},
        "plan": {"type": ["string", "null"]},
        "expires_at": _INSTANT,
        "token": {
            "anyOf": [_told(token), {"type": "null"}],
            "description": "The party token that asks; null where it is a key.",
        },
    }
    return {
        "Accounts": _told({"accounts": {"type": "object", "additionalProperties": AMOUNT}}),
        "Done": _told({"id": _TEXT, "done": {"type": "boolean"}}, {"lsn": {"type": "integer"}}),
        "Balance": _told(
            balance, {"credit_line_microkpt": AMOUNT, "expiring": {"type": "array", "items": lot}}
        ),
        "Statement": _told(
            {
                "party": _TEXT,
                "account": _TEXT,
                "rows": {"type": "array", "items": row},
                "before": {"type": ["integer", "null"], "description": "Ask for what is before this."},
            }
        ),
        "Me": _told(me),
    }


def _proved(texts: Json) -> Json:
    head = _told(
        {
            "log": _TEXT,
            "size": {"type": "integer"},
            "root": _TEXT,
            "time_us": {"type": "integer"},
            "key": _TEXT,
            "signature": _TEXT,
        }
    )
    signer = _told({"id": _TEXT, "public": _TEXT, "endorsed_by": _TEXT, "endorsement": _TEXT})
    signers = {"type": "array", "items": signer}
    follows = {
        "type": "string",
        "description": "After a restore: what the log follows, of which its origin is the hash.",
    }
    return {
        "Receipt": _told(
            {
                "leaf": {
                    "type": "object",
                    "description": "The receipt: docs/receipts.md says what it means.",
                },
                "index": {"type": "integer"},
                "proof": texts,
                "head": head,
                "signers": signers,
                "price_terms": _TEXT,
                "refunded_microkpt": AMOUNT,
            }
        ),
        "Log": _told(
            {"head": head, "before": {"type": "integer"}, "proof": texts, "signers": signers},
            {"continues": follows},
        ),
    }


def _told(properties: Json, optional: Json | None = None) -> Json:
    """An object of an answer: all of it is there but what is optional."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "additionalProperties": True,
        "required": list(properties),
    }


def _asked(properties: Json, *required: str) -> Json:
    """An object of a request: what is not named is refused."""
    schema: Json = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema

"""The part of the OpenAPI document that is about routing: its paths, its schemas."""

from typing import Any

from kpgate.services.explain import STATES

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_SECONDS: Json = {"type": "number", "minimum": 0}
_COUNT: Json = {"type": "integer", "minimum": 0}
_STATE: Json = {"type": "string", "enum": list(STATES)}
_COST: Json = {"type": ["integer", "null"], "description": "microKPT; null where nothing has a price."}

# Method, path, operation, summary, request schema or None, status, reply schema.
MANAGED: tuple[tuple[str, str, str, str, str | None, int, str], ...] = (
    ("get", "/admin/v1/health", "getHealth", "How each deployment does, and why.", None, 200, "HealthList"),
)
# Path, operation, summary, request schema, reply schema.
POSTED: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "/kp/v1/route",
        "explainRoute",
        "Why a call would go where, without making it. The body is the call's own.",
        "RoutedCall",
        "Route",
    ),
)
QUERIES: dict[str, tuple[tuple[str, Json, str], ...]] = {
    "explainRoute": (("path", _TEXT, "The call's path; /v1/chat/completions where it is absent."),),
}
# Name, schema, meaning. On replies to calls whose model is more than its deployments, or that have a cap.
DECIDED: tuple[tuple[str, Json, str], ...] = (
    ("x-kpgate-route", _TEXT, "How the deployment was chosen: the strategy, the rule, the complexity."),
    ("x-kpgate-expected-cost-microkpt", {"type": "integer"}, "What the call was expected to cost."),
)


def schemas() -> Json:
    """What is asked for and answered."""
    deployment = {
        "model": _TEXT,
        "provider": _TEXT,
        "deployment": _TEXT,
        "credential": {"type": ["integer", "null"], "description": "Its place among several."},
        "state": _STATE,
        "why": _TEXT,
        "for_s": _SECONDS,
        "failures_in_a_row": _COUNT,
        "failures": _COUNT,
        "ejections": _COUNT,
        "failed_s_ago": {"type": ["number", "null"]},
        "open_calls": _COUNT,
        "first_token_s": _SECONDS,
        "whole_reply_s": _SECONDS,
        "checked": {"type": "string", "enum": ["no", "well", "ill"]},
    }
    candidate = {
        "model": _TEXT,
        "provider": _TEXT,
        "deployment": _TEXT,
        "state": _STATE,
        "dropped": {"type": ["string", "null"], "description": "Why it may not answer."},
        "place": {"type": ["integer", "null"], "description": "When it is tried, from 1."},
        "score": {
            "type": ["number", "null"],
            "description": "What the strategy judges by; the less the better.",
        },
        "expected_cost_microkpt": _COST,
    }
    route = {
        "model": _TEXT,
        "route": _TEXT,
        "rule": {"type": ["string", "null"]},
        "prompt_tokens": _COUNT,
        "max_cost_microkpt": _COST,
        "sticky": {"type": "boolean"},
        "complexity": _COUNT,
        "complexity_of": _TEXT,
        "language": _TEXT,
        "why": _TEXT,
        "error": {"type": ["string", "null"], "description": "The code that the call would be refused with."},
        "candidates": {"type": "array", "items": _told(candidate)},
    }
    return {
        "HealthList": _told({"deployments": {"type": "array", "items": _told(deployment)}}),
        "Route": _told(route),
        "RoutedCall": {"type": "object", "required": ["model"], "additionalProperties": True},
    }


def _told(properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": True,
    }

"""The errors that each kind of path can answer, by code, for the OpenAPI document."""

# The errors a path can answer, by code; what every governed path shares stands once.
GOVERNED = (
    "invalid_request",
    "invalid_api_key",
    "role_required",
    "insufficient_credit",
    "budget_exhausted",
    "max_cost_exceeded",
    "no_capable_model",
    "model_not_allowed",
    "holding_too_small",
    "source_not_allowed",
    "model_not_found",
    "method_not_allowed",
    "request_timeout",
    "body_too_large",
    "unsupported_encoding",
    "headers_too_large",
    "rate_limited",
    "tokens_limited",
    "concurrency_limited",
    "credit_held",
    "internal",
    "upstream_failed",
    "content_filtered",
    "output_invalid",
    "overloaded",
    "draining",
    "store_unavailable",
    "upstream_timeout",
)
LISTED = (
    "invalid_request",
    "invalid_api_key",
    "source_not_allowed",
    "method_not_allowed",
    "request_timeout",
    "unsupported_encoding",
    "headers_too_large",
    "internal",
    "store_unavailable",
)
MANAGED = (*LISTED, "role_required", "not_found", "conflict", "body_too_large")
MONEYED = (*MANAGED, "insufficient_credit", "id_reused")
HELD = (*LISTED, "not_found")
POSTED = (
    *HELD,
    "body_too_large",
    "insufficient_credit",
    "conflict",
    "invalid_code",
    "invalid_signature",
    "rate_limited",
)

EXPLAINS = (*POSTED, "model_not_allowed", "model_not_found")

"""Every metric kpgate shows: its name, kind, labels and meaning. Counting is `services/meters`'s.

No label takes an unbounded value: models and providers are configured ones, a path is a known one or `other`.
"""

from typing import Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]


class Metric(msgspec.Struct, frozen=True):
    """One family of metrics, as `/metrics` shows it.

    Shape: `bounds` are a histogram's upper bounds, +Inf left out. Units: `unit` names what `/metrics` shows;
    bounds are integers, of microseconds where the unit is seconds.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: str
    meaning: str
    bounds: tuple[int, ...] = ()


LATENCY_BOUNDS_US = (
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
)
OVERHEAD_BOUNDS_US = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000)
# OpenTelemetry's advised bounds for tokens and for the time of one token.
# Source: semantic conventions for generative AI metrics (checked November 2026).
TOKEN_BOUNDS = tuple(4**power for power in range(14))
TOKEN_TIME_BOUNDS_US = (
    10_000,
    25_000,
    50_000,
    75_000,
    100_000,
    150_000,
    200_000,
    300_000,
    400_000,
    500_000,
    750_000,
    1_000_000,
    2_500_000,
)

_GEN_AI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")

METRICS: tuple[Metric, ...] = (
    Metric(
        "kpgate_requests_total",
        "counter",
        ("path", "model", "provider", "status"),
        "requests",
        "Requests that were answered, refused or broken off.",
    ),
    Metric(
        "kpgate_request_seconds",
        "histogram",
        ("path",),
        "seconds",
        "From a request's head to its reply's last byte.",
        LATENCY_BOUNDS_US,
    ),
    Metric(
        "kpgate_overhead_seconds",
        "histogram",
        ("path",),
        "seconds",
        "The part of that spent in kpgate: waiting for providers is left out.",
        OVERHEAD_BOUNDS_US,
    ),
    Metric(
        "kpgate_time_to_first_token_seconds",
        "histogram",
        ("model",),
        "seconds",
        "From a request's head to the first byte of its stream.",
        LATENCY_BOUNDS_US,
    ),
    Metric(
        "kpgate_tokens_total",
        "counter",
        ("model", "kind"),
        "tokens",
        "Tokens used, by kind: input, output, cached (part of input), reasoning (part of output).",
    ),
    Metric("kpgate_refusals_total", "counter", ("code",), "requests", "Errors answered, by their code."),
    Metric("kpgate_inflight", "gauge", (), "requests", "Calls under way."),
    Metric(
        "kpgate_upstream_attempts_total",
        "counter",
        ("provider", "outcome"),
        "attempts",
        "Attempts at providers, by what became of them.",
    ),
    Metric(
        "kpgate_pool_connections",
        "gauge",
        ("provider", "state"),
        "connections",
        "Connections to a provider, by state: idle or busy.",
    ),
    Metric(
        "kpgate_log_lines_dropped_total",
        "counter",
        (),
        "lines",
        "Log lines dropped because whoever reads standard error was too slow.",
    ),
    Metric("kpgate_workers", "gauge", (), "processes", "Worker processes alive."),
    Metric("kpgate_build_info", "gauge", ("version", "python"), "1", "Always 1; the labels say what runs."),
    Metric(
        "gen_ai_client_token_usage",
        "histogram",
        (*_GEN_AI, "gen_ai_token_type"),
        "tokens",
        "Tokens of one call, input and output apart (OpenTelemetry).",
        TOKEN_BOUNDS,
    ),
    Metric(
        "gen_ai_server_request_duration",
        "histogram",
        _GEN_AI,
        "seconds",
        "Duration of a call (OpenTelemetry).",
        LATENCY_BOUNDS_US,
    ),
    Metric(
        "gen_ai_server_time_to_first_token",
        "histogram",
        _GEN_AI,
        "seconds",
        "Time to the first token of a stream (OpenTelemetry).",
        LATENCY_BOUNDS_US,
    ),
    Metric(
        "gen_ai_server_time_per_output_token",
        "histogram",
        _GEN_AI,
        "seconds",
        "Time between tokens after the first one (OpenTelemetry).",
        TOKEN_TIME_BOUNDS_US,
    ),
)

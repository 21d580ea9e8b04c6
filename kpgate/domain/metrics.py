"""Every metric kpgate shows: its name, kind, labels and meaning. Counting is `services/meters`'s.

No label takes an unbounded value: models and providers are configured ones, a path is a known one or `other`.
"""

from typing import Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]


class Metric(msgspec.Struct, frozen=True):
    """One family of metrics, as `/metrics` shows it. Units: `unit` names what is shown."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: str
    meaning: str


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
        ("path", "model"),
        "seconds",
        "From a request's head to its reply's last byte.",
    ),
    Metric(
        "kpgate_overhead_seconds",
        "histogram",
        ("path",),
        "seconds",
        "The part of that spent in kpgate: waiting for providers is left out.",
    ),
    Metric(
        "kpgate_time_to_first_token_seconds",
        "histogram",
        ("model",),
        "seconds",
        "From a request's head to the first byte of its stream.",
    ),
    Metric(
        "kpgate_tokens_total",
        "counter",
        ("model", "kind"),
        "tokens",
        "Tokens used, by kind: input, output, cached and cache_write (parts of input), reasoning (part of output).",
    ),
    Metric(
        "kpgate_units_total",
        "counter",
        ("model", "path"),
        "units",
        "What an endpoint counts that is no token: images, characters spoken, seconds heard, searches.",
    ),
    Metric("kpgate_refusals_total", "counter", ("code",), "requests", "Errors answered, by their code."),
    Metric("kpgate_inflight", "gauge", (), "requests", "Calls under way."),
    Metric(
        "kpgate_upstream_attempts_total",
        "counter",
        ("provider", "outcome"),
        "attempts",
        "Attempts at providers, by what became of them: ok, or the code of an error.",
    ),
    Metric(
        "kpgate_check_tokens_total",
        "counter",
        ("provider", "kind"),
        "tokens",
        "Tokens that active checks of the kind `call` used, input and output: the house pays for them, no party does.",
    ),
    Metric(
        "kpgate_credit_microkpt_total",
        "counter",
        ("kind",),
        "microKPT",
        "Credit of calls that have ended, by kind: held for them, charged, overrun (used beyond a hold, the house's),"
        " hedged (the prompts of attempts that lost to another, the house's), shadowed (what copies of calls used, the"
        " house's).",
    ),
    Metric(
        "kpgate_hedges_total",
        "counter",
        ("model", "outcome"),
        "attempts",
        "Attempts that took longer than their hedge's delay, by what became of the second one: won, lost, failed; or"
        " it did not begin: over_budget, none_free.",
    ),
    Metric(
        "kpgate_shadows_total",
        "counter",
        ("model", "shadow", "outcome"),
        "calls",
        "Copies of a model's calls at its shadow, by the status of the answer or the code of an error; or not sent:"
        " too_many, too_large.",
    ),
    Metric(
        "kpgate_shadow_seconds",
        "histogram",
        ("model", "shadow"),
        "seconds",
        "From a copy's start to its answer's last byte, of those that were answered.",
    ),
    Metric(
        "kpgate_shadow_first_token_seconds",
        "histogram",
        ("model", "shadow"),
        "seconds",
        "From a copy's start to the first event of its stream.",
    ),
    Metric(
        "kpgate_shadow_tokens_total",
        "counter",
        ("model", "shadow", "kind"),
        "tokens",
        "Tokens that answered copies used, input and output.",
    ),
    Metric(
        "kpgate_expected_microkpt_total",
        "counter",
        ("model",),
        "microKPT",
        "What calls were expected to cost, where their deployment was chosen call by call.",
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
    Metric(
        "kpgate_journal_bytes",
        "gauge",
        ("state",),
        "bytes",
        "Of the node's journal, what is not yet on the disk (unsynced) and not yet in the database (unposted).",
    ),
    Metric("kpgate_workers", "gauge", (), "processes", "Worker processes alive."),
    Metric("kpgate_build_info", "gauge", ("version", "python"), "1", "Always 1; the labels say what runs."),
    Metric(
        "gen_ai_client_token_usage",
        "histogram",
        (*_GEN_AI, "gen_ai_token_type"),
        "tokens",
        "Tokens of one call, input and output apart (OpenTelemetry).",
    ),
    Metric(
        "gen_ai_server_request_duration",
        "histogram",
        _GEN_AI,
        "seconds",
        "Duration of a call (OpenTelemetry).",
    ),
    Metric(
        "gen_ai_server_time_to_first_token",
        "histogram",
        _GEN_AI,
        "seconds",
        "Time to the first token of a stream (OpenTelemetry).",
    ),
    Metric(
        "gen_ai_server_time_per_output_token",
        "histogram",
        _GEN_AI,
        "seconds",
        "Time between tokens after the first one (OpenTelemetry).",
    ),
)

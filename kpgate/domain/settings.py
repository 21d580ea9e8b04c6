"""Everything an operator can set, with its default and what it means. Reading files is `app/config`'s.

A field's docstring in `docs/settings.md` comes from the `Meta` description here: one place, no drift.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kpgate.domain.limits import UNLIMITED, Limits
from kpgate.domain.notices import Alerts as Alerts
from kpgate.domain.notices import Log as Log
from kpgate.domain.notices import TopUp as TopUp
from kpgate.domain.part import Count, MicroKpt, Name, Part, Port, Seconds
from kpgate.domain.price_table import Prices as Prices
from kpgate.domain.price_table import ShareOf as ShareOf
from kpgate.domain.provider import Provider as Provider
from kpgate.domain.provider import Timeouts as Timeouts
from kpgate.domain.routing import Abilities, Ejection, Hedge, Output, Rule, Shadow, Strategy


class Tls(Part, frozen=True):
    """TLS on the gateway's own listener. A client certificate admits or refuses; it does not identify."""

    cert: Annotated[str, Meta(description="PEM file with the server's certificate chain.")]
    key: Annotated[str, Meta(description="PEM file with the private key.")]
    client_ca: Annotated[
        str | None,
        Meta(description="PEM file of authorities; set, every client must show a certificate they signed."),
    ] = None


class Server(Part, frozen=True):
    """The listener, its workers and the bounds on what comes in."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port to listen on; 0 takes a free one and prints it.")] = 8080
    workers: Annotated[int, Meta(ge=0, le=256, description="Worker processes; 0 is one for each core.")] = 0
    transport: Annotated[
        Literal["granian", "direct"],
        Meta(
            description="How HTTP is served: `granian` has every feature; `direct` is HTTP/1.1 alone, and faster."
        ),
    ] = "granian"
    http2: Annotated[
        bool,
        Meta(
            description="Also speak HTTP/2, on `granian`. A connection that never sends a byte is then never closed."
        ),
    ] = False
    proxy_protocol: Annotated[
        bool,
        Meta(
            description="Expect PROXY protocol v1 or v2 on each connection, on `direct` without TLS: the load"
            " balancer says who the client is."
        ),
    ] = False
    tls: Annotated[Tls | None, Meta(description="Serve TLS (1.2 and later).")] = None
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Networks of your load balancers; from these, X-Forwarded-For names the client."),
    ] = ()
    inflight_max: Annotated[
        Count, Meta(description="Calls in flight a worker; more wait in a queue as long.")
    ] = 4096
    queue_wait_s: Annotated[Seconds, Meta(description="Longest wait for a place in flight, then 503.")] = 0.5
    head_or_idle_s: Annotated[
        Seconds,
        Meta(
            description="Time-out for a request's head and for an idle kept-alive connection, on `granian`,"
            " which has one for both."
        ),
    ] = 30.0
    head_s: Annotated[Seconds, Meta(description="Time-out for a request's head, on `direct`.")] = 10.0
    idle_s: Annotated[
        Seconds, Meta(description="How long an idle connection is kept alive, on `direct`.")
    ] = 75.0
    bytes_a_second_min: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Slowest pace, on `direct`, at which a body may arrive and a reply be taken, once one of"
            " the two time-outs below has passed.",
        ),
    ] = 240
    body_idle_s: Annotated[Seconds, Meta(description="Longest pause while a body arrives.")] = 30.0
    write_stall_s: Annotated[Seconds, Meta(description="Longest time a stream's reader may stand still.")] = (
        60.0
    )
    body_bytes_max: Annotated[
        int, Meta(ge=1024, le=1 << 30, description="Largest request body in bytes.")
    ] = 32 * 1024 * 1024
    json_depth_max: Annotated[int, Meta(ge=8, le=512, description="Deepest nesting of a JSON body.")] = 64
    drain_ready_s: Annotated[
        float, Meta(ge=0, le=600, description="After SIGTERM: how long to serve on while readiness says 503.")
    ] = 5.0
    drain_s: Annotated[Seconds, Meta(description="Then: how long open calls may take to end.")] = 600.0


class Admin(Part, frozen=True):
    """Where management, metrics and probes are served."""

    port: Annotated[
        Port | None,
        Meta(
            description="A listener of its own for /admin, /metrics and probes; absent, they share [server]."
        ),
    ] = None
    host: Annotated[str, Meta(description="Address of the admin listener.")] = "127.0.0.1"


class Auth(Part, frozen=True):
    """Who may call."""

    enabled: Annotated[
        bool, Meta(description="Ask callers for an API key. Off, everybody is one anonymous caller.")
    ] = True
    cache_keys: Annotated[
        Count, Meta(description="Keys a worker keeps in memory; unknown ones have a cache as long.")
    ] = 100_000


class Tokens(Part, frozen=True):
    """Prompt tokens, counted before a call."""

    count: Annotated[bool, Meta(description="Count prompt tokens before the call. Token limits need it.")] = (
        True
    )
    output_default: Annotated[
        Count, Meta(description="Output tokens reserved when neither caller nor model says a cap.")
    ] = 4096


class DefaultLimits(Part, frozen=True):
    """Limits for everybody who has none of their own."""

    key: Annotated[Limits, Meta(description="For every key that has no limits of its own.")] = UNLIMITED
    party: Annotated[Limits, Meta(description="For every party that has no limits of its own.")] = UNLIMITED


class Deployment(Part, frozen=True):
    """A model at a provider: one of those who may answer for a model."""

    provider: Annotated[Name, Meta(description="A provider's name.")]
    model: Annotated[Name, Meta(description="The model's name there.")]
    weight: Annotated[
        int, Meta(ge=1, le=10_000, description="Share among deployments of the same priority.")
    ] = 1
    priority: Annotated[int, Meta(ge=0, le=100, description="Lower ones are tried first.")] = 0
    match: Annotated[
        dict[str, str], Meta(description="Only for requests whose headers have these values.")
    ] = msgspec.field(default_factory=dict)
    limits: Annotated[
        Limits, Meta(description="Limits of this deployment; at its limit another one is used.")
    ] = UNLIMITED
    timeouts: Annotated[Timeouts | None, Meta(description="Instead of its provider's.")] = None
    price: Annotated[
        Prices | None, Meta(description="What it costs callers, instead of its model's price.")
    ] = None
    canary_percent: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="It gets this share of keys, or sessions where the model is sticky, and no others unless all"
            " else fails; 0 for no canary.",
        ),
    ] = 0.0


def full_name(model: str, deployment: Deployment) -> str:
    """What a deployment of a model is numbered by, and its limits with it."""
    return f"{model} {deployment.provider}/{deployment.model}"


class Model(Part, frozen=True):
    """A model that callers can ask for, and who answers."""

    name: Annotated[Name, Meta(description="What callers ask for; `*` matches any run of characters.")]
    deployments: Annotated[tuple[Deployment, ...], Meta(max_length=64, description="Who answers.")] = ()
    candidates: Annotated[
        tuple[Name, ...],
        Meta(
            max_length=64,
            description="Other models, whose deployments answer instead: those that can do what a call asks for.",
        ),
    ] = ()
    route: Annotated[
        Strategy,
        Meta(
            description="How to choose among deployments of the same priority: by weight; the least expected"
            " `cost`; the least `latency` to the first token; the `least_busy`."
        ),
    ] = "weighted"
    rules: Annotated[
        tuple[Rule, ...], Meta(max_length=64, description="Who answers which calls. The first that applies.")
    ] = ()
    sticky: Annotated[
        str,
        Meta(
            description="Calls of one session go to one deployment while it is well: `header:NAME`, `metadata:KEY`,"
            " `user`, `key`, or `first_turn` of a conversation."
        ),
    ] = ""
    fallbacks: Annotated[
        tuple[Name, ...],
        Meta(
            max_length=8,
            description="Other models that answer when its own deployments fail, refuse the content, or have too"
            " short a context.",
        ),
    ] = ()
    hedge: Annotated[
        Hedge | None, Meta(description="A second attempt beside one that takes long; absent, there is none.")
    ] = None
    shadow: Annotated[
        Shadow | None, Meta(description="Another model that answers copies of its calls; absent, none does.")
    ] = None
    can: Annotated[Abilities, Meta(description="What it can do, for models that have it as a candidate.")] = (
        Abilities()
    )
    output: Annotated[
        Output, Meta(description="Whether answers are held against the JSON schema that was asked for.")
    ] = Output()
    max_cost_microkpt: Annotated[
        MicroKpt | None,
        Meta(description="The most one call may cost, in microKPT; the cheapest answers then."),
    ] = None
    aliases: Annotated[tuple[Name, ...], Meta(description="Other names for it.")] = ()
    default: Annotated[bool, Meta(description="Answers when no other model matches the name asked for.")] = (
        False
    )
    encoding: Annotated[
        Literal["cl100k_base", "o200k_base"] | None,
        Meta(description="Its tokenizer; absent, told from its name."),
    ] = None
    output_tokens_max: Annotated[
        Count | None, Meta(description="Its output cap: what is reserved when the caller gives none.")
    ] = None
    limits: Annotated[Limits, Meta(description="Limits of this model over all callers.")] = UNLIMITED
    price: Annotated[Prices | None, Meta(description="What it costs callers, where credits are spent.")] = (
        None
    )
    holding_min_kpt: Annotated[
        int,
        Meta(
            ge=0, le=1_000_000_000, description="What a party's balance must be at least to use it, in KPT."
        ),
    ] = 0
    free: Annotated[bool, Meta(description="It costs nothing: no credit is held, nothing is charged.")] = (
        False
    )


class Catalogue(Part, frozen=True):
    """What is known of models without being told ([catalogue.md](catalogue.md))."""

    file: Annotated[
        str | None, Meta(description="TOML file of your own rows; they come before those that kpgate brings.")
    ] = None
    prices: Annotated[
        bool, Meta(description="A model with no price of its own has its vendor's, with `[ledger] enabled`.")
    ] = True
    unknown_price: Annotated[
        Prices | None,
        Meta(description="What models cost whose price nobody knows; absent, they are refused."),
    ] = None


class Retries(Part, frozen=True):
    """Further attempts, before the first byte has gone to the caller and never after."""

    max: Annotated[int, Meta(ge=0, le=5, description="Further attempts before the first byte.")] = 1
    budget_percent: Annotated[
        int, Meta(ge=0, le=100, description="Retries as a share of calls; up to 100 are saved.")
    ] = 20
    budget_min: Annotated[int, Meta(ge=0, le=1000, description="Retries always allowed at once.")] = 3
    backoff_min_ms: Annotated[int, Meta(ge=0, le=10_000, description="Shortest wait bound.")] = 25
    backoff_max_ms: Annotated[int, Meta(ge=0, le=60_000, description="Longest wait bound (full jitter).")] = (
        250
    )


class Ledger(Part, frozen=True):
    """Credits: whether calls cost anything, what a KPT is worth, when a charge is safe."""

    enabled: Annotated[
        bool, Meta(description="Calls are held for and charged. Every model then needs a price, or `free`.")
    ] = False
    kpt_per_usd: Annotated[
        int, Meta(ge=1, le=1_000_000_000, description="The peg: 100 makes 1 KPT a US cent.")
    ] = 100
    markup_basis_points: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Added to every price, in hundredths of a percent.")
    ] = 0
    sync: Annotated[
        Literal["interval", "always"],
        Meta(
            description="`always`: each reply waits for its charge to be on the disk; `interval`: every `sync_ms`."
        ),
    ] = "interval"
    sync_ms: Annotated[
        int,
        Meta(
            ge=1, le=1000, description="How often the journal is synced to disk: what a power loss may lose."
        ),
    ] = 10
    on_worker_death: Annotated[
        Literal["metered", "void"],
        Meta(
            description="What calls of a worker that died are charged: what was metered so far, or nothing."
        ),
    ] = "metered"
    accept_clock: Annotated[
        bool,
        Meta(
            description="Start although the clock is more than a day behind the newest charge: it was wrong then."
        ),
    ] = False
    accounts_max: Annotated[
        int,
        Meta(ge=1024, le=1 << 30, description="Highest account number the node has room for (128 B each)."),
    ] = 1_048_576


class Settings(Part, frozen=True):
    """The whole configuration file."""

    server: Server = Server()
    admin: Admin = Admin()
    auth: Auth = Auth()
    tokens: Tokens = Tokens()
    limits: DefaultLimits = DefaultLimits()
    providers: tuple[Provider, ...] = ()
    models: tuple[Model, ...] = ()
    catalogue: Catalogue = Catalogue()
    retries: Retries = Retries()
    ejection: Ejection = Ejection()
    log: Log = Log()
    ledger: Ledger = Ledger()
    alerts: Alerts = Alerts()
    top_ups: tuple[TopUp, ...] = ()

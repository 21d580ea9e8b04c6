"""What an operator can set about who answers: how candidates are chosen, left out, and brought back.

The tables of `settings` that are about routing alone.
"""

from typing import Annotated, Literal

from msgspec import Meta

from kpgate.domain.part import Count, MicroKpt, Name, Part, Seconds

Strategy = Literal["weighted", "cost", "latency", "least_busy"]


class Ejection(Part, frozen=True):
    """How long a deployment that keeps failing is left out, and how it comes back. All workers go by the same."""

    failures: Annotated[
        int, Meta(ge=1, le=1000, description="Failures in a row that eject a deployment.")
    ] = 5
    base_s: Annotated[Seconds, Meta(description="First ejection; the n-th lasts n times as long.")] = 30.0
    max_s: Annotated[Seconds, Meta(description="Longest ejection.")] = 300.0
    percent_max: Annotated[
        int, Meta(ge=0, le=100, description="Share of a model's deployments that may be out.")
    ] = 50
    probes: Annotated[
        int,
        Meta(ge=1, le=100, description="Calls that must succeed, one after the other, to end an ejection."),
    ] = 1
    slow_start_s: Annotated[
        float,
        Meta(ge=0, le=3600, description="How long a deployment that is back takes to reach its whole share."),
    ] = 30.0
    panic_percent: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="With a smaller share of a model's deployments well, all of them are used; 0 for never.",
        ),
    ] = 50
    limited_max_s: Annotated[
        Seconds,
        Meta(description="Longest rest of a deployment whose provider says 429, whatever it asks for."),
    ] = 300.0
    quota_s: Annotated[
        Seconds,
        Meta(description="Rest of a credential whose quota is used up, or which its provider refuses."),
    ] = 300.0


class Hedge(Part, frozen=True):
    """A second attempt at another deployment while the first keeps its caller waiting; the first to answer counts."""

    delay_s: Annotated[
        Seconds,
        Meta(
            description="How long an attempt may go without its first byte before another begins beside it."
        ),
    ]
    budget_percent: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="At most this share of a worker's calls of the model; each counts as a retry, too.",
        ),
    ] = 5


class Shadow(Part, frozen=True):
    """Copies of a model's calls that another model answers for nobody. They are charged to no caller."""

    model: Annotated[Name, Meta(description="The model whose deployments answer the copies.")]
    percent: Annotated[
        float,
        Meta(
            gt=0,
            le=100,
            description="Share of calls that are copied: of sessions, where the model is sticky.",
        ),
    ] = 5.0
    inflight_max: Annotated[
        Count, Meta(description="Copies under way at once in a worker; further ones are dropped.")
    ] = 16
    timeout_s: Annotated[Seconds, Meta(description="How long a copy may take in all.")] = 60.0
    body_bytes_max: Annotated[
        int,
        Meta(
            ge=1024,
            le=1 << 26,
            description="A call with a larger body is not copied, a larger reply is not read to its end.",
        ),
    ] = 1024 * 1024


class Checks(Part, frozen=True):
    """Active checks of a provider's deployments: one worker at a time makes them."""

    kind: Annotated[
        Literal["tcp", "models", "call"],
        Meta(
            description="`tcp` connects to the provider; `models` asks it for GET /models by each credential; `call`"
            " asks its cheapest model for one token, which the provider is paid for."
        ),
    ]
    every_s: Annotated[Seconds, Meta(description="Time between two checks, a quarter more or less.")] = 30.0
    timeout_s: Annotated[Seconds, Meta(description="How long a check may take.")] = 5.0
    enough: Annotated[
        int, Meta(ge=1, le=100, description="Checks of a kind in a row that take out, or bring back.")
    ] = 2


class Rule(Part, frozen=True):
    """Who answers a call of which something is true. The first rule that applies decides."""

    when: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1000,
            description='What must be true, as `tier == "free" and prompt_tokens < 2000`; docs/routing.md has the'
            " language.",
        ),
    ]
    use: Annotated[
        tuple[Name, ...],
        Meta(description="Which candidates: models, providers, or PROVIDER/MODEL. Absent, all of them."),
    ] = ()
    route: Annotated[Strategy | None, Meta(description="Instead of the model's own way to choose.")] = None
    max_cost_microkpt: Annotated[
        MicroKpt | None, Meta(description="The most such a call may cost, in microKPT.")
    ] = None
    name: Annotated[
        str,
        Meta(
            max_length=40,
            pattern="^[A-Za-z0-9_.-]*$",
            description="What x-kpgate-route calls it; absent, its number.",
        ),
    ] = ""


class Abilities(Part, frozen=True):
    """What a model can do. What is absent is taken from the catalogue; what nobody knows counts as possible."""

    context_tokens: Annotated[
        Annotated[int, Meta(ge=1, le=1 << 31)] | None,
        Meta(description="Prompt and output together, in tokens."),
    ] = None
    vision: Annotated[bool | None, Meta(description="Images in the prompt.")] = None
    tools: Annotated[bool | None, Meta(description="Tools.")] = None
    json_schema: Annotated[bool | None, Meta(description="Output by a JSON schema.")] = None
    reasoning: Annotated[bool | None, Meta(description="Reasoning, where a call asks for an effort.")] = None


class Output(Part, frozen=True):
    """Answers held against the JSON schema that their callers ask for ([output.md](output.md))."""

    validate: Annotated[
        bool, Meta(description="Look whether whole answers fit; those that do not are refused.")
    ] = False
    repair: Annotated[
        bool, Meta(description="Ask once more where one does not fit, saying what is wrong. With `validate`.")
    ] = False

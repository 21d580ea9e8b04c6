"""What an operator says of a provider: where it is, the API it speaks, and what it is asked with."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kpgate.domain.limits import UNLIMITED, Limits
from kpgate.domain.part import Count, Name, Part, Seconds
from kpgate.domain.price_table import Amount
from kpgate.domain.routing import Checks


class Timeouts(Part, frozen=True):
    """How long an attempt at a provider may take. At each of them the next candidate is tried."""

    connect_s: Annotated[Seconds, Meta(description="To connect, TLS included.")] = 5.0
    first_byte_s: Annotated[
        Seconds, Meta(description="From the request's last byte to the reply's head.")
    ] = 120.0
    idle_s: Annotated[Seconds, Meta(description="Between two reads of a reply.")] = 300.0
    total_s: Annotated[Seconds, Meta(description="For one attempt as a whole.")] = 600.0


class Signing(Part, frozen=True):
    """Keys that calls are signed with (Amazon's Signature Version 4), instead of a credential that is sent."""

    access_key: Annotated[str, Meta(description="The access key's id, as env:NAME or file:PATH.")]
    secret_key: Annotated[str, Meta(description="The secret access key, as env:NAME or file:PATH.")]
    session_token: Annotated[
        str | None,
        Meta(
            description="The session token of temporary keys, as env:NAME or file:PATH. A reload reads all three anew."
        ),
    ] = None
    region: Annotated[
        str, Meta(description="The region that is signed for. Absent, the one that base_url names.")
    ] = ""


class Passthrough(Part, frozen=True):
    """What else a provider has, as its callers ask for it: `/providers/NAME/PATH` ([endpoints.md](endpoints.md))."""

    paths: Annotated[
        tuple[str, ...],
        Meta(
            max_length=64,
            description="Paths that may be asked for, as `/files*`; `*` is any run of characters.",
        ),
    ] = ("*",)
    request: Annotated[Amount | None, Meta(description="What a call costs, where credits are spent.")] = None
    currency: Annotated[Literal["USD", "KPT"], Meta(description="What that is in.")] = "USD"
    free: Annotated[bool, Meta(description="Calls cost nothing.")] = False
    limits: Annotated[Limits, Meta(description="Limits of all such calls of the provider.")] = UNLIMITED


class Provider(Part, frozen=True):
    """A provider: an address, the API it speaks and the credential for it."""

    name: Annotated[Name, Meta(description="How deployments refer to it; shown in headers and metrics.")]
    preset: Annotated[
        str,
        Meta(
            description="A provider that kpgate knows ([providers.md](providers.md)): its address, API and quirks."
        ),
    ] = ""
    url_parts: Annotated[
        dict[str, str],
        Meta(description="What its preset's address leaves open, as account, region, resource, project."),
    ] = msgspec.field(default_factory=dict)
    dialect: Annotated[
        Literal["openai", "responses", "azure", "anthropic", "gemini", "cohere", "bedrock", "echo"],
        Meta(description="The API it speaks. `echo` is built in."),
    ] = "openai"
    base_url: Annotated[
        str, Meta(description="Where it is, version path included, as https://api.openai.com/v1.")
    ] = ""
    api_key: Annotated[str | None, Meta(description="Its credential, as env:NAME or file:PATH.")] = None
    api_keys: Annotated[
        tuple[str, ...],
        Meta(
            max_length=32,
            description="Several credentials instead, used in turn; one whose limit or quota is reached rests.",
        ),
    ] = ()
    signing: Annotated[
        Signing | None, Meta(description="Keys to sign calls with, with the dialect `bedrock`.")
    ] = None
    responses: Annotated[
        bool,
        Meta(
            description="It serves `/responses` beside chat completions: what asks for `/v1/responses` goes there as it"
            " is. With the dialects `openai` and `azure`."
        ),
    ] = False
    embeddings: Annotated[
        Literal["openai", "gemini", "cohere", "voyage"] | None,
        Meta(description="Whose embeddings API it has; absent, told from its preset and dialect."),
    ] = None
    rerank: Annotated[
        Literal["cohere", "jina", "voyage"] | None,
        Meta(description="Whose rerank API it has; absent, told from its preset and dialect."),
    ] = None
    api_version: Annotated[
        str,
        Meta(
            description="The `api-version` of every URL, with the dialect `azure`: as 2024-10-21 for URLs of"
            " deployments; none or `preview` where base_url ends with /openai/v1."
        ),
    ] = ""
    headers: Annotated[
        dict[str, str],
        Meta(
            description="Headers sent with every call, as OpenAI-Organization. env: and file: work here too."
        ),
    ] = msgspec.field(default_factory=dict)
    proxy: Annotated[
        str | None,
        Meta(
            description="HTTP CONNECT proxy for egress, as http://proxy:3128; env: or file: if it has a password."
        ),
    ] = None
    ca: Annotated[
        str | None, Meta(description="PEM file of authorities to trust instead of the system's.")
    ] = None
    drop_unsupported: Annotated[
        bool,
        Meta(
            description="What its API cannot express is left out, and named in `x-kpgate-dropped`, instead of refused."
        ),
    ] = False
    connections_max: Annotated[Count, Meta(description="Connections a worker opens to it.")] = 1024
    preconnect: Annotated[
        bool,
        Meta(description="With eight or more connections in use and none at rest, a worker opens one ahead."),
    ] = True
    timeouts: Annotated[Timeouts, Meta(description="For all its deployments that set none.")] = Timeouts()
    checks: Annotated[
        Checks | None, Meta(description="Active checks of its deployments; absent, none are made.")
    ] = None
    passthrough: Annotated[
        Passthrough | None, Meta(description="Lets its other paths be asked for; absent, none may be.")
    ] = None

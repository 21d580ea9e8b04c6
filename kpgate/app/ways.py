"""Which dialects there are, and from a provider's settings to the ways its deployments are asked.

The one file that names every dialect: a new one is a row here.
"""

from collections.abc import Callable, Mapping
from functools import cache
from time import time

from msgspec.structs import replace

from kpgate.app.references import resolve, shown
from kpgate.dialects.answers import see_through
from kpgate.dialects.anthropic import endpoints as anthropic
from kpgate.dialects.bedrock import endpoints as bedrock
from kpgate.dialects.bridge import Allowance, bridge
from kpgate.dialects.cohere import endpoints as cohere
from kpgate.dialects.embed import shapes as embed
from kpgate.dialects.gemini import endpoints as gemini
from kpgate.dialects.openai import azure, quirks
from kpgate.dialects.openai import endpoints as openai
from kpgate.dialects.rerank import shapes as rerank
from kpgate.dialects.responses import endpoints as responses
from kpgate.dialects.shaped import shaped
from kpgate.dialects.through.endpoints import SHOWN, THROUGH, Road
from kpgate.dialects.through.endpoints import find as find_through
from kpgate.domain.dialect import Endpoint, Header, Heads, Shape, Vendor, Way
from kpgate.domain.identity import NO_TOKEN, Identity
from kpgate.domain.presets import PRESETS
from kpgate.domain.provider import Provider
from kpgate.domain.settings import Settings
from kpgate.domain.surface import ANYTHING, is_v1, origin_of, region_of

VENDORS: dict[str, Vendor] = {
    "openai": openai.VENDOR,
    "responses": responses.VENDOR,
    "azure": azure.V1,
    "echo": replace(openai.VENDOR, endpoints=openai.ENDPOINTS),
    "anthropic": anthropic.VENDOR,
    "gemini": gemini.VENDOR,
    "cohere": cohere.VENDOR,
    "bedrock": bedrock.VENDOR,
}
"""What a provider of a `dialect` speaks."""

ENDPOINTS: tuple[Endpoint, ...] = (
    *openai.VENDOR.endpoints,
    rerank.RERANK,
    *responses.ENDPOINTS,
    *anthropic.ENDPOINTS,
    *gemini.ENDPOINTS,
)
"""What callers may ask."""

EMBEDS = {"gemini": "gemini", "cohere": "cohere", "voyage": "voyage"}
RANKS = {"openai": "jina", "jina": "jina", "cohere": "cohere", "voyage": "voyage"}
"""Whose API of these a provider has, by its preset, else its dialect, where it does not say."""

find = gemini.find
"""The endpoint of a raw path and query that say more than which endpoint it is."""

through = find_through
"""The endpoint of a method, a raw path and a query that go to a provider as they are."""

USER_AGENT = b"kpgate"
JSON = b"content-type: application/json\r\n"


def passed_headers(provider: Provider) -> tuple[bytes, ...]:
    """How those headers of a provider's replies begin that callers see."""
    passed = VENDORS[provider.dialect].passed
    return passed if provider.passthrough is None else passed + SHOWN


def vendor_of(provider: Provider) -> Vendor:
    """What a provider speaks, by its dialect, its preset and what else is set for it."""
    dated = provider.dialect == "azure" and not is_v1(origin_of(provider).base_path)
    return _vendor("azure dated" if dated else provider.dialect, provider.responses, provider.preset)


@cache
def _vendor(name: str, serves_responses: bool, preset: str) -> Vendor:
    vendor = azure.DATED if name == "azure dated" else VENDORS[name]
    if preset in PRESETS:
        vendor = quirks.bend(vendor, PRESETS[preset].quirks)
        vendor = replace(vendor, fixed=vendor.fixed + PRESETS[preset].headers)
    if not serves_responses:
        return vendor

    def native(endpoint: Endpoint, heads: Heads) -> Way:
        return (responses if endpoint in responses.ENDPOINTS else vendor).native(endpoint, heads)

    return replace(vendor, endpoints=vendor.endpoints + responses.ENDPOINTS, native=native)


def shapes_of(provider: Provider) -> dict[str, Shape]:
    """What a provider has in another shape than OpenAI's, by the endpoint's path."""
    if provider.dialect == "echo":
        return {}
    embeds = provider.embeddings or EMBEDS.get(provider.preset) or EMBEDS.get(provider.dialect, "")
    ranks = provider.rerank or RANKS.get(provider.preset) or RANKS.get(provider.dialect, "")
    found = {openai.EMBEDDING.path: embed.SHAPES.get(embeds), rerank.RERANK.path: rerank.SHAPES.get(ranks)}
    return {path: shape for path, shape in found.items() if shape is not None}


class Ways:
    """The ways of one configuration. Those that do not depend on the model are shared by all of a provider's."""

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], wall_s: Callable[[], float] = time
    ) -> None:
        self._output_default = settings.tokens.output_default
        self._environ = environ
        self._wall_s = wall_s
        self._kept: dict[tuple[str, ...], Way | None] = {}

    def of(self, provider: Provider, model: str, credential: str | None = None) -> dict[str, Way]:
        """How calls go to a model at a provider, by the endpoint's path.

        Shape: `credential` is one of its `api_keys`; None is its only one.
        Errors: ReferenceFailed for a secret that is not there.
        """
        vendor = vendor_of(provider)
        if model == ANYTHING and provider.passthrough is not None:
            return {THROUGH.path: self._road(provider, vendor, credential, provider.passthrough.paths)}
        shapes = shapes_of(provider)
        found = {}
        for endpoint in ENDPOINTS:
            shape = shapes.get(endpoint.path)
            if shape is None:
                way = self._way(provider, vendor, endpoint, model, credential)
            else:
                way = self._shaped(provider, vendor, endpoint, shape, (model, credential))
            if way is not None:
                found[endpoint.path] = way
        return found

    def _way(
        self, provider: Provider, vendor: Vendor, endpoint: Endpoint, model: str, credential: str | None
    ) -> Way | None:
        tongue = vendor.tongue
        native = endpoint in vendor.endpoints
        if not native and (tongue is None or endpoint.tally is not None):
            return None
        paths = [
            vendor.native_path(endpoint, model, stream) if native else tongue.path(model, stream)  # type: ignore[union-attr]
            for stream in (False, True)
        ]
        if provider.api_version and provider.dialect == "azure":
            paths = [
                f"{path}{'&' if '?' in path else '?'}api-version={provider.api_version}" for path in paths
            ]
        key = (provider.name, credential or "", endpoint.path, *paths)
        if key not in self._kept:
            more = () if native or tongue is None else tongue.fixed
            rest = self._lines(provider, vendor, credential or provider.api_key, more)
            whole, stream = (self._head(provider, path, rest) for path in paths)
            heads = Heads(whole, whole if paths[0] == paths[1] else stream)
            if native:
                self._kept[key] = see_through(vendor.native(endpoint, heads), endpoint.path)
            else:
                assert tongue is not None, "without one there is no way"
                allowance = Allowance(provider.drop_unsupported, self._output_default)
                self._kept[key] = bridge(endpoint, tongue, heads, allowance)
            way = self._kept[key]
            if way is not None:
                way.tongue = endpoint.tongue if native else tongue
            self._sign(provider, vendor, way)
        return self._kept[key]

    def _sign(self, provider: Provider, vendor: Vendor, way: Way | None) -> None:
        """Have a way's requests signed where that is asked for."""
        keys = provider.signing
        if way is None or keys is None or vendor.signer is None:
            return
        token = resolve(keys.session_token, self._environ) if keys.session_token is not None else NO_TOKEN
        access = resolve(keys.access_key, self._environ).reveal()
        secret = resolve(keys.secret_key, self._environ)
        identity = Identity(access, secret, region_of(provider), token)
        way.sign = vendor.signer(identity, self._wall_s)

    def _shaped(
        self,
        provider: Provider,
        vendor: Vendor,
        endpoint: Endpoint,
        shape: Shape,
        of: tuple[str, str | None],
    ) -> Way | None:
        """The way to a model by a credential of a provider that has the endpoint in another shape."""
        model, credential = of
        path = shape.path(model)
        key = (provider.name, credential or "", endpoint.path, path)
        if key not in self._kept:
            rest = self._lines(provider, vendor, credential or provider.api_key, ())
            head = self._head(provider, path, rest)
            self._kept[key] = shaped(endpoint, shape, Heads(head, head), provider.drop_unsupported)
        return self._kept[key]

    def _road(
        self, provider: Provider, vendor: Vendor, credential: str | None, paths: tuple[str, ...]
    ) -> Way:
        """The way to a provider's other paths."""
        lines = self._lines(provider, vendor, credential or provider.api_key, ()).replace(JSON, b"")
        said = frozenset(line.partition(b":")[0] for line in lines.split(b"\r\n") if line)
        return Road(origin_of(provider).base_path, paths, said).way(lines)

    def _head(self, provider: Provider, path: str, rest: bytes) -> bytes:
        base = origin_of(provider).base_path.encode()
        return b"POST %b%b HTTP/1.1\r\n%b" % (base, path.encode(), rest)

    def _lines(
        self, provider: Provider, vendor: Vendor, credential: str | None, more: tuple[Header, ...]
    ) -> bytes:
        """The header lines that every call to a provider has; what the configuration says stands for the vendor's."""
        lines = [b"host: " + origin_of(provider).host_header]
        if credential is not None:
            name, before = vendor.credential
            lines.append(name + b": " + before + resolve(credential, self._environ).reveal().encode())
        said = {name.lower().encode() for name in provider.headers}
        lines += [name + b": " + value for name, value in vendor.fixed + more if name not in said]
        for written, secret in provider.headers.items():
            lines.append(written.lower().encode() + b": " + shown(secret, self._environ).encode())
        lines += [
            JSON.rstrip(),
            b"accept-encoding: identity",
            b"user-agent: " + USER_AGENT,
            b"",
        ]
        return b"\r\n".join(lines)

"""What must hold between settings, and of the files and variables they name, beyond each one's own type.

Each rule is a function in `RULES`; none stops the others. Files are read here, nothing is connected to.
"""

import ipaddress
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from kpgate.app.prices import problems
from kpgate.app.provider_checks import check_surface, secrets_of
from kpgate.app.references import ReferenceFailed, exposure, is_reference, resolve
from kpgate.app.settings_tree import Path, did_you_mean
from kpgate.domain.limits import Limits
from kpgate.domain.routing import Ejection
from kpgate.domain.settings import (
    Admin,
    Alerts,
    Auth,
    Deployment,
    Ledger,
    Model,
    Prices,
    Provider,
    Retries,
    Server,
    Tls,
    Tokens,
    TopUp,
    full_name,
)
from kpgate.domain.webhook import key_of

SIGNING_BYTES_MIN = 24
NO_PRICE = (
    "missing, and the catalogue has none for all of its deployments: with [ledger] enabled a model has a price,"
    " or `free = true`"
)
NO_MODELS = "no models are configured: every call is answered with model_not_found"

S = TypeVar("S", bound=Struct)
Say = Callable[[Path, str], None]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_VALUE = re.compile(r"[\t -~\x80-\U0010ffff]*")
WITH_PASSWORD = "must not hold a user name or password"
SECRET_HEADERS = re.compile(
    r"authorization|proxy-authorization|cookie|.*(api[-_]?key|token|secret|password|credential).*",
    re.IGNORECASE,
)
OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)


class Draft(Struct):
    """Every table that could be read, by its path, and the names written in all of them, sound or not."""

    parts: dict[Path, Struct]
    provider_names: dict[Path, str]
    model_names: dict[Path, str]

    def each(self, kind: type[S]) -> Iterator[tuple[Path, S]]:
        """The tables of one kind. Order: the file's."""
        for path, part in self.parts.items():
            if isinstance(part, kind):
                yield path, part


def check(draft: Draft, environ: Mapping[str, str], report: Say, warn: Say) -> None:
    """Apply every rule; a problem is reported at the path where it is to be mended."""
    for rule in RULES:
        rule(draft, report, warn)
    for path, provider in draft.each(Provider):
        _check_secrets(path, provider, environ, report, warn)
    for path, alerts in draft.each(Alerts):
        if (alerts.url is None) != (alerts.secret is None):
            report((*path, "url"), "and secret go together: what is sent is signed")
        if alerts.url is not None and (
            message := _url_problem(alerts.url, ("http", "https"), path_allowed=True)
        ):
            report((*path, "url"), message)
        if alerts.secret is not None:
            _check_signing((*path, "secret"), alerts.secret, environ, report, warn)
    names: set[str] = set()
    for path, source in draft.each(TopUp):
        if source.name in names:
            report((*path, "name"), f'another source of top-ups is named "{source.name}"')
        names.add(source.name)
        for field in ("secret", "old_secret"):
            reference = getattr(source, field)
            if reference is not None:
                _check_signing((*path, field), reference, environ, report, warn)


def _check_names(draft: Draft, report: Say, warn: Say) -> None:
    for kind, written in (("provider", draft.provider_names), ("model or alias", draft.model_names)):
        seen: set[str] = set()
        for path, name in written.items():
            if name in seen:
                report(path, f'another {kind} is named "{name}"')
            seen.add(name)
    defaults = [path for path, model in draft.each(Model) if model.default]
    for path in defaults[1:]:
        report((*path, "default"), "only one model may be the default, and one before it is")
    if not draft.model_names:
        warn((), NO_MODELS)


def _check_deployments(draft: Draft, report: Say, warn: Say) -> None:
    providers = set(draft.provider_names.values())
    seen: set[str] = set()
    for path, deployment in draft.each(Deployment):
        name = deployment.provider
        if name not in providers:
            hint = did_you_mean(name, providers)
            report((*path, "provider"), f'no provider is named "{name}"{hint}')
        name = full_name(draft.model_names.get((*path[:2], "name"), ""), deployment)
        if name in seen:
            report(
                (*path, "model"), "is deployed above already, and would share its limits: make one of the two"
            )
        seen.add(name)


def _check_limits(draft: Draft, report: Say, warn: Say) -> None:
    tokens = next((part for _, part in draft.each(Tokens)), Tokens())
    for path, limits in draft.each(Limits):
        for sentence in limits.problems():
            name, _, message = sentence.partition(": ")
            report((*path, name), message)
        if limits.tokens is not None and not tokens.count:
            report((*path, "tokens"), "token limits need [tokens] count = true")


def _check_server(draft: Draft, report: Say, warn: Say) -> None:
    ports: dict[int, Path] = {}
    listeners: list[tuple[Path, Server | Admin]] = [*draft.each(Server), *draft.each(Admin)]
    for path, part in listeners:
        if not _is_host(part.host):
            report((*path, "host"), "expected an IP address or a host name")
        if part.port and part.port in ports:
            report((*path, "port"), "is the port of [server] too: take another, or leave it out to share")
        ports[part.port or 0] = path
    for path, server in draft.each(Server):
        direct = server.transport == "direct"
        if server.http2 and direct:
            report((*path, "http2"), "is served by transport granian alone")
        if server.proxy_protocol and (not direct or server.tls):
            report((*path, "proxy_protocol"), "is read by transport direct alone, and not with TLS")
        for number, network in enumerate(server.trusted_proxies):
            message = _network_problem(network)
            if message:
                report((*path, "trusted_proxies", number), message)
    for path, auth in draft.each(Auth):
        host = next((server.host for _, server in draft.each(Server)), "127.0.0.1")
        if not auth.enabled and not _is_loopback(host):
            warn((*path, "enabled"), f"anybody who reaches {host} may spend on your providers' accounts")


def _check_rules(draft: Draft, report: Say, warn: Say) -> None:
    for path, retries in draft.each(Retries):
        if retries.backoff_min_ms > retries.backoff_max_ms:
            report((*path, "backoff_min_ms"), f"is greater than backoff_max_ms ({retries.backoff_max_ms})")
    for path, ejection in draft.each(Ejection):
        if ejection.base_s > ejection.max_s:
            report((*path, "base_s"), f"is greater than max_s ({ejection.max_s:g})")


def _check_tls(draft: Draft, report: Say, warn: Say) -> None:
    """The server aborts on a file it cannot use, so each is tried here first."""
    for path, tls in draft.each(Tls):
        readable = [
            _readable((*path, name), file, report) for name, file in (("cert", tls.cert), ("key", tls.key))
        ]
        if all(readable):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            try:
                context.load_cert_chain(tls.cert, tls.key, password=_no_password)
            except ssl.SSLError as error:
                mismatch = "MISMATCH" in (error.reason or "")
                reason = "does not belong to the certificate" if mismatch else "is not usable with cert"
                report((*path, "key"), f"{reason}: both must be PEM, the key unencrypted")
            except (ValueError, OSError):
                report((*path, "key"), "is encrypted: give a key without a pass phrase")
            mode_message = exposure(f"file:{tls.key}")
            if mode_message:
                warn((*path, "key"), mode_message)
        if tls.client_ca is not None:
            _check_authorities((*path, "client_ca"), tls.client_ca, report)


def _check_upstream(draft: Draft, report: Say, warn: Say) -> None:
    for path, provider in draft.each(Provider):
        if provider.dialect == "echo":
            if provider.base_url:
                warn((*path, "base_url"), "has no meaning for the built-in echo")
        elif not provider.base_url:
            report((*path, "base_url"), "missing: where the provider is, as https://api.openai.com/v1")
        else:
            message = _url_problem(provider.base_url, ("https", "http"), path_allowed=True)
            if message:
                report((*path, "base_url"), message)
            elif (provider.api_key or provider.api_keys) and _is_plain_and_far(provider.base_url):
                warn((*path, "base_url"), "http to another machine sends the credential in clear: use https")
            elif not _has_credential(provider) and "https" in provider.base_url:
                warn(path, "has no api_key: calls go out without a credential")
        check_surface(path, provider, report)
        if provider.proxy is not None and not is_reference(provider.proxy):
            message = _url_problem(provider.proxy, ("http",), path_allowed=False)
            if message == WITH_PASSWORD:
                message += ": write the whole address as env:NAME or file:PATH"
            if message:
                report((*path, "proxy"), message)
        if provider.ca is not None:
            _check_authorities((*path, "ca"), provider.ca, report)


def _check_headers(draft: Draft, report: Say, warn: Say) -> None:
    tables = [((*path, "headers"), part.headers) for path, part in draft.each(Provider)]
    tables += [((*path, "match"), part.match) for path, part in draft.each(Deployment)]
    for path, headers in tables:
        seen: set[str] = set()
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                report((*path, name), "is not a valid header name")
            elif name.lower() in seen:
                report((*path, name), "is there twice: header names do not differ by case")
            elif not _VALUE.fullmatch(value):
                report((*path, name), "its value has a character that no header can carry")
            elif path[-1] == "headers" and name.lower() in OWN_HEADERS:
                report((*path, name), "is set by kpgate itself")
            seen.add(name.lower())
    for path, provider in draft.each(Provider):
        for name in provider.headers:
            if (provider.api_key or provider.api_keys) and name.lower() == "authorization":
                report((*path, "headers", name), "is what api_key is sent as: give one of the two")


def _check_secrets(
    path: Path, provider: Provider, environ: Mapping[str, str], report: Say, warn: Say
) -> None:
    written = list(secrets_of(path, provider))
    for name, value in provider.headers.items():
        at = (*path, "headers", name)
        if is_reference(value):
            written.append((at, value))
        elif SECRET_HEADERS.fullmatch(name):
            report(at, "looks like a secret: write it env:NAME or file:PATH, never in clear")
    if provider.proxy is not None and is_reference(provider.proxy):
        written.append(((*path, "proxy"), provider.proxy))
    for at, reference in written:
        try:
            value = resolve(reference, environ).reveal()
            message = _url_problem(value, ("http",), path_allowed=False) if at[-1] == "proxy" else None
            if message and message != WITH_PASSWORD:
                report(at, message)
        except ReferenceFailed as error:
            report(at, str(error))
        message = exposure(reference)
        if message:
            warn(at, message)


def _check_signing(path: Path, reference: str, environ: Mapping[str, str], report: Say, warn: Say) -> None:
    """A secret that webhooks are signed with."""
    try:
        if len(key_of(resolve(reference, environ))) < SIGNING_BYTES_MIN:
            report(path, f"is shorter than {SIGNING_BYTES_MIN} bytes: it could be guessed")
    except ValueError as error:
        report(path, str(error))
    if message := exposure(reference):
        warn(path, message)


def _check_prices(draft: Draft, report: Say, warn: Say) -> None:
    """Where credits are spent nothing is free unless it says so."""
    ledger = next((part for _, part in draft.each(Ledger)), Ledger())
    tokens = next((part for _, part in draft.each(Tokens)), Tokens())
    for path, prices in draft.each(Prices):
        for sentence in problems(prices, ledger):
            field, _, message = sentence.partition(": ")
            report((*path, field), message)
    for path, model in draft.each(Model):
        if model.holding_min_kpt and (model.free or not ledger.enabled):
            report(
                (*path, "holding_min_kpt"), "is looked at where credit is held: it needs [ledger] and a price"
            )
    if not ledger.enabled:
        return
    for path, model in draft.each(Model):
        priced = model.price is not None or all(one.price is not None for one in model.deployments)
        if model.free and (model.price is not None or any(one.price for one in model.deployments)):
            report((*path, "free"), "has a price as well: take one of the two away")
        written = [one.price or model.price for one in model.deployments]
        outputs = {price.output is not None for price in written if price is not None}
        if len(outputs) > 1:
            report(
                (*path, "deployments"),
                "some have a price for output and some have none: it would be given away",
            )
        elif not model.free and not priced:
            report((*path, "price"), NO_PRICE)
    if not tokens.count:
        report(("tokens", "count"), "must be on with [ledger] enabled: what is held depends on it")


def _has_credential(provider: Provider) -> bool:
    if provider.api_key is not None or provider.api_keys or provider.signing is not None:
        return True
    return any(SECRET_HEADERS.fullmatch(name) for name in provider.headers)


def _url_problem(url: str, schemes: tuple[str, ...], path_allowed: bool) -> str | None:
    """What is wrong with an address; it is not repeated, for it may hold a password."""
    expected = f"expected {' or '.join(f'{scheme}://' for scheme in schemes)} and a host"
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return f"{expected}, in printable ASCII without spaces"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return f"{expected}: this is not an address"
    if parts.scheme not in schemes:
        return expected
    if "@" in parts.netloc:
        return WITH_PASSWORD
    if not parts.hostname or not _is_host(parts.hostname) or port == 0:
        return f"{expected}: this host is not valid"
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "must not have a query or a fragment"
    if not path_allowed and parts.path not in ("", "/"):
        return "must not have a path"
    if path_allowed and any(part in (".", "..") for part in parts.path.split("/")):
        return "must not have . or .. in its path"
    return None


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # All digits and dots, yet no address: a mistyped one.
        return bool(_HOST.fullmatch(host)) and len(host) <= 253 and not re.fullmatch(r"[0-9.]+", host)
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_plain_and_far(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _network_problem(text: str) -> str | None:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        try:
            return f"has bits set beyond its prefix: write {ipaddress.ip_network(text, strict=False)}"
        except ValueError:
            return "expected an IP network, as 10.0.0.0/8 or 2001:db8::/32"
    return None


def _readable(path: Path, file: str, report: Say) -> bool:
    try:
        with FilePath(file).open("rb") as opened:
            opened.read(1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        report(path, f"the file {file} cannot be read: {reason}")
        return False
    return True


def _check_authorities(path: Path, file: str, report: Say) -> None:
    if not _readable(path, file, report):
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(file)
    except (ssl.SSLError, OSError):
        report(path, f"the file {file} holds no certificates in PEM")


def _no_password() -> str:
    raise ValueError("the key is encrypted")


RULES: tuple[Callable[[Draft, Say, Say], None], ...] = (
    _check_names,
    _check_deployments,
    _check_limits,
    _check_server,
    _check_rules,
    _check_tls,
    _check_upstream,
    _check_headers,
    _check_prices,
)

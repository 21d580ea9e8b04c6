"""Where a provider is and how it is reached. Nouns only: no sockets, no secrets in any repr."""

from base64 import b64encode
from urllib.parse import unquote, urlsplit

from msgspec import Struct

PORTS = {"http": 80, "https": 443}


class Origin(Struct, frozen=True):
    """A provider's address.

    Shape: `host` bare (an IPv6 one without brackets), `base_path` without a last slash.
    """

    scheme: str
    host: str
    port: int
    base_path: str = ""

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Host and port as CONNECT wants them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def host_header(self) -> bytes:
        """The `host` header: without the port where that is the scheme's own."""
        authority = self.authority
        return authority.removesuffix(f":{PORTS[self.scheme]}").encode()


class Proxy(Struct, frozen=True, repr_omit_defaults=True):
    """An HTTP CONNECT proxy for egress.

    Shape: `authorization` is the whole header value, kept out of the repr.
    """

    host: str
    port: int
    authorization: bytes | None = None

    def __repr__(self) -> str:
        return f"Proxy(host={self.host!r}, port={self.port}, authorization={self.authorization is not None})"


class PoolOptions(Struct, frozen=True, kw_only=True):
    """How a worker keeps connections to one provider.

    Shape: `ahead`, whether the next connection is opened before a call needs it.
    Units: microseconds. `idle_max` None is 64 on TLS, where each holds tens of KiB, and no cap otherwise.
    """

    connections_max: int = 1024
    waiters_max: int = 1024
    idle_max: int | None = None
    idle_us: int = 30_000_000
    age_us: int = 300_000_000
    connect_us: int = 5_000_000
    ca: str | None = None
    proxy: Proxy | None = None
    ahead: bool = True
    passed: tuple[bytes, ...] = (b"openai-", b"x-ratelimit-")


def parse_origin(url: str) -> Origin:
    """The origin that a `base_url` names.

    Errors: ValueError, with what is wrong, never the URL itself.
    """
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        raise ValueError("expected a URL that begins with http:// or https://")
    if not parts.hostname:
        raise ValueError("expected a URL with a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("expected a URL without credentials, query or fragment")
    if not parts.path.isascii() or any(c <= " " for c in url):
        raise ValueError("expected a URL of printable ASCII")
    return Origin(parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme], parts.path.rstrip("/"))


def parse_proxy(url: str) -> Proxy:
    """The proxy that a URL names; credentials in it become Basic authorization.

    Errors: ValueError, with what is wrong, never the URL itself.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("expected a URL such as http://proxy:3128")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + b64encode(pair.encode())
    return Proxy(parts.hostname, parts.port or 3128, authorization)

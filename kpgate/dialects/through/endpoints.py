"""The pass-through: `/providers/{name}/{path}` goes to a provider as it is, with the provider's credential for the
caller's. What is asked and answered is between the two.

A path is looked at as hard as a provider's server might: what leads out of its place, however it is spelled, is
refused.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from kpgate.dialects.openai import reply
from kpgate.domain.call import Call
from kpgate.domain.dialect import Counter, Endpoint, Way
from kpgate.domain.errors import InvalidRequest, MethodNotAllowed, NotFound
from kpgate.domain.surface import name_of

PREFIX = b"/providers/"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PATH_BYTES_MAX = 2048
DECODED_MAX = 3
"""Times that a path may be percent-encoded; more is nobody's path."""
_VISIBLE = re.compile(rb"[!-~]*")
_ODD = re.compile(rb"[\x00-\x20\x7f#?]")
_SEPARATORS = re.compile(rb"[/\\]")
_KEYS = re.compile(r"(?:^|[&;])(?:key|api[-_]?key|access[-_]?token|token|auth|authorization)=", re.IGNORECASE)
KEPT_BACK = frozenset(
    (
        b"accept-encoding",
        b"api-key",
        b"authorization",
        b"connection",
        b"content-length",
        b"cookie",
        b"expect",
        b"forwarded",
        b"host",
        b"idempotency-key",
        b"keep-alive",
        b"openai-beta",
        b"te",
        b"trailer",
        b"traceparent",
        b"tracestate",
        b"transfer-encoding",
        b"upgrade",
        b"user-agent",
        b"via",
        b"x-api-key",
        b"x-goog-api-key",
        b"x-real-ip",
        b"x-request-id",
    )
)
"""Headers that do not go along: the caller's credentials, those of its own connection, those that kpgate writes."""
KEPT_BACK_STARTS = (b"proxy-", b"x-forwarded-", b"x-kpgate-")

SHOWN = (b"content-disposition", b"content-range", b"etag", b"last-modified")
"""Headers of a reply that are the caller's to see, beside its content type."""


class Through(NamedTuple):
    """Where a call goes. Shape: `target` is the path under the provider's base URL, and its query."""

    method: str
    path: str
    target: bytes


class Passed:
    """The caller's headers that go along: all but some."""

    def __init__(self, said: frozenset[bytes]) -> None:
        self._kept_back = KEPT_BACK | said

    def __contains__(self, name: object) -> bool:
        return (
            isinstance(name, bytes) and name not in self._kept_back and not name.startswith(KEPT_BACK_STARTS)
        )


def find(method: str, path: bytes, query: bytes) -> Endpoint | None:
    """The endpoint of a raw path. None: it is not of this kind."""
    if not path.startswith(PREFIX):
        return None
    decode = partial(_decode, method=method, path=path[len(PREFIX) :], query=query)
    return THROUGH.read_by(decode, partial(Unread, decode))


class Unread:
    """A body that goes on as it comes, as `domain.dialect.Intake`: nothing is decided by it."""

    goes_on = True

    def __init__(self, decode: Callable[[bytes, int], Call], size: int) -> None:
        self._decode = decode

    def feed(self, piece: bytes) -> None:
        """Take what arrived."""

    def call(self) -> Call:
        """Where the call goes. Errors: MethodNotAllowed, NotFound, InvalidRequest."""
        return self._decode(b"", 0)

    def end(self) -> Call | None:
        """There is no more."""
        return None


def _decode(body: bytes, depth_max: int, method: str, path: bytes, query: bytes) -> Call:
    """Read where a call goes. Its body is the provider's to read.

    Errors: MethodNotAllowed, NotFound, InvalidRequest.
    """
    if method not in METHODS:
        raise MethodNotAllowed(method, *METHODS)
    named, _, rest = path.partition(b"/")
    if not named or not rest:
        raise NotFound("a path here is /providers/NAME/ and the path at the provider")
    name = unquote_to_bytes(named).decode("utf-8", "replace")
    check_path(rest)
    asked = query.decode("latin-1")
    if not _VISIBLE.fullmatch(query) or b"#" in query:
        raise InvalidRequest("the query has characters that none has", param="query")
    if _KEYS.search(asked):
        raise InvalidRequest(
            "a credential in the query would end up in logs: send it as a header", param="query"
        )
    target = b"/" + rest + (b"?" + query if query else b"")
    return Call(name_of(name), Through(method, "/" + rest.decode("ascii"), target), None, True)


def check_path(path: bytes) -> None:
    """Refuse a path that could lead anywhere but beneath the provider's base URL. Errors: InvalidRequest."""
    wrong = InvalidRequest("the path has segments or characters that none may have", param="path")
    if not _VISIBLE.fullmatch(path) or len(path) > PATH_BYTES_MAX:
        raise wrong
    for _ in range(DECODED_MAX):
        if _ODD.search(path):
            raise wrong
        for segment in _SEPARATORS.split(path.removesuffix(b"/")):
            # Some servers cut off what follows a semicolon before they look.
            if segment.partition(b";")[0] in (b"", b".", b".."):
                raise wrong
        decoded = unquote_to_bytes(path)
        if decoded == path:
            return
        path = decoded
    raise wrong


class Road:
    """The way to a provider's other paths. Shape: `paths` may be asked for, `*` stands for any run of characters."""

    def __init__(self, base_path: str, paths: tuple[str, ...], said: frozenset[bytes]) -> None:
        self._base = base_path.encode()
        self._paths = [re.compile(".*".join(map(re.escape, one.split("*"))), re.DOTALL) for one in paths]
        self._passed = Passed(said)

    def way(self, lines: bytes) -> Way:
        """The way, with a head's lines that every call has."""
        return Way(
            head=lines,
            stream_head=lines,
            forward=self.forward,
            passes=self._passed,
            stream_type=b"",
            begin=self.begin,
        )

    def begin(self, call: Call) -> bytes:
        """The request's first line."""
        through = call.content
        return b"%b %b%b HTTP/1.1\r\n" % (through.method.encode(), self._base, through.target)

    def forward(self, body: bytes, call: Call, model: str, cap: int) -> bytes:
        """The body as it is. Errors: NotFound for a path that the operator does not let through."""
        path = call.content.path
        if not any(one.fullmatch(path) for one in self._paths):
            raise NotFound(f"this path of the provider is not let through: {path[:200]!r}")
        return body


def _count(call: Call, vocabulary: Counter, model: str) -> int:
    return 0


def _unread(body: bytes, depth_max: int) -> Call:
    raise NotFound("a path here is /providers/NAME/ and the path at the provider")


THROUGH = Endpoint(
    path="/providers/{name}",
    dialect="through",
    upstream_path="",
    generates=False,
    decode=_unread,
    count=_count,
    encode_error=reply.encode_error,
    encode_error_event=reply.encode_error_event,
    encode_limits=reply.encode_limits,
    stream_type=b"",
    once=True,
)

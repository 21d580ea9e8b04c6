"""What a dialect offers the gateway: a table of its endpoints and the way it spells errors."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from kpgate.domain.call import Call
from kpgate.domain.errors import GatewayError
from kpgate.domain.usage import Usage


class Counter(Protocol):
    """Anything that counts the tokens of a text."""

    def count(self, text: str) -> int: ...


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """One path of a dialect, with the pure functions that translate for it.

    `path` is what callers ask for; `upstream_path` follows a provider's base URL; `generates` says that output
    tokens are to be expected.
    """

    path: str
    upstream_path: str
    generates: bool
    decode: Callable[[bytes, int], Call]
    count: Callable[[Call, Counter, str], int]
    forward: Callable[[bytes, Call, str, int], bytes]
    decode_usage: Callable[[bytes], Usage | None]
    decode_text: Callable[[bytes], str]
    encode_error: Callable[[GatewayError], bytes]
    encode_error_event: Callable[[GatewayError], bytes]
    encode_cut: Callable[[str, str, int], bytes]

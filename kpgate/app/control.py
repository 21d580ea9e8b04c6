"""The way to management while a gateway runs: through the clerk's socket.

The wire is one line of JSON each way. A request that got no answer is sent again with the same id, which does
nothing twice.
"""

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any, Literal, Protocol

import msgspec

from kpgate.app.directory import Directory
from kpgate.domain.audit import GATEWAY, Actor
from kpgate.domain.errors import REGISTRY, GatewayError, Internal, StoreUnavailable
from kpgate.domain.keys import RANDOM_BYTES
from kpgate.domain.management import Answer, AnyOperation, Asked, EnsureNumbers, encode

LINE_BYTES_MAX = 1024 * 1024
PATIENCE_S = 10.0
PAUSE_S = 0.05
NAMES_A_REQUEST = 500

Ask = Callable[[AnyOperation], Answer]
Kind = Literal["model", "deployment", "price", "upstream"]
KINDS: tuple[Kind, ...] = ("model", "deployment", "price", "upstream")


class Failed(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error on the wire."""

    code: str
    message: str
    param: str | None = None
    retry_after_us: int = 0


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer on the wire: one of the two."""

    ok: dict[str, Any] | None = None
    error: Failed | None = None


class AsksLater(Protocol):
    """What can be asked from a coroutine."""

    async def ask(self, operation: AnyOperation, actor: Actor = GATEWAY) -> Answer: ...


def new_id() -> str:
    """An id for one request."""
    return secrets.token_hex(16)


def new_random() -> str:
    """The random of one new key."""
    return secrets.token_hex(RANDOM_BYTES)


def refusal(error: GatewayError) -> bytes:
    """An error as a line of the wire."""
    failed = Failed(error.code, error.message, error.param, error.retry_after_us)
    return msgspec.json.encode(Said(error=failed)) + b"\n"


def read_answer(line: bytes) -> Answer:
    """What a line of the wire says.

    Errors: the GatewayError it carries; Internal when it makes no sense.
    """
    try:
        said = msgspec.json.decode(line, type=Said)
    except msgspec.DecodeError:
        raise Internal("the clerk's answer makes no sense") from None
    if said.error is not None:
        kind = REGISTRY.get(said.error.code, Internal)
        raise kind(said.error.message, param=said.error.param, retry_after_us=said.error.retry_after_us)
    if said.ok is None:
        raise Internal("the clerk's answer makes no sense")
    return said.ok


def lost() -> StoreUnavailable:
    """Nobody answers."""
    return StoreUnavailable("the clerk of this data directory does not answer", retry_after_us=1_000_000)


class Control:
    """Asks the clerk, from a command or at a start. Units: `patience_s` seconds for one request."""

    def __init__(self, directory: Directory, patience_s: float = PATIENCE_S, actor: Actor = GATEWAY) -> None:
        self._directory = directory
        self._patience_s = patience_s
        self._actor = actor

    def ask(self, operation: AnyOperation) -> Answer:
        """Have an operation carried out.

        Errors: those of management; StoreUnavailable when no clerk answers in time.
        """
        line = encode(Asked(operation, self._actor)) + b"\n"
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                answer = self._exchange(line, deadline)
            except OSError:
                if time.monotonic() + PAUSE_S >= deadline:
                    raise lost() from None
                time.sleep(PAUSE_S)
                continue
            return read_answer(answer)

    def numbers(self, kind: Kind, names: Sequence[str]) -> dict[str, int]:
        """The numbers of models or deployments, given to them at first sight."""
        return number(self.ask, kind, names)

    def _exchange(self, line: bytes, deadline: float) -> bytes:
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(max(PAUSE_S, deadline - time.monotonic()))
            with self._directory.socket_path() as path:
                connection.connect(path)
            connection.sendall(line)
            answer = bytearray()
            while not answer.endswith(b"\n"):
                piece = connection.recv(65_536)
                if not piece or len(answer) > LINE_BYTES_MAX:
                    raise ConnectionResetError("the clerk went away")
                answer += piece
            return bytes(answer)


class AsyncControl:
    """Asks the clerk from a worker's event loop."""

    def __init__(self, directory: Directory, patience_s: float = PATIENCE_S) -> None:
        self._directory = directory
        self._patience_s = patience_s

    async def ask(self, operation: AnyOperation, actor: Actor = GATEWAY) -> Answer:
        """As `Control.ask`, without holding up the loop."""
        # A time-out needs a task, and whoever asks may be driven without one.
        return await asyncio.create_task(self._ask(Asked(operation, actor)))

    async def _ask(self, asked: Asked) -> Answer:
        line = encode(asked) + b"\n"
        try:
            async with asyncio.timeout(self._patience_s):
                while True:
                    with suppress(OSError, asyncio.IncompleteReadError):
                        return read_answer(await self._exchange(line))
                    await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            raise lost() from None

    async def _exchange(self, line: bytes) -> bytes:
        with self._directory.socket_path() as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=LINE_BYTES_MAX)
        try:
            writer.write(line)
            await writer.drain()
            return await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise Internal("the clerk's answer is too long") from None
        finally:
            writer.close()


def number(ask: Ask, kind: Kind, names: Sequence[str]) -> dict[str, int]:
    """The numbers of any number of names, asked for in pieces."""
    found: dict[str, int] = {}
    for at in range(0, len(names), NAMES_A_REQUEST):
        piece = tuple(names[at : at + NAMES_A_REQUEST])
        found |= ask(EnsureNumbers(id=new_id(), kind=kind, names=piece))["numbers"]
    return found


def wall_us() -> int:
    """The time. Units: microseconds since the epoch."""
    return time.time_ns() // 1000

"""A provider for tests, on a raw socket: valid OpenAI answers by default, any fault by script.

Owns what it received and how its clients left. `async with Provider() as p: p.reply(status=429)`; each scripted
step answers one request, in order, then the default answers again.
"""

import asyncio
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass
class Received:
    """A request as it came. `gone` is set once its client has closed or reset the connection."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    connection: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def json(self) -> Any:
        """Its body, decoded."""
        return json.loads(self.body)


class Talk:
    """One request's conversation, for a step of a script."""

    def __init__(
        self, provider: "Provider", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.provider = provider
        self.reader = reader
        self.writer = writer
        self.request = Received("", "", {})
        self.closing = False

    async def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def stall(self) -> None:
        """Say nothing until the client leaves."""
        while await self._read_on():
            pass
        self.closing = True

    async def rest_of_body(self) -> None:
        """Read what is left of the request, for a step that answered early."""
        await self.provider._read_body(self)

    def close(self) -> None:
        """Close well once the step is over."""
        self.closing = True

    def drop(self) -> None:
        """Close the socket behind what was sent, without TLS's leave-taking, as many servers do."""
        self.closing = True
        self.writer.transport.abort()

    def reset(self) -> None:
        """Send RST: the client sees a reset."""
        self.closing = True
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def _read_on(self) -> bytes:
        try:
            return await self.reader.read(65_536)
        except OSError:
            return b""


Step = Callable[[Talk], Awaitable[None]]


def head(status: int, headers: dict[str, str], reason: str = "X") -> bytes:
    """A reply's head."""
    lines = [f"HTTP/1.1 {status:03} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; empty is its end."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def answer(
    body: bytes | dict[str, object] = b"{}",
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    chunked: bool = False,
    length: int | None = None,
    surplus: bytes = b"",
    interim: bytes = b"",
    bytewise: bool = False,
    cut_at: int | None = None,
    early: bool = False,
) -> Step:
    """A whole reply and the ways it can lie.

    Shape: `length` is said instead of the true one; `surplus` bytes follow it, `interim` ones go before it;
    `bytewise` sends one at a time; `cut_at` closes after so many; `early` does not wait for the request's body.
    """
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content-type": "application/json", **(headers or {})}
    if chunked:
        half = len(data) // 2
        fields["transfer-encoding"] = "chunked"
        pieces = [piece for piece in (data[:half], data[half:]) if piece]
        data = b"".join(map(chunk, [*pieces, b""]))
    else:
        fields["content-length"] = str(len(data) if length is None else length)
    out = interim + head(status, fields) + data + surplus

    async def step(talk: Talk) -> None:
        if not early:
            await talk.rest_of_body()
        if bytewise:
            for byte in out:
                await talk.send(bytes([byte]))
                await asyncio.sleep(0)
        elif cut_at is not None:
            await talk.send(out[:cut_at])
            talk.close()
        else:
            await talk.send(out)

    return step


def stream(
    events: list[bytes], *, every_s: float = 0.0, cut: bool = False, stall: bool = False, reset: bool = False
) -> Step:
    """An event stream, one chunk an event, at a rhythm; ended well, `cut`, `reset` or left to `stall`."""

    async def step(talk: Talk) -> None:
        await talk.rest_of_body()
        fields = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
        await talk.send(head(200, fields))
        for event in events:
            await talk.send(chunk(event))
            await asyncio.sleep(every_s)
        if stall:
            await talk.stall()
        elif reset:
            talk.reset()
        elif cut:
            talk.close()
        else:
            await talk.send(chunk(b""))

    return step


def raw(data: bytes, *, close: bool = True, reset: bool = False, stall: bool = False) -> Step:
    """Bytes that may be no HTTP at all, then close, reset or silence."""

    async def step(talk: Talk) -> None:
        await talk.rest_of_body()
        await talk.send(data)
        if stall:
            await talk.stall()
        elif reset:
            talk.reset()
        elif close:
            talk.close()

    return step


def silence() -> Step:
    """Read the request and never answer."""
    return raw(b"", stall=True)


def hang_up(*, reset: bool = False) -> Step:
    """Read the request, then close without a byte of reply."""
    return raw(b"", reset=reset)


def page(status: int = 200) -> Step:
    """A proxy's HTML page where JSON was asked for."""
    return answer(b"<html>welcome</html>", status=status, headers={"content-type": "text/html"})


def giant(bytes_total: int = 200_000) -> Step:
    """A reply whose header does not end."""
    return raw(b"HTTP/1.1 200 OK\r\nx-giant: " + b"g" * bytes_total, stall=True)


def completion(
    text: str = "Hello there.", prompt_tokens: int = 9, completion_tokens: int = 3
) -> dict[str, object]:
    """A chat completion as OpenAI sends it."""
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-test",
        "choices": [choice], "usage": usage,
    }  # fmt: skip


def events(text: str = "Hello there.", *, usage: bool = False) -> list[bytes]:
    """A chat completion as a stream's events, `[DONE]` included."""
    shape = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-test"}
    payloads: list[dict[str, object]] = []
    for piece in text.split(" "):
        payloads.append(
            {**shape, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
        )
    payloads.append({**shape, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage:
        payloads.append({**shape, "choices": [], "usage": completion(text)["usage"]})
    return [b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in payloads] + [
        b"data: [DONE]\n\n"
    ]


async def behave(talk: Talk) -> None:
    """The default: a valid chat completion, whole or streamed, or embedding, as the request asks."""
    await talk.rest_of_body()
    request = talk.request
    asked = request.json() if request.body else {}
    if request.path.endswith("/embeddings"):
        item = {"object": "embedding", "index": 0, "embedding": [0.0, 1.0]}
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        await answer({"object": "list", "data": [item], "model": "gpt-test", "usage": usage})(talk)
    elif asked.get("stream"):
        wanted = bool((asked.get("stream_options") or {}).get("include_usage"))
        await stream(events(usage=wanted))(talk)
    else:
        await answer(completion())(talk)


class Provider:
    """A provider on loopback. `requests` is what it received, `accepted` how many connections it took."""

    def __init__(self, tls: ssl.SSLContext | None = None, name: str = "127.0.0.1") -> None:
        self.name = name
        self.port = 0
        self.requests: list[Received] = []
        self.accepted = 0
        self.open = 0
        self.greeting: Callable[[Talk], Awaitable[None]] | None = None
        self.default: Step = behave
        self._steps: deque[Step] = deque()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Its base URL, without a path."""
        return f"{'https' if self._tls else 'http'}://{self.name}:{self.port}"

    def script(self, *steps: Step) -> None:
        """Answer the next requests by these steps, one each."""
        self._steps.extend(steps)

    def reply(self, body: bytes | dict[str, object] = b"{}", **shape: Any) -> None:
        """Answer the next request with this; the shape is `answer`'s."""
        self.script(answer(body, **shape))

    def refuse(self) -> None:
        """Listen no more: new connections are refused."""
        assert self._server is not None
        self._server.close()

    async def restart(self, tls: ssl.SSLContext | None = None) -> None:
        """Be another process at the same address, its connections closed."""
        await self.__aexit__(None, None, None)
        self._tls = tls
        await self.__aenter__()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self.open += 1
        number = self.accepted
        talk = Talk(self, reader, writer)
        try:
            if self.greeting is not None:
                await self.greeting(talk)
            while not talk.closing and await self._read_head(talk, number):
                step = self._steps.popleft() if self._steps else self.default
                await step(talk)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            talk.request.gone.set()
            self.open -= 1
            self._tasks.discard(task)
            if talk.closing and not writer.transport.is_closing():
                writer.close()
            else:
                writer.transport.abort()

    async def _read_head(self, talk: Talk, number: int) -> bool:
        try:
            blob = await talk.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError):
            return False
        first, *lines = blob.decode("latin-1").split("\r\n")[:-2]
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        talk.request = Received(method, path, headers, connection=number)
        self.requests.append(talk.request)
        return True

    async def _read_body(self, talk: Talk) -> None:
        length = int(talk.request.headers.get("content-length", "0"))
        if not talk.request.body and length:
            talk.request.body = await talk.reader.readexactly(length)

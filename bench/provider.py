"""A provider that is never the bottleneck: one uvloop, protocol callbacks, answers made before they are asked for.

The model's name says what comes back: `stream-N-R` and `stream-N-R-B` stream N chunks (of B bytes) at R a second when
the request says `"stream":true`, and `clock-N-R` chunks that say when they were written; `claude` and `claude-N-R`
answer as Anthropic does, whole and streamed; `slow-MS` answers after MS;
`size-B` answers B bytes of content; `error-STATUS` refuses; `reset` closes without a word; anything else is one 0.5 KB
chat completion. Run as `python -m bench.provider`.
It knows nothing of what stands before it, and no more of a request than its model and two flags.
"""

import asyncio
import json
import re
import signal
import ssl
from collections.abc import Callable
from functools import partial
from time import monotonic_ns
from typing import Any, cast

import click
import httptools
import uvloop

MODEL = re.compile(rb'"model"\s*:\s*"([^"]*)"')
STREAM = re.compile(rb'"stream"\s*:\s*true')
USAGE = re.compile(rb'"include_usage"\s*:\s*true')
HEAD = (
    b"HTTP/1.1 %d %s\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\ncontent-type: %s\r\nopenai-processing-ms: 12\r\n"
    b"openai-version: 2020-10-01\r\nx-request-id: req_0123456789abcdef\r\n"
)
TEXT = "The sky is blue because air scatters short waves of light more than long ones. "
BUCKETS = 50
MODELS_KEPT = 10_000
PIECES_KEPT = 4

Act = Callable[["Connection", bytes], None]
Tail = tuple[bytes, bytes]


def whole(content: str, status: int = 200) -> bytes:
    """A reply with its head, ready to be written."""
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
    value: dict[str, Any] = {
        "id": "chatcmpl-0123456789abcdefghijklmnopq",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 18, "total_tokens": 108},
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
    }
    if status != 200:
        value = {"error": {"message": content, "type": "bench", "param": None, "code": "scripted"}}
    return framed(value, status)


def framed(value: dict[str, Any], status: int = 200) -> bytes:
    """That value as a JSON reply of a fixed length."""
    body = json.dumps(value).encode()
    head = HEAD % (status, b"OK" if status == 200 else b"Scripted", b"application/json")
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


def embedding() -> bytes:
    """One vector of 64 numbers."""
    vector = [round(0.001 * i, 3) for i in range(64)]
    data = [{"object": "embedding", "index": 0, "embedding": vector}]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    return framed({"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage})


def event(value: dict[str, Any], name: str = "") -> bytes:
    """A server-sent event as one chunk of a chunked body."""
    data = b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"
    if name:
        data = b"event: " + name.encode() + b"\n" + data
    return b"%x\r\n%s\r\n" % (len(data), data)


def delta(content: str, finish: str | None = None) -> dict[str, Any]:
    """A streamed piece of a reply, as the provider shapes it."""
    choice = {"index": 0, "delta": {"content": content}, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-0123456789abcdefghijklmnopq",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": "gpt-4o-mini-2024-07-18",
        "system_fingerprint": "fp_0123456789",
        "choices": [choice],
    }


def message(text: str) -> dict[str, Any]:
    """A reply as Anthropic shapes it."""
    return {
        "id": "msg_0123456789abcdefghijklmn",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 90,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 18,
            "service_tier": "standard",
        },
    }


def said(kind: str, **fields: Any) -> bytes:
    """An event as Anthropic shapes it."""
    return event({"type": kind} | fields, kind)


def prose(size: int) -> str:
    """So many characters of ordinary words: one word of that length would be a feat to count."""
    return (" " + TEXT * (size // len(TEXT) + 1))[:size]


def stamped() -> bytes:
    """A streamed chunk that says when it was written. Units: nanoseconds of the system's monotonic clock."""
    return STAMPED % monotonic_ns()


STREAM_HEAD = HEAD % (200, b"OK", b"text/event-stream; charset=utf-8") + b"transfer-encoding: chunked\r\n\r\n"
STAMPED = event(delta(" xxxx") | {"system_fingerprint": "fp_" + "0" * 19}).replace(b"0" * 19, b"%019d")
REPLY = whole(TEXT[:70])
EMBEDDING = embedding()
MESSAGE = framed(message(TEXT[:70]))
MESSAGE_BEGINS = said("message_start", message=message("") | {"content": [], "stop_reason": None}) + said(
    "content_block_start", index=0, content_block={"type": "text", "text": ""}
)
MESSAGE_PIECE = said("content_block_delta", index=0, delta={"type": "text_delta", "text": prose(5)})


def tail(chunks: int, with_usage: bool) -> bytes:
    """How a stream ends."""
    usage = {"prompt_tokens": 90, "completion_tokens": chunks, "total_tokens": 90 + chunks}
    parts = [event(delta("", "stop"))]
    if with_usage:
        parts.append(event(delta("") | {"choices": [], "usage": usage}))
    return b"".join([*parts, b"e\r\ndata: [DONE]\n\n\r\n", b"0\r\n\r\n"])


def message_ends(chunks: int) -> bytes:
    """How a stream of Anthropic's ends."""
    stopped = {"stop_reason": "end_turn", "stop_sequence": None}
    parts = [
        said("content_block_stop", index=0),
        said("message_delta", delta=stopped, usage={"output_tokens": chunks}),
        said("message_stop"),
    ]
    return b"".join([*parts, b"0\r\n\r\n"])


class Rhythm:
    """All streams of one rate on one timer: a ring of buckets, each of which is written once a period."""

    def __init__(self, rate: float, loop: asyncio.AbstractEventLoop) -> None:
        self.period = 1 / rate
        self.loop = loop
        self.buckets: list[set[Connection]] = [set() for _ in range(BUCKETS)]
        self.at = 0
        self.due = 0.0
        self.count = 0

    def join(self, connection: "Connection") -> None:
        """The next write to it is one period from now."""
        connection.bucket = self.buckets[self.at]
        connection.bucket.add(connection)
        self.count += 1
        if self.count == 1:
            self.due = self.loop.time() + self.period / BUCKETS
            self.loop.call_at(self.due, self.tick)

    def tick(self) -> None:
        """Write what is due; catch up if the loop was late."""
        now = self.loop.time()
        while self.due <= now:
            self.due += self.period / BUCKETS
            self.at = (self.at + 1) % BUCKETS
            bucket = self.buckets[self.at]
            ended = [one for one in bucket if one.next_chunk()]
            bucket.difference_update(ended)
            self.count -= len(ended)
        if self.count:
            self.loop.call_at(self.due, self.tick)


class Script:
    """What each model does, made once a name."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.acts: dict[bytes, Act] = {}
        self.rhythms: dict[float, Rhythm] = {}

    def act(self, model: bytes) -> Act:
        """What that model does."""
        act = self.acts.get(model)
        if act is None:
            act = self.make(model.decode())
            if len(self.acts) < MODELS_KEPT:
                self.acts[model] = act
        return act

    def make(self, model: str) -> Act:
        """Read the name. Errors: a name of no known shape is an ordinary model."""
        kind, *numbers = model.split("-")
        try:
            values = [float(number) for number in numbers]
        except ValueError:
            values = []
        if kind == "stream" and len(values) in (2, 3):
            size = int(values[2]) if len(values) == 3 else 5
            return self.streaming(int(values[0]), values[1], event(delta(prose(size))))
        if kind == "clock" and len(values) == 2:
            return self.streaming(int(values[0]), values[1], None)
        if kind == "claude" and len(values) == 2:
            ends = (message_ends(int(values[0])),) * 2
            return self.streaming(int(values[0]), values[1], MESSAGE_PIECE, MESSAGE_BEGINS, ends)
        if kind == "claude":
            return partial(_write, MESSAGE)
        if kind == "slow" and len(values) == 1:
            return partial(_slow, values[0] / 1000)
        if kind == "size" and len(values) == 1:
            return partial(_write, whole("x" * int(values[0])))
        if kind == "error" and len(values) == 1:
            return partial(_write, whole("scripted", int(values[0])))
        if kind == "reset":
            return _reset
        return partial(_write, EMBEDDING if "embedding" in model else REPLY)

    def streaming(
        self, chunks: int, rate: float, piece: bytes | None, begins: bytes = b"", ends: Tail | None = None
    ) -> Act:
        """An act that streams when asked to, at that rate.

        Shape: without a piece, chunks are stamped; `ends` are without usage and with it, OpenAI's if none are given.
        """
        rhythm = self.rhythms.get(rate)
        if rhythm is None:
            rhythm = self.rhythms[rate] = Rhythm(rate, self.loop)
        tails = ends or (tail(chunks, False), tail(chunks, True))

        def act(connection: Connection, body: bytes) -> None:
            if STREAM.search(body) is None:
                connection.transport.write(REPLY)
                return
            connection.transport.write(STREAM_HEAD + begins + (piece or stamped()))
            connection.begin(chunks - 1, piece, tails[USAGE.search(body) is not None])
            rhythm.join(connection)

        return act


def _write(reply: bytes, connection: "Connection", body: bytes) -> None:
    connection.transport.write(reply)


def _slow(delay_s: float, connection: "Connection", body: bytes) -> None:
    connection.loop.call_later(delay_s, connection.transport.write, REPLY)


def _reset(connection: "Connection", body: bytes) -> None:
    connection.transport.abort()


class Connection(asyncio.Protocol):
    """One client. Its requests are read by httptools and answered at their last byte."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.loop = script.loop
        self.bodies: list[bytes] = []
        self.parser = httptools.HttpRequestParser(self)
        self.bucket: set[Connection] | None = None
        self.left = 0
        self.piece: bytes | None = None
        self.tail = b""
        self.full = False
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's: a client is there."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Asyncio's: bytes came."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_body(self, data: bytes) -> None:
        """The parser's: a piece of the body. Of a long one the middle is let go: nothing is looked for there."""
        if len(self.bodies) < PIECES_KEPT:
            self.bodies.append(data)
        else:
            self.bodies[-1] = data

    def on_message_complete(self) -> None:
        """The parser's: the request is whole."""
        bodies = self.bodies
        body = bodies[0] if len(bodies) == 1 else b"".join(bodies)
        bodies.clear()
        found = MODEL.search(body)
        self.script.act(found[1] if found else b"")(self, body)

    def begin(self, chunks: int, piece: bytes | None, tail: bytes) -> None:
        """A stream with that much still to send."""
        self.left, self.piece, self.tail = chunks, piece, tail

    def next_chunk(self) -> bool:
        """Write what is due. Shape: whether the stream is over."""
        if self.gone:
            return True
        if self.full:
            return False
        if self.left > 0:
            self.left -= 1
            self.transport.write(self.piece or stamped())
            return False
        self.transport.write(self.tail)
        return True

    def pause_writing(self) -> None:
        """Asyncio's: the client does not read."""
        self.full = True

    def resume_writing(self) -> None:
        """Asyncio's: it reads again."""
        self.full = False

    def connection_lost(self, error: Exception | None) -> None:
        """Asyncio's: the client is gone."""
        self.gone = True


async def serve(port: int, context: ssl.SSLContext | None) -> None:
    """Answer until SIGTERM or SIGINT; the port is printed once it listens."""
    loop = asyncio.get_running_loop()
    script = Script(loop)
    server = await loop.create_server(
        lambda: Connection(script), "127.0.0.1", port, ssl=context, backlog=4096
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()


def make_certificates(folder: str) -> None:
    """A throw-away authority, and a certificate of it for 127.0.0.1: `ca.pem` and `server.pem` in that folder."""
    import trustme  # house: imports - only runs with TLS need it

    authority = trustme.CA()
    authority.cert_pem.write_to_path(f"{folder}/ca.pem")
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(
        f"{folder}/server.pem"
    )


@click.command()
@click.option("--port", default=0, help="Port to listen on; 0 takes a free one and prints it.")
@click.option("--tls", default=None, type=click.Path(exists=True), help="Folder that holds server.pem.")
def main(port: int, tls: str | None) -> None:
    """Stand in for a provider of chat completions."""
    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(f"{tls}/server.pem")
    uvloop.run(serve(port, context))


if __name__ == "__main__":
    main()

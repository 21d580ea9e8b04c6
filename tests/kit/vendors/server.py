"""What every vendor's fake has in common: a real HTTP/1.1 server on a free port, and a record of what it was asked.

The scenario is the model's name: `plain`, `tools`, ... (`SCENARIOS`), so that every dialect is asked for the same.
"""

import json
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

SCENARIOS = (
    "plain",
    "tools",
    "schema",
    "thinking",
    "refusal",
    "length",
    "error-400",
    "error-429",
    "error-500",
)
TEXT = "Hello, wörld."
"""What `plain` answers, in three pieces where it is streamed."""
PIECES = ("Hello", ", wör", "ld.")
CALLS = (("get_weather", {"city": "Paris"}), ("get_time", {"zone": "Europe/Paris", "hours": [1, 2]}))
"""What `tools` asks for, in parallel, streamed in pieces of the arguments' JSON."""
OBJECT = {"name": "Ada", "age": 36}
"""What `schema` answers, as JSON text."""
THOUGHT = "Let me think."
SIGNATURE = "c2lnbmF0dXJl"
"""What `thinking` thinks before it answers TEXT, and the vendor's seal on it where there is one."""
INPUT, CACHED, OUTPUT, REASONING = 21, 5, 9, 4
"""The usage of every answer; cached is a part of input, and reasoning of output where `thinking` is asked."""


@dataclass
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: Any
    raw: bytes = b""
    method: str = "POST"


@dataclass
class Answer:
    """What to answer. Shape: `pieces` are sent one chunk each; one that is cut ends without its last chunk."""

    status: int
    content_type: str
    pieces: Iterable[bytes]
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


class _Server(ThreadingHTTPServer):
    """A server that says nothing of clients who leave early."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class VendorServer:
    """A vendor's fake: `with VendorServer(answer) as server:`; `answer` is called with every request.

    Shape: `url` is without a path; `asked` has every request that came whole, the newest last.
    """

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                raw = self.rfile.read(size)
                if len(raw) < size:
                    # Whoever leaves in the middle of it has asked for nothing.
                    self.close_connection = True
                    return
                try:
                    body = json.loads(raw)
                except ValueError:
                    body = None
                headers = {k.lower(): v for k, v in self.headers.items()}
                asked = Asked(self.path, headers, body, raw, self.command)
                outer.asked.append(asked)
                self._send(outer.answer(asked))

            do_GET = do_PUT = do_PATCH = do_DELETE = do_POST

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                self.send_header("content-type", answer.content_type)
                self.send_header("transfer-encoding", "chunked")
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for piece in answer.pieces:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    self.wfile.flush()
                if answer.cut:
                    self.close_connection = True
                else:
                    self.wfile.write(b"0\r\n\r\n")

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing is written."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def sse(*events: Any, named: bool = False) -> list[bytes]:
    """Events as pieces of a stream: each a JSON value; `named` writes its `type` as the event's name."""
    return [
        (f"event: {event['type']}\n" if named else "").encode()
        + b"data: "
        + (event.encode() if isinstance(event, str) else json.dumps(event).encode())
        + b"\n\n"
        for event in events
    ]

"""Huge prompts back to back on one connection, from a process of its own so that it delays no other client.

Run as `python -m bench.huge PORT PATH KEY`; writes one dot to standard error for each prompt answered.
"""

import json
import socket
import sys

from bench.client import request
from bench.load import PROMPT
from bench.target import HUGE_MODEL, Target

HUGE_BYTES = 10_000_000


def message(port: int, path: str, key: str) -> bytes:
    """The call as bytes."""
    content = (PROMPT + " ") * (HUGE_BYTES // len(PROMPT))
    body = json.dumps({"model": HUGE_MODEL, "messages": [{"role": "user", "content": content}]})
    return request(Target("huge", port, key, path=path), body.encode())


def main(port: int, path: str, key: str) -> None:
    """Send until it is ended. Errors: SystemExit at the first answer that is not 200."""
    data = message(port, path, key)
    with socket.create_connection(("127.0.0.1", port)) as one, one.makefile("rb") as replies:
        while True:
            one.sendall(data)
            if not replies.readline().startswith(b"HTTP/1.1 200"):
                raise SystemExit("refused")
            length = 0
            while (line := replies.readline().lower()) not in (b"\r\n", b""):
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            replies.read(length)
            sys.stderr.write(".")
            sys.stderr.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])

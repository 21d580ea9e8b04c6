"""A clerk for tests: says who it is, beats, and stops when told."""

import json
import os
import select
import signal
import socket
import sys

from kpgate.app.channel import Channel, Message


def say(event: str) -> None:
    os.write(2, json.dumps({"event": event, "pid": os.getpid()}).encode() + b"\n")


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    say("clerk")
    while True:
        select.select([channel], [], [], 0.5)
        messages = channel.receive()
        if messages is None or any(message.do == "stop" for message in messages):
            break
        channel.send(Message(did="beat"))
    say("clerk_stopped")


if __name__ == "__main__":
    main()

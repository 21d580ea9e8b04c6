"""The demo's welcome: a key, and a line to paste."""

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from kpgate.app.control import new_id, new_random
from kpgate.app.directory import Directory
from kpgate.app.echo_model import NAME
from kpgate.app.node import Node
from kpgate.app.reach import reach
from kpgate.domain.errors import NotFound
from kpgate.domain.limits import Limits
from kpgate.domain.management import CreateKey, SetParty
from kpgate.domain.money import Movement, Transfer
from kpgate.domain.secret import Secret

PARTY = "demo"
LIMITS = Limits(requests="600/min", tokens="1000000/min", concurrency=64)


CREDIT = Movement(kind="grant", party=PARTY, amount=1_000_000_000, memo="for trying it out")
CREDIT_ID = "demo-credit"


def greet(node: Node, url: str) -> None:
    """Make a key unless there is one from last time, and say what to do with it."""
    path = node.data / "demo.key"
    key = path.read_text().strip() if path.exists() else make_key(node.data, path)
    line = (
        f"curl {url}/v1/chat/completions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' "
        f"""-d '{{"model": "{NAME}", "messages": [{{"role": "user", "content": "Hello, kpgate"}}]}}'"""
    )
    if sys.stdout.isatty():
        print(f"\nThe demo key is {key}\nTry:\n\n  {line}\n", flush=True)
    else:
        print(msgspec.json.encode({"demo_key": key, "try": line}).decode(), flush=True)


def make_key(data: Path, path: Path) -> str:
    """A key of the demo party, kept in a file that only its owner can read."""
    with reach(Directory(data)) as ask:
        ask(SetParty(id=new_id(), party=PARTY, limits=LIMITS))
        with suppress(NotFound):
            # Where credits are off there is nobody to ask.
            ask(Transfer(id=CREDIT_ID, movements=(CREDIT,)))
        answer = ask(CreateKey(id=new_id(), party=PARTY, label="made by --demo", random=Secret(new_random())))
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{answer['key']}\n")
    fresh.rename(path)
    return str(answer["key"])

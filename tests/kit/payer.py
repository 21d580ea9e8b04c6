"""Who pays for calls in tests: a funded party of its own, and what it has paid."""

import http.client
import json
import os
from typing import Any

import openai

from tests.kit.gateway_process import until
from tests.kit.whole import Whole

FUNDS = 10**9


class Payer:
    """A funded party of its own, and what it has paid."""

    count = 0

    def __init__(self, gate: Whole, funds: int = FUNDS) -> None:
        Payer.count += 1
        self.gate = gate
        self.name = f"party-{os.getpid()}-{Payer.count}"
        self.key = gate.key(self.name)
        self.funds = funds
        if funds:
            gate.fund(self.name, funds)

    def paid(self) -> int:
        """Once nothing is held any more."""
        until(lambda: self.gate.balance(self.name)["held_microkpt"] == 0)
        return self.funds - int(self.gate.balance(self.name)["balance_microkpt"])

    def record(self) -> dict[str, Any]:
        """The one record of its one call, once that is written."""
        until(lambda: any(one.get("party") == self.name for one in self.gate.records()))
        self.gate.settled()
        (found,) = [one for one in self.gate.records() if one.get("party") == self.name]
        return found

    def paid_for(self, words: int, prompt: int, price: int, held: int) -> bool:
        """Whether it paid its prompt and what was sent on, no more than was held.

        Units: `prompt` microKPT, `price` a token. A space where the count of a piece ends may be a token of its own.
        """
        paid = self.paid()
        return words > 0 and words <= (paid - prompt) / price <= words * 1.2 and paid <= held

    def receipt(self, call: str) -> bytes:
        """A receipt of its own, as it comes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gate.port, timeout=20)
        try:
            connection.request(
                "GET", f"/kp/v1/receipts/{call}", headers={"authorization": f"Bearer {self.key}"}
            )
            reply = connection.getresponse()
            assert reply.status == 200, reply.status
            return reply.read()
        finally:
            connection.close()

    def client(self) -> openai.OpenAI:
        """OpenAI's own client, which tries once."""
        base_url = f"http://127.0.0.1:{self.gate.port}/v1"
        return openai.OpenAI(base_url=base_url, api_key=self.key, max_retries=0, timeout=20)

    def send(self, **more: Any) -> Any:
        """A call on a connection of its own that nobody reads yet."""
        return self.post(
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": "hello"}]} | more,
        )

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """A call of any dialect's on a connection of its own that nobody reads yet."""
        sent = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.key}\r\n"
        return self.gate.open(head.encode() + b"content-length: %d\r\n\r\n" % len(sent) + sent)


def read_until(connection: Any, wanted: bytes) -> bytes:
    """What comes, up to something that is looked for."""
    got = b""
    while wanted not in got:
        piece = connection.recv(65536)
        assert piece, got
        got += piece
    return got

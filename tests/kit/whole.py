"""The whole gateway for tests: real processes, a real clerk, keys, and a scripted provider behind it."""

import asyncio
import http.client
import json
import os
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import trustme

from kpgate.app.control import Ask, new_id, new_random
from kpgate.app.directory import Directory
from kpgate.app.reach import reach
from kpgate.domain.limits import UNLIMITED, Limits
from kpgate.domain.management import CreateKey, RevokeKey, SetParty, build
from kpgate.domain.money import Movement, ShowBalance, Transfer
from tests.kit.equipment import full
from tests.kit.gateway_process import GatewayProcess, until
from tests.kit.provider import Provider
from tests.kit.vocabularies import lend

T = TypeVar("T")
CLERK = "kpgate.app.clerk_child"
SECRET = "sk-upstream-canary"
ONE = "workers = 1"


class Background:
    """A provider on a loop in a thread of its own, for tests that block."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.loop = asyncio.new_event_loop()
        self.tls = tls is not None
        self.provider = Provider(tls)
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the provider's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call something on the provider's loop."""

        async def work() -> Any:
            return function(*arguments, **named)

        return self.run(work())

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self.run(self.provider.__aenter__())

    def stop(self) -> None:
        """Stop, and wait for the loop."""
        self.run(self.provider.__aexit__(None, None, None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(20)
        self.loop.close()


class Whole(GatewayProcess):
    """A gateway as operators run it.

    Shape: `settings` is TOML beside the provider `p` and the model `m`, `server` of `[server]`: one worker, where a
    test asks for no more; an `authority` makes `p` speak TLS.
    """

    def __init__(
        self,
        folder: Path,
        settings: str = "",
        *,
        model: str = "",
        server: str = ONE,
        transport: str = "granian",
        authority: trustme.CA | None = None,
    ) -> None:
        context = None
        if authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.background = Background(context)
        self.background.start()
        os.environ["KPGATE_TEST_UPSTREAM"] = SECRET
        self.directory = Directory(folder / "data")
        super().__init__(
            folder, self.text(settings, model, server), builder="", clerk=CLERK, transport=transport
        )

    def text(self, settings: str = "", model: str = "", server: str = ONE) -> str:
        """A configuration file."""
        # Where credits are spent, every model has a price.
        price = "price = { input = 2.5, output = 10 }" if "[ledger]" in settings else ""
        provider = f'ca = "{self.directory.root.parent}/ca.pem"' if self.background.tls else ""
        return f"""
[server]
port = 0
drain_ready_s = 0.2
{server}
[[providers]]
name = "p"
base_url = "{self.background.provider.url}/v1"
api_key = "env:KPGATE_TEST_UPSTREAM"
{provider}
[[providers]]
name = "e"
dialect = "echo"
[[models]]
name = "m"
deployments = [{{provider = "p", model = "up"}}]
{price}
{model}
[[models]]
name = "echo"
deployments = [{{provider = "e", model = "echo"}}]
{price}
{settings}
"""

    @property
    def provider(self) -> Provider:
        """The provider behind it."""
        return self.background.provider

    def script(self, *steps: Any) -> None:
        """What the provider answers next."""
        self.background.call(self.provider.script, *steps)

    def __enter__(self) -> Self:
        lend(self.directory.root / "cache")
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.background.stop()

    @contextmanager
    def desk(self) -> Iterator[Ask]:
        """Management, as the command line does it."""
        with reach(self.directory) as ask:
            yield ask

    def key(self, party: str = "testers", limits: Limits = UNLIMITED, **more: Any) -> str:
        """A new key's secret."""
        fields = {"id": new_id(), "party": party, "random": new_random(), "limits": limits, **more}
        with self.desk() as ask:
            return str(ask(build(CreateKey, fields))["key"])

    def revoke(self, secret: str) -> None:
        """Revoke the key that a secret is of."""
        with self.desk() as ask:
            ask(RevokeKey(id=new_id(), key=secret.split("-")[2]))

    def token(self, secret: str, cap: int, **more: Any) -> str:
        """A party token that a key has signed. Units: microKPT."""
        status, _, said = self.post(
            "/kp/v1/tokens", secret, json.dumps({"cap_microkpt": cap, **more}).encode()
        )
        assert status == 201, said
        return str(said["token"])

    def party(self, name: str, limits: Limits) -> None:
        """Set a party's limits."""
        with self.desk() as ask:
            ask(SetParty(id=new_id(), party=name, limits=limits))

    def fund(self, party: str, amount: int) -> None:
        """Give a party credit. Units: microKPT."""
        with self.desk() as ask:
            ask(Transfer(id=new_id(), movements=(Movement(kind="top_up", party=party, amount=amount),)))

    def balance(self, party: str) -> dict[str, Any]:
        """What a party has."""
        with self.desk() as ask:
            return ask(ShowBalance(id=new_id(), party=party))

    def chat(self, secret: str, model: str = "m", **more: Any) -> tuple[int, dict[str, str], dict[str, Any]]:
        """One chat call: status, headers, body."""
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}]} | more
        return self.post("/v1/chat/completions", secret, json.dumps(body).encode())

    def post(self, path: str, secret: str, body: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
        """One POST on a connection of its own."""

        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", path, body, {"authorization": f"Bearer {secret}"})
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), json.loads(reply.read())
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The sum of a metric over all its labels."""
        lines = self.get("/metrics")[1].decode().splitlines()
        return sum(
            float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name
        )

    def records(self) -> list[dict[str, Any]]:
        """The request log so far."""
        return [full(said) for said in self.said if "end" in said]

    def is_quiet(self) -> bool:
        """Whether no call is under way any more."""
        return self.metric("kpgate_inflight") == 0

    def settled(self) -> None:
        """Wait until no call is under way."""
        until(self.is_quiet)


def pid_of(gate: Whole, seat: int) -> int:
    path = gate.directory.run / f"{seat}.life"
    return int(path.read_text() or 0) if path.exists() else 0

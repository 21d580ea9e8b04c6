"""Closed-loop load by wrk: a fixed number of connections, each with one call open. Reads what wrk prints.

Knows no target, only an address and a key. A run with one answer outside 200-299, or one socket error, is a failure.
"""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import load_core, pinned, target_core

CONNECTIONS = 64
PROMPT = (
    "Explain to somebody who has never seen the sea why the sky is blue at noon and red in the evening, what the air "
    "does to the light, and why the clouds are white all the same. Use short sentences, one example from daily life, "
    "no formulas, and end with one question that a curious child would ask next."
)
SDK = {
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
    "accept-language": "en-US,en;q=0.9",
    "openai-organization": "org-0123456789abcdef",
    "openai-project": "proj_0123456789abcdef",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "user-agent": "OpenAI/Python 2.8.1",
    "x-stainless-arch": "x64",
    "x-stainless-async": "false",
    "x-stainless-lang": "python",
    "x-stainless-os": "Linux",
    "x-stainless-package-version": "2.8.1",
    "x-stainless-read-timeout": "600",
    "x-stainless-retry-count": "0",
    "x-stainless-runtime": "CPython",
    "x-stainless-runtime-version": "3.11.2",
}
SCALES = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Failed(Exception):
    """A run whose figures must not be used."""


@dataclass(frozen=True)
class Run:
    """What a run came to. Units: calls a second; milliseconds; CPU seconds of the target, 0 where it is unknown."""

    calls_per_s: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    calls: int
    non_2xx: int = 0
    socket_errors: int = 0
    cpu_s: float = 0.0
    busy: float = 0.0

    @property
    def calls_per_cpu_s(self) -> float:
        """Calls for each second of CPU that the target used."""
        return self.calls / self.cpu_s if self.cpu_s else 0.0


def of_a_second(rounds: int, seconds: float) -> int:
    """How many rounds of a second are made in place of rounds that long: twice the time, for figures close together."""
    return round(2 * rounds * seconds)


def chat(model: str = "gpt-4o-mini") -> bytes:
    """A chat request of half a kilobyte."""
    system = {"role": "system", "content": "You are a helpful assistant."}
    value = {"model": model, "messages": [system, {"role": "user", "content": PROMPT}], "max_tokens": 64}
    return json.dumps(value).encode()


AS_ANYBODY = """
local asked = {}
init = function(args)
    for number, key in ipairs(keys) do
        wrk.headers["authorization"] = "Bearer " .. key
        asked[number] = wrk.format()
    end
end
request = function() return asked[math.random(#asked)] end
"""


def script(body: bytes, headers: dict[str, str], keys: Sequence[str] = ()) -> str:
    """A wrk script that posts that body with those headers, each time with one of the keys if there are any."""
    lines = ['wrk.method = "POST"', f"wrk.body = {quoted(body.decode())}"]
    lines += [f"wrk.headers[{quoted(name)}] = {quoted(value)}" for name, value in headers.items()]
    if keys:
        lines += [f"keys = {{{', '.join(map(quoted, keys))}}}", AS_ANYBODY]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A Lua string. Errors: an assert for a line break, which these texts never have."""
    assert "\n" not in text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def headers_of(key: str, sdk: bool) -> dict[str, str]:
    """What a caller sends: with the official client's headers it is 18 of them, Host and length beside."""
    return {"authorization": f"Bearer {key}", "content-type": "application/json"} | (SDK if sdk else {})


def read(text: str) -> Run:
    """What wrk printed. Errors: Failed if it is not a whole report."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    total = re.search(r"(\d+) requests in", text)
    shares = {share: _ms(value) for share, value in re.findall(r"^\s+(\d+)%\s+(\S+)\s*$", text, re.M)}
    if not rate or not total or not {"50", "90", "99"} <= shares.keys():
        raise Failed(f"wrk gave no figures: {text[:400]}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return Run(
        calls_per_s=float(rate[1]),
        p50_ms=shares["50"],
        p90_ms=shares["90"],
        p99_ms=shares["99"],
        calls=int(total[1]),
        non_2xx=int(bad[1]) if bad else 0,
        socket_errors=sum(map(int, errors.groups())) if errors else 0,
    )


def _ms(text: str) -> float:
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if not found:
        raise Failed(f"not a time: {text}")
    return float(found[1]) * SCALES[found[2]]


def load(
    url: str,
    key: str,
    seconds: float,
    *,
    sdk: bool = False,
    body: bytes = b"",
    connections: int = CONNECTIONS,
    keys: Sequence[str] = (),
    beside: bool = False,
) -> Run:
    """Load an address for that long. Shape: each call with one of `keys`, drawn at random, if there are any; `beside`
    what is loaded, on its core.

    Errors: Failed if wrk is missing or one call did not succeed.
    """
    if shutil.which("wrk") is None:
        raise Failed("wrk is not installed (apt-get install wrk)")
    with tempfile.TemporaryDirectory() as folder:
        lua = Path(folder, "load.lua")
        lua.write_text(script(body or chat(), headers_of(key, sdk), keys))
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            "--latency",
            "-s",
            str(lua),
            url,
        ]
        command = pinned(command, target_core() if beside else load_core())
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    run = read(done.stdout or done.stderr)
    if run.non_2xx or run.socket_errors:
        raise Failed(f"{url}: {run.non_2xx} answers outside 200-299, {run.socket_errors} socket errors")
    return run

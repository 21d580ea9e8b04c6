"""Clients from npm, in one process of Node's: what each hands to its caller comes back as JSON and is judged here.

How a client is asked stands in `npm/*.js`, which judges nothing; what is expected stands here, and knows no client but
by what its answers are called.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.kit.callers.common import (
    HELLO,
    PERSON,
    PICTURE,
    RESULTS,
    SYSTEM,
    TIME,
    WEATHER,
    hold_refusal,
    hold_schema,
)
from tests.kit.vendors.server import CACHED, CALLS, INPUT, OBJECT, OUTPUT, SCENARIOS, TEXT

FOLDER = Path(__file__).with_name("npm")
NEEDED = "the clients from npm want Node 18.17 or later and npm (Debian: `apt install nodejs npm`)"
SAID = {
    "hello": HELLO,
    "system": SYSTEM,
    "picture": PICTURE,
    "results": RESULTS,
    "person": PERSON,
    "tools": [
        {"name": name, "description": "Tells.", "parameters": shape}
        for (name, _), shape in zip(CALLS, (WEATHER, TIME), strict=True)
    ],
}
USED = {"input": INPUT, "output": OUTPUT, "total": INPUT + OUTPUT, "cached": CACHED}

Json = dict[str, Any]


class Node:
    """The process. It is started once something is asked, and answers one line after the other."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.communicate(timeout=20)

    def start(self) -> subprocess.Popen[str]:
        """Start it. Errors: an AssertionError says what the machine has to have."""
        node = shutil.which("node")
        assert node is not None, f"{NEEDED}; there is no `node`"
        assert (FOLDER / "node_modules" / ".kpgate-setup").exists(), f"{NEEDED}; `make npm` installs them"
        self._process = subprocess.Popen(
            [node, str(FOLDER / "main.js")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self._process

    def ask(self, **asked: Any) -> Any:
        """What the client found. Errors: an AssertionError with what was thrown, and where."""
        process = self._process or self.start()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"Node ended with {process.wait(20)}"
        answer = json.loads(line)
        assert "failed" not in answer, answer["failed"]
        return answer["found"]


@dataclass(frozen=True)
class Words:
    """What a client calls what comes of a call.

    Shape: `errors` are the classes for 400, 429 and 500; `body` are the fields of an error's body.
    """

    stop: str
    length: str
    calls: str
    errors: tuple[str, str, str]
    body: frozenset[str]


OPENAI_ERRORS = ("BadRequestError", "RateLimitError", "InternalServerError")
OPENAI_BODY = frozenset(("message", "type", "param", "code"))
AI_ERRORS = ("AI_APICallError",) * 3
WORDS = {
    "openai-chat": Words("stop", "length", "tool_calls", OPENAI_ERRORS, OPENAI_BODY),
    "openai-responses": Words("completed", "max_output_tokens", "completed", OPENAI_ERRORS, OPENAI_BODY),
    "ai-chat": Words("stop", "length", "tool-calls", AI_ERRORS, OPENAI_BODY),
    "ai-responses": Words("stop", "length", "tool-calls", AI_ERRORS, OPENAI_BODY),
    "ai-anthropic": Words("stop", "length", "tool-calls", AI_ERRORS, frozenset(("type", "message"))),
    "ai-google": Words("stop", "length", "tool-calls", AI_ERRORS, frozenset(("code", "message", "status"))),
}


class NpmClient:
    """One of `WORDS`, as the other callers are."""

    def __init__(self, node: Node, name: str, url: str, key: str, got: Callable[[], bytes]) -> None:
        self.node = node
        self.name = name
        self.words = WORDS[name]
        self.url, self.key = url, key
        self.got = got

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Its connections end with the process."""

    def ask(self, ask: str, model: Callable[[str], str]) -> Any:
        """What the client found. Shape: `ask` is a method of its class there."""
        models = {scenario: model(scenario) for scenario in SCENARIOS}
        return self.node.ask(client=self.name, ask=ask, url=self.url, key=self.key, models=models, said=SAID)

    def whole(self, model: Callable[[str], str]) -> None:
        found = self.ask("whole", model)
        words = self.words
        assert found == {"text": TEXT, "finish": words.stop, "usage": USED, "short": words.length}

    def stream(self, model: Callable[[str], str]) -> None:
        found = self.ask("stream", model)
        pieces = found.pop("pieces")
        assert "".join(pieces) == TEXT and len(pieces) == 3, "event by event"
        numbers = found.pop("numbers", [])
        assert numbers == list(range(len(numbers)))
        assert found == {"text": TEXT, "finish": self.words.stop, "usage": USED}
        assert SYSTEM.encode() in self.got()

    def tools(self, model: Callable[[str], str]) -> None:
        found = self.ask("tools", model)
        for kind in ("whole", "streamed"):
            calls = found[kind]["calls"]
            assert [(call["name"], call["arguments"]) for call in calls] == list(CALLS)
            assert len({call["id"] for call in calls}) == 2 and all(call["id"] for call in calls)
            assert found[kind]["finish"] == self.words.calls
        assert found["text"] == TEXT
        assert all(result.encode() in self.got() for result in RESULTS)

    def image(self, model: Callable[[str], str]) -> None:
        assert self.ask("image", model) == {"text": TEXT}
        assert PICTURE.encode() in self.got()

    def schema(self, model: Callable[[str], str]) -> None:
        found = self.ask("schema", model)
        assert found["object"] == OBJECT and found.get("streamed", OBJECT) == OBJECT
        hold_schema(self.got())

    def error(self, model: Callable[[str], str]) -> None:
        found = self.ask("error", model)
        expected = [kind for kind in self.words.errors for _ in ("whole", "streamed")]
        assert [error["kind"] for error in found] == expected
        for error, status in zip(found, (400, 400, 429, 429, 500, 500), strict=True):
            assert error["status"] == status or status == 500 <= error["status"]
            body: Json = error["body"].get("error", error["body"])
            assert body["message"] in error["message"]
            hold_refusal(status, body["message"])
            assert self.words.body <= set(body)

"""The official Anthropic client."""

import json
from collections.abc import Callable
from typing import Any, Self

import anthropic
import pytest

from tests.kit.callers.common import (
    HELLO,
    LINK,
    PERSON,
    PICTURE,
    RESULTS,
    SYSTEM,
    TIME,
    WEATHER,
    hold_refusal,
    hold_schema,
)
from tests.kit.vendors.server import CACHED, CALLS, INPUT, OBJECT, OUTPUT, TEXT

TOOLS: Any = [
    {"name": name, "description": "Tells.", "input_schema": shape}
    for (name, _), shape in zip(CALLS, (WEATHER, TIME), strict=True)
]
ASKED: Any = [{"role": "user", "content": HELLO}]


class AnthropicMessages:
    """`client.messages`."""

    def __init__(self, url: str, key: str, got: Callable[[], bytes]) -> None:
        self.client: Any = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)
        self.got = got

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def create(self, **asked: Any) -> Any:
        return self.client.messages.create(**{"messages": ASKED, "max_tokens": 1000} | asked)

    def whole(self, model: Callable[[str], str]) -> None:
        reply = self.create(model=model("plain"), system=SYSTEM)
        assert "".join(block.text for block in reply.content) == TEXT
        assert (reply.stop_reason, reply.role, reply.type) == ("end_turn", "assistant", "message")
        self._check_usage(reply.usage)
        assert SYSTEM.encode() in self.got()
        assert self.create(model=model("length")).stop_reason == "max_tokens"

    def _check_usage(self, usage: Any) -> None:
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        assert (usage.input_tokens + cached, usage.output_tokens) == (INPUT, OUTPUT)
        assert usage.cache_read_input_tokens == CACHED

    def stream(self, model: Callable[[str], str]) -> None:
        with self.client.messages.stream(
            model=model("plain"), system=SYSTEM, messages=ASKED, max_tokens=1000
        ) as stream:
            spoken = list(stream.text_stream)
            final = stream.get_final_message()
        assert "".join(spoken) == TEXT and len(spoken) == 3, "event by event"
        assert final.stop_reason == "end_turn"
        self._check_usage(final.usage)

    def tools(self, model: Callable[[str], str]) -> None:
        ask: Any = {"model": model("tools"), "tools": TOOLS, "tool_choice": {"type": "auto"}}
        reply = self.create(**ask)
        with self.client.messages.stream(messages=ASKED, max_tokens=1000, **ask) as stream:
            streamed = stream.get_final_message()
        for found in (reply, streamed):
            calls = [block for block in found.content if block.type == "tool_use"]
            assert [(call.name, call.input) for call in calls] == list(CALLS)
            assert found.stop_reason == "tool_use" and len({call.id for call in calls}) == 2
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": result}
            for call, result in zip(calls, RESULTS, strict=True)
        ]
        said = [block.model_dump(exclude_none=True) for block in streamed.content]
        asked = [*ASKED, {"role": "assistant", "content": said}, {"role": "user", "content": results}]
        again = self.create(model=model("plain"), messages=asked, tools=TOOLS)
        assert again.content[0].text == TEXT
        assert all(result.encode() in self.got() for result in RESULTS)

    def image(self, model: Callable[[str], str]) -> None:
        source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
        content = [{"type": "image", "source": source}, {"type": "text", "text": HELLO}]
        reply = self.create(model=model("plain"), messages=[{"role": "user", "content": content}])
        assert reply.content[0].text == TEXT
        assert PICTURE.encode() in self.got()

    def link(self, model: Callable[[str], str]) -> None:
        content = [{"type": "image", "source": {"type": "url", "url": LINK}}]
        reply = self.create(model=model("plain"), messages=[{"role": "user", "content": content}])
        assert reply.content[0].text == TEXT
        assert LINK.encode() in self.got()

    def schema(self, model: Callable[[str], str]) -> None:
        wanted = {"format": {"type": "json_schema", "schema": PERSON}}
        reply = self.create(model=model("schema"), output_config=wanted)
        assert json.loads(reply.content[0].text) == OBJECT
        hold_schema(self.got())

    def error(self, model: Callable[[str], str]) -> None:
        for scenario, kind in (
            ("error-400", anthropic.BadRequestError),
            ("error-429", anthropic.RateLimitError),
            ("error-500", anthropic.InternalServerError),
        ):
            for stream in (False, True):
                with pytest.raises(kind) as caught:
                    self.create(model=model(scenario), stream=stream)
                body: Any = caught.value.body
                assert body["type"] == "error"
                hold_refusal(int(scenario[-3:]), body["error"]["message"])

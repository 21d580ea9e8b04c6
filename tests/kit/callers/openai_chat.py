"""The official OpenAI client asking for chat completions."""

import json
from collections.abc import Callable
from typing import Any, Self

import openai
import pytest

from tests.kit.callers.common import (
    ERRORS,
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
    {"type": "function", "function": {"name": name, "description": "Tells.", "parameters": shape}}
    for (name, _), shape in zip(CALLS, (WEATHER, TIME), strict=True)
]
ASKED: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": HELLO}]


class OpenAIChat:
    """`client.chat.completions`."""

    def __init__(self, url: str, key: str, got: Callable[[], bytes]) -> None:
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        self.create: Any = self.client.chat.completions.create
        self.got = got

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def whole(self, model: Callable[[str], str]) -> None:
        reply = self.create(model=model("plain"), messages=ASKED, max_completion_tokens=100)
        assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == (TEXT, "stop")
        assert reply.object == "chat.completion" and reply.id
        self._check_usage(reply.usage)
        assert SYSTEM.encode() in self.got()
        assert self.create(model=model("length"), messages=ASKED).choices[0].finish_reason == "length"

    def _check_usage(self, usage: Any) -> None:
        assert (usage.prompt_tokens, usage.completion_tokens) == (INPUT, OUTPUT)
        assert usage.total_tokens == INPUT + OUTPUT and usage.prompt_tokens_details.cached_tokens == CACHED

    def stream(self, model: Callable[[str], str]) -> None:
        options = {"include_usage": True}
        chunks = list(self.create(model=model("plain"), messages=ASKED, stream=True, stream_options=options))
        *told, last = [chunk for chunk in chunks if chunk.id]
        spoken = [chunk.choices[0].delta.content for chunk in told if chunk.choices[0].delta.content]
        assert "".join(spoken) == TEXT and len(spoken) == 3, "event by event"
        assert told[-1].choices[0].finish_reason == "stop" and len({chunk.id for chunk in told}) == 1
        assert not last.choices
        self._check_usage(last.usage)
        plain = list(self.create(model=model("plain"), messages=ASKED, stream=True))
        assert all(chunk.choices for chunk in plain if chunk.id), "Azure's first chunk has neither"

    def tools(self, model: Callable[[str], str]) -> None:
        ask: Any = {"model": model("tools"), "messages": ASKED, "tools": TOOLS, "tool_choice": "auto"}
        reply = self.create(**ask)
        assert reply.choices[0].finish_reason == "tool_calls"
        calls = [
            (call.id, call.function.name, call.function.arguments)
            for call in reply.choices[0].message.tool_calls
        ]
        streamed: dict[int, list[str]] = {}
        for chunk in self.create(**ask, stream=True):
            for delta in (chunk.choices and chunk.choices[0].delta.tool_calls) or ():
                call = streamed.setdefault(delta.index, ["", "", ""])
                call[0] += delta.id or ""
                call[1] += delta.function.name or ""
                call[2] += delta.function.arguments or ""
        for found in (calls, list(streamed.values())):
            assert [(name, json.loads(arguments)) for _, name, arguments in found] == list(CALLS)
            assert len({call_id for call_id, _, _ in found}) == 2 and all(found[0])
        results: Any = [
            {"role": "tool", "tool_call_id": call[0], "content": result}
            for call, result in zip(calls, RESULTS, strict=True)
        ]
        asked = [*ASKED, reply.choices[0].message.model_dump(exclude_none=True), *results]
        again = self.create(model=model("plain"), messages=asked, tools=TOOLS)
        assert again.choices[0].message.content == TEXT
        assert all(result.encode() in self.got() for result in RESULTS)

    def image(self, model: Callable[[str], str]) -> None:
        url = {"url": f"data:image/png;base64,{PICTURE}"}
        content = [{"type": "text", "text": HELLO}, {"type": "image_url", "image_url": url}]
        reply = self.create(model=model("plain"), messages=[{"role": "user", "content": content}])
        assert reply.choices[0].message.content == TEXT
        assert PICTURE.encode() in self.got()

    def link(self, model: Callable[[str], str]) -> None:
        content = [{"type": "text", "text": HELLO}, {"type": "image_url", "image_url": {"url": LINK}}]
        reply = self.create(model=model("plain"), messages=[{"role": "user", "content": content}])
        assert reply.choices[0].message.content == TEXT
        assert LINK.encode() in self.got()

    def schema(self, model: Callable[[str], str]) -> None:
        shape = {"name": "person", "schema": PERSON, "strict": True}
        wanted = {"type": "json_schema", "json_schema": shape}
        reply = self.create(model=model("schema"), messages=ASKED, response_format=wanted)
        assert json.loads(reply.choices[0].message.content) == OBJECT
        hold_schema(self.got())

    def error(self, model: Callable[[str], str]) -> None:
        for scenario, kind in (
            ("error-400", openai.BadRequestError),
            ("error-429", openai.RateLimitError),
            ("error-500", openai.InternalServerError),
        ):
            for stream in (False, True):
                with pytest.raises(kind) as caught:
                    self.create(model=model(scenario), messages=ASKED, stream=stream)
                body: Any = caught.value.body
                assert {"message", "type", "param", "code"} == set(body)
                hold_refusal(int(scenario[-3:]), body["message"])
                assert body["type"] == ERRORS[scenario]

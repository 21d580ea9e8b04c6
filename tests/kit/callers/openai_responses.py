"""The official OpenAI client asking the Responses API."""

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
    {"type": "function", "name": name, "description": "Tells.", "parameters": shape, "strict": False}
    for (name, _), shape in zip(CALLS, (WEATHER, TIME), strict=True)
]


class OpenAIResponses:
    """`client.responses`."""

    def __init__(self, url: str, key: str, got: Callable[[], bytes]) -> None:
        self.client: Any = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        self.create: Any = self.client.responses.create
        self.got = got

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def whole(self, model: Callable[[str], str]) -> None:
        reply = self.create(model=model("plain"), input=HELLO, instructions=SYSTEM, max_output_tokens=100)
        assert (reply.output_text, reply.status, reply.object) == (TEXT, "completed", "response")
        self._check_usage(reply.usage)
        assert SYSTEM.encode() in self.got()
        short = self.create(model=model("length"), input=HELLO)
        assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")

    def _check_usage(self, usage: Any) -> None:
        assert (usage.input_tokens, usage.output_tokens) == (INPUT, OUTPUT)
        assert usage.total_tokens == INPUT + OUTPUT and usage.input_tokens_details.cached_tokens == CACHED

    def stream(self, model: Callable[[str], str]) -> None:
        asked: Any = {"model": model("plain"), "input": HELLO, "instructions": SYSTEM}
        with self.client.responses.stream(**asked) as stream:
            events = list(stream)
            final = stream.get_final_response()
        spoken = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(spoken) == TEXT and len(spoken) == 3, "event by event"
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert (final.output_text, final.status) == (TEXT, "completed")
        self._check_usage(final.usage)

    def tools(self, model: Callable[[str], str]) -> None:
        asked: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": HELLO}]
        ask: Any = {"model": model("tools"), "input": asked, "tools": TOOLS, "tool_choice": "auto"}
        reply = self.create(**ask)
        with self.client.responses.stream(**ask) as stream:
            list(stream)
            streamed = stream.get_final_response()
        for found in (reply, streamed):
            calls: list[Any] = [item for item in found.output if item.type == "function_call"]
            assert [(call.name, json.loads(call.arguments)) for call in calls] == list(CALLS)
            assert len({call.call_id for call in calls}) == 2 and all(call.call_id for call in calls)
        results: Any = [
            {"type": "function_call_output", "call_id": call.call_id, "output": result}
            for call, result in zip(calls, RESULTS, strict=True)
        ]
        said = [item.model_dump(exclude_none=True) for item in reply.output]
        again = self.create(model=model("plain"), input=[*asked, *said, *results], tools=TOOLS)
        assert again.output_text == TEXT
        assert all(result.encode() in self.got() for result in RESULTS)

    def image(self, model: Callable[[str], str]) -> None:
        url = f"data:image/png;base64,{PICTURE}"
        content = [
            {"type": "input_text", "text": HELLO},
            {"type": "input_image", "image_url": url, "detail": "auto"},
        ]
        reply = self.create(model=model("plain"), input=[{"role": "user", "content": content}])
        assert reply.output_text == TEXT
        assert PICTURE.encode() in self.got()

    def link(self, model: Callable[[str], str]) -> None:
        content = [{"type": "input_image", "image_url": LINK, "detail": "auto"}]
        reply = self.create(model=model("plain"), input=[{"role": "user", "content": content}])
        assert reply.output_text == TEXT
        assert LINK.encode() in self.got()

    def schema(self, model: Callable[[str], str]) -> None:
        wanted = {"format": {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}}
        reply = self.create(model=model("schema"), input=HELLO, text=wanted)
        assert json.loads(reply.output_text) == OBJECT
        hold_schema(self.got())

    def error(self, model: Callable[[str], str]) -> None:
        for scenario, kind in (
            ("error-400", openai.BadRequestError),
            ("error-429", openai.RateLimitError),
            ("error-500", openai.InternalServerError),
        ):
            for stream in (False, True):
                with pytest.raises(kind) as caught:
                    self.create(model=model(scenario), input=HELLO, stream=stream)
                body: Any = caught.value.body
                assert {"message", "type", "param", "code"} == set(body)
                hold_refusal(int(scenario[-3:]), body["message"])
                assert body["type"] == ERRORS[scenario]

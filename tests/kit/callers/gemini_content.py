"""Google's own client, for the Gemini API."""

import json
from base64 import b64decode
from collections.abc import Callable
from typing import Any, Self

import pytest
from google import genai
from google.genai import errors, types

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

TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(name=name, description="Tells.", parameters_json_schema=shape)
            for (name, _), shape in zip(CALLS, (WEATHER, TIME), strict=True)
        ]
    )
]
BY_HAND = types.AutomaticFunctionCallingConfig(disable=True)


class GeminiContent:
    """`client.models`."""

    def __init__(self, url: str, key: str, got: Callable[[], bytes]) -> None:
        self.client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))
        self.got = got

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def create(self, model: str, contents: Any = HELLO, **config: Any) -> Any:
        asked = types.GenerateContentConfig(**config)
        return self.client.models.generate_content(model=model, contents=contents, config=asked)

    def whole(self, model: Callable[[str], str]) -> None:
        reply = self.create(model("plain"), system_instruction=SYSTEM, max_output_tokens=100)
        assert (reply.text, reply.candidates[0].finish_reason) == (TEXT, types.FinishReason.STOP)
        self._check_usage(reply.usage_metadata)
        assert SYSTEM.encode() in self.got()
        assert self.create(model("length")).candidates[0].finish_reason is types.FinishReason.MAX_TOKENS

    def _check_usage(self, usage: Any) -> None:
        assert (usage.prompt_token_count, usage.candidates_token_count) == (INPUT, OUTPUT)
        assert usage.cached_content_token_count == CACHED

    def stream(self, model: Callable[[str], str]) -> None:
        asked = types.GenerateContentConfig(system_instruction=SYSTEM)
        chunks = list(
            self.client.models.generate_content_stream(model=model("plain"), contents=HELLO, config=asked)
        )
        spoken = [chunk.text for chunk in chunks if chunk.text]
        assert "".join(spoken) == TEXT and len(spoken) == 3, "event by event"
        last: Any = chunks[-1]
        assert last.candidates[0].finish_reason is types.FinishReason.STOP
        self._check_usage(last.usage_metadata)

    def tools(self, model: Callable[[str], str]) -> None:
        config: Any = {"tools": TOOLS, "automatic_function_calling": BY_HAND}
        reply = self.create(model("tools"), **config)
        asked = types.GenerateContentConfig(**config)
        chunks = self.client.models.generate_content_stream(
            model=model("tools"), contents=HELLO, config=asked
        )
        streamed: list[Any] = [
            part for chunk in chunks for part in (chunk.candidates[0].content.parts or ())  # type: ignore[index,union-attr]
        ]  # fmt: skip
        whole = reply.candidates[0].content.parts
        for found in (whole, streamed):
            calls = [part.function_call for part in found if part.function_call]
            assert [(call.name, call.args) for call in calls] == list(CALLS)
        results = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=part.function_call.id, name=part.function_call.name, response={"output": result}
                )
            )
            for part, result in zip([part for part in whole if part.function_call], RESULTS, strict=True)
        ]
        contents = [types.UserContent(HELLO), types.ModelContent(whole), types.UserContent(results)]
        assert self.create(model("plain"), contents, **config).text == TEXT
        assert all(result.encode() in self.got() for result in RESULTS)

    def image(self, model: Callable[[str], str]) -> None:
        picture = types.Part.from_bytes(data=b64decode(PICTURE), mime_type="image/png")
        assert self.create(model("plain"), [HELLO, picture]).text == TEXT
        assert PICTURE.encode() in self.got()

    def link(self, model: Callable[[str], str]) -> None:
        part = types.Part.from_uri(file_uri=LINK, mime_type="image/png")
        reply = self.client.models.generate_content(model=model("plain"), contents=[part])
        assert reply.text == TEXT
        assert LINK.encode() in self.got()

    def schema(self, model: Callable[[str], str]) -> None:
        reply = self.create(
            model("schema"), response_mime_type="application/json", response_json_schema=PERSON
        )
        assert json.loads(reply.text) == OBJECT
        hold_schema(self.got())

    def error(self, model: Callable[[str], str]) -> None:
        for scenario, kind, status in (
            ("error-400", errors.ClientError, "INVALID_ARGUMENT"),
            ("error-429", errors.ClientError, "RESOURCE_EXHAUSTED"),
            ("error-500", errors.ServerError, "UNAVAILABLE"),
        ):
            with pytest.raises(kind) as caught:
                self.create(model(scenario))
            assert caught.value.status == status
            hold_refusal(int(scenario[-3:]), caught.value.message or "")
            with pytest.raises(kind) as streamed:
                list(self.client.models.generate_content_stream(model=model(scenario), contents=HELLO))
            assert streamed.value.status == status

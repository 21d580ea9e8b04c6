"""Answers proved against the schema that was asked for, by the vendors' own clients: valid, repaired, refused, left
alone; and what is charged for each. A fallback for what a filter took is charged once.

Prices are 2.5 and 10 dollars a million tokens: 250 and 1,000 microKPT a token.
"""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from kpgate.app.ways import ENDPOINTS, find
from kpgate.domain.routing import Output
from kpgate.domain.settings import Deployment, Model, Settings
from kpgate.domain.settings import Provider as Named
from tests.kit.equipment import bench
from tests.kit.exchange import FakeExchange
from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.loops import looped
from tests.kit.payer import Payer
from tests.kit.provider import Provider, answer, completion, silence
from tests.kit.whole import Whole

IN, OUT = 250, 1_000
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
GOOD = '{"name": "Ada", "age": 36}'
BAD = '{"name": "Ada", "age": "canary"}'
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
HELLO: Any = [{"role": "user", "content": "hello"}]
MODELS = """
[[models]]
name = "v"
deployments = [{provider = "p", model = "up"}]
price = { input = 2.5, output = 10 }
output = { validate = true }
output_tokens_max = 100
[[models]]
name = "r"
deployments = [{provider = "p", model = "up"}]
price = { input = 2.5, output = 10 }
output = { validate = true, repair = true }
output_tokens_max = 100
[[models]]
name = "few"
deployments = [{provider = "p", model = "up"}]
price = { input = 2.5, output = 10 }
output = { validate = true, repair = true }
output_tokens_max = 100
limits = { tokens = "200/h" }
[[models]]
name = "many"
deployments = [{provider = "p", model = "up", limits = { tokens = "1000/h", concurrency = 1, requests = "9/h" }}]
price = { input = 2.5, output = 10 }
output = { validate = true, repair = true }
output_tokens_max = 100
limits = { tokens = "2000/h", concurrency = 1, requests = "9/h" }
[[models]]
name = "t"
deployments = [{provider = "p", model = "up"}]
price = { input = 2.5, output = 10, long_above = 60, long_input = 5, long_output = 20 }
output = { validate = true, repair = true }
output_tokens_max = 100
[[models]]
name = "f"
deployments = [{provider = "p", model = "up"}]
price = { input = 2.5, output = 10 }
fallbacks = ["m"]
[ledger]
enabled = true
"""


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("output")
    with Whole(folder, MODELS, transport=request.param, model="output_tokens_max = 100") as gate:
        yield gate


def says(text: str | None, reason: str = "stop", **more: Any) -> Any:
    reply: Any = completion(text or "", 20, 10)
    reply["choices"][0] |= {"finish_reason": reason}
    reply["choices"][0]["message"] |= {"content": text} | more
    return answer(reply)


def ask(payer: Payer, model: str, schema: Any = SCHEMA, **more: Any) -> tuple[int, dict[str, str], Any]:
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    return payer.gate.chat(payer.key, model, response_format=wanted, **more)


def sent(gate: Whole, place: int = -1) -> Any:
    return gate.provider.requests[place].json()


def test_every_client_gets_a_repaired_answer_and_a_clear_error(gate: Whole) -> None:
    payer = Payer(gate)
    url = f"http://127.0.0.1:{gate.port}"

    def chat() -> str:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=payer.key, max_retries=0) as client:
            whole = client.chat.completions.create(model="r", messages=HELLO, response_format=FORMAT)
        return whole.choices[0].message.content or ""

    def responses() -> str:
        text: Any = {"format": {"type": "json_schema", "name": "person", "schema": SCHEMA}}
        with openai.OpenAI(base_url=f"{url}/v1", api_key=payer.key, max_retries=0) as client:
            return client.responses.create(model="r", input="hello", text=text).output_text

    def claude() -> str:
        config: Any = {"format": {"type": "json_schema", "schema": SCHEMA}}
        with anthropic.Anthropic(base_url=url, api_key=payer.key, max_retries=0) as client:
            said = client.messages.create(model="r", max_tokens=50, messages=HELLO, output_config=config)
        return "".join(block.text for block in said.content if block.type == "text")

    def gemini(shape: str = "response_json_schema") -> str:
        config: Any = {"response_mime_type": "application/json", shape: SCHEMA}
        if shape == "response_schema":
            config[shape] = {
                "type": "OBJECT",
                "properties": {"age": {"type": "INTEGER"}},
                "required": ["age"],
            }
        options = types.HttpOptions(base_url=url)
        with genai.Client(api_key=payer.key, http_options=options) as client:
            return client.models.generate_content(model="r", contents="hello", config=config).text or ""

    for client in (chat, responses, claude, gemini, lambda: gemini("response_schema")):
        before = len(gate.provider.requests)
        gate.script(says(BAD), says(GOOD))
        assert json.loads(client()) == json.loads(GOOD)
        first, second = sent(gate, before), sent(gate, before + 1)
        *_, said, told = second["messages"]
        assert second["messages"][:-2] == first["messages"] and len(gate.provider.requests) == before + 2
        assert (said["role"], told["role"]) == ("assistant", "user")
        assert "canary" in json.dumps(said["content"]) and "/age (type)" in json.dumps(told["content"])
        assert second["response_format"] == first["response_format"]
        gate.script(says(BAD), says(BAD))
        with pytest.raises(
            (openai.InternalServerError, anthropic.InternalServerError, genai.errors.APIError)
        ) as error:
            client()
        said = str(error.value)
        assert (
            "502" in said
            and "/age breaks the rule 'type'; a repair was tried" in said
            and "canary" not in said
        )
    assert payer.paid() == 5 * 4 * (20 * IN + 10 * OUT), (
        "every answer that was given upstream, and nothing else"
    )


def logged(gate: Whole, id: str) -> dict[str, Any]:
    """A request's log line."""
    until(lambda: any(one["id"] == id for one in gate.records()))
    return next(one for one in gate.records() if one["id"] == id)


def test_headers_say_what_became_of_it_and_what_it_cost(gate: Whole) -> None:
    payer = Payer(gate)
    for steps, model, status, told, answers in (
        ([says(GOOD)], "v", 200, "valid", 1),
        ([says(BAD)], "v", 502, "invalid", 1),
        ([says("no JSON at all")], "v", 502, "invalid", 1),
        ([says(GOOD)], "r", 200, "valid", 1),
        ([says(BAD), says(GOOD)], "r", 200, "repaired", 2),
        ([says(BAD), says("```" + GOOD)], "r", 502, "invalid", 2),
        ([says(BAD), answer(status=500)], "r", 502, "invalid", 1),
        ([says(BAD), answer({"error": {"message": "odd"}}, status=400)], "r", 502, "invalid", 1),
        ([says(BAD), says('{"na', "length")], "r", 200, "unvalidated;reason=unfinished", 2),
        ([says('{"na', "length")], "r", 200, "unvalidated;reason=unfinished", 1),
        ([says(None, refusal="I will not")], "r", 200, "unvalidated;reason=unfinished", 1),
        ([says(BAD)], "m", 200, None, 1),
    ):
        before = payer.paid()
        gate.script(*steps)
        got, headers, body = ask(payer, model)
        assert (got, headers.get("x-kpgate-output")) == (status, told), body
        assert payer.paid() - before == answers * (20 * IN + 10 * OUT), body
        assert int(headers["x-kpgate-cost-microkpt"]) == payer.paid() - before
        assert headers["x-kpgate-attempts"] == str(len(steps))
        assert logged(gate, headers["x-request-id"])["output"] == (told or "")
        if status == 502:
            assert (body["error"]["code"], body["error"]["type"]) == ("output_invalid", "server_error")
            assert "canary" not in json.dumps(body)
    status, headers, _ = gate.chat(payer.key, "r")
    assert (status, headers.get("x-kpgate-output")) == (200, None), "nobody asked for a schema"
    assert gate.metric("kpgate_inflight") == 0


def test_several_choices_are_all_looked_at(gate: Whole) -> None:
    payer = Payer(gate)
    reply: Any = completion(GOOD, 20, 10)
    reply["choices"].append(
        {"index": 1, "message": {"role": "assistant", "content": BAD}, "finish_reason": "stop"}
    )
    gate.script(answer(reply))
    status, _, body = ask(payer, "v", n=2)
    assert status == 502 and body["error"]["message"].startswith("choice 1 does not fit")


def several(*texts: str, usage: int = 10) -> Any:
    reply: Any = completion("", 20, usage)
    reply["choices"] = [
        {"index": place, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for place, text in enumerate(texts)
    ]
    return answer(reply)


def named(name: str) -> str:
    return json.dumps({"name": name, "age": 1})


def test_of_several_choices_those_that_do_not_fit_are_asked_for_again(gate: Whole) -> None:
    payer = Payer(gate)
    gate.script(
        several(named("a"), BAD, named("c"), "no JSON", usage=40), several(named("b"), named("d"), usage=20)
    )
    before = len(gate.provider.requests)
    status, headers, body = ask(payer, "r", n=4)
    assert (status, headers["x-kpgate-output"]) == (200, "repaired"), body
    said = [(one["index"], json.loads(one["message"]["content"])["name"]) for one in body["choices"]]
    assert said == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]
    assert [one.json()["n"] for one in gate.provider.requests[before:]] == [4, 2]
    assert sent(gate)["messages"][1] == {"role": "assistant", "content": BAD}
    assert payer.paid() == 2 * 20 * IN + 60 * OUT, "one charge for both"


def test_choices_that_are_asked_for_again_fit_or_are_refused_by_their_own_number(gate: Whole) -> None:
    for second, status, told in (
        (several(named("b"), BAD), 502, "choice 3 does not fit the schema that was asked for: /age"),
        (several(named("b")), 502, "its repair has too few choices"),
        (several(named("b"), named("d"), BAD), 200, '"d'),
    ):
        payer = Payer(gate)
        gate.script(several(named("a"), BAD, named("c"), BAD), second)
        found, headers, body = ask(payer, "r", n=4)
        assert found == status and told in json.dumps(body).replace("\\", ""), body
        assert headers["x-kpgate-output"] == ("repaired" if status == 200 else "invalid")
        assert payer.paid() == 2 * (20 * IN + 10 * OUT)
    payer = Payer(gate)
    gate.script(several(BAD, BAD), several(named("a"), named("b")))
    status, _, body = ask(payer, "r", n=2)
    assert (status, sent(gate)["n"], len(body["choices"])) == (200, 2, 2), (
        "none fits: all are asked for again"
    )


def test_a_repair_is_held_for_or_not_made(gate: Whole) -> None:
    least = 20 * IN + 100 * OUT
    for more, told in ((0, "; there is no credit for a repair"), (60_000, "")):
        payer = Payer(gate, least + more)
        gate.script(says(BAD), *([says(GOOD)] if more else ()))
        before = len(gate.provider.requests)
        status, _, body = ask(payer, "r")
        assert status == (200 if more else 502)
        assert told in json.dumps(body)
        assert len(gate.provider.requests) - before == (2 if more else 1)
        assert payer.paid() == (2 if more else 1) * (20 * IN + 10 * OUT)
    payer = Payer(gate)
    gate.script(says(BAD))
    cap = {"authorization": f"Bearer {payer.key}", "x-kpgate-max-cost-microkpt": "110000"}
    with (
        openai.OpenAI(
            base_url=f"http://127.0.0.1:{gate.port}/v1", api_key=payer.key, max_retries=0
        ) as client,
        pytest.raises(openai.InternalServerError, match="no credit"),
    ):
        client.chat.completions.create(model="r", messages=HELLO, response_format=FORMAT, extra_headers=cap)
    assert payer.paid() == 20 * IN + 10 * OUT, "a cap is one for both"


def test_a_repair_is_reserved_for_in_the_limits_on_tokens_alone(gate: Whole) -> None:
    payer = Payer(gate)
    gate.script(says(BAD))
    before = len(gate.provider.requests)
    status, _, body = ask(payer, "few")
    assert status == 502 and "; no repair: the model's limit on tokens is reached" in body["error"]["message"]
    assert len(gate.provider.requests) - before == 1 and payer.paid() == 20 * IN + 10 * OUT
    left = []
    for steps in ([says(BAD), says(GOOD)], [says(GOOD)]):
        gate.script(*steps)
        status, headers, _ = ask(payer, "many")
        assert status == 200, "there is one place alone, and it is the same call's"
        left.append(int(headers["x-ratelimit-remaining-tokens"]))
        assert headers["x-ratelimit-remaining-requests"] == str(8 - (len(left) - 1))
    # A few come back while the test runs.
    assert 57 <= left[0] - left[1] <= 60, "both answers are counted, by what they used"


def test_no_repair_makes_one_long_call_of_two_short_ones(gate: Whole) -> None:
    for prompt, times in ((20, 1), (61, 2)):
        payer, factor = Payer(gate), 1 if prompt < 60 else 2
        reply: Any = completion(BAD, prompt, 10)
        reply["choices"][0]["finish_reason"] = "stop"
        better: Any = completion(GOOD, prompt, 10)
        better["choices"][0]["finish_reason"] = "stop"
        gate.script(*[answer(reply), answer(better)][:times])
        status, _, body = ask(payer, "t")
        assert status == (200 if times == 2 else 502), body
        assert payer.paid() == times * factor * (prompt * IN + 10 * OUT)


def test_who_leaves_during_a_repair_pays_the_first_answer_and_the_second_prompt(gate: Whole) -> None:
    payer = Payer(gate)
    gate.script(says(BAD), silence())
    before = len(gate.provider.requests)
    body = {"model": "r", "messages": HELLO, "response_format": FORMAT}
    with payer.post("/v1/chat/completions", body):
        until(lambda: len(gate.provider.requests) == before + 2)
    paid = payer.paid() - (20 * IN + 10 * OUT)
    assert paid > 8 * IN and paid % IN == 0 and paid < 100 * IN


def test_schemas_that_are_none_or_could_do_harm_pass_and_the_header_says_so(gate: Whole) -> None:
    payer = Payer(gate)
    node: dict[str, Any] = {"$ref": "#/$defs/n"}
    refused: list[tuple[dict[str, Any], str]] = [
        ({"type": "strnig"}, "schema"),
        ({"$ref": "http://127.0.0.1:1/schema"}, "schema_reference"),
        ({"type": "object", "description": "x" * 1_000_000}, "schema_too_large"),
        ({"type": "string", "pattern": "(a{1000}){1000}"}, "schema"),
    ]
    for schema, why in refused:
        gate.script(says(BAD))
        status, headers, _ = ask(payer, "r", schema)
        assert (status, headers["x-kpgate-output"]) == (200, f"unvalidated;reason={why}")
    accepted: list[tuple[dict[str, Any], str, str]] = [
        ({"$defs": {"n": {"type": "array", "items": node}}, **node}, "[[[],[]]]", "valid"),
        ({"type": "string", "pattern": "^(a+)+$"}, json.dumps("a" * 50_000), "valid"),
    ]
    for schema, text, told in accepted:
        gate.script(says(text))
        status, headers, _ = ask(payer, "v", schema)
        assert (status, headers["x-kpgate-output"]) == (200, told)
    gate.script(answer({"choices": "none", "usage": {"prompt_tokens": 8, "completion_tokens": 1}}))
    status, headers, _ = ask(payer, "v")
    assert (status, headers["x-kpgate-output"]) == (200, "unvalidated;reason=answer")


def test_streams_pass_as_they_come(gate: Whole) -> None:
    payer = Payer(gate)
    with openai.OpenAI(
        base_url=f"http://127.0.0.1:{gate.port}/v1", api_key=payer.key, max_retries=0
    ) as client:
        chunks = client.chat.completions.create(
            model="r", messages=HELLO, response_format=FORMAT, stream=True
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hellothere."


def test_what_a_filter_took_is_charged_once_for_the_fallback_s_answer(gate: Whole) -> None:
    payer = Payer(gate)
    gate.script(says(None, "content_filter"))
    status, headers, _ = gate.chat(payer.key, "f")
    assert (status, headers["x-kpgate-model"], headers["x-kpgate-attempts"]) == (200, "m", "2")
    assert payer.paid() == int(headers["x-kpgate-cost-microkpt"]) == 9 * IN + 3 * OUT


def test_a_worker_that_dies_during_a_repair_leaves_the_first_answer_charged(gate: Whole) -> None:
    payer = Payer(gate)
    gate.script(says(BAD), silence())
    before = len(gate.provider.requests)
    with payer.post("/v1/chat/completions", {"model": "r", "messages": HELLO, "response_format": FORMAT}):
        until(lambda: len(gate.provider.requests) == before + 2)
        for path in gate.directory.run.glob("*.life"):
            if path.stem != "0" and path.read_text():
                os.kill(int(path.read_text()), signal.SIGKILL)
    assert payer.paid() == 20 * IN + 10 * OUT


CLAUDE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
    "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 4},
}  # fmt: skip
ANSWER = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "r", "status": "completed", "error": None,
    "incomplete_details": None, "usage": {"input_tokens": 5, "output_tokens": 4, "total_tokens": 9},
}  # fmt: skip


def claude(text: str) -> dict[str, Any]:
    return CLAUDE | {"content": [{"type": "text", "text": text}]}


def gemini(text: str) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}]}
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 4, "totalTokenCount": 9}
    return {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}


def response(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
    return ANSWER | {"output": [item]}


NATIVE: list[tuple[str, str, dict[str, Any], Any, str]] = [
    (
        "anthropic",
        "/v1/messages",
        {
            "model": "m", "max_tokens": 9, "messages": HELLO, "new_field": [1.50],
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        },
        claude,
        "messages",
    ),
    (
        "gemini",
        "/v1beta/models/m:generateContent",
        {
            "contents": {"role": "user", "parts": [{"text": "hello"}]},
            "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
        },
        gemini,
        "contents",
    ),
    (
        "responses",
        "/v1/responses",
        {
            "model": "m", "input": [{"role": "user", "content": "hello"}], "store": False,
            "text": {"format": {"type": "json_schema", "name": "p", "schema": SCHEMA}},
        },
        response,
        "input",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "path", "body", "reply", "turns"), NATIVE)
@looped
async def test_a_provider_of_the_caller_s_dialect_gets_the_caller_s_bytes_with_two_more_turns(
    dialect: str, path: str, body: dict[str, Any], reply: Any, turns: str
) -> None:
    async with Provider() as upstream:
        base = upstream.url if dialect == "anthropic" else f"{upstream.url}/v1"
        named = Named(name="p", base_url=base, dialect=dialect)  # type: ignore[arg-type]
        model = Model(
            name="m",
            deployments=(Deployment(provider="p", model="m"),),
            output=Output(validate=True, repair=True),
        )
        endpoint = {one.path: one for one in ENDPOINTS}.get(path) or find(path.encode(), b"")
        assert endpoint is not None
        with bench(Settings(providers=(named,), models=(model,))) as gate:
            upstream.reply(reply(BAD))
            upstream.reply(reply(GOOD))
            lines = [(b"authorization", b"Bearer sk-test")]
            exchange = FakeExchange(path.encode(), json.dumps(body).encode(), lines)
            await gate.gateway.serve(exchange, endpoint)
            assert not gate.alarms, gate.alarms
            assert (exchange.status, exchange.reply_headers[b"x-kpgate-output"]) == (200, b"repaired")
            assert json.loads(exchange.body) == reply(GOOD)
            first, second = (one.json() for one in upstream.requests)
            assert len(second[turns]) == 3
            assert second | {turns: 0} == first | {turns: 0}, "all else is as it was"
            used = gate.lines[-1]
            assert (used["input_tokens"], used["output_tokens"]) == (10, 8), "both are told of"

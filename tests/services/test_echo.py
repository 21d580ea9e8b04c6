"""The built-in echo provider: a right answer to whatever the gateway lets through, within what was asked."""

import json
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.tokens import Vocabulary
from kpgate.dialects.openai.echo import NUMBERS_MAX, SAID_LENGTH_MAX
from kpgate.dialects.openai.endpoints import ENDPOINTS
from kpgate.domain.caller import Caller, Party
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.settings import Deployment, Model, Provider, Settings
from kpgate.services.echo import EchoConnection, EchoPool
from kpgate.stores.vocabulary import open_vocabulary
from tests.kit.equipment import CALLER, OneKey, bench
from tests.kit.exchange import FakeExchange
from tests.kit.loops import looped
from tests.kit.wire import StillLoop

CHAT, TEXT, EMBED = "/chat/completions", "/completions", "/embeddings"
DECODERS = {endpoint.upstream_path: endpoint.decode for endpoint in ENDPOINTS}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return open_vocabulary("o200k_base", tmp_path_factory.mktemp("tokens"))


def ask(vocabulary: Vocabulary, path: str, **body: Any) -> EchoConnection:
    """One call, as the gateway makes it: only what it would have let through."""
    raw = json.dumps({"model": "echo", **body}).encode()
    DECODERS[path](raw, 64)
    pool = EchoPool(vocabulary, StillLoop())
    connection = pool.take()
    connection.send(f"POST {path} HTTP/1.1\r\nhost: echo\r\n".encode(), raw)
    assert connection.head().done
    pool.give(connection)
    return connection


def whole(connection: EchoConnection) -> Any:
    body = connection.take_whole()
    assert body is not None and body == connection.whole(1).result()
    return json.loads(body)


def streamed(connection: EchoConnection) -> list[Any]:
    """The events of a stream but its last, which says that it is done."""
    events = []
    while event := connection.chunk().result():
        assert event.startswith(b"data: ") and event.endswith(b"\n\n")
        events.append(event[6:-2])
    assert events.pop() == b"[DONE]"
    return [json.loads(event) for event in events]


def chat(text: Any) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "be brief"}, {"role": "user", "content": text}]


def test_it_says_what_it_was_asked_the_same_every_time(vocabulary: Vocabulary) -> None:
    connection = ask(vocabulary, CHAT, messages=chat("hello world"))
    assert (connection.status, connection.content_type) == (200, b"application/json")
    said = whole(connection)
    assert said == whole(ask(vocabulary, CHAT, messages=chat("hello world")))
    choice = said["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("hello world", "stop")
    assert said["usage"]["completion_tokens"] == 2 < said["usage"]["prompt_tokens"]
    assert whole(ask(vocabulary, TEXT, prompt="hello"))["choices"][0]["text"] == "hello"


def test_a_stream_is_the_whole_reply_in_pieces(vocabulary: Vocabulary) -> None:
    asked = {"messages": chat("one two three \U0001f9d9\u200d"), "n": 2}
    said = whole(ask(vocabulary, CHAT, **asked))
    options = {"include_usage": True}
    connection = ask(vocabulary, CHAT, stream=True, stream_options=options, **asked)
    assert connection.content_type == b"text/event-stream"
    *events, last = streamed(connection)
    assert (last["choices"], last["usage"]) == ([], said["usage"])
    for index, choice in enumerate(said["choices"]):
        mine = [one for event in events for one in event["choices"] if one["index"] == index]
        assert "".join(one["delta"].get("content", "") for one in mine) == choice["message"]["content"]
        assert [one["finish_reason"] for one in mine if one["finish_reason"]] == ["stop"]
    assert not any("usage" in event for event in streamed(ask(vocabulary, CHAT, stream=True, **asked)))


@pytest.mark.parametrize(
    "body",
    [
        {"dimensions": "many"},
        {"dimensions": 0},
        {"dimensions": -1},
        {"dimensions": 4097},
        {"encoding_format": 5},
        {"encoding_format": "hex"},
        {"input": ["x"] * (NUMBERS_MAX // 256 + 1)},
    ],
)
def test_what_it_cannot_embed_is_the_callers_mistake(vocabulary: Vocabulary, body: dict[str, Any]) -> None:
    connection = ask(vocabulary, EMBED, **{"input": "x"} | body)
    assert (connection.status, connection.content_type) == (400, b"application/json")
    assert whole(connection)["error"]["code"] == "invalid_request"


def test_it_does_not_repeat_a_long_text_a_thousand_times(vocabulary: Vocabulary) -> None:
    connection = ask(vocabulary, CHAT, messages=chat("word " * (SAID_LENGTH_MAX // 5000)), n=1024)
    assert (connection.status, whole(connection)["error"]["param"]) == (400, "n")


def test_equal_texts_have_equal_vectors_of_length_one(vocabulary: Vocabulary) -> None:
    rows = whole(ask(vocabulary, EMBED, input=["a b", "A  B", "c"], dimensions=64))["data"]
    assert [row["index"] for row in rows] == [0, 1, 2]
    assert rows[0]["embedding"] == rows[1]["embedding"] != rows[2]["embedding"]
    assert all(sum(x * x for x in row["embedding"]) == pytest.approx(1) for row in rows)
    packed = whole(ask(vocabulary, EMBED, input="a b", dimensions=64, encoding_format="base64"))["data"]
    assert isinstance(packed[0]["embedding"], str)


def test_who_stops_talking_hears_nothing_more(vocabulary: Vocabulary) -> None:
    connection = ask(vocabulary, CHAT, messages=chat("one two three"), stream=True)
    assert connection.chunk().result()
    connection.fail(InvalidRequest("enough"))
    assert connection.chunk().result() == b""


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
FREE = st.one_of(st.none(), st.booleans(), st.integers(-2, 5000), TEXTS, st.lists(TEXTS, max_size=3))


@given(
    text=TEXTS,
    cap=st.integers(0, 20),
    n=st.integers(1, 3),
    stream=st.booleans(),
    unread=st.dictionaries(st.sampled_from(["seed", "user", "temperature", "logprobs"]), FREE),
)
@settings(max_examples=100, deadline=None)
def test_whatever_is_let_through_is_answered_within_its_cap(
    vocabulary: Vocabulary, text: str, cap: int, n: int, stream: bool, unread: dict[str, Any]
) -> None:
    body = {"n": n, "stream": stream, "stream_options": {"include_usage": True}, **unread}
    for path, more in (
        (CHAT, {"messages": chat(text), "max_completion_tokens": cap}),
        (CHAT, {"messages": chat([{"type": "text", "text": text}]), "max_tokens": cap}),
        (TEXT, {"prompt": [text, text], "max_tokens": cap}),
    ):
        connection = ask(vocabulary, path, **body, **more)
        assert connection.status == 200
        said = streamed(connection)[-1] if stream else whole(connection)
        usage = said["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert cap == 0 or usage["completion_tokens"] <= cap * n


@given(more=st.dictionaries(st.sampled_from(["dimensions", "encoding_format", "user"]), FREE), text=TEXTS)
@settings(max_examples=100, deadline=None)
def test_every_embedding_is_one_or_a_refusal(vocabulary: Vocabulary, more: dict[str, Any], text: str) -> None:
    connection = ask(vocabulary, EMBED, input=[text], **more)
    said = whole(connection)
    assert connection.status == (400 if "error" in said else 200)


@looped
async def test_its_refusals_reach_the_caller_through_the_gateway() -> None:
    echo = Settings(
        providers=(Provider(name="e", dialect="echo"),),
        models=(Model(name="echo", deployments=(Deployment(provider="e", model="echo"),)),),
    )
    endpoint = next(one for one in ENDPOINTS if one.upstream_path == EMBED)
    with bench(echo) as gate:
        for dimensions, status in ((-1, 400), (8, 200)):
            body = json.dumps({"model": "echo", "input": "x", "dimensions": dimensions}).encode()
            exchange = FakeExchange(b"/v1/embeddings", body, [(b"authorization", b"Bearer sk-test")])
            await gate.gateway.serve(exchange, endpoint)
            assert (exchange.status, gate.alarms) == (status, [])


@looped
async def test_how_soon_a_prompt_is_counted_says_nothing_of_other_parties() -> None:
    echo = Settings(
        providers=(Provider(name="e", dialect="echo"),),
        models=(Model(name="echo", deployments=(Deployment(provider="e", model="echo"),)),),
    )
    endpoint = next(one for one in ENDPOINTS if one.upstream_path == CHAT)
    body = json.dumps({"model": "echo", "messages": chat("what one party said " * 400)}).encode()
    with bench(echo) as gate:
        exchange = FakeExchange(b"/v1/chat/completions", body, [(b"authorization", b"Bearer sk-test")])
        await gate.gateway.serve(exchange, endpoint)
        assert (exchange.status, gate.alarms) == (200, [])
        kit = gate.gateway.equipment
        unseen = []
        for party in (CALLER.party, Party(2, "others")):
            call = endpoint.decode(body, 64)
            caller = Caller("key", 9, party)
            with patch.object(OneKey, "authorise"):
                vocabulary = kit.plan(call, caller).vocabulary
            assert vocabulary is not None and call.texts is not None
            unseen.append(vocabulary.unseen(call.texts))
        assert unseen[0] < 256 < len(body) // 2 < unseen[1]

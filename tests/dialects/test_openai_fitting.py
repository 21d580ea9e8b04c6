"""Requests made to fit providers that would refuse them as they are."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.openai.fitting import Fitting, speakable
from kpgate.dialects.openai.quirks import Bent
from kpgate.dialects.openai.request import decode_chat
from kpgate.domain.chat import (
    Chat,
    Choosing,
    Format,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    Turn,
)
from kpgate.domain.dialect import Aim, Unspeakable
from kpgate.domain.presets import PRESETS
from kpgate.domain.quirks import NONE, Quirks
from tests.kit.chats import WORDS

CALL = {"id": "toolu_01", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def fit(quirks: Quirks, *messages: dict[str, Any], **more: Any) -> tuple[dict[str, Any], list[str]]:
    body = {"model": "m", "messages": list(messages) or [{"role": "user", "content": "hi"}]} | more
    made, left = Fitting(quirks).fit(json.dumps(body).encode())
    return json.loads(made), left


def roles(quirks: Quirks, *said: tuple[str, Any]) -> list[tuple[str, Any]]:
    made, _ = fit(quirks, *({"role": role, "content": content} for role, content in said))
    return [(one["role"], one["content"]) for one in made["messages"]]


@pytest.mark.parametrize("quirks", [NONE, Quirks(developer=False), Quirks(refused=("store",)), Quirks(ids=9)])
def test_a_request_that_fits_is_sent_as_it_came(quirks: Quirks) -> None:
    body = b'{ "model":"m", "messages" : [{"role":"user","content":"\\u0068i"}],"new":{"a":1} }'
    made, left = Fitting(quirks).fit(body)
    assert made is body and left == []


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_the_same_when_it_fits_goes_through_byte_by_byte(name: str) -> None:
    body = b"""{ "model":"m", "tools" : [{"type":"function", "function":{"name":"f"}}],
        "messages" : [ {"role" : "user","content": "a \\"name\\": b", "new":1.0}, {"role":"assistant",
        "reasoning_content": "so", "tool_calls":[{"id":"abcdefghi","type":"function",
        "function":{"name":"f", "arguments":"{}"}}]}, {"role":"tool","tool_call_id":"abcdefghi","content":"c"}] }"""
    quirks = PRESETS[name].quirks
    if "reasoning_content" in quirks.unsaid:
        body = body.replace(b'"reasoning_content": "so", ', b"")
    made, left = Fitting(quirks).fit(body)
    assert made is body and left == []


@given(st.text(alphabet='": user', max_size=40))
def test_a_member_is_found_wherever_it_stands(text: str) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], "user": "x"}).encode()
    made, left = Fitting(PRESETS["mistral"].quirks).fit(body)
    assert left == ["user"] and "user" not in json.loads(made)


def test_instructions_are_system_messages_where_nothing_else_is_known() -> None:
    quirks = Quirks(developer=False)
    assert roles(quirks, ("developer", "a"), ("user", "b")) == [("system", "a"), ("user", "b")]
    assert roles(quirks, ("user", "a"), ("developer", "b")) == [("user", "a"), ("system", "b")]
    led = roles(
        quirks, ("system", "a"), ("developer", [{"type": "text", "text": "b"}]), ("user", "developer")
    )
    assert led == [("system", "a\n\nb"), ("user", "developer")], (
        "many models take one, and at the front alone"
    )
    two = (("system", "a"), ("system", "b"), ("user", '"developer"'))
    assert roles(quirks, *two) == [*two], "where nobody asked for another role nothing is joined"
    strange = (("developer", None), ("developer", "b"), ("user", "c"))
    assert roles(quirks, *strange) == [("system", None), ("system", "b"), ("user", "c")]
    assert roles(NONE, ("developer", "a")) == [("developer", "a")]


def test_hints_that_are_errors_there_are_left_out_and_named() -> None:
    quirks = Quirks(refused=("store", "user", "logit_bias"))
    made, left = fit(quirks, store=False, user=None, logit_bias={"1": 2}, seed=3)
    assert left == ["store"] and "store" not in made and "user" not in made
    assert made["logit_bias"] == {"1": 2}, "what asks for something is the provider's to refuse"
    assert made["seed"] == 3
    made, left = fit(Quirks(refused=("logprobs", "logit_bias")), logprobs=False, logit_bias=None)
    assert set(made) == {"model", "messages"} and left == [], "what asks for nothing is not missed"


def test_members_of_messages_that_are_errors_there_are_left_out() -> None:
    quirks = Quirks(unsaid=("annotations", "refusal", "name"))
    said = {
        "role": "assistant",
        "content": "x",
        "refusal": None,
        "annotations": [],
        "name": "ann",
        "audio": None,
    }
    made, left = fit(quirks, said, said)
    assert made["messages"] == [{"role": "assistant", "content": "x", "audio": None}] * 2
    assert left == ["messages.name"], "what says nothing is not missed"


def test_a_seed_goes_by_the_name_it_has() -> None:
    made, left = fit(Quirks(seed="random_seed"), seed=0)
    assert made["random_seed"] == 0 and "seed" not in made and left == []


def test_texts_are_one_string_where_lists_are_errors() -> None:
    def said(role: str, *parts: Any) -> Any:
        return fit(Quirks(flat=True), {"role": role, "content": list(parts)})[0]["messages"][0]["content"]

    one, two = {"type": "text", "text": "é"}, {"type": "text", "text": "b"}
    picture = {"type": "image_url", "image_url": {"url": "https://e.com/a.png"}}
    assert said("user", one, two) == "é\n\nb"
    assert said("assistant", one, two) == "éb", "what a model said goes on where it was cut"
    assert said("user", one, picture) == [one, picture]
    assert said("user", {"type": "text", "text": None}) == [{"type": "text", "text": None}]


def test_a_call_and_its_result_are_named_as_the_provider_wants_them() -> None:
    asked = {"role": "assistant", "content": None, "tool_calls": [CALL, CALL | {"id": "abcDEF123"}]}
    results = [{"role": "tool", "tool_call_id": id, "content": "x"} for id in ("toolu_01", "abcDEF123")]
    made, _ = fit(Quirks(ids=9), asked, *results)
    first, second = (call["id"] for call in made["messages"][0]["tool_calls"])
    assert len(first) == 9 and first.isalnum() and second == "abcDEF123"
    assert [one["tool_call_id"] for one in made["messages"][1:]] == [first, second]
    assert fit(Quirks(ids=9), asked)[0]["messages"][0]["tool_calls"][0]["id"] == first, (
        "in every turn the same"
    )


def test_calls_have_thoughts_before_them_where_that_is_wanted() -> None:
    asked = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    thought = asked | {"reasoning_content": "hm"}
    made, _ = fit(
        Quirks(thinks_back=True), asked, thought, {"role": "assistant", "content": "x", "tool_calls": []}
    )
    assert [one.get("reasoning_content") for one in made["messages"]] == [" ", "hm", None]


@given(st.lists(WORDS, min_size=2, max_size=6, unique=True))
def test_different_ids_stay_different(ids: list[str]) -> None:
    asked = {"role": "assistant", "content": None, "tool_calls": [CALL | {"id": id} for id in ids]}
    made = [call["id"] for call in fit(Quirks(ids=9), asked)[0]["messages"][0]["tool_calls"]]
    assert len(set(made)) == len(ids)
    assert all(len(id) == 9 and id.isascii() and id.isalnum() for id in made)


BEST = Chat([Turn(Role.USER, [Text("hi")])])
CHANGED: list[tuple[Quirks, dict[str, Any], str, dict[str, Any]]] = [
    (Quirks(refused=("logit_bias",)), {"logit_bias": {"1": 2.0}}, "logit_bias", {"logit_bias": None}),
    (Quirks(refused=("logprobs",)), {"logprobs": True}, "logprobs", {"logprobs": None}),
    (Quirks(refused=("verbosity",)), {"verbosity": "low"}, "verbosity", {"verbosity": ""}),
    (Quirks(refused=("modalities",)), {"modalities": ["audio"]}, "modalities", {"modalities": []}),
    (Quirks(refused=("audio",)), {"voice": {"voice": "alloy"}}, "voice", {"voice": None}),
    (Quirks(stops=1), {"stop": ["a", "b"]}, "stop", {"stop": ["a"]}),
    (Quirks(forces=()), {"tool_choice": ToolChoice(Choosing.REQUIRED)}, "tool_choice", {"tool_choice": None}),
    (
        Quirks(forces=("required",)),
        {"tool_choice": ToolChoice(Choosing.NAMED, "f")},
        "tool_choice",
        {"tool_choice": None},
    ),
    (Quirks(schema=False), {"format": Format({"type": "object"})}, "format.schema", {"format": Format()}),
]


@pytest.mark.parametrize(("quirks", "asked", "name", "left"), CHANGED)
def test_what_could_not_be_asked_is_refused_by_name_or_left_out(
    quirks: Quirks, asked: dict[str, Any], name: str, left: dict[str, Any]
) -> None:
    chat = Chat(BEST.turns, **asked)
    assert speakable(chat, Aim("m"), NONE) is chat
    with pytest.raises(Unspeakable) as caught:
        speakable(chat, Aim("m"), quirks)
    assert caught.value.name == name and "provider of this model" in caught.value.why
    aim = Aim("m", drops=True)
    assert speakable(chat, aim, quirks) == Chat(BEST.turns, **left) and aim.dropped == [name]


def test_what_is_no_more_than_there_is_goes_through() -> None:
    chat = Chat(BEST.turns, stop=["a"], tool_choice=ToolChoice(Choosing.AUTO), format=Format())
    assert speakable(chat, Aim("m"), Quirks(stops=1, forces=(), schema=False, refused=("verbosity",))) is chat
    chat, aim = Chat(BEST.turns, verbosity="medium", logprobs=False, modalities=["text"]), Aim("m")
    quirks = Quirks(refused=("verbosity", "logprobs", "modalities"))
    assert speakable(chat, aim, quirks) == Chat(BEST.turns) and aim.dropped == [], "what is so anyway"


def test_across_dialects_requests_are_made_to_fit_as_well() -> None:
    turns = [
        Turn(Role.SYSTEM, [Text("a"), Text("b")]),
        Turn(Role.DEVELOPER, [Text("c")]),
        Turn(Role.USER, [Text("d")], "ann"),
        Turn(Role.ASSISTANT, [Thinking("hm", "seal"), Refusal("no"), ToolCall("call_1", "f")]),
        Turn(Role.ASSISTANT, [ToolCall("call_2", "f")]),
    ]
    aim = Aim("up")
    chat = Chat(turns, seed=7, user="u", top_k=3)
    sent = json.loads(Bent(PRESETS["mistral"].quirks).encode_chat(chat, aim))
    assert (sent["random_seed"], sent["top_k"]) == (7, 3) and not {"seed", "user"} & set(sent)
    assert [one["role"] for one in sent["messages"]] == ["system", "user", "assistant", "assistant"]
    assert sent["messages"][0]["content"] == "a\n\nb\n\nc" and sent["messages"][2]["content"] == "no"
    assert set(aim.dropped) == {"thinking", "user", "messages.name"}
    sent = json.loads(Bent(PRESETS["deepseek"].quirks).encode_chat(Chat(turns), Aim("up")))
    assert [one["reasoning_content"] for one in sent["messages"][2:]] == ["hm", " "]


def test_what_was_left_out_between_alike_is_said() -> None:
    bent = Bent(PRESETS["mistral"].quirks)
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"store":true,"user":"u","seed":1}'
    call = decode_chat(body, 64)
    assert "store" not in json.loads(bent.forward(body, call, "up"))
    assert set(call.dropped.split(",")) == {"store", "user"}

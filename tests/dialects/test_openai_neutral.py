"""Chat completions through the neutral forms: nothing is lost on the way there and back."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate.dialects.openai import answer, ask, neutral, reply, request, stream
from kpgate.dialects.responses import ask as responses
from kpgate.domain.call import Call
from kpgate.domain.chat import (
    Audio,
    Chat,
    Choosing,
    File,
    Image,
    Reasoning,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from kpgate.domain.dialect import Aim, Unspeakable
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.events import Events
from kpgate.domain.quirks import Quirks
from kpgate.domain.reply import (
    MALFORMED,
    Argued,
    Begun,
    Broke,
    Called,
    Choice,
    Finish,
    Finished,
    Over,
    Refused,
    Reply,
    Said,
    Thought,
    Used,
)
from kpgate.domain.usage import Usage
from tests.kit.chats import CHATS, WORDS

USAGE = Usage(21, 9, 5, 4, "provider")


def asked(body: dict[str, Any]) -> Chat:
    raw = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "hi"}]} | body)
    return neutral.neutral(raw, request.decode_chat(raw, 64))


def sent(chat: Chat, **aim: Any) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(ask.encode_chat(chat, Aim("up", **aim)))
    return said


@settings(max_examples=200, deadline=None)
@given(CHATS)
def test_what_is_encoded_is_read_the_same(chat: Chat) -> None:
    body = ask.encode_chat(chat, Aim("up"))
    assert neutral.neutral(body, request.decode_chat(body, 64)) == chat


def test_every_field_has_its_place() -> None:
    chat = asked(
        {
            "messages": [
                {"role": "developer", "content": "be kind"},
                {
                    "role": "user",
                    "name": "ann",
                    "content": [
                        {"type": "text", "text": "see"},
                        {
                            "type": "image_url",
                            "image_url": {"url": "data:image/png;base64,QQ==", "detail": "low"},
                        },
                        {"type": "image_url", "image_url": {"url": "https://e.com/a.png"}},
                        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
                        {
                            "type": "file",
                            "file": {"file_data": "data:application/pdf;base64,QQ==", "filename": "a.pdf"},
                        },
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": None, "type": "function", "function": {"name": "f", "arguments": ""}}
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "42"}]},
            ],
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "f", "parameters": {"type": "object"}, "strict": True},
                }
            ],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": {"type": "object"}},
            },
            "max_completion_tokens": 7,
            "max_tokens": 9,
            "stop": "END",
            "reasoning_effort": "high",
            "store": True,
            "user": "u",
            "web_search_options": {},
            "prediction": None,
        }
    )
    developer, user, assistant, tool = chat.turns
    assert developer.role is Role.DEVELOPER and user.name == "ann"
    assert user.parts == [
        Text("see"),
        Image("image/png", "QQ==", "", "low"),
        Image("", "", "https://e.com/a.png"),
        Audio("wav", "QQ=="),
        File("application/pdf", "QQ==", "", "", "a.pdf"),
    ]
    assert assistant.parts == [ToolCall("call_1", "f", "{}")]
    assert tool.parts == [ToolResult("call_1", [Text("42")])]
    assert chat.tool_choice is not None and chat.tool_choice.how is Choosing.NAMED
    assert (chat.output_cap, chat.stop, chat.user) == (7, ["END"], "u")
    assert chat.format is not None and chat.format.schema == {"type": "object"}
    assert chat.hints == {"store": True} and chat.unknown == ["web_search_options"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"reasoning_effort": "banana"}, "reasoning_effort"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(body)
    assert caught.value.param == param


def test_tools_of_other_kinds_are_named_and_those_allowed_are_left() -> None:
    functions = [{"type": "function", "function": {"name": name}} for name in "fgh"]
    custom = {"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}}
    chat = asked(
        {"tools": [*functions, custom], "tool_choice": {"type": "custom", "custom": {"name": "patch"}}}
    )
    assert chat.unknown == ["tools.custom", "tool_choice.custom"] and chat.tool_choice is None
    assert [tool.name for tool in chat.tools] == ["f", "g", "h"]
    allowed = {"mode": "required", "tools": [functions[1], custom]}
    chat = asked({"tools": functions, "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}})
    assert [tool.name for tool in chat.tools] == ["g"] and chat.unknown == []
    assert chat.tool_choice is not None and chat.tool_choice.how is Choosing.REQUIRED
    chat = asked({"tools": [custom], "tool_choice": "required"})
    assert chat.tools == [] and chat.tool_choice is None, "there is nothing left to choose from"


def test_a_custom_tool_s_call_keeps_its_name_and_what_it_was_given() -> None:
    call = {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    chat = asked({"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]})
    assert chat.turns[0].parts == [ToolCall("c1", "patch", '{"input":"*** Begin"}')]


def test_marks_for_a_cache_are_kept_and_named_where_there_is_none() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    chat = asked(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "long", "cache_control": mark}]}
            ],
            "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": mark}],
        }
    )
    assert chat.turns[0].parts == [Text("long", True, "1h")] and chat.tools[0].cached
    for encode in (ask.encode_chat, responses.encode_chat):
        aim = Aim("up")
        encode(chat, aim)
        assert aim.dropped == ["cached"]
    assert neutral.SPELLED["cached"] == "messages: cache_control"


def test_that_a_call_failed_is_named_where_there_is_no_word_for_it() -> None:
    chat = Chat([Turn(Role.TOOL, [ToolResult("c", [Text("x")], failed=True)])])
    for encode in (ask.encode_chat, responses.encode_chat):
        aim = Aim("up")
        encode(chat, aim)
        assert aim.dropped == ["tool_result.failed"]


def test_top_k_is_said_to_those_who_are_known_to_take_it() -> None:
    with pytest.raises(Unspeakable, match="top_k"):
        sent(Chat([], top_k=4))
    assert "top_k" not in sent(Chat([], top_k=4), drops=True)
    said = msgspec.json.decode(ask.encode_chat(Chat([], top_k=4), Aim("up"), Quirks(top_k=True)))
    assert said["top_k"] == 4


@pytest.mark.parametrize(
    ("model", "effort", "dropped"),
    [
        ("gpt-4o-mini", None, []),
        ("gpt-5.1", "none", []),
        ("openai/gpt-5.2-codex", "none", []),
        ("gpt-5.2-pro", None, ["reasoning"]),
        ("gpt-5-mini", None, ["reasoning"]),
        ("o4-mini", None, ["reasoning"]),
        ("qwen3", None, ["reasoning"]),
    ],
)
def test_no_reasoning_is_asked_for_where_that_is_known_to_be_understood(
    model: str, effort: str | None, dropped: list[str]
) -> None:
    chat = Chat([Turn(Role.USER, [Text("hi")])], reasoning=Reasoning("none", 0))
    aim = Aim(model)
    assert msgspec.json.decode(ask.encode_chat(chat, aim)).get("reasoning_effort") == effort
    assert aim.dropped == dropped
    aim = Aim(model)
    said = msgspec.json.decode(responses.encode_chat(chat, aim))
    assert said.get("reasoning") == ({"effort": effort} if effort else None) and "include" not in said
    assert aim.dropped == dropped
    said = msgspec.json.decode(ask.encode_chat(chat, Aim(model), Quirks(none=True)))
    assert said["reasoning_effort"] == "none"


def test_a_cap_is_the_least_of_what_is_asked_and_held() -> None:
    assert sent(Chat([], output_cap=50), cap=20)["max_completion_tokens"] == 20
    assert sent(Chat([], output_cap=10), cap=20)["max_completion_tokens"] == 10
    assert "max_completion_tokens" not in sent(Chat([]))
    assert sent(Chat([]), stream=True)["stream_options"] == {"include_usage": True}


def test_what_has_no_field_is_refused_or_left_out_and_said() -> None:
    chat = asked({"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]})
    result = chat.turns[0].parts[0]
    assert isinstance(result, ToolResult)
    result.parts.append(Image(url="https://e.com/a.png"))
    with pytest.raises(Unspeakable):
        sent(chat)
    aim = Aim("up", drops=True, dropped=[])
    ask.encode_chat(chat, aim)
    assert aim.dropped == ["tool_result.image"]


REPLY = Reply(
    "id1",
    "up",
    [
        Choice([Text("Hello"), ToolCall("c1", "f", '{"a":1}')], Finish.TOOL_CALLS),
        Choice([Text("Hi")], Finish.LENGTH),
    ],
    USAGE,
    17,
)


def test_a_reply_is_read_as_it_was_written() -> None:
    body = answer.encode_reply(REPLY, Call("m", None, None))
    assert answer.decode_reply(body) == REPLY


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"choices":[]}',
        b'{"choices":[{"message":{"content":"x"',
        b'{"choices":[{"message":{"content":5}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":"{oops"}}]}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":"[1]"}}]}}]}',
    ],
)
def test_a_reply_that_is_none_is_not_passed_on(body: bytes) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        answer.decode_reply(body)


PIECES = [
    Begun("id1", "up", Usage(), 17),
    Thought("hm"),
    Said("Hel"),
    Said("lo"),
    Refused("no"),
    Called("c1", "f", 0),
    Argued('{"a"', 0),
    Called("c2", "g", 1),
    Argued(":1}", 0),
    Said("other", 1),
    Finished(Finish.TOOL_CALLS),
    Finished(Finish.STOP, 1),
    Used(USAGE),
    Over(),
]


def written(pieces: list[Any], *, wanted: bool = True) -> bytes:
    writer = stream.StreamWriter(Call("m", None, None, stream=True, usage_wanted=wanted, choices=2))
    return b"".join(writer.write(piece) for piece in pieces)


def read(data: bytes, cuts: list[int]) -> list[Any]:
    events, reader, found = Events(), stream.StreamReader(), []
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        for name, one in events.feed(data[begin:end]):
            found += reader.read(name, one)
    return [*found, *reader.end()]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=5))
def test_a_stream_cut_anywhere_is_read_as_it_was_written(cuts: list[int]) -> None:
    data = written(PIECES)
    assert read(data, sorted(min(cut, len(data)) for cut in cuts)) == PIECES


@given(st.lists(WORDS, max_size=5))
def test_any_text_goes_through_a_stream(words: list[str]) -> None:
    pieces = [Begun("i", "m"), *map(Said, words), Finished(Finish.STOP), Over()]
    assert read(written(pieces, wanted=False), []) == pieces


def test_usage_is_only_told_to_whoever_asked() -> None:
    assert b'"usage"' not in written(PIECES, wanted=False)
    assert written(PIECES).endswith(b"data: [DONE]\n\n")


def test_null_ids_missing_indexes_and_usage_in_any_chunk_are_read() -> None:
    chunks = [
        b'{"id":"x","model":"m","choices":[{"delta":{"role":"assistant","content":null,"tool_calls":'
        b'[{"id":null,"function":{"name":"f","arguments":"{"}}]}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"function":{"name":null,"arguments":"}"}}]}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"id":"b","function":{"name":"g"}}]},"finish_reason":"tool_calls"}],'
        b'"usage":{"prompt_tokens":3,"completion_tokens":2}}',
        b'{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}',
        b"[DONE]",
    ]
    reader = stream.StreamReader()
    found = [piece for chunk in chunks for piece in reader.read(b"", chunk)]
    assert found == [
        Begun("x", "m"),
        Called("call_0_0", "f", 0),
        Argued("{", 0),
        Argued("}", 0),
        Called("b", "g", 1),
        Finished(Finish.TOOL_CALLS),
        Used(Usage(3, 2, source="provider")),
    ]


def test_a_stream_that_breaks_off_is_told_from_one_that_ended() -> None:
    reader = stream.StreamReader()
    reader.read(b"", b'{"choices":[{"delta":{"content":"x"}}]}')
    with pytest.raises(ValueError, match="before its end"):
        reader.end()


def test_a_stream_that_is_cut_ends_as_long_as_it_may_be() -> None:
    writer = stream.StreamWriter(Call("m", None, None, stream=True, choices=2))
    head = writer.write(Begun("i", "m")) + writer.write(Said("x"))
    pieces = read(head + writer.cut(), [])
    assert pieces[2:] == [Finished(Finish.LENGTH), Finished(Finish.LENGTH, 1), Over()]


def test_a_failure_keeps_the_provider_s_words() -> None:
    said = answer.decode_failure(400, b'{"error":{"message":"bad","type":"t","param":"p","code":"c"}}')
    assert (said.message, said.kind, said.param) == ("bad", "c", "p")
    assert answer.decode_failure(400, b"<html>").message == "the provider answered 400"
    body = msgspec.json.decode(answer.encode_failure(404, said))
    assert body == {"error": {"message": "bad", "type": "invalid_request_error", "param": "p", "code": "c"}}


def test_what_went_into_a_cache_is_read_and_written() -> None:
    details: dict[str, Any] = {"cached_tokens": 6, "cache_write_tokens": 7}
    said = {"prompt_tokens": 20, "completion_tokens": 5, "prompt_tokens_details": details}
    found = reply.decode_usage(json.dumps(said).encode())
    assert found == Usage(20, 5, 6, source="provider", cache_write=7)
    written = msgspec.json.decode(answer.encode_usage(found))
    assert written["prompt_tokens_details"] == details | {"audio_tokens": 0}
    for kind in ("cached_tokens", "cache_write_tokens", "audio_tokens"):
        for wrong in (-1, 1 << 70):
            said["prompt_tokens_details"] = {kind: wrong}
            assert reply.decode_usage(json.dumps(said).encode()) is None, "no account could keep it"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 5, "n": 2},
        {"stream": None, "stream_options": {}, "max_completion_tokens": 0},
        {"stream_options": {"include_obfuscation": False}},
        {"tools": [], "functions": []},
        {"prompt": "p", "best_of": 2},
        {"temperature": 0.0, "made_up": {"role": 1}},
        {"messages": [{"role": "tool", "content": "18 degrees", "tool_call_id": "c1"}]},
        {"messages": [{"role": "tool", "content": "18 degrees"}]},
        {"messages": [{"role": "user", "content": "hi", "name": "ann"}]},
        {"messages": [{"role": "assistant", "content": "hi", "reasoning_content": "hm"}]},
        {
            "messages": [
                {"role": "assistant", "content": None, "refusal": "no"},
                {"role": "user", "content": ""},
            ]
        },
        {"messages": [{"role": "user", "content": "hi", "cache_control": {"type": "ephemeral"}}]},
        {"messages": [{"role": "assistant", "content": "hi", "audio": {"id": "a"}}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
    ],
)
def test_a_request_says_the_same_whether_it_is_read_once_more_or_not(more: dict[str, Any]) -> None:
    # What is null says nothing, but is a member that is not read to count a prompt.
    assert asked(more) == asked(more | {"store": None})


def test_a_member_that_stands_in_a_message_twice_is_taken_as_the_other_reading_takes_it() -> None:
    twice = b'{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}'
    assert neutral.neutral(twice, request.decode_chat(twice, 64)).turns == [Turn(Role.USER, [Text("b")])]


def test_a_reply_from_beyond_all_time_is_malformed() -> None:
    body = b'{"created":1e300,"choices":[{"message":{"content":"hi"}}]}'
    with pytest.raises(MALFORMED):
        answer.decode_reply(body)


LISTED: list[Any] = [
    {
        "type": "thinking",
        "thinking": [{"type": "text", "text": "hm"}, {"type": "reference", "reference_ids": [1]}],
    },
    {"type": "text", "text": "It is "},
    {"type": "reference", "reference_ids": [1, 2]},
    {"type": "text", "text": "42."},
]


def test_a_content_that_is_a_list_is_read_whole_and_streamed() -> None:
    message = {"role": "assistant", "content": LISTED}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "stop"}
    read = answer.decode_reply(msgspec.json.encode({"id": "c", "choices": [choice]}))
    assert read.choices == [Choice([Thinking("hm"), Text("It is "), Text("42.")], Finish.STOP)]
    choice = {"index": 0, "delta": {"content": LISTED[:2]}, "finish_reason": None}
    pieces = list(stream.StreamReader().read(b"", msgspec.json.encode({"id": "c", "choices": [choice]})))
    assert pieces == [Begun("c", ""), Thought("hm"), Said("It is ")]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("model_length", Finish.CONTEXT),
        ("model_context_window_exceeded", Finish.CONTEXT),
        ("sensitive", Finish.FILTERED),
        ("eos_token", Finish.STOP),
        ("insufficient_system_resource", None),
        ("network_error", None),
        ("error", None),
    ],
)
def test_ends_that_other_vendors_have_are_read(reason: str, finish: Finish | None) -> None:
    message = {"role": "assistant", "content": "It is"}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reason}
    whole = msgspec.json.encode({"id": "c", "choices": [choice]})
    choice = {"index": 0, "delta": {}, "finish_reason": reason}
    (piece,) = list(stream.StreamReader().read(b"", msgspec.json.encode({"id": "c", "choices": [choice]})))[
        1:
    ]
    if finish is None:
        with pytest.raises(ValueError, match=reason):
            answer.decode_reply(whole)
        assert isinstance(piece, Broke)
    else:
        assert answer.decode_reply(whole).choices[0].finish is finish
        assert piece == Finished(finish)

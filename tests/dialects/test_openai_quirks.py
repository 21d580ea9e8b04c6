"""Providers that speak OpenAI with a difference: what they are sent, and what is read from them."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.openai import endpoints
from kpgate.dialects.openai.quirks import Bent, BentReader, bend
from kpgate.dialects.openai.request import decode_chat, decode_completion, forward
from kpgate.domain.chat import Chat, Role, Text, Turn
from kpgate.domain.dialect import Aim, Heads, Unspeakable
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.quirks import NONE, Quirks
from kpgate.domain.reply import Used
from kpgate.domain.usage import Usage
from tests.kit.vendors.server import sse

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}


def sent(quirks: Quirks, cap: int = 0, **more: Any) -> dict[str, Any]:
    body = json.dumps(CHAT | more).encode()
    found: dict[str, Any] = json.loads(Bent(quirks).forward(body, decode_chat(body, 64), "up", cap))
    return found


def test_a_provider_without_quirks_is_asked_by_the_same_code() -> None:
    assert bend(endpoints.VENDOR, NONE) is endpoints.VENDOR
    way = endpoints.VENDOR.native(endpoints.CHAT, Heads(b"", b""))
    assert way.forward is forward


def test_what_is_not_quirky_is_forwarded_as_ever() -> None:
    for more in (
        {},
        {"stream": True},
        {"max_tokens": 9},
        {"n": 3, "stream": True, "max_completion_tokens": 7},
    ):
        body = json.dumps(CHAT | more).encode()
        call = decode_chat(body, 64)
        for cap in (0, 5, 100):
            assert Bent(Quirks(cached="cached_tokens")).forward(body, call, "up", cap) == forward(
                body, call, "up", cap
            )


def test_usage_is_not_asked_of_one_that_does_not_know_how() -> None:
    quirks = Quirks(stream_options=False)
    assert "stream_options" not in sent(quirks, stream=True)
    assert "stream_options" not in sent(quirks, stream=True, stream_options={"include_usage": True})
    assert sent(NONE, stream=True)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("given_", "cap", "wanted"),
    [
        ({}, 0, None),
        ({}, 50, 50),
        ({"max_tokens": 9}, 0, 9),
        ({"max_tokens": 90}, 50, 50),
        ({"max_completion_tokens": 9}, 0, 9),
        ({"max_completion_tokens": 9}, 50, 9),
        ({"max_completion_tokens": 90}, 50, 50),
        ({"max_completion_tokens": None}, 50, 50),
        ({"max_completion_tokens": None}, 0, None),
        ({"max_completion_tokens": 80, "max_tokens": 9}, 50, 9),
    ],
)
def test_the_cap_goes_into_the_field_that_is_read(
    given_: dict[str, Any], cap: int, wanted: int | None
) -> None:
    found = sent(Quirks(cap="max_tokens"), cap, **given_)
    assert "max_completion_tokens" not in found
    assert found.get("max_tokens") == wanted


def test_a_completion_s_cap_stays_where_it_is() -> None:
    body = b'{"model":"m","prompt":"hello","max_tokens":90}'
    found = Bent(Quirks(cap="max_tokens")).forward(body, decode_completion(body, 64), "m", 50)
    assert json.loads(found)["max_tokens"] == 50


def test_more_choices_than_one_are_refused_by_name() -> None:
    assert sent(Quirks(choices=False), n=1)["n"] == 1
    with pytest.raises(InvalidRequest) as caught:
        sent(Quirks(choices=False), n=2)
    assert caught.value.param == "n"


def used(quirks: Quirks, **said: Any) -> Usage | None:
    return Bent(quirks).decode_usage(json.dumps(USAGE | said).encode())


def test_cached_tokens_are_found_under_the_provider_s_name() -> None:
    quirks = Quirks(cached="prompt_cache_hit_tokens")
    assert used(quirks, prompt_cache_hit_tokens=8) == Usage(20, 5, 8, source="provider")
    assert used(quirks, prompt_cache_hit_tokens=80) == Usage(20, 5, 20, source="provider")
    assert used(quirks, cached_tokens=8) == Usage(20, 5, source="provider")
    assert used(quirks, prompt_cache_hit_tokens=-8) == Usage(20, 5, source="provider")
    both = used(quirks, prompt_cache_hit_tokens=8, prompt_tokens_details={"cached_tokens": 7})
    assert both is not None and both.cached == 7, "OpenAI's own name comes first"
    assert used(Quirks(cached="cached_tokens"), cached_tokens=8) == Usage(20, 5, 8, source="provider")
    assert used(quirks, prompt_cache_hit_tokens="many") == Usage(20, 5, source="provider")
    assert used(quirks, prompt_tokens=-1) is None


def test_reasoning_beside_the_completion_is_added_where_the_total_says_so() -> None:
    quirks = Quirks(reasoning_apart=True)
    apart = used(quirks, total_tokens=65, completion_tokens_details={"reasoning_tokens": 40})
    assert apart == Usage(20, 45, reasoning=40, source="provider")
    within = used(
        quirks, completion_tokens=45, total_tokens=65, completion_tokens_details={"reasoning_tokens": 40}
    )
    assert within == Usage(20, 45, reasoning=40, source="provider")
    assert used(quirks) == Usage(20, 5, source="provider")


GROQ = Quirks(usage_in="x_groq", choices=False)
KIMI = Quirks(usage_in="choice", cached="cached_tokens")


def event(text: str, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice], **more}


STREAMS = {
    "x_groq": (
        GROQ,
        [event("He", x_groq={"id": "r"}), event("llo"), event("", x_groq={"id": "r", "usage": USAGE})],
        Usage(20, 5, source="provider"),
    ),
    "choice": (
        KIMI,
        [
            event("He"),
            event('"usage" is a word'),
            {
                "choices": [
                    {"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE | {"cached_tokens": 4}}
                ]
            },
        ],
        Usage(20, 5, 4, source="provider"),
    ),
    "as OpenAI does": (
        GROQ,
        [event("Hello"), {"choices": [], "usage": USAGE}],
        Usage(20, 5, source="provider"),
    ),
    "nowhere": (KIMI, [event("Hello")], None),
}


@pytest.mark.parametrize("name", STREAMS)
@given(cuts=st.lists(st.integers(0, 600), max_size=8))
def test_a_stream_is_forwarded_as_it_is_and_its_usage_found(name: str, cuts: list[int]) -> None:
    quirks, said, wanted = STREAMS[name]
    whole = b"".join(sse(*said, "[DONE]"))
    body = json.dumps(CHAT | {"stream": True, "stream_options": {"include_usage": True}}).encode()
    bent = Bent(quirks)
    framer = bent.framer(decode_chat(body, 64))
    places = [0, *sorted(cuts), len(whole)]
    out = b"".join(framer.feed(whole[a:b]) for a, b in pairwise(places) if whole[a:b])
    assert out + framer.finish() == whole
    assert framer.at_boundary and framer.events == len(said) + 1
    usage = None if framer.usage is None else bent.decode_usage(framer.usage)
    assert usage == wanted
    assert framer.text_bytes and framer.take_text().startswith("He")


def test_usage_alone_is_left_out_of_a_stream_where_nobody_asked() -> None:
    body = json.dumps(CHAT | {"stream": True}).encode()
    bent = Bent(Quirks(stream_options=False))
    framer = bent.framer(decode_chat(body, 64))
    (kept, dropped) = sse(event("Hello"), {"choices": [], "usage": USAGE})
    assert framer.feed(kept + dropped) == kept
    assert bent.decode_usage(framer.usage) == Usage(20, 5, source="provider")


@pytest.mark.parametrize("name", STREAMS)
def test_across_dialects_usage_is_found_as_well(name: str) -> None:
    quirks, said, wanted = STREAMS[name]
    reader = BentReader(Bent(quirks))
    pieces = [piece for one in said for piece in reader.read(b"", json.dumps(one).encode())]
    found = [piece.usage for piece in pieces if isinstance(piece, Used)]
    assert found == ([] if wanted is None else [wanted])


def test_a_whole_reply_s_usage_is_read_across_dialects() -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    body = json.dumps({"id": "c", "choices": [choice], "usage": USAGE | {"cached_tokens": 4}}).encode()
    assert Bent(KIMI).decode_reply(body).usage == Usage(20, 5, 4, source="provider")
    assert Bent(KIMI).find_usage(body) == Usage(20, 5, 4, source="provider")
    assert Bent(KIMI).find_usage(b'{"choices":[]}') is None


ASKED = Chat(turns=[Turn(Role.USER, [Text("hello")])])


def test_across_dialects_the_request_is_bent_too() -> None:
    quirks = Quirks(stream_options=False, cap="max_tokens", choices=False)
    vendor = bend(endpoints.VENDOR, quirks)
    assert vendor.tongue is not None
    found = json.loads(vendor.tongue.encode_chat(ASKED, Aim("up", cap=50, stream=True)))
    assert found["max_tokens"] == 50 and found["stream"] is True
    assert not {"max_completion_tokens", "stream_options"} & set(found)
    with pytest.raises(Unspeakable) as caught:
        vendor.tongue.encode_chat(replace(ASKED, choices=2), Aim("up"))
    assert caught.value.name == "choices"

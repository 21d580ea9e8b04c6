"""Bodies that are changed in one place: the rest stays as it is."""

import json

import pytest

from kpgate.dialects.gemini.endpoints import GENERATE
from kpgate.domain.body import append, merge_items, replace_member

REST = '"x":1.10,"é":"\\u00e9"'


def test_a_member_is_replaced_or_added() -> None:
    body = f'{{"n":3,{REST}}}'.encode()
    assert replace_member(body, "n", 1) == f'{{"n":1,{REST}}}'.encode()
    assert replace_member(body, "m", [1]) == f'{{"n":3,{REST},"m":[1]}}'.encode()


def test_items_take_the_places_of_others() -> None:
    first = b'{"id":"1","c":[{"index":0,"t":"a"},{"t":"b"},{"index":7,"t":"c"}]}'
    second = b'{"id":"2","c":[{"index":0,"t":"B"},{"t":"C"},{"t":"beyond"}],"u":1.0}'
    found = json.loads(merge_items(first, second, "c", (1, 2)))
    assert found == {
        "id": "2",
        "c": [{"index": 0, "t": "a"}, {"index": 1, "t": "B"}, {"index": 7, "t": "C"}],
        "u": 1.0,
    }


def test_items_are_added_at_the_end() -> None:
    assert append(b'{"a":[1],"b":2}', "a", [3]) == b'{"a":[1,3],"b":2}'
    assert append(b'{"a":{"c":1}}', "a", [3]) == b'{"a":[{"c":1},3]}'


@pytest.mark.parametrize(
    ("config", "count"), [("generationConfig", "candidateCount"), ("generation_config", "candidate_count")]
)
def test_gemini_is_asked_again_for_so_many_candidates(config: str, count: str) -> None:
    amend = GENERATE.amend
    assert amend is not None and amend.merge is not None
    body = json.dumps({"contents": [{"parts": [{"text": "hi"}]}], config: {count: 4, "topK": 2}}).encode()
    found = json.loads(amend.ask(body, "bad", "again", 2))
    assert found[config] == {count: 2, "topK": 2} and len(found["contents"]) == 3
    assert json.loads(amend.ask(body, "bad", "again", 0))[config] == {count: 4, "topK": 2}
    merged = amend.merge(b'{"candidates":[{"a":1},{"a":2}]}', b'{"candidates":[{"a":3}]}', (1,))
    assert json.loads(merged)["candidates"] == [{"a": 1}, {"a": 3, "index": 1}]

"""What lies between two dialects, where it is neither's."""

import json

from kpgate.app.ways import ENDPOINTS, VENDORS
from kpgate.dialects.bridge import DROPPED_MAX, Allowance, bridge
from kpgate.dialects.openai.request import decode_chat
from kpgate.domain.dialect import Heads


def test_what_is_said_of_dropped_fields_is_a_header_of_bounded_length() -> None:
    names = {"a\r\nset-cookie: b": 1, "\u00e9\x00": 1} | {f"field_{number}": 1 for number in range(1000)}
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]} | names).encode()
    call, endpoint = (
        decode_chat(body, 64),
        next(one for one in ENDPOINTS if one.path == "/v1/chat/completions"),
    )
    tongue = VENDORS["anthropic"].tongue
    assert tongue is not None
    way = bridge(endpoint, tongue, Heads(b"", b""), Allowance(drops=True))
    assert way is not None and way.forward(body, call, "m", 0)
    assert call.dropped.startswith("a??set-cookie: b,??,field_0,field_1,")
    assert call.dropped.endswith("...") and len(call.dropped) == DROPPED_MAX

"""The log line: what is written is the struct's own encoding, whatever a record says."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kpgate.domain.call import Record
from kpgate.domain.caller import Caller, Party
from kpgate.domain.errors import GatewayError, InvalidRequest, UpstreamFailed
from kpgate.domain.usage import Usage
from kpgate.services.record import Line, encode_text, line

texts = st.one_of(st.just(""), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
numbers = st.integers(0, 1 << 40)
decoder = msgspec.json.Decoder(Line, strict=True)

TEXTS = (
    "method",
    "path",
    "peer",
    "model",
    "provider",
    "deployment",
    "held_as",
    "route",
    "checked",
    "asked",
    "said",
)
NUMBERS = (
    "total_us",
    "upstream_us",
    "first_token_us",
    "prompt_tokens",
    "cost",
    "request_bytes",
    "reply_bytes",
)
SMALL = ("status", "attempts")


@st.composite
def records(draw: st.DrawFn) -> Record:
    record = Record(draw(texts), 1_000, "", "")
    for names, kind in ((TEXTS, texts), (NUMBERS, numbers), (SMALL, st.integers(0, 600))):
        for name in names:
            setattr(record, name, draw(kind))
    record.stream, record.expected = draw(st.booleans()), draw(st.integers(-1, 1 << 40))
    if draw(st.booleans()):
        key, token, party = draw(texts), draw(texts), draw(texts)
        record.caller = Caller(key, 1, Party(1, party), token=token)
    source = draw(st.sampled_from(["none", "provider", "counted"]))
    counts = {
        name: draw(numbers) for name in ("input", "output", "cached", "reasoning", "cache_write", "units")
    }
    record.usage = Usage(source=source, cache_write_long=draw(numbers), **counts)
    record.error = draw(st.sampled_from([None, InvalidRequest('a "b"'), UpstreamFailed("c\n")]))
    return record


def wanted(record: Record, shadow: str) -> dict[str, Any]:
    """What a line says of a record, said once more."""
    usage, error, caller = record.usage, record.error, record.caller
    of_error = {} if error is None else {"code": error.code, "error": error.message}
    of_caller = (
        {} if caller is None else {"key": caller.key_id, "token": caller.token, "party": caller.party.name}
    )
    same = {name: getattr(record, name) for name in (*TEXTS, *NUMBERS, *SMALL, "stream")}
    for name in ("held_as", "checked", "cost"):
        del same[name]
    return {
        **same,
        **of_error,
        **of_caller,
        "id": record.request_id,
        "end": _ending(record, error),
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cached_tokens": usage.cached,
        "cache_write_tokens": usage.written,
        "reasoning_tokens": usage.reasoning,
        "units": usage.units,
        "usage": usage.source,
        "receipt": record.held_as,
        "cost_microkpt": record.cost,
        "expected_microkpt": max(record.expected, 0),
        "output": record.checked,
        "shadow": shadow,
    }


def _ending(record: Record, error: GatewayError | None) -> str:
    return "ok@respond" if error is None else f"{error.fault}@{error.phase or record.phase}"


@given(record=records(), shadow=texts)
def test_a_line_is_what_its_struct_would_encode(record: Record, shadow: str) -> None:
    written = line(record, shadow)
    shown = decoder.decode(written)
    assert shown == Line(ts=shown.ts, **wanted(record, shadow))
    assert written == msgspec.json.encode(shown)
    assert b"\n" not in written and b"\n" not in encode_text(written)


@given(
    record=records(), name=st.sampled_from(["caller", "method", "path", "model", "provider", "deployment"])
)
def test_what_lines_have_in_common_is_never_another_call_s(record: Record, name: str) -> None:
    record.caller = Caller("key1", 1, Party(1, "acme"))
    for _ in range(2):
        shown = decoder.decode(line(record))
        assert shown == Line(ts=shown.ts, **wanted(record, ""))
    setattr(record, name, Caller("key1", 1, Party(1, "other")) if name == "caller" else "another")
    shown = decoder.decode(line(record))
    assert shown == Line(ts=shown.ts, **wanted(record, ""))

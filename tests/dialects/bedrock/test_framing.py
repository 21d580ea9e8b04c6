"""Amazon's event stream: whole messages or none, however they arrive, and nothing that is damaged."""

from struct import pack
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.bedrock.framing import FAULT, LEAST, Messages
from tests.kit.vendors.bedrock import event, exception, frame

# Messages of the test suite that botocore 1.44 has (November 2026), and what they say.
SOUND = {
    "empty": ("000000100000000005c248eb7d98c8ff", (b"", b"")),
    "int8": ("000000170000000729860158046279746502ffc2f869dc", (b"", b"")),
    "int64": ("0000001e0000000e5d4adb8d046c6f6e6705ffffffffffffffff4bc232da", (b"", b"")),
    "payload": ("0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936", (b"", b"{'foo':'bar'}")),
    "payload and header": (
        "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e"
        "7b27666f6f273a27626172277d8d9c08b1",
        (b"", b"{'foo':'bar'}"),
    ),
    "all types": (
        "000000620000005203b5cb9c0130000131010132020201330300030134040000000401350500000000000000050136060005"
        "627974657301370700047574663801380800000000000000080139093031323334353637383961626364656663353671",
        (b"", b""),
    ),
    "error": (
        "0000005200000042bf23637e0d3a6d6573736167652d747970650700056572726f720b3a6572726f722d636f646507000463"
        "6f64650e3a6572726f722d6d6573736167650700076d6573736167656b6cea3d",
        (FAULT + b"code", b"message"),
    ),
}
DAMAGED = {
    "headers' length": (
        "0000003dff00010207fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e"
        "7b27666f6f273a27626172277d8d9c08b1"
    ),
    "headers": (
        "0000003d0000002007fd83960c636f6e74656e742b747970650700106170706c69636174696f6e2f6a736f6e"
        "7b27666f6f273a27626172277d8d9c08b1"
    ),
    "length": "0100001d00000000fd528c5a7b27666f6f273a27626172277dc3653936",
    "payload": "0000001d00000000fd528c5a7b27666f6f273a27626172278dc3653936",
}

STREAM = b"".join(
    (
        event("messageStart", {"role": "assistant"}),
        event("contentBlockDelta", {"delta": {"text": "wörd"}, "contentBlockIndex": 0}),
        exception("throttlingException", "slow down"),
        frame(b"", message_type="error", error_code="InternalError", error_message="gone"),
    )
)


def read(chunks: list[bytes], bytes_max: int = 1 << 20) -> tuple[list[tuple[bytes, bytes]], bytes]:
    messages = Messages(bytes_max)
    found, raw = [], b""
    for chunk in chunks:
        found += messages.feed(chunk)
        raw += messages.raw
    return found + messages.finish(), raw


@pytest.mark.parametrize("name", SOUND)
def test_amazon_s_own_messages(name: str) -> None:
    written, said = SOUND[name]
    assert read([bytes.fromhex(written)]) == ([said], bytes.fromhex(written))


@pytest.mark.parametrize("name", DAMAGED)
def test_amazon_s_own_damaged_messages(name: str) -> None:
    with pytest.raises(ValueError, match="damaged"):
        read([bytes.fromhex(DAMAGED[name])])


def test_names_and_payloads() -> None:
    found, raw = read([STREAM])
    assert raw == STREAM
    assert [name for name, _ in found] == [
        b"messageStart",
        b"contentBlockDelta",
        FAULT + b"throttlingException",
        FAULT + b"InternalError",
    ]
    assert found[2][1] == b'{"message": "slow down"}' and found[3][1] == b"gone"


def test_a_stream_is_the_same_at_every_split_and_byte_by_byte() -> None:
    whole = read([STREAM])
    assert read([STREAM[at : at + 1] for at in range(len(STREAM))]) == whole
    for at in range(len(STREAM) + 1):
        assert read([STREAM[:at], STREAM[at:]]) == whole


NAMED = st.tuples(st.sampled_from(("a", "contentBlockDelta")), st.binary(max_size=40))


@given(st.lists(NAMED, max_size=6), st.data())
def test_any_messages_however_they_are_cut(said: list[tuple[str, bytes]], data: st.DataObject) -> None:
    sent = b"".join(frame(body, message_type="event", event_type=name) for name, body in said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    chunks = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert read(chunks) == ([(name.encode(), body) for name, body in said], sent)


def test_a_message_with_any_bit_flipped_is_never_read() -> None:
    sent = event("messageStop", {"stopReason": "end_turn"})
    for at in range(len(sent) * 8):
        damaged = bytearray(sent)
        damaged[at // 8] ^= 1 << at % 8
        with pytest.raises(ValueError, match=r"damaged|longer|ended within"):
            read([bytes(damaged)])


def test_what_came_before_the_damage_was_read() -> None:
    messages = Messages()
    first, second = event("a", {}), bytearray(event("b", {}))
    second[-1] ^= 1
    assert messages.feed(first) == [(b"a", b'{"p": "abcdefghijkl"}')]
    with pytest.raises(ValueError, match="damaged"):
        messages.feed(bytes(second))


def test_a_message_is_bounded_before_it_is_here() -> None:
    sent = frame(b"x" * 100, message_type="event", event_type="a")
    assert read([sent], len(sent))[1] == sent
    messages = Messages(len(sent) - 1)
    with pytest.raises(ValueError, match="longer"):
        messages.feed(sent[:LEAST])


def test_a_stream_that_ends_within_a_message() -> None:
    messages = Messages()
    messages.feed(STREAM[:-1])
    assert messages.pending
    with pytest.raises(ValueError, match="within a message"):
        messages.finish()


@pytest.mark.parametrize(
    "headers",
    [
        b"\x05a",
        b"\x01a",
        b"\x01a\x07\x00",
        b"\x01a\x07\x00\x05abcd",
        b"\x01a\x0b\x00",
        b"\x01a\x04\x00\x00\x00",
        b"\x01a\x08" + bytes(7),
    ],
)
def test_headers_that_make_no_sense(headers: bytes) -> None:
    prelude = pack(">II", 16 + len(headers), len(headers))
    message = prelude + pack(">I", crc32(prelude)) + headers
    with pytest.raises(ValueError, match="header"):
        Messages().feed(message + pack(">I", crc32(message)))


def test_a_message_shorter_than_its_headers() -> None:
    prelude = pack(">II", 20, 12)
    with pytest.raises(ValueError, match="shorter"):
        Messages().feed(prelude + pack(">I", crc32(prelude)) + bytes(8))

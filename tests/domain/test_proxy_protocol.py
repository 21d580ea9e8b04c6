"""What a load balancer says in front of a connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.domain.proxy_protocol import read_proxy_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = bytes([192, 0, 2, 1, 192, 0, 2, 2]) + b"\x1f\x90\x00\x50"
V6 = bytes(15) + b"\x01" + bytes(15) + b"\x02" + b"\x1f\x90\x00\x50"


def second(command: int, family: int, rest: bytes) -> bytes:
    """A header of version 2."""
    return SIGNATURE + bytes([0x20 | command, family]) + len(rest).to_bytes(2, "big") + rest


GOOD = {
    b"PROXY TCP4 192.0.2.1 192.0.2.2 8080 80\r\n": "192.0.2.1",
    b"PROXY TCP6 ::1 ::2 8080 80\r\n": "::1",
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n": None,
    second(1, 0x11, V4): "192.0.2.1",
    second(1, 0x11, V4 + b"\x04\x00\x01x"): "192.0.2.1",
    second(1, 0x21, V6): "::1",
    second(0, 0x00, b""): None,
    second(0, 0x11, V4): None,
    second(1, 0x31, bytes(216)): None,
}


@pytest.mark.parametrize("header", GOOD)
def test_a_header_names_the_client(header: bytes) -> None:
    assert read_proxy_header(header + b"GET / HTTP/1.1\r\n") == (len(header), GOOD[header])


@pytest.mark.parametrize("header", GOOD)
def test_too_little_of_a_header_is_waited_for(header: bytes) -> None:
    for end in range(len(header)):
        assert read_proxy_header(header[:end]) is None


@pytest.mark.parametrize(
    "header",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 8080\r\n",
        b"PROXY TCP4 ::1 ::2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 080 80\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 80\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 80\r\n",
        b"PROXY TCP4 \xff 192.0.2.2 1 2\r\n",
        b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 " + b"1" * 120,
        second(2, 0x11, V4),
        second(1, 0x11, V4[:8]),
        SIGNATURE + b"\x11\x11\x00\x0c" + V4,
        SIGNATURE + b"\x21\x11\xff\xff" + V4,
    ],
)
def test_anything_else_is_refused(header: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_proxy_header(header)


@given(st.sampled_from(list(GOOD)), st.binary(max_size=4), st.integers(0, 60))
def test_damage_is_refused_or_read_never_worse(header: bytes, noise: bytes, at: int) -> None:
    try:
        read_proxy_header(header[:at] + noise + header[at:])
    except ValueError:
        return

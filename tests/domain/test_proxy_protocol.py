"""What a load balancer says in front of a connection."""

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate.domain.proxy_protocol import read_proxy_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = bytes([192, 0, 2, 1, 192, 0, 2, 2]) + b"\x1f\x90\x00\x50"
WIDE = b":".join([b"ffff"] * 8)
V6 = bytes(15) + b"\x01" + bytes(15) + b"\x02" + b"\x1f\x90\x00\x50"


def second(command: int, family: int, rest: bytes) -> bytes:
    """A header of version 2."""
    return SIGNATURE + bytes([0x20 | command, family]) + len(rest).to_bytes(2, "big") + rest


GOOD = {
    # The example of section 2.1, and the longest lines it allows.
    b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n": "192.168.0.1",
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": "255.255.255.255",
    b"PROXY TCP6 %b %b 65535 65535\r\n" % (WIDE, WIDE): WIDE.decode(),
    b"PROXY UNKNOWN %b %b 65535 65535\r\n" % (WIDE, WIDE): None,
    b"PROXY TCP4 192.0.2.1 192.0.2.2 0 0\r\n": "192.0.2.1",
    b"PROXY TCP6 ::1 ::2 8080 80\r\n": "::1",
    b"PROXY TCP6 2001:DB8:0:0::1 ::2 8080 80\r\n": "2001:db8::1",
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n": None,
    # Whatever stands behind it is ignored.
    b"PROXY UNKNOWN \xff\0 \n\r \r\n": None,
    second(1, 0x11, V4): "192.0.2.1",
    second(1, 0x11, V4 + b"\x04\x00\x01x"): "192.0.2.1",
    second(1, 0x11, V4 + b"\xff\xff\xff"): "192.0.2.1",
    second(1, 0x21, V6): "::1",
    second(1, 0x21, V6 + bytes(2048 - 36)): "::1",
    # What kpgate does not serve: datagrams, UNIX sockets, and what the load balancer does not know itself.
    **{second(1, family, rest): None for family, rest in ((0x00, b""), (0x00, V4), (0x01, V4), (0x10, V4))},
    **{second(1, family, rest): None for family, rest in ((0x12, V4), (0x22, V6), (0x20, b""))},
    **{second(1, family, bytes(216)): None for family in (0x30, 0x31, 0x32)},
    # LOCAL: the family is ignored, one that is none too.
    **{
        second(0, family, rest): None for family, rest in ((0x00, b""), (0x11, V4), (0x11, b""), (0xFF, b"x"))
    },
}


@pytest.mark.parametrize("header", GOOD)
def test_a_header_names_the_client(header: bytes) -> None:
    for behind in (b"", b"GET / HTTP/1.1\r\n", header):
        assert read_proxy_header(header + behind) == (len(header), GOOD[header])


@pytest.mark.parametrize("header", GOOD)
def test_too_little_of_a_header_is_waited_for(header: bytes) -> None:
    for end in range(len(header)):
        assert read_proxy_header(header[:end]) is None


def test_the_longest_line_is_107_bytes() -> None:
    line = b"PROXY UNKNOWN " + b"x" * 91
    assert read_proxy_header(line + b"\r\n") == (107, None)
    assert read_proxy_header((line + b"\r\n")[:106]) is None
    for long in (line + b"x\r\n", line + b"xx", line + b"x\r"):
        with pytest.raises(ValueError, match="does not end"):
            read_proxy_header(long)


def test_the_longest_binary_header_is_2064_bytes() -> None:
    assert read_proxy_header(second(1, 0x11, V4 + bytes(2036))) == (2064, "192.0.2.1")
    for command in (0, 1):
        with pytest.raises(ValueError, match="length"):
            read_proxy_header(second(command, 0x11, V4 + bytes(2037))[:16])


@pytest.mark.parametrize(
    "header",
    [
        b"GET / HTTP/1.1\r\n",
        b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b" PROXY UNKNOWN\r\n",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY  UNKNOWN\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY unknown\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 8080\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 8080 80 \r\n",
        b"PROXY TCP4 192.0.2.1  192.0.2.2 80\r\n",
        b"PROXY TCP4\t192.0.2.1 192.0.2.2 8080 80\r\n",
        b"PROXY TCP4 ::1 ::2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 ::2 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 3221225985 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1/32 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.\xb9 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 \xb2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 080 80\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 80\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 80\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1_0 80\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 80\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 80 65536\r\n",
        b"PROXY TCP4 \xff 192.0.2.2 1 2\r\n",
        b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP6 ::1::2 ::2 1 2\r\n",
        b"PROXY TCP6 [::1] ::2 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n",
        b"PROXY TCP6 ::1 fe80::1%eth0 1 2\r\n",
        b"PROXY TCP6 ::1%\n\x1b[2J ::2 1 2\r\n",
        b"PROXY TCP4 " + b"1" * 120,
        *(second(command, 0x11, V4) for command in (2, 3, 15)),
        *(second(1, family, V4) for family in (0x03, 0x13, 0x1F, 0x40, 0x41, 0xF1, 0xFF)),
        second(1, 0x11, b""),
        second(1, 0x11, V4[:11]),
        second(1, 0x21, V4),
        second(1, 0x21, V6[:35]),
        *(SIGNATURE + version + b"\x11\x00\x0c" + V4 for version in (b"\x01", b"\x11", b"\x31", b"\xf1")),
        SIGNATURE + b"\x21\x11\xff\xff" + V4,
        SIGNATURE[:11] + b"\r\x21\x11\x00\x0c" + V4,
    ],
)
def test_anything_else_is_refused(header: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_proxy_header(header)


BROKEN = st.builds(
    lambda header, at, lost, noise: header[:at] + noise + header[at + lost :],
    st.sampled_from(list(GOOD)),
    st.integers(0, 60),
    st.integers(0, 3),
    st.binary(max_size=4),
)


@settings(max_examples=1000, deadline=None)
@given(BROKEN | st.binary(max_size=60) | st.binary(max_size=60).map(b"PROXY TCP6 ".__add__))
def test_damage_is_refused_or_read_never_worse(data: bytes) -> None:
    try:
        found = read_proxy_header(data)
    except ValueError:
        return
    if found is not None:
        length, peer = found
        assert 15 <= length <= len(data)
        assert peer is None or (str(ip_address(peer)) == peer and "%" not in peer)
        assert read_proxy_header(data[:length]) == found
        assert all(read_proxy_header(data[:end]) is None for end in range(length))

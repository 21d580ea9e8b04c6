"""A request's head that is refused says nothing of what follows it."""

import pytest

from kpgate._fast.head import parse

REFUSED = {
    "no host": b"",
    "not a host": b"host: \xe1:80\r\n",
    "two hosts": b"host: a\r\nhost: b\r\n",
    "coded": b"host: a\r\ncontent-encoding: gzip\r\n",
    "expecting": b"host: a\r\nexpect: more\r\n",
    "length and chunks": b"host: a\r\ntransfer-encoding: chunked\r\n",
    "other length": b"host: a\r\ncontent-length: 6\r\n",
    "many headers": b"host: a\r\n" + b"x: y\r\n" * 100,
    "no value": b"host: a\r\nx: \0\r\n",
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_request_follows_a_head_that_was_refused(case: str) -> None:
    """Its body would be read as one."""
    head = parse(
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\nconnection: keep-alive\r\n" + REFUSED[case] + b"\r\n"
    )
    assert head.fault_status
    assert not head.keep_alive


@pytest.mark.parametrize(
    ("version", "said", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"connection: close\r\n", False),
        (b"1.1", b"connection: keep-alive, Close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"connection: keep-alive\r\n", True),
    ],
)
def test_a_head_says_whether_another_request_may_follow(version: bytes, said: bytes, kept: bool) -> None:
    head = parse(b"GET / HTTP/" + version + b"\r\nhost: a\r\n" + said + b"\r\n")
    assert (head.fault_status, head.keep_alive) == (0, kept)

"""The sockets a gateway listens on: one a worker on the same port, opened once and kept open by the supervisor.

The kernel spreads connections over them; those of a worker that died wait for its successor.
Source: socket(7), SO_REUSEPORT, Linux manual (checked November 2026).
"""

import errno
import socket

BACKLOG = 4096


class PortRefused(Exception):
    """The address cannot be listened on, and why."""


def open_listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """Listen on an address, `count` times; port 0 takes one free port for all.

    Errors: PortRefused when something else listens there, or the address is not this machine's.
    """
    sockets: list[socket.socket] = []
    try:
        family, address = _resolve(host, port)
        if port:
            _probe(family, address)
        for _ in range(count):
            sockets.append(_listen(family, address))
            # With port 0 the first one chose.
            address = sockets[0].getsockname()
    except OSError as error:
        for opened in sockets:
            opened.close()
        where = spell_address(host, port)
        if error.errno == errno.EADDRINUSE:
            raise PortRefused(
                f"{where} is in use: something else, perhaps another kpgate, listens"
            ) from error
        raise PortRefused(f"cannot listen on {where}: {error.strerror or error}") from error
    return sockets


def spell_address(host: str, port: int) -> str:
    """Host and port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _resolve(host: str, port: int) -> tuple[int, tuple[str, int]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name with addresses of both families is listened to on IPv4, as people who write `localhost` expect.
    family, _, _, _, address = min(found, key=lambda one: one[0])
    return family, (str(address[0]), int(address[1]))


def _probe(family: int, address: tuple[str, int]) -> None:
    """SO_REUSEPORT would let a second gateway share the port unseen; a plain bind is refused."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections of an earlier run that linger are no obstacle; a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def _listen(family: int, address: tuple[str, int]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener

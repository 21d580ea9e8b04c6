"""What a key may reach and from where: models by name or wildcard, sources by network. Pure functions."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

import msgspec

Address = tuple[int, int]
"""(IP version, the address as a number). An IPv4 address mapped into IPv6 is IPv4."""


class Network(msgspec.Struct, frozen=True, gc=False):
    """A CIDR block, ready to be compared with."""

    version: int
    base: int
    mask: int

    def holds(self, address: Address) -> bool:
        """Whether the address lies in it."""
        return address[0] == self.version and address[1] & self.mask == self.base


def read_network(text: str) -> Network:
    """Read a block such as `10.0.0.0/8`, `2001:db8::/32`, or one address.

    Errors: ValueError, naming what is expected.
    """
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text[:64]!r} is not a network: write it as 10.0.0.0/8 or 2001:db8::/32") from None
    base, length = int(network.network_address), network.prefixlen
    if network.version == 6 and base >> 32 == 0xFFFF and length >= 96:
        return Network(4, base & 0xFFFFFFFF, (0xFFFFFFFF << (128 - length)) & 0xFFFFFFFF)
    return Network(network.version, base, int(network.netmask))


def read_address(text: str) -> Address | None:
    """Read an IP address, or None. A zone (`%eth0`) is left out of it."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    number = int(address)
    if address.version == 6 and number >> 32 == 0xFFFF:
        return 4, number & 0xFFFFFFFF
    return address.version, number


def within(address: Address | None, networks: Iterable[Network]) -> bool:
    """Whether an address lies in one of the networks. No address lies nowhere."""
    return address is not None and any(network.holds(address) for network in networks)


def client_address(peer: str, forwarded_for: str, trusted: tuple[Network, ...]) -> str:
    """Who the client is: the rightmost address of X-Forwarded-For that is no proxy of ours.

    Rule: only a trusted peer is believed; each trusted hop vouches for the one before it. What is malformed
    where it would have to be believed leaves the peer; if all are trusted, the first of them is the client.
    """
    if not within(read_address(peer), trusted):
        return peer
    client = peer
    for hop in reversed(forwarded_for.split(",")):
        bare = _without_port(hop.strip())
        address = read_address(bare)
        if address is None:
            return peer
        client = bare
        if not within(address, trusted):
            break
    return client


def matches(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern, in which `*` stands for any run of characters.

    Cost: their lengths, never more: each piece between stars is looked for once, leftmost first.
    """
    if "*" not in pattern:
        return pattern == name
    first, *middle, last = pattern.split("*")
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in middle:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text

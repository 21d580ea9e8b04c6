"""What a load balancer says of a client in front of its bytes: PROXY protocol, versions 1 and 2.

Source: haproxy.org, The PROXY protocol, versions 1 and 2, sections 2.1 and 2.2 (2020-03-05; checked November 2026).
"""

import ipaddress

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_BYTES_MAX = 107
_V2_BYTES_MAX = 2048
_FAMILIES = {"TCP4": 4, "TCP6": 6}
_V2_FAMILY_MAX, _V2_TRANSPORT_MAX = 3, 2
_V2_ADDRESSES = {0x11: (4, 12), 0x21: (16, 36)}
"""By family and protocol: how long an address is, and the least that both addresses and ports take."""


def read_proxy_header(data: bytes) -> tuple[int, str | None] | None:
    """How many bytes the header takes, and the client's address. None: there is too little of it yet.

    Shape: no address where the load balancer speaks for itself (`LOCAL`, `UNKNOWN`) or of something that is no TCP.
    Errors: ValueError for what is no such header.
    """
    if data[: len(_SIGNATURE)] == _SIGNATURE[: len(data)]:
        return _read_v2(data) if len(data) >= 16 else None
    if data[:6] == b"PROXY "[: len(data)]:
        return _read_v1(data)
    raise ValueError("it does not begin with a PROXY protocol header")


def _read_v1(data: bytes) -> tuple[int, str | None] | None:
    end = data.find(b"\r\n", 0, _V1_BYTES_MAX)
    if end < 0:
        if len(data) >= _V1_BYTES_MAX:
            raise ValueError("the PROXY line does not end")
        return None
    words = data[:end].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return end + 2, None
    if len(words) != 6 or words[1] not in _FAMILIES:
        raise ValueError("the PROXY line is not TCP4 or TCP6, two addresses and two ports")
    # Python takes any text for one, control characters too.
    if any("%" in word for word in words):
        raise ValueError("the PROXY line's addresses have a zone, which means nothing here")
    addresses = [ipaddress.ip_address(word) for word in words[2:4]]
    ports = words[4:]
    if any(address.version != _FAMILIES[words[1]] for address in addresses):
        raise ValueError("the PROXY line's addresses are of another family")
    if not all(port.isdigit() and int(port) < 65_536 and str(int(port)) == port for port in ports):
        raise ValueError("the PROXY line's ports are none")
    return end + 2, str(addresses[0])


def _read_v2(data: bytes) -> tuple[int, str | None] | None:
    version, command = data[12] >> 4, data[12] & 0xF
    length = int.from_bytes(data[14:16], "big")
    if version != 2 or command > 1 or length > _V2_BYTES_MAX:
        raise ValueError("the PROXY header's version, command or length is none")
    if len(data) < 16 + length:
        return None
    address_bytes, least = _V2_ADDRESSES.get(data[13], (0, 0))
    # Of what it says of itself the family is ignored, whatever it is.
    if command == 1 and (data[13] >> 4 > _V2_FAMILY_MAX or data[13] & 0xF > _V2_TRANSPORT_MAX):
        raise ValueError("the PROXY header's family or transport is none")
    if command == 0 or not address_bytes:
        return 16 + length, None
    if length < least:
        raise ValueError("the PROXY header is shorter than its addresses")
    return 16 + length, str(ipaddress.ip_address(data[16 : 16 + address_bytes]))

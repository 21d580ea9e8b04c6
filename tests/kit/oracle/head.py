"""A strict reading of a request's head, in plain Python. Source: RFC 9110 section 5, RFC 9112 sections 2 to 7."""

import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
LINE = re.compile(rb"(" + TOKEN + rb") ([A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+) HTTP/1\.([01])")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*", re.DOTALL)
HOST = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]+")
SINGLE = {
    *(b"host", b"authorization", b"x-api-key", b"x-goog-api-key", b"x-request-id", b"traceparent"),
    *(b"content-encoding", b"idempotency-key", b"openai-beta", b"content-length", b"transfer-encoding"),
    b"x-kpgate-max-cost-microkpt",
}


class Refused(Exception):
    """The head is unfit. Shape: its argument is the status."""


def tokens(values: list[bytes]) -> set[bytes]:
    """The members of a header that is a list, in lower case."""
    return {one.strip(b" \t").lower() for value in values for one in value.split(b",")}


def read(data: bytes) -> dict[str, object]:
    """What a head says. Errors: Refused."""
    lines = data[:-4].split(b"\r\n")
    match = LINE.fullmatch(lines[0])
    if match is None or len(match[1]) > 20 or len(match[2]) > 8192:
        raise Refused(431 if match and len(match[1]) <= 20 else 400)
    method, target, modern = match[1], match[2], match[3] == b"1"
    fields: dict[bytes, list[bytes]] = {}
    count = 0
    for line in lines[1:]:
        field = FIELD.fullmatch(line)
        if field is None:
            raise Refused(400)
        count += 1
        fields.setdefault(field[1].lower(), []).append(field[2])
    named = None
    if not target.startswith(b"/") and target != b"*":
        whole = re.fullmatch(rb"https?://([^/?]*)(.*)", target, re.IGNORECASE)
        if whole is None:
            raise Refused(400)
        named, target = whole[1], whole[2]
    path, _, query = target.partition(b"?")
    if any(len(values) > 1 for name, values in fields.items() if name in SINGLE):
        raise Refused(400)
    single = {name: values[0] for name, values in fields.items()}
    length, coding, host = (
        single.get(b"content-length"),
        single.get(b"transfer-encoding"),
        single.get(b"host"),
    )
    if length is not None and not re.fullmatch(rb"[0-9]{1,15}", length):
        raise Refused(400)
    if coding is not None and (coding.lower() != b"chunked" or length is not None or not modern):
        raise Refused(400)
    if any(value.lower() != b"100-continue" for value in fields.get(b"expect", [])):
        raise Refused(400)
    if count > 100:
        raise Refused(431)
    if not host or not HOST.fullmatch(host) or (named is not None and named.lower() != host.lower()):
        raise Refused(400)
    if single.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused(415)
    said = tokens(fields.get(b"connection", []))
    return {
        "method": method.decode(),
        "path": path or b"/",
        "query": query,
        "modern": modern,
        "content_length": -1 if length is None else int(length),
        "chunked": coding is not None,
        "keep_alive": b"close" not in said and (modern or b"keep-alive" in said),
        "expects": b"expect" in fields,
        "host": host,
        "forwarded_for": b", ".join(fields[b"x-forwarded-for"]) if b"x-forwarded-for" in fields else None,
    }

"""A second verifier of receipts, written from docs/receipts.md alone: it says whether a file holds, and why not.

It imports nothing of kpgate, and must not: it is what somebody else would write.
"""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
LEAF = {
    "v": "number",
    "log": "[0-9a-f]{32}",
    "call": "kp1-[0-9a-f]{16}",
    "request": "text",
    "party": "[0-9a-f]{32}",
    "model": "text",
    "usage": "usage",
    "price": "number",
    "price_sha256": "[0-9a-f]{64}",
    "factor_basis_points": "number",
    "amount_microkpt": "number",
    "overrun_microkpt": "number",
    "reason": "number",
    "time_us": "number",
    "salt": "[0-9a-f]{32}",
}
HEAD = {
    "log": "[0-9a-f]{32}",
    "size": "number",
    "root": "[0-9a-f]{64}",
    "time_us": "number",
    "key": "[0-9a-f]{16}",
    "signature": "([0-9a-f]{2})*",
}
SIGNER = {
    "id": "[0-9a-f]{16}",
    "public": "[0-9a-f]{64}",
    "endorsed_by": "([0-9a-f]{16})?",
    "endorsement": "([0-9a-f]{2})*",
}
KINDS = (
    "input",
    "output",
    "cached",
    "cache_write",
    "cache_write_long",
    "audio_input",
    "image",
    "reasoning",
    "audio_output",
    "units",
)
PRICES = {
    *("unit", "request", "long_above"),
    *(start + kind for kind in KINDS if kind != "units" for start in ("", "long_")),
}
Json = dict[str, Any]


class DoesNotHold(Exception):
    """What is wrong, in words."""


def verify_receipt(text: bytes, trusted: str = "") -> None:
    """Steps 1 to 5. Errors: DoesNotHold."""
    file = _read(text)
    leaf, head, signers = _part(file, "leaf"), _part(file, "head"), file.get("signers")
    _shaped(leaf, LEAF, "leaf", closed=True)
    _shaped(head, HEAD, "head")
    _hold(leaf["v"] == 1 and leaf["reason"] <= 10, "leaf.v or leaf.reason")
    _hold(leaf["log"] == head["log"], "leaf.log")
    path, index = _path(file), file.get("index")
    _hold(_is_number(index), "index")
    leaf_hash = sha256(b"\0" + _canonical(leaf).encode("ascii")).digest()
    _included(leaf_hash, file["index"], head["size"], path, bytes.fromhex(head["root"]))
    _signed(head, _reached(signers, trusted))
    _charged(leaf, file.get("price_terms"))
    refunded = file.get("refunded_microkpt", 0)
    _hold(_is_number(refunded) and refunded <= leaf["amount_microkpt"], "refunded")


def verify_head(text: bytes, trusted: str = "") -> None:
    """Whether an answer about a log holds by itself, of which log it says that it follows included."""
    file = _read(text)
    head = _part(file, "head")
    _shaped(head, HEAD, "head")
    _signed(head, _reached(file.get("signers"), trusted))
    _follows(file, head)


def _follows(file: Json, head: Json) -> None:
    if "continues" in file:
        said = file["continues"]
        _hold(isinstance(said, str), "continues")
        named = sha256(f"kpgate-origin-v1\n{said}\n".encode()).hexdigest()[:32]
        _hold(not said or named == head["log"], "continues")


def verify_growth(text: bytes, older: Json, trusted: str = "") -> None:
    """Whether the log of a kept head is the beginning of what a log's answer shows. Errors: DoesNotHold."""
    file = _read(text)
    head = _part(file, "head")
    for one in (head, older):
        _shaped(one, HEAD, "head")
    known = _reached(file.get("signers"), trusted)
    _signed(head, known)
    _signed(older, known)
    _hold(head["log"] == older["log"] and file.get("before") == older["size"], "log or before")
    _follows(file, head)
    roots = bytes.fromhex(older["root"]), bytes.fromhex(head["root"])
    _grown(older["size"], head["size"], _path(file), *roots)


def _read(text: bytes) -> Json:
    _hold(len(text) <= 1 << 20, "too long")
    found = _parsed(text)
    _hold(isinstance(found, dict), "no object")
    file: Json = found
    return file


def _parsed(text: bytes) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> Json:
        _hold(len({name for name, _ in pairs}) == len(pairs), "a name comes twice")
        return dict(pairs)

    def never(_: str) -> Any:
        raise DoesNotHold("a number is no integer")

    try:
        found = json.loads(text.decode(), object_pairs_hook=once, parse_float=never, parse_constant=never)
        # Half of a character that takes two is none.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise DoesNotHold("not JSON") from None
    return found


def _part(file: Json, name: str) -> Json:
    found = file.get(name)
    if not isinstance(found, dict):
        raise DoesNotHold(name)
    return found


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 1 << 62


def _shaped(value: Json, shape: dict[str, str], name: str, *, closed: bool = False) -> None:
    _hold(not (closed and set(value) - set(shape)), f"{name} has unknown members")
    for field, kind in shape.items():
        one = value.get(field)
        if kind == "number":
            good = _is_number(one)
        elif kind == "usage":
            good = isinstance(one, dict) and all(k in KINDS and _is_number(v) for k, v in one.items())
        else:
            pattern = "(?s:.*)" if kind == "text" else kind
            good = isinstance(one, str) and re.fullmatch(pattern, one) is not None
        _hold(good, f"{name}.{field}")


def _path(file: Json) -> list[bytes]:
    proof = file.get("proof")
    if not isinstance(proof, list):
        raise DoesNotHold("proof")
    for one in proof:
        _hold(isinstance(one, str) and re.fullmatch("[0-9a-f]{64}", one) is not None, "proof")
    _hold(len(proof) <= 64, "proof is too long")
    return [bytes.fromhex(one) for one in proof]


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        members = [f"{_canonical(name)}:{_canonical(value[name])}" for name in sorted(value)]
        return "{" + ",".join(members) + "}"
    if isinstance(value, str):
        return '"' + "".join(_escaped(one) for one in value) + '"'
    return str(value)


def _escaped(one: str) -> str:
    if one in ESCAPES:
        return ESCAPES[one]
    if " " <= one <= "~":
        return one
    try:
        units = one.encode("utf-16-be")
    except UnicodeEncodeError:
        raise DoesNotHold("half a character") from None
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def _included(leaf_hash: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> None:
    _hold(index < size, "index")
    fn, sn, r = index, size - 1, leaf_hash
    for p in proof:
        _hold(sn != 0, "proof is too long")
        if fn % 2 or fn == sn:
            r = _node(p, r)
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = _node(r, p)
        fn, sn = fn >> 1, sn >> 1
    _hold(sn == 0 and r == root, "proof")


def _grown(m: int, n: int, proof: list[bytes], root_m: bytes, root_n: bytes) -> None:
    _hold(0 < m <= n, "sizes")
    if m == n:
        _hold(not proof and root_m == root_n, "proof")
        return
    path = [root_m, *proof] if m.bit_count() == 1 else proof
    _hold(bool(path), "proof is empty")
    fn, sn = m - 1, n - 1
    while fn % 2:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        _hold(sn != 0, "proof is too long")
        if fn % 2 or fn == sn:
            fr, sr = _node(c, fr), _node(c, sr)
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = _node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    _hold(sn == 0 and fr == root_m and sr == root_n, "proof")


def _signed(head: Json, known: dict[str, bytes]) -> None:
    lines = ["kpgate-log-v1", head["log"], str(head["size"]), head["root"], str(head["time_us"]), head["key"]]
    said = "".join(line + "\n" for line in lines).encode()
    public = known.get(head["key"])
    if public is None:
        raise DoesNotHold("head.key is not reached")
    _hold(_is_valid(public, head["signature"], said), "head.signature")


def _is_valid(public: bytes, signature: str, said: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(bytes.fromhex(signature), said)
    except (InvalidSignature, ValueError):
        return False
    return True


def _reached(signers: Any, trusted: str) -> dict[str, bytes]:
    """The keys that are reached from the one that is trusted."""
    if not isinstance(signers, list) or not signers or not all(isinstance(one, dict) for one in signers):
        raise DoesNotHold("signers")
    signers = [{"endorsed_by": "", "endorsement": ""} | one for one in signers]
    for one in signers:
        _shaped(one, SIGNER, "signers")
    trusted = trusted or signers[0]["public"]
    before: dict[str, bytes] = {}
    reached: dict[str, bytes] = {}
    for one in signers:
        public = bytes.fromhex(one["public"])
        _hold(sha256(public).hexdigest()[:16] == one["id"] and one["id"] not in before, "signers.id")
        if one["endorsed_by"] or one["endorsement"]:
            said = f"kpgate-signer-v1\n{one['public']}\n".encode()
            by = before.get(one["endorsed_by"])
            _hold(by is not None and _is_valid(by, one["endorsement"], said), "signers.endorsement")
        before[one["id"]] = public
        if one["public"] == trusted or one["endorsed_by"] in reached:
            reached[one["id"]] = public
    _hold(bool(reached), "the key that is trusted is not shown")
    return reached


def _charged(leaf: Json, price_terms: Any) -> None:
    _hold(isinstance(price_terms, str), "price_terms")
    _hold(sha256(price_terms.encode()).hexdigest() == leaf["price_sha256"], "price_sha256")
    if leaf["reason"] in (1, 2, 3):
        _hold(not leaf["usage"], "usage")
        return
    try:
        terms = _parsed(price_terms.encode())
        _hold(all(_is_number(price) for name, price in terms.items() if name in PRICES), "price_terms")
        total = _total(lambda kind: leaf["usage"].get(kind, 0), terms)
        priced = (total + terms.get("request", 0) * 1_000_000) * leaf["factor_basis_points"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DoesNotHold("price_terms") from None
    charge = (priced + 1_000_000 * 10_000 - 1) // (1_000_000 * 10_000)
    _hold(leaf["amount_microkpt"] + leaf["overrun_microkpt"] == charge, "amount")


def _total(used: Callable[[str], int], terms: dict[str, int]) -> int:
    if "long_above" in terms and used("input") > terms["long_above"]:
        long = {
            name.removeprefix("long_"): price for name, price in terms.items() if name.startswith("long_")
        }
        terms = terms | {name: long[name] for name in long if name != "above"}
    input_price = terms["input"]
    write_price = terms.get("cache_write", input_price)
    left, total = used("input"), 0
    for kind, price in (
        ("cached", terms["cached"]),
        ("cache_write_long", terms.get("cache_write_long", write_price)),
        ("cache_write", write_price),
        ("audio_input", terms["audio_input"]),
        ("image", terms["image"]),
    ):
        part = min(used(kind), left)
        left -= part
        total += part * price
    reasoning = min(used("reasoning"), used("output"))
    spoken = min(used("audio_output"), used("output") - reasoning)
    return (
        total
        + left * input_price
        + (used("output") - reasoning - spoken) * terms["output"]
        + reasoning * terms["reasoning"]
        + spoken * terms["audio_output"]
        + used("units") * terms.get("unit", 0)
    )


def _hold(good: bool, what: str) -> None:
    if not good:
        raise DoesNotHold(what)

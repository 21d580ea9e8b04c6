"""`kpgate verify`: whether a receipt holds, offline, by docs/receipts.md alone.

Every check that fails is named; nothing is asked of anybody.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import click
import msgspec
from msgspec import Meta

from kpgate.app.signing import endorsement, is_signed, key_id
from kpgate.domain.merkle import leaf_hash, proves_consistency, proves_inclusion
from kpgate.domain.money import show_amount
from kpgate.domain.price import Price, read_terms
from kpgate.domain.receipt import VERSION, canonical, head_bytes
from kpgate.domain.usage import Usage

FILE_BYTES_MAX = 16 * 1024 * 1024
PROOF_MAX = 64
UNMEASURED = (1, 2, 3)
"""Reasons with which a call was charged what had been metered."""

Hex = Annotated[str, Meta(pattern="^([0-9a-f]{2})*$", max_length=256)]
Count = Annotated[int, Meta(ge=0, le=1 << 62)]


class Head(msgspec.Struct, frozen=True):
    """A signed tree head."""

    log: str
    size: Count
    root: Hex
    time_us: Count
    key: str
    signature: Hex


class Signer(msgspec.Struct, frozen=True):
    """A public key, and who vouches for it."""

    id: str
    public: Hex
    endorsed_by: str = ""
    endorsement: Hex = ""


class Shown(msgspec.Struct, frozen=True):
    """A receipt with its proof, as `/kp/v1/receipts/{id}` gives it."""

    leaf: dict[str, Any]
    index: Count
    proof: Annotated[tuple[Hex, ...], Meta(max_length=PROOF_MAX)]
    head: Head
    signers: tuple[Signer, ...]
    price_terms: str = ""


class Grown(msgspec.Struct, frozen=True):
    """A head with the proof that an earlier log is its beginning, as `/kp/v1/log` gives it."""

    head: Head
    before: Count
    proof: Annotated[tuple[Hex, ...], Meta(max_length=PROOF_MAX)]
    signers: tuple[Signer, ...]


class Unusable(Exception):
    """The file is not what it should be."""


def read(text: bytes) -> Shown | Grown:
    """A file as it was given.

    Errors: Unusable.
    """
    try:
        found = msgspec.json.decode(text)
        if isinstance(found, dict) and "leaf" in found:
            return msgspec.convert(found, Shown)
        return msgspec.convert(found, Grown)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"not a receipt: {error}") from None


def problems(shown: Shown, trusted: str = "") -> Iterator[str]:
    """What does not hold of a receipt. Shape: `trusted` is a public key in hexadecimal, empty for the first signer."""
    leaf, head = shown.leaf, shown.head
    try:
        hashed = leaf_hash(canonical(leaf))
    except (TypeError, ValueError, RecursionError):
        yield "leaf: it has no canonical form"
        return
    if leaf.get("v") != VERSION:
        yield f"leaf.v: expected {VERSION}"
    if leaf.get("log") != head.log:
        yield "leaf.log: the head is of another log"
    path = [bytes.fromhex(step) for step in shown.proof]
    if not proves_inclusion(hashed, shown.index, head.size, path, bytes.fromhex(head.root)):
        yield "proof: it does not lead from the leaf to the head's root: leaf, index, proof or root were changed"
    yield from head_problems(head, shown.signers, trusted)
    yield from _price_problems(leaf, shown.price_terms)


def head_problems(head: Head, signers: tuple[Signer, ...], trusted: str) -> Iterator[str]:
    """What does not hold of a signed head and of who signed it."""
    known: dict[str, bytes] = {}
    for number, signer in enumerate(signers):
        public = bytes.fromhex(signer.public)
        if key_id(public) != signer.id:
            yield f"signers[{number}].id: it is not its public key's"
        elif trusted == signer.public or (not number and not trusted):
            known[signer.id] = public
        elif signer.endorsed_by in known:
            said = bytes.fromhex(signer.endorsement)
            if is_signed(known[signer.endorsed_by], said, endorsement(public)):
                known[signer.id] = public
            else:
                yield f"signers[{number}].endorsement: it is not a signature of {signer.endorsed_by}"
    if head.key not in known:
        yield "head.key: it cannot be traced to a key that is trusted"
        return
    said = head_bytes(head.log, head.size, bytes.fromhex(head.root), head.time_us, head.key)
    if not is_signed(known[head.key], bytes.fromhex(head.signature), said):
        yield "head.signature: it is not the key's: head or signature were changed"


def _price_problems(leaf: Mapping[str, Any], terms: str) -> Iterator[str]:
    if sha256(terms.encode()).hexdigest() != leaf.get("price_sha256"):
        yield "price_terms: they are not those of leaf.price_sha256"
        return
    if leaf.get("reason") in UNMEASURED:
        return
    try:
        price: Price = read_terms(terms)
        usage = msgspec.convert(leaf.get("usage"), Usage)
        charged = price.charge(usage, leaf["factor_basis_points"])
        said = leaf["amount_microkpt"] + leaf["overrun_microkpt"]
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
        yield "leaf: usage, price or amount cannot be read"
        return
    if charged != said:
        yield f"leaf.amount_microkpt: usage and price come to {charged}, not {said}"


def growth_problems(grown: Grown, older: Head, trusted: str = "") -> Iterator[str]:
    """What does not hold of the claim that a log only grew since an older head."""
    head = grown.head
    yield from head_problems(head, grown.signers, trusted)
    yield from head_problems(older, grown.signers, trusted)
    if head.log != older.log:
        yield "head.log: the heads are of different logs"
    path = [bytes.fromhex(step) for step in grown.proof]
    roots = bytes.fromhex(older.root), bytes.fromhex(head.root)
    if grown.before != older.size or not proves_consistency(older.size, head.size, path, *roots):
        yield "proof: the older log is not shown to be the beginning of the newer one"


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("older", type=click.Path(path_type=Path), required=False)
@click.option(
    "--key", default="", metavar="HEX", help="Trust this public key alone, not the first signer shown."
)
def command(file: Path, older: Path | None, key: str) -> None:
    """Check a receipt offline; with OLDER, that the log of FILE goes on from the one shown there."""
    try:
        shown = read(_load(file))
        if isinstance(shown, Grown):
            if older is None:
                raise Unusable("this is a head of the log: give the older file too, or a receipt")
            found = list(growth_problems(shown, read(_load(older)).head, key.lower()))
        elif older is not None:
            raise Unusable("a receipt is checked alone: give one file")
        else:
            found = list(problems(shown, key.lower()))
    except Unusable as error:
        raise click.ClickException(str(error)) from None
    _show(shown, found, key)
    if found:
        sys.exit(1)


def _load(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    if len(text) > FILE_BYTES_MAX:
        raise Unusable(f"{path}: no receipt is so large")
    return text


def _show(shown: Shown | Grown, found: list[str], key: str) -> None:
    signer = shown.signers[0].public if shown.signers else ""
    if not sys.stdout.isatty():
        click.echo(json.dumps({"holds": not found, "problems": found, "trusted": key.lower() or signer}))
        return
    if found:
        click.echo("This does not hold:")
        for problem in found:
            click.echo(f"  {problem}")
        return
    if isinstance(shown, Shown):
        amount = show_amount(shown.leaf["amount_microkpt"])
        click.echo(f"The receipt holds: call {shown.leaf['call']}, model {shown.leaf['model']}, {amount}.")
        click.echo(f"It is leaf {shown.index} of {shown.head.size} in log {shown.head.log}.")
    else:
        click.echo(
            f"The log holds: it grew from {shown.before} to {shown.head.size} leaves, and nothing else changed."
        )
    if not key:
        click.echo(
            f"Trusted without being asked: key {signer}. Compare it with what the operator publishes, or use --key."
        )

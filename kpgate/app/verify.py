"""`kpgate verify`: whether a receipt holds, offline, by docs/receipts.md alone.

Every check that fails is named; nothing is asked of anybody.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import click
import msgspec
from msgspec import Meta

from kpgate.app.signing import endorsement, is_signed, key_id
from kpgate.domain.ledger import Reason
from kpgate.domain.merkle import leaf_hash, proves_consistency, proves_inclusion
from kpgate.domain.money import show_amount
from kpgate.domain.price import Price, terms_hash
from kpgate.domain.price_step import LongPrice, read_terms
from kpgate.domain.receipt import VERSION, canonical, follower, head_bytes
from kpgate.domain.usage import Usage

FILE_BYTES_MAX = 1024 * 1024
PROOF_MAX = 64
NUMBER_MAX = 1 << 62
UNMEASURED = (1, 2, 3)
"""Reasons with which a call was charged what had been metered."""

# A pattern's `$` would let a line feed through.
Bytes = Annotated[str, Meta(pattern=r"\A([0-9a-f]{2})*\Z", max_length=256)]
Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Origin = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
KeyId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]
Count = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
Proof = Annotated[tuple[Hash, ...], Meta(max_length=PROOF_MAX)]


class Head(msgspec.Struct, frozen=True):
    """A signed tree head."""

    log: Origin
    size: Count
    root: Hash
    time_us: Count
    key: KeyId
    signature: Bytes


class Signer(msgspec.Struct, frozen=True):
    """A public key, and who vouches for it."""

    id: KeyId
    public: Hash
    endorsed_by: str = ""
    endorsement: Bytes = ""


class Used(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens by kind, and units of what is no token, those that are 0 left out."""

    input: Count = 0
    output: Count = 0
    cached: Count = 0
    reasoning: Count = 0
    audio_input: Count = 0
    audio_output: Count = 0
    image: Count = 0
    cache_write: Count = 0
    cache_write_long: Count = 0
    units: Count = 0


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a leaf says."""

    amount_microkpt: Count
    call: Annotated[str, Meta(pattern=r"\Akp1-[0-9a-f]{16}\Z")]
    factor_basis_points: Count
    log: Origin
    model: str
    overrun_microkpt: Count
    party: Origin
    price: Count
    price_sha256: Hash
    reason: Annotated[int, Meta(ge=0, le=int(max(Reason)))]
    request: str
    salt: Origin
    time_us: Count
    usage: Used
    v: int


class Shown(msgspec.Struct, frozen=True):
    """A receipt with its proof, as `/kp/v1/receipts/{id}` gives it."""

    leaf: dict[str, Any]
    index: Count
    proof: Proof
    head: Head
    signers: tuple[Signer, ...]
    price_terms: str = ""
    refunded_microkpt: Count = 0


class Grown(msgspec.Struct, frozen=True):
    """A head with the proof that an earlier log is its beginning, as `/kp/v1/log` gives it."""

    head: Head
    before: Count
    proof: Proof
    signers: tuple[Signer, ...]
    continues: Annotated[
        str, Meta(pattern=r"\A([0-9a-f]{32}:[0-9]{1,19}:([0-9a-f]{64})?:[0-9a-f]{32})?\Z")
    ] = ""


class Unusable(Exception):
    """The file is not what it should be."""


def read(text: bytes) -> Shown | Grown:
    """A file as it was given.

    Errors: Unusable.
    """
    found = _parsed(text, "not a receipt")
    try:
        if isinstance(found, dict) and "leaf" in found:
            return msgspec.convert(found, Shown)
        return msgspec.convert(found, Grown)
    except msgspec.ValidationError as error:
        raise Unusable(f"not a receipt: {error}") from None


def read_older(text: bytes) -> tuple[Head, str]:
    """An older head, from a receipt, from an answer about the log, or by itself, and the first key that came with it.

    Errors: Unusable.
    """
    found = _parsed(text, "not a head")
    try:
        if isinstance(found, dict) and "head" not in found:
            return msgspec.convert(found, Head), ""
    except msgspec.ValidationError as error:
        raise Unusable(f"not a head: {error}") from None
    shown = read(text)
    return shown.head, shown.signers[0].public if shown.signers else ""


def _parsed(text: bytes, otherwise: str) -> Any:
    """JSON, each name once in its object: two verifiers must not read two things."""
    try:
        # The first is strict about characters; the other tells of names that come twice.
        msgspec.json.decode(text)
        return json.loads(text, object_pairs_hook=_once, parse_float=_no_number, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{otherwise}: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice in one object")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text[:40]} is no whole number")


def problems(shown: Shown, trusted: str = "") -> Iterator[str]:
    """What does not hold of a receipt. Shape: `trusted` is a public key in hexadecimal, empty for the first signer."""
    leaf, head = shown.leaf, shown.head
    try:
        hashed = leaf_hash(canonical(leaf))
    except (TypeError, ValueError, RecursionError):
        yield "leaf: it has no canonical form"
        return
    if leaf.get("log") != head.log:
        yield "leaf.log: the head is of another log"
    path = [bytes.fromhex(step) for step in shown.proof]
    if not proves_inclusion(hashed, shown.index, head.size, path, bytes.fromhex(head.root)):
        yield "proof: it does not lead from the leaf to the head's root: leaf, index, proof or root were changed"
    yield from head_problems(head, shown.signers, trusted)
    if leaf.get("v") != VERSION:
        yield f"leaf.v: expected {VERSION}"
        return
    try:
        said = msgspec.convert(leaf, Leaf)
    except msgspec.ValidationError as error:
        yield f"leaf: {error}"
        return
    yield from _price_problems(said, shown.price_terms)
    if shown.refunded_microkpt > said.amount_microkpt:
        yield "refunded_microkpt: it is more than was charged"


def head_problems(head: Head, signers: Sequence[Signer], trusted: str, name: str = "head") -> Iterator[str]:
    """What does not hold of a signed head and of who signed it. Shape: `name` is what it is called."""
    known, found = vouched(signers, trusted)
    yield from found
    if head.key not in known:
        yield f"{name}.key: it cannot be traced to a key that is trusted"
        return
    if not _is_signed(head, known[head.key]):
        yield f"{name}.signature: it is not the key's: {name} or signature were changed"


def _is_signed(head: Head, public: bytes) -> bool:
    said = head_bytes(head.log, head.size, bytes.fromhex(head.root), head.time_us, head.key)
    return is_signed(public, bytes.fromhex(head.signature), said)


def vouched(signers: Sequence[Signer], trusted: str) -> tuple[dict[str, bytes], list[str]]:
    """The keys that are reached from one that is trusted, and what does not hold of any."""
    seen: dict[str, bytes] = {}
    known: dict[str, bytes] = {}
    found = []
    for number, signer in enumerate(signers):
        public = bytes.fromhex(signer.public)
        if key_id(public) != signer.id:
            found.append(f"signers[{number}].id: it is not its public key's")
            continue
        if signer.id in seen:
            found.append(f"signers[{number}].id: it is listed twice")
            continue
        vouched = False
        if signer.endorsed_by or signer.endorsement:
            by = seen.get(signer.endorsed_by)
            if by is None:
                found.append(f"signers[{number}].endorsed_by: no signer before it is called so")
            elif not is_signed(by, bytes.fromhex(signer.endorsement), endorsement(public)):
                found.append(f"signers[{number}].endorsement: it is not a signature of {signer.endorsed_by}")
            else:
                vouched = signer.endorsed_by in known
        seen[signer.id] = public
        if vouched or signer.public == trusted or not (number or trusted):
            known[signer.id] = public
    if trusted and trusted not in {signer.public for signer in signers}:
        found.append("signers: the key that is trusted is not among them")
    return known, found


def _price_problems(leaf: Leaf, terms: str) -> Iterator[str]:
    if terms_hash(terms) != leaf.price_sha256:
        yield "price_terms: they are not those of leaf.price_sha256"
        return
    if leaf.reason in UNMEASURED:
        if leaf.usage != Used():
            yield f"leaf.usage: with reason {leaf.reason} nothing is said of it"
        return
    try:
        price = _read_strictly(terms)
    except (Unusable, msgspec.MsgspecError) as error:
        yield f"price_terms: {error}"
        return
    charged = price.charge(Usage(**msgspec.structs.asdict(leaf.usage)), leaf.factor_basis_points)
    said = leaf.amount_microkpt + leaf.overrun_microkpt
    if charged != said:
        yield f"leaf.amount_microkpt: usage and price come to {charged}, amount and overrun to {said}"


def _read_strictly(terms: str) -> Price:
    """Terms that nobody can read otherwise.

    Errors: Unusable, msgspec.MsgspecError.
    """
    found = _parsed(terms.encode(), "no terms")
    for name in LongPrice.__struct_fields__ if isinstance(found, dict) else ():
        if name != "shares" and not 0 <= msgspec.convert(found.get(name, 0), int) <= NUMBER_MAX:
            raise Unusable(f"{name} is no number from 0 to 2^62")
    return read_terms(terms)


def answer_problems(grown: Grown, trusted: str = "") -> Iterator[str]:
    """What does not hold of an answer about a log by itself: its head, and the log that it says it follows."""
    yield from head_problems(grown.head, grown.signers, trusted)
    if grown.continues and follower(grown.continues) != grown.head.log:
        yield "continues: the head's log does not follow the one that is named"


def growth_problems(grown: Grown, older: Head, trusted: str = "") -> Iterator[str]:
    """What does not hold of the claim that a log only grew since an older head."""
    head = grown.head
    yield from answer_problems(grown, trusted)
    known, _ = vouched(grown.signers, trusted)
    if older.key not in known:
        yield "older head.key: it cannot be traced to a key that is trusted"
    elif not _is_signed(older, known[older.key]):
        yield "older head.signature: it is not the key's: older head or signature were changed"
    if head.log != older.log:
        yield "head.log: the heads are of different logs; one restored from a backup is another log"
    if grown.before != older.size:
        yield f"before: the proof is about {grown.before} leaves, the older head about {older.size}"
        return
    path = [bytes.fromhex(step) for step in grown.proof]
    if not proves_consistency(
        older.size, head.size, path, bytes.fromhex(older.root), bytes.fromhex(head.root)
    ):
        yield "proof: the older log is not shown to be the beginning of the newer one"


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("older", type=click.Path(path_type=Path), required=False)
@click.option(
    "--key", default="", metavar="HEX", help="Trust this public key alone, not the first signer shown."
)
def command(file: Path, older: Path | None, key: str) -> None:
    """Check a receipt offline; with OLDER, that the log of FILE goes on from the one shown there."""
    trusted = key.lower()
    if key and (len(trusted) != 64 or not set(trusted) <= set("0123456789abcdef")):
        raise click.BadParameter("expected a public key: 64 hexadecimal digits", param_hint="--key")
    try:
        shown = _from(file, read)
        if isinstance(shown, Shown):
            if older is not None:
                raise Unusable("a receipt is checked alone: give one file")
            found = list(problems(shown, trusted))
        elif older is not None:
            head, first = _from(older, read_older)
            trusted = trusted or first
            found = list(growth_problems(shown, head, trusted))
        elif shown.before:
            raise Unusable("this is about how the log grew: give the older file too")
        else:
            found = list(answer_problems(shown, trusted))
    except Unusable as error:
        raise click.ClickException(_plain(str(error))) from None
    _show(shown, found, trusted or (shown.signers[0].public if shown.signers else ""), pinned=bool(key))
    if found:
        sys.exit(1)


def _from(path: Path, reads: Callable[[bytes], Any]) -> Any:
    """What a file says.

    Errors: Unusable, naming it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    except ValueError:
        raise Unusable(f"{path}: not a path") from None
    if len(text) > FILE_BYTES_MAX:
        raise Unusable(f"{path}: no receipt is so large")
    try:
        return reads(text)
    except Unusable as error:
        raise Unusable(f"{path}: {error}") from None


def _show(shown: Shown | Grown, found: list[str], trusted: str, *, pinned: bool) -> None:
    if not sys.stdout.isatty():
        said = {"holds": not found, "problems": found, "trusted": trusted, "pinned": pinned}
        click.echo(json.dumps(said))
        return
    if found:
        click.echo("This does not hold:")
        for problem in found:
            click.echo(f"  {_plain(problem)}")
        return
    if isinstance(shown, Shown):
        leaf, size = shown.leaf, shown.head.size
        amount = show_amount(leaf["amount_microkpt"])
        click.echo(f"The receipt holds: call {leaf['call']}, model {_plain(leaf['model'])}, {amount}.")
        click.echo(f"It is leaf {shown.index} of {size} in log {shown.head.log}.")
        if shown.refunded_microkpt:
            click.echo(f"Refunded, as the file says without proof: {show_amount(shown.refunded_microkpt)}.")
    elif shown.before:
        click.echo(
            f"The log holds: it grew from {shown.before} to {shown.head.size} leaves, and nothing else changed."
        )
    else:
        click.echo(f"The head holds: {shown.head.size} leaves of log {shown.head.log}. Keep it.")
    if not pinned:
        click.echo(
            f"Trusted without being asked: key {trusted}. Compare it with what the operator publishes, or use --key."
        )


def _plain(text: str) -> str:
    """A text that does nothing to a terminal."""
    return "".join(one if one.isprintable() else "?" for one in text)

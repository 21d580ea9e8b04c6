"""The audit log: who did what to keys, parties and money, each row's hash over the one before it.

A row is written with the act where both are one transaction. What reaches beyond the store, as money does, is
written before it is begun, as `asked`, and again with what came of it.
"""

from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from kpgate.domain.caller import OWNER

ASKED, OK = "asked", "ok"
PAGE_MAX = 1000
_Id = Annotated[str, Meta(min_length=8, max_length=64, pattern="^[A-Za-z0-9._-]+$")]


class Actor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who asks for an operation, and from where.

    Shape: `via` is http, cli or top_up, empty for the gateway's own upkeep, which is nobody's act; `key` is an id,
    or the name of whoever sent a top-up.
    """

    via: str = ""
    role: str = OWNER
    key: str = ""
    party: str = ""
    peer: str = ""
    request: str = ""


GATEWAY = Actor()


class Entry(msgspec.Struct, frozen=True):
    """A row. Shape: `about` is JSON; `hash` covers the row before and all of this one."""

    time_us: int
    actor: Actor
    act: str
    about: str
    outcome: str
    number: int = 0
    hash: bytes = b""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are wanted: so many from before a number on, newest first; of one party or key, since a time."""

    before: Annotated[int, Meta(ge=0)] = 0
    count: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 100
    party: Annotated[str, Meta(max_length=200)] = ""
    key: Annotated[str, Meta(max_length=32)] = ""
    since_us: Annotated[int, Meta(ge=0, le=253_402_300_800_000_000)] = 0


class ListAudit(
    Page, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", tag="audit.list"
):
    """Rows of the audit log."""

    id: _Id


class NoteAct(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", tag="audit.note"
):
    """Write down what a worker did or refused itself. Shape: `missed` refusals before it were not noted."""

    id: _Id
    act: Annotated[str, Meta(max_length=64)]
    outcome: Annotated[str, Meta(max_length=64)]
    path: Annotated[str, Meta(max_length=300)] = ""
    missed: Annotated[int, Meta(ge=0)] = 0


AuditOperation = ListAudit | NoteAct


def link(before: bytes, entry: Entry) -> bytes:
    """The hash of a row.

    Shape: SHA-256 of the hash before it (32 zero bytes before the first) and a JSON array: number, time in
    microseconds since 1970, via, role, key, party, peer, request, act, about as text, outcome; no spaces.
    """
    who = entry.actor
    said = (
        entry.number,
        entry.time_us,
        who.via,
        who.role,
        who.key,
        who.party,
        who.peer,
        who.request,
        entry.act,
        entry.about,
        entry.outcome,
    )
    return sha256((before or bytes(32)) + msgspec.json.encode(said)).digest()

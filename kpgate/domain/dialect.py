"""What a dialect offers: tables of what callers may ask and of what providers are asked; and the ways between.

An **endpoint** is a path that callers speak to; a **tongue** is how a provider is spoken to. Where both are the same
vendor's, the bytes go through; else a bridge goes over the neutral forms (`domain/chat`, `domain/reply`): there is no
table of pairs.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn, Protocol

import msgspec

from kpgate._fast.heading import Heading
from kpgate._fast.limit import Verdict
from kpgate._fast.outline import Outline
from kpgate.domain.call import Call
from kpgate.domain.chat import UNMADE, Chat, Choosing
from kpgate.domain.errors import GatewayError
from kpgate.domain.identity import Identity
from kpgate.domain.passing import pass_on, same, silent, sound, uncut, unsaid
from kpgate.domain.reply import Failure, Piece, Reply
from kpgate.domain.usage import Usage

Header = tuple[bytes, bytes]


class Counter(Protocol):
    """Anything that counts the tokens of a text, or of texts where they stand in a body."""

    def count(self, text: str) -> int: ...

    def unseen(self, texts: Outline) -> int: ...

    def count_outlined(self, texts: Outline) -> int: ...


class Framing(Protocol):
    """A provider's stream on its way to the caller: whole events in the caller's dialect, and notes of what they said.

    `_fast.sse.Framer` is OpenAI's, byte for byte.
    """

    @property
    def events(self) -> int:
        """Events so far, as far as can be told those that say something: what is charged where nobody counts tokens."""

    @property
    def at_boundary(self) -> bool:
        """What was given out so far ends with a whole event."""

    @property
    def text_bytes(self) -> int:
        """How much text waits for `take_text`."""

    @property
    def usage(self) -> Any:
        """What the provider said was used, for the way's `decode_usage`; None until it has."""

    def feed(self, chunk: bytes) -> bytes:
        """Take what arrived; what to send on now.

        Errors: UpstreamFailed where the provider reports a failure or cannot be understood.
        """

    def finish(self) -> bytes:
        """The provider's stream ended well: what is left to send."""

    def take_text(self) -> str:
        """What the model wrote since the last time."""


class Reader(Protocol):
    """Reads one provider's stream, event by event."""

    def read(self, name: bytes, data: bytes) -> Sequence[Piece]:
        """What an event says.

        Shape: `name` is the event's, empty for none; several lines of data are joined.
        Errors: ValueError for what makes no sense.
        """

    def end(self) -> Sequence[Piece]:
        """The stream ended: what is still to be said. Errors: ValueError where it must not end here."""


class Writer(Protocol):
    """Writes one caller's stream. One whose `cut` depends on what was sent has a `mark` too: all so far is sent."""

    def write(self, piece: Piece) -> bytes:
        """A piece in the caller's spelling, empty where it has no place there. Order: nothing follows `Over`."""

    def cut(self) -> bytes:
        """The end of a stream that the gateway cuts: every choice is as long as it may be."""


class Intake(Protocol):
    """Reads a request's body as it comes, until what is decided by is known and the rest may go on unread by anybody
    else. What goes on is still read here, a piece before the provider has it.
    """

    @property
    def goes_on(self) -> bool | None:
        """Whether the rest may go on as it comes; False: it is to be read whole. None: that is not known yet."""

    def feed(self, piece: bytes) -> None:
        """Take what arrived. Errors: InvalidRequest."""

    def call(self) -> Call:
        """What is asked for, as far as it has come. Errors: as the endpoint's `decode`."""

    def end(self) -> Call | None:
        """There is no more: what is asked for where that is another thing now. Errors: InvalidRequest."""


class Unspeakable(Exception):
    """The target's dialect cannot say something. Shape: `name` is a field of the neutral form, or a part of it."""

    def __init__(self, name: str, why: str = "") -> None:
        super().__init__(name, why)
        self.name = name
        self.why = why


@dataclass
class Aim:
    """What a chat is encoded for. Units: `cap` output tokens a choice, 0 where nobody caps.

    Shape: `drops` says that what the target cannot express may be left out; it is then named in `dropped`.
    """

    model: str
    cap: int = 0
    output_default: int = 4096
    stream: bool = False
    drops: bool = False
    dropped: list[str] = UNMADE

    def __post_init__(self) -> None:
        self.dropped = self.dropped if self.dropped is not None else []

    def lack(self, name: str, why: str = "") -> None:
        """The target cannot express `name`.

        Errors: Unspeakable, unless it may be dropped.
        """
        if not self.drops:
            raise Unspeakable(name, why)
        self.leave_out(name)

    def lack_all(self, chat: Chat, *names: str) -> None:
        """The target has nothing for these fields, as far as the chat asks for anything by them.

        Errors: Unspeakable, unless they may be dropped.
        """
        if chat.asks_more():
            for name in names:
                if chat.asks(name):
                    self.lack(name)

    def lack_one_call(self, chat: Chat) -> None:
        """The target cannot be held to one call at a time. Where one tool must be called, that is what comes anyway.

        Errors: Unspeakable where several could come of it, unless it may be dropped.
        """
        if chat.parallel_tools is not False or not chat.tools:
            return
        how = Choosing.AUTO if chat.tool_choice is None else chat.tool_choice.how
        if how in (Choosing.NAMED, Choosing.NONE) or (how is Choosing.REQUIRED and len(chat.tools) == 1):
            self.leave_out("parallel_tools")
        else:
            self.lack("parallel_tools")

    def leave_out(self, name: str) -> None:
        """Note something that is dropped without asking: a hint that does not change the answer."""
        if name not in self.dropped:
            self.dropped.append(name)

    def keep(self, name: str) -> None:
        """A hint has a place at the target after all."""
        if name in self.dropped:
            self.dropped.remove(name)


class Tongue(msgspec.Struct, frozen=True, gc=False):
    """How a vendor's API is asked for a chat, and what it answers.

    Shape: `path` gives the path under the base URL for a model, whole or streamed, with its query; `stream_type` is
    how a streamed reply's content type begins; `split` makes what cuts a stream into named events; `fixed` goes with
    every call, unless the configuration says another value.
    """

    name: str
    path: Callable[[str, bool], str]
    encode_chat: Callable[[Chat, Aim], bytes]
    decode_reply: Callable[[bytes], Reply]
    decode_failure: Callable[[int, bytes], Failure]
    reader: Callable[[], Reader]
    split: Callable[[int], Any]
    stream_type: bytes = b"text/event-stream"
    fixed: tuple[Header, ...] = ()


@dataclass
class Turned:
    """A whole reply in the caller's dialect. Shape: `usage` None where the provider did not say."""

    body: bytes
    usage: Usage | None
    text: str


class Shape(msgspec.Struct, frozen=True, gc=False):
    """How a vendor is asked for what is no chat, and what it answers.

    Shape: `path` is under the base URL, for a model; `encode` puts a request's body into the vendor's words, `turn` a
    reply into the caller's. Errors: InvalidRequest and Unspeakable of `encode`; ValueError, msgspec.MsgspecError of
    `turn`, for what makes no sense.
    """

    name: str
    path: Callable[[str], str]
    encode: Callable[[bytes, Call, Aim], bytes]
    turn: Callable[[bytes, Call], Turned]


class Heads(msgspec.Struct, frozen=True):
    """The fixed part of a request's head, for a whole reply and for a stream."""

    whole: bytes
    stream: bytes


@dataclass
class Way:
    """How calls of one endpoint go to one deployment.

    Shape: `head` and `stream_head` are the request head's bytes up to the variable headers; `passes` are the caller's
    headers that go along; `begin` gives the request's first line where that is the call's own; `sign` gives headers
    that depend on the head and the body; `stream_type` is how a stream's content type begins, or how it may, empty for
    any. `turn` puts a whole reply into the caller's dialect, with what it used and said; None where bytes go through,
    and then `find_usage` and `decode_text` read them, and `look` says what is wrong with one that does not say what
    it used. By itself a way reads nothing of a reply. `tongue` is the provider's, None where there is no neutral form
    for what it answers.
    """

    head: bytes
    stream_head: bytes
    forward: Callable[[bytes, Call, str, int], bytes]
    framer: Callable[[Call], Framing] = pass_on
    decode_usage: Callable[[Any], Usage | None] = same
    cut: Callable[[Framing, str, str, int], bytes] = uncut
    find_usage: Callable[[bytes], Usage | None] = unsaid
    decode_text: Callable[[bytes], str] = silent
    turn: Callable[[int, bytes, Call], Turned] | None = None
    passes: Container[bytes] = ()
    sign: Callable[[bytes, bytes], bytes] | None = None
    stream_type: bytes | tuple[bytes, ...] = b"text/event-stream"
    begin: Callable[[Call], bytes] | None = None
    tongue: Tongue | None = None
    look: Callable[[bytes], str] = sound


class Amend(NamedTuple):
    """How a request is asked once more, with what was answered and what to say to that.

    Shape: `ask` takes the request, the answer's text, what to say, and how many choices are asked for, 0 for as many as
    before; `merge` puts the choices of a second answer at those places of a first, None where an answer has one alone.
    """

    ask: Callable[[bytes, str, str, int], bytes]
    merge: Callable[[bytes, bytes, Sequence[int]], bytes] | None = None


@dataclass(frozen=True, eq=False)
class Endpoint:
    """One path that callers speak to, with the pure functions of its dialect.

    `path` is what callers ask for, and the metrics' label; `upstream_path` follows a provider's base URL where it
    speaks the same dialect; `generates` says that output tokens are to be expected. Errors are given with the
    request's id; `id_header` is a further header that carries it. `neutral` puts a call into the neutral form, None
    where there is none for it, and the functions after it lead back; `spelled` is the caller's name for a field of
    that form. `tally` answers with the count itself where that is all that is asked, which is free: a provider is asked
    only where its vendor has the endpoint. `stream_type` is a stream's content type, empty for the provider's own.
    `unit` names what it counts that is no token, where it does: what is made or read there may be paid for each. `once`
    says that a call is sent once, whatever becomes of it. `encode_break` writes an error
    within a stream where that needs to know how far the stream has come, else `encode_error_event` does. `tongue` is
    its own dialect's, for what is no chat None; `intake` reads a body of so many bytes, -1 where nobody knows, that may
    go on as it comes: its ways sign no more of it than its beginning. `amend` has a request asked once more.
    """

    path: str
    dialect: str
    upstream_path: str
    generates: bool
    decode: Callable[[bytes, int], Call]
    count: Callable[[Call, Counter, str], int]
    encode_error: Callable[[GatewayError, str], bytes]
    encode_error_event: Callable[[GatewayError, str], bytes]
    encode_limits: Callable[[Verdict, Heading], object]
    neutral: Callable[[bytes, Call], Chat] | None = None
    encode_reply: Callable[[Reply, Call], bytes] | None = None
    writer: Callable[[Call], Writer] | None = None
    encode_failure: Callable[[int, Failure], bytes] | None = None
    spelled: dict[str, str] = field(default_factory=dict)
    id_header: bytes = b""
    tally: Callable[[int], bytes] | None = None
    stream_type: bytes = b"text/event-stream; charset=utf-8"
    encode_break: Callable[[Framing, GatewayError, str], bytes] | None = None
    unit: str = ""
    once: bool = False
    tongue: Tongue | None = None
    amend: Amend | None = None
    intake: Callable[[int], Intake] | None = None

    def read_by(
        self, decode: Callable[[bytes, int], Call], intake: Callable[[int], Intake] | None = None
    ) -> "Endpoint":
        """The same endpoint, whose requests are read by another function: of paths that say what is asked for."""
        return Endpoint(
            self.path,
            self.dialect,
            self.upstream_path,
            self.generates,
            decode,
            self.count,
            self.encode_error,
            self.encode_error_event,
            self.encode_limits,
            self.neutral,
            self.encode_reply,
            self.writer,
            self.encode_failure,
            self.spelled,
            self.id_header,
            self.tally,
            self.stream_type,
            self.encode_break,
            self.unit,
            self.once,
            self.tongue,
            self.amend,
            intake or self.intake,
        )


class Vendor(msgspec.Struct, frozen=True, gc=False):
    """A vendor's API, as providers speak it.

    Shape: `endpoints` are those whose bytes go through, by `native`, to the path that `native_path` gives for an
    endpoint, a model and whether it is a stream; every other endpoint goes by `tongue`. `credential` is the header
    and what stands before the secret in it; `fixed` goes with every call; `passed` begins the reply's headers that
    the caller may see. `signer` makes a way's `sign` for an identity and a clock, in seconds since 1970.
    """

    endpoints: tuple[Endpoint, ...]
    native: Callable[[Endpoint, Heads], Way]
    native_path: Callable[[Endpoint, str, bool], str]
    tongue: Tongue | None
    credential: tuple[bytes, bytes] = (b"authorization", b"Bearer ")
    fixed: tuple[Header, ...] = ()
    passed: tuple[bytes, ...] = ()
    signer: Callable[[Identity, Callable[[], float]], Callable[[bytes, bytes], bytes]] | None = None


def only_tongue(tongue: Tongue) -> Vendor:
    """A vendor whose API no caller speaks."""
    return Vendor(endpoints=(), native=_unspoken, native_path=_unspoken, tongue=tongue)


def _unspoken(*asked: Any) -> NoReturn:
    raise AssertionError("nobody asks for what is no endpoint of a vendor's")

"""Forms that go on as they come, and what is spoken as it is made: neither is ever here as a whole.

The provider is the test's own: it says what has arrived while the client still holds the rest back.
"""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import trustme

from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.payer import Payer
from tests.kit.provider import answer
from tests.kit.stage import Guest, Stage
from tests.kit.talk import Talk
from tests.kit.whole import Whole, pid_of

SECOND, IMAGE, ROAD = 10_000, 4_000_000, 1_000_000
MEBI = 1 << 20
FILE_BYTES = 24 * MEBI
GROWTH_KIB = 2048
IDLE_S = 0.4
HEARD: dict[str, Any] = {"text": "Hello there.", "usage": {"type": "duration", "seconds": 8.47}}
DRAWN: dict[str, Any] = {"created": 1, "data": [{"b64_json": "aW1hZ2U="}]}
PATH = "/v1/audio/transcriptions"
END = b"\r\n--x--\r\n"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, stage: Stage
) -> Iterator[Whole]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        with Whole(
            tmp_path_factory.mktemp("uploads"), settings(stage, nobody), transport=request.param
        ) as gate:
            yield gate
    assert not [said for said in gate.said if said.get("event") in ("text", "failure", "lost")]


@pytest.fixture(scope="module", params=TRANSPORTS)
def hasty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """A gateway that does not wait for its clients long, and whose provider speaks TLS."""
    model = '[[models]]\nname = "heard"\ndeployments = [{provider = "p", model = "up-heard"}]\n'
    ledger = "[ledger]\nenabled = true\n" + model + "price = { unit = 0.0001 }\n"
    server = f"workers = 1\nbody_idle_s = {IDLE_S}\nbytes_a_second_min = 100000"
    folder = tmp_path_factory.mktemp("hasty")
    with Whole(folder, ledger, server=server, transport=request.param, authority=trustme.CA()) as gate:
        yield gate


def settings(stage: Stage, nobody: str) -> str:
    """A provider on the stage, one that takes little time, one that is not there."""
    providers = {"v": (f"{stage.url}/v1", "passthrough = { request = 0.01 }"), "gone": (nobody, "")}
    providers["brief"] = (f"{stage.url}/v1", "[providers.timeouts]\nfirst_byte_s = 0.5\ntotal_s = 0.5")
    providers["mute"] = (stage.url.replace("http:", "https:"), "")
    providers["hasty"] = (f"{stage.url}/v1", "[providers.timeouts]\nfirst_byte_s = 0.5")
    models = {
        "heard": ("v", "unit = 0.0001"),
        "drawn": ("v", "unit = 0.04"),
        "hasty": ("hasty", "unit = 0.0001"),
        "mute": ("mute", "unit = 0.0001"),
        "brief": ("brief", "unit = 0.0001"),
        "spoken": ("v", "unit = 0.0000001"),
    }
    return (
        "[ledger]\nenabled = true\n[retries]\nmax = 1\n"
        + "".join(
            f'[[providers]]\nname = "{name}"\nbase_url = "{url}"\napi_key = "env:KPGATE_TEST_UPSTREAM"\n{rest}\n'
            for name, (url, rest) in providers.items()
        )
        + "".join(
            f'[[models]]\nname = "{name}"\ndeployments = [{{provider = "{at}", model = "up-{name}"}}]\n'
            f"price = {{ {price} }}\n"
            for name, (at, price) in models.items()
        )
        + '[[models]]\nname = "moved"\nprice = { unit = 0.0001 }\ndeployments = ['
        '{provider = "gone", model = "up"}, {provider = "v", model = "up-moved", priority = 2}]\n'
        '[[models]]\nname = "again"\nprice = { unit = 0.0001 }\ndeployments = ['
        '{provider = "v", model = "up"}, {provider = "v", model = "up-again", priority = 2}]\n'
    )


@pytest.fixture
def payer(gate: Whole) -> Payer:
    return Payer(gate)


def part(name: str, value: bytes = b"", more: str = "") -> bytes:
    return b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b' % (
        name.encode(),
        more.encode(),
        value,
    )


def field(name: str, value: str) -> bytes:
    return part(name, value.encode()) + b"\r\n"


def beginning(model: str, *fields: tuple[str, str]) -> bytes:
    """A form up to where its file begins."""
    named = [field(name, value) for name, value in (("model", model), *fields)]
    return b"".join(named) + part("file", more='; filename="a.mp3"')


def upload(
    payer: Payer, first: bytes, rest_bytes: int | None, path: str = PATH, key: str = "", more: str = ""
) -> Talk:
    """A client that has sent this much of its body, and says that so many bytes follow; None says no length."""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key or payer.key}\r\n{more}"
    head += "content-type: multipart/form-data; boundary=x\r\n"
    if rest_bytes is None:
        head += "transfer-encoding: chunked\r\n\r\n"
        first = b"%x\r\n%b\r\n" % (len(first), first)
    else:
        head += f"content-length: {len(first) + rest_bytes}\r\n\r\n"
    return Talk(payer.gate.open(head.encode() + first))


def said(talk: Talk) -> tuple[int, str]:
    """Status and code of an error."""
    reply = talk.reply()
    return reply.status, json.loads(reply.body)["error"]["code"]


def peak_kib(pid: int, *, anew: bool = False) -> int:
    """The most memory that a process has had resident since it was asked `anew`."""
    if anew:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def in_a_second(guest: Guest) -> None:
    """The provider sees that it was left: that is promised, not a measure of speed."""
    began = monotonic()
    assert guest.is_left()
    assert monotonic() - began < 1


def hear(payer: Payer, stage: Stage, size: int) -> None:
    """One call with a file of so many bytes, both sides as fast as they can."""
    piece = bytes(range(256)) * 256
    with upload(payer, beginning("heard"), size + len(END)) as talk:
        guest = stage.guest()
        for _ in range(size // len(piece)):
            talk.send(piece)
            assert guest.take(len(piece))
        talk.send(END)
        guest.body(int(guest.headers["content-length"]) - guest_left(guest, size))
        guest.answer(HEARD)
        assert json.loads(talk.reply().body) == HEARD


def guest_left(guest: Guest, size: int) -> int:
    """How many bytes of a form are still to come when so many were taken."""
    return int(guest.headers["content-length"]) - size


def test_a_file_flows_through_and_is_never_here(payer: Payer, stage: Stage) -> None:
    pid = pid_of(payer.gate, 0)
    hear(payer, stage, 2 * MEBI)
    before = peak_kib(pid, anew=True)
    first = beginning("heard") + bytes(MEBI)
    with upload(payer, first, FILE_BYTES - MEBI + len(END)) as talk:
        guest = stage.guest()
        changed = len("up-heard") - len("heard")
        assert int(guest.headers["content-length"]) == len(first) + FILE_BYTES - MEBI + len(END) + changed
        assert b'name="model"\r\n\r\nup-heard\r\n' in guest.take(200)
        # The client holds the rest back, and still this much has arrived.
        guest.take(len(first) + changed - 200)
        left, piece = FILE_BYTES - MEBI, bytes(65_536)
        while left:
            talk.send(piece)
            assert guest.take(len(piece)) == piece
            left -= len(piece)
        talk.send(END)
        assert guest.take(len(END)) == END
        guest.answer(HEARD)
        assert json.loads(talk.reply().body) == HEARD
        # The connection goes on to the next call.
        talk.send(
            b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n\r\n" % payer.key.encode()
        )
        assert talk.reply().status == 200
    grown = peak_kib(pid) - before
    assert grown < GROWTH_KIB, f"{grown} KiB for {FILE_BYTES // 1024}"
    assert payer.paid() == 18 * SECOND


def test_a_provider_that_does_not_read_holds_its_client_back(payer: Payer, stage: Stage) -> None:
    pid = pid_of(payer.gate, 0)
    hear(payer, stage, MEBI)
    before = peak_kib(pid, anew=True)
    body = bytes(range(256)) * (FILE_BYTES // 256)
    first = beginning("heard")
    with upload(payer, first, len(body) + len(END)) as talk:
        guest = stage.guest()
        pushed = talk.push(body, 0.4)
        assert pushed < len(body), "it would have been kept"
        assert peak_kib(pid) - before < GROWTH_KIB
        guest.take(len(first) + len("up-"))
        with ThreadPoolExecutor(1) as aside:
            sending = aside.submit(talk.send, body[pushed:])
            assert guest.take(len(body)) == body
            sending.result()
        talk.send(END)
        assert guest.take(len(END)) == END
        guest.answer(HEARD)
        assert talk.reply().status == 200
    assert peak_kib(pid) - before < GROWTH_KIB


@pytest.mark.parametrize("who", ["nobody", "poor", "unknown"])
def test_who_is_refused_is_so_before_the_file_is_read(payer: Payer, stage: Stage, who: str) -> None:
    poor = Payer(payer.gate, funds=0)
    key = {"nobody": "sk-kp-nobody", "poor": poor.key}.get(who, "")
    model = "unheard-of" if who == "unknown" else "heard"
    with upload(payer, beginning(model) + b"x" * 70_000, FILE_BYTES, key=key) as talk:
        expected = {
            "nobody": (401, "invalid_api_key"),
            "poor": (402, "insufficient_credit"),
            "unknown": (404, "model_not_found"),
        }
        assert said(talk) == expected[who]
    assert not stage.is_asked()


def test_what_is_too_large_is_refused_by_its_length(payer: Payer, stage: Stage) -> None:
    with upload(payer, beginning("heard"), 40 * MEBI) as talk:
        assert said(talk) == (413, "body_too_large")
    with upload(payer, b"", 40 * MEBI, "/providers/v/files") as talk:
        assert said(talk) == (413, "body_too_large")
    assert not stage.is_asked()


def test_what_is_too_large_without_a_length_ends_on_its_way(payer: Payer, stage: Stage) -> None:
    with upload(payer, beginning("drawn", ("prompt", "a boat")), None, "/v1/images/edits") as talk:
        guest = stage.guest()
        assert guest.headers["transfer-encoding"] == "chunked"
        piece = bytes(65_536)
        try:
            for _ in range(33 * MEBI // len(piece)):
                talk.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                guest.take(len(piece))
        except (EOFError, OSError):
            pass
        in_a_second(guest)
        assert said(talk) == (413, "body_too_large")
    assert payer.paid() == 0


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
def test_who_leaves_in_the_middle_ends_it_and_pays_nothing(payer: Payer, stage: Stage, reset: bool) -> None:
    first = beginning("heard") + bytes(100_000)
    talk = upload(payer, first, FILE_BYTES)
    guest = stage.guest()
    guest.take(len(first))
    talk.leave(reset=reset)
    in_a_second(guest)
    found = payer.record()
    assert (found["status"], found["end"], found["attempts"]) == (499, "caller@upstream", 1)
    assert payer.paid() == 0


def test_who_leaves_before_a_provider_is_reached_is_seen(payer: Payer, stage: Stage) -> None:
    talk = upload(payer, beginning("mute") + bytes(4000), FILE_BYTES)
    with stage.connection():
        # It was reached by the system alone: nobody answers its greeting.
        talk.leave()
        began = monotonic()
        assert payer.record()["end"] == "caller@upstream"
        assert monotonic() - began < 1
    assert payer.paid() == 0


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
def test_a_provider_that_dies_in_the_middle_is_said_so(payer: Payer, stage: Stage, reset: bool) -> None:
    first = beginning("heard") + bytes(200_000)
    with upload(payer, first, FILE_BYTES) as talk:
        guest = stage.guest()
        guest.take(len(first))
        guest.leave(reset=reset)
        assert said(talk) == (502, "upstream_failed")
    found = payer.record()
    assert (found["attempts"], found["end"]) == (1, "upstream@upstream"), "what was sent on is sent once"
    assert payer.paid() == 0 and not stage.is_asked()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_worker_that_dies_or_must_end_in_the_middle_charges_nothing(
    tmp_path: Path, stage: Stage, transport: str
) -> None:
    server = "workers = 1\ndrain_s = 0.2"
    with Whole(tmp_path, settings(stage, stage.url), server=server, transport=transport) as gate:
        payer, first = Payer(gate), beginning("heard") + bytes(100_000)
        with upload(payer, first, FILE_BYTES):
            guest, before = stage.guest(), pid_of(gate, 1)
            guest.take(len(first))
            os.kill(before, signal.SIGKILL)
            assert guest.is_left()
        assert payer.paid() == 0
        until(lambda: pid_of(gate, 1) not in (0, before) and gate.chat(payer.key, "none")[0] == 404)
        with upload(payer, first, FILE_BYTES) as talk:
            guest = stage.guest()
            guest.take(len(first))
            gate.signal(signal.SIGTERM)
            assert said(talk) == (503, "draining")
            assert guest.is_left()
        gate.ended()
        assert payer.paid() == 0


def test_a_provider_that_refuses_early_is_heard(payer: Payer, stage: Stage) -> None:
    first = beginning("heard") + bytes(100_000)
    with upload(payer, first, FILE_BYTES) as talk:
        guest = stage.guest()
        guest.take(len(first))
        guest.answer({"error": {"message": "too long", "type": "x", "param": "file", "code": None}}, 400)
        reply = talk.reply()
        assert (reply.status, json.loads(reply.body)["error"]["param"]) == (400, "file")
        in_a_second(guest)
    assert payer.record()["attempts"] == 1 and payer.paid() == 0


def test_a_provider_that_answers_early_is_charged_for(payer: Payer, stage: Stage) -> None:
    first = beginning("heard") + bytes(100_000)
    with upload(payer, first, FILE_BYTES) as talk:
        guest = stage.guest()
        guest.take(len(first))
        guest.answer(HEARD)
        assert json.loads(talk.reply().body) == HEARD
        in_a_second(guest)
    assert payer.paid() == 9 * SECOND


def test_a_provider_that_takes_nothing_is_not_waited_for_long(payer: Payer, stage: Stage) -> None:
    with upload(payer, beginning("hasty"), FILE_BYTES) as talk:
        guest = stage.guest()
        assert talk.push(bytes(FILE_BYTES), 0.2) < FILE_BYTES
        assert said(talk) == (504, "upstream_timeout")
        in_a_second(guest)
    assert payer.paid() == 0


def test_a_client_that_takes_too_long_is_no_fault_of_its_provider(payer: Payer, stage: Stage) -> None:
    with upload(payer, beginning("brief"), FILE_BYTES) as talk:
        guest = stage.guest()
        assert said(talk) == (408, "request_timeout")
        in_a_second(guest)
    found = payer.record()
    assert (found["end"], found["attempts"]) == ("caller@upstream", 1) and payer.paid() == 0


def test_another_provider_is_asked_as_long_as_nothing_was_sent_on(payer: Payer, stage: Stage) -> None:
    with upload(payer, beginning("moved"), 100_000 + len(END)) as talk:
        guest = stage.guest()
        talk.send(bytes(100_000) + END)
        assert b"up-moved" in guest.body()
        guest.answer(HEARD)
        assert talk.reply().headers["x-kpgate-attempts"] == "2"
    assert payer.record()["attempts"] == 2 and payer.paid() == 9 * SECOND


def test_who_refuses_before_anything_was_sent_on_is_followed_by_another(payer: Payer, stage: Stage) -> None:
    first, rest = beginning("again"), bytes(100_000) + END
    with upload(payer, first, len(rest)) as talk:
        guest = stage.guest()
        guest.take(len(first) - len("again") + len("up"))
        guest.answer({"error": {"message": "overloaded"}}, 503)
        assert guest.is_left(), "else what comes next may still be sent on to it"
        talk.send(rest[:10])
        guest = stage.guest()
        talk.send(rest[10:])
        assert guest.body() == first.replace(b"\r\nagain", b"\r\nup-again") + rest
        guest.answer(HEARD)
        assert talk.reply().headers["x-kpgate-attempts"] == "2"
    assert payer.paid() == 9 * SECOND


def test_a_client_that_asks_whether_to_send_is_told_once_somebody_takes_it(
    payer: Payer, stage: Stage
) -> None:
    with upload(payer, b"", 70_000, "/providers/v/files", more="expect: 100-continue\r\n") as talk:
        guest = stage.guest()
        assert talk.reply().status == 100
        talk.send(bytes(70_000))
        assert guest.body() == bytes(70_000)
        guest.answer({"id": "file-1"})
        assert talk.reply().status == 200
    with upload(payer, b"", 70_000, key="sk-kp-nobody", more="expect: 100-continue\r\n") as talk:
        assert said(talk) == (401, "invalid_api_key")


@pytest.mark.parametrize("how", ["short", "no end", "a boundary", "twice"])
def test_what_is_no_form_in_the_end_never_reaches_its_provider(payer: Payer, stage: Stage, how: str) -> None:
    rest = {
        "short": b"x" * 100_000,
        "no end": b"x" * 100_000,
        "a boundary": b"--x of no part" + b"x" * 100_000 + END,
        "twice": b"x" * 100_000 + b"\r\n" + field("model", "drawn")[:-2] + END,
    }[how]
    with upload(payer, beginning("heard"), len(rest) + 100 * (how == "short")) as talk:
        guest = stage.guest()
        talk.send(rest)
        if how == "short":
            talk.half_close()
        else:
            assert said(talk) == (400, "invalid_request")
        with pytest.raises((EOFError, ConnectionResetError)):
            guest.body()
    found = payer.record()
    assert found["status"] == (499 if how == "short" else 400) and payer.paid() == 0


def test_what_stands_behind_a_file_counts_as_well(payer: Payer, stage: Stage) -> None:
    first = beginning("drawn", ("prompt", "a boat")) + bytes(100_000) + b"\r\n"
    behind = field("n", "3")[:-2] + END
    with upload(payer, first, len(behind), "/v1/images/edits") as talk:
        guest = stage.guest()
        talk.send(behind)
        guest.body()
        guest.answer({**DRAWN, "data": DRAWN["data"] * 3})
        assert talk.reply().status == 200
    assert payer.paid() == 3 * IMAGE
    poor = Payer(payer.gate, funds=2 * IMAGE)
    with upload(poor, first, len(behind), "/v1/images/edits") as talk:
        guest = stage.guest()
        talk.send(behind)
        assert said(talk) == (402, "insufficient_credit")
        with pytest.raises((EOFError, ConnectionResetError)):
            guest.body()
    assert poor.paid() == 0


def test_a_reply_is_streamed_where_that_is_said_behind_the_file(payer: Payer, stage: Stage) -> None:
    first = beginning("heard") + bytes(100_000) + b"\r\n"
    behind = field("stream", "true")[:-2] + END
    with upload(payer, first, len(behind)) as talk:
        guest = stage.guest()
        talk.send(behind)
        guest.body()
        event = b'data: {"type":"transcript.text.delta","delta":"Hello"}\n\n'
        guest.stream("text/event-stream")
        guest.chunk(event)
        assert arrives(talk, event)
        guest.chunk()
    assert payer.record()["stream"] is True


def test_a_file_that_stands_before_the_model_is_read_whole(payer: Payer, stage: Stage) -> None:
    body = part("file", bytes(3 * MEBI), '; filename="a"') + b"\r\n" + field("model", "heard")[:-2] + END
    with upload(payer, body[:-10], 10) as talk:
        assert not stage.is_asked()
        talk.send(body[-10:])
        guest = stage.guest()
        assert guest.body() == body.replace(b"\r\nheard", b"\r\nup-heard")
        guest.answer(HEARD)
        assert talk.reply().status == 200


def test_a_form_of_no_length_goes_on_in_chunks(payer: Payer, stage: Stage) -> None:
    first = beginning("drawn", ("prompt", "a boat"))
    with upload(payer, first, None, "/v1/images/edits") as talk:
        guest = stage.guest()
        assert guest.headers["transfer-encoding"] == "chunked" and "content-length" not in guest.headers
        talk.send(b"186a0\r\n" + bytes(100_000) + b"\r\n", b"9\r\n" + END + b"\r\n0\r\n\r\n")
        assert guest.body() == first.replace(b"\r\ndrawn", b"\r\nup-drawn") + bytes(100_000) + END
        guest.answer(DRAWN)
        assert talk.reply().status == 200
    assert payer.paid() == IMAGE


def test_a_provider_s_own_path_gets_what_is_sent_as_it_comes(payer: Payer, stage: Stage) -> None:
    with upload(payer, b"first", 70_000, "/providers/v/files?a=1") as talk:
        guest = stage.guest()
        assert guest.line == "POST /v1/files?a=1 HTTP/1.1"
        assert guest.take(5) == b"first"
        talk.send(bytes(70_000))
        assert guest.take(70_000) == bytes(70_000)
        guest.answer({"id": "file-1"})
        assert talk.reply().status == 200
    assert payer.record()["request_bytes"] == 70_005 and payer.paid() == ROAD


def test_a_file_goes_on_over_tls(hasty: Whole) -> None:
    payer, first, body = Payer(hasty), beginning("heard"), bytes(range(256)) * 8192
    hasty.script(answer(HEARD))
    with upload(payer, first, len(body) + len(END)) as talk:
        talk.send(body, END)
        assert json.loads(talk.reply().body) == HEARD
    assert hasty.provider.requests[-1].body == first.replace(b"\r\nheard", b"\r\nup-heard") + body + END
    assert payer.paid() == 9 * SECOND


def test_who_comes_too_slowly_is_not_waited_for(hasty: Whole) -> None:
    # Granian's clients may be as slow as they like, if they do not stand still: docs/operating.md.
    for every_s in (0.0, IDLE_S / 8)[: 1 + (hasty.transport == "direct")]:
        payer, asked = Payer(hasty), len(hasty.provider.requests)
        hasty.script(answer(HEARD))
        with upload(payer, beginning("heard") + bytes(70_000), FILE_BYTES) as talk:
            if every_s:
                talk.drip(bytes(1000), every_s)
            assert said(talk) == (408, "request_timeout")
        until(hasty.provider.requests[asked].gone.is_set)
        assert payer.record()["end"] == "caller@upstream" and payer.paid() == 0


def arrives(talk: Talk, wanted: bytes) -> bytes:
    """What has come once that has."""
    got = b""
    while wanted not in got:
        piece = talk.connection.recv(65_536)
        assert piece, got
        got += piece
    return got


def test_what_is_spoken_is_heard_while_the_rest_is_still_to_come(payer: Payer, stage: Stage) -> None:
    asked = json.dumps({"model": "spoken", "input": "hello", "voice": "alloy"}).encode()
    with upload(payer, asked, 0, "/v1/audio/speech") as talk:
        guest = stage.guest()
        guest.body()
        first, then = b"\xff\xf3first", b"\xff\xf3then"
        guest.stream("audio/mpeg")
        guest.chunk(first)
        # The provider holds the rest back, and still this much is there.
        assert arrives(talk, first)
        guest.chunk(then)
        guest.chunk()
        assert arrives(talk, then)

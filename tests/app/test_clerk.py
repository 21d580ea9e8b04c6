"""The clerk as a real process: revocation, crashes, garbage, and the calls of the dead."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvloop

from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.limit import DONE, Gate, Verdict
from kpgate.app.control import AsyncControl, Control, new_id, new_random, number
from kpgate.app.directory import Directory
from kpgate.app.reach import reach
from kpgate.app.warden import Warden
from kpgate.domain.errors import Conflict, InvalidApiKey, NotFound, StoreUnavailable
from kpgate.domain.management import CreateKey, GetKey, ListKeys, Ping, RevokeKey, RotateKey, build
from kpgate.services.auth import Auth, Keyring, Terms
from kpgate.stores.sqlite import SqliteReader
from tests.kit.gateway_process import until
from tests.kit.real_clerk import ROOT, Gateway, gateway


def worker(made: Gateway) -> Auth:
    """What one worker knows of keys, over its own view of the region and its own connection."""
    region = Region.open(made.region.path)
    reader = SqliteReader(made.directory.store)
    return Auth(Terms(), Keyring(reader, region, made.directory.pepper(), lambda: time.time_ns() // 1000))


def test_once_a_revocation_is_answered_no_worker_lets_the_key_in(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        workers = [worker(made), worker(made)]
        for _ in range(20):
            key = made.ask(CreateKey, party="acme", random=new_random())
            assert {one.identify(key["key"].encode(), "").key_id for one in workers} == {key["id"]}
            made.ask(RevokeKey, key=key["id"])
            for one in workers:
                with pytest.raises(InvalidApiKey):
                    one.identify(key["key"].encode(), "")


def test_a_rotated_key_is_known_at_once(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        one = worker(made)
        key = made.ask(CreateKey, party="acme", random=new_random())
        one.identify(key["key"].encode(), "")
        rotated = made.ask(RotateKey, key=key["id"], random=new_random())
        assert one.identify(rotated["key"].encode(), "").key_id == key["id"]
        with pytest.raises(InvalidApiKey):
            one.identify(key["key"].encode(), "")


def test_a_clerk_killed_and_replaced_repeats_nothing_and_forgets_nothing(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        create = build(CreateKey, {"id": new_id(), "party": "acme", "random": new_random()})
        key = made.control.ask(create)
        one = worker(made)
        one.identify(key["key"].encode(), "")
        made.kill()
        assert one.identify(key["key"].encode(), "").key_id == key["id"], "warm requests go on"
        made.start()
        assert made.control.ask(create) == key and len(made.ask(ListKeys)["keys"]) == 1
        made.ask(RevokeKey, key=key["id"])
        with pytest.raises(InvalidApiKey):
            one.identify(key["key"].encode(), "")


def test_a_change_that_a_crash_left_unpublished_is_published_by_the_next_clerk(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        key = made.ask(CreateKey, party="acme", random=new_random())
        one = worker(made)
        one.identify(key["key"].encode(), "")
        made.kill()
        # As a clerk does that dies between its commit and the ring.
        os.close(made.lock or 0)
        with reach(made.directory) as ask:
            ask(build(RevokeKey, {"id": new_id(), "key": key["id"]}))
        assert one.identify(key["key"].encode(), "").key_id == key["id"]
        made.lock = made.directory.join(alone=False)
        made.start()
        with pytest.raises(InvalidApiKey):
            one.identify(key["key"].encode(), "")


def raw(directory: Directory, sent: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(directory.socket))
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65_536), b""))
        except (ConnectionError, BrokenPipeError):
            return b""


def test_the_clerk_survives_garbage_and_answers_one_line_for_each(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        lines = [
            b"garbage",
            b"{}",
            b"\x00\xff",
            b"[" * 1000,
            b'{"what":{"op":"keys.create","id":"canary-secret-id"}}',
        ]
        answers = raw(made.directory, b"\n".join(lines) + b"\n").splitlines()
        assert [json.loads(one)["error"]["code"] for one in answers] == ["invalid_request"] * len(lines)
        raw(made.directory, b"x" * 3_000_000)
        raw(made.directory, b"no end of line")
        raw(made.directory, os.urandom(100_000))
        assert made.ask(Ping) == {"ok": True}
        assert made.stop() == "", "nothing of it reaches the log"


def test_silent_connections_do_not_keep_others_out(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        idle = [socket.socket(socket.AF_UNIX) for _ in range(10)]
        for one in idle:
            one.connect(str(made.directory.socket))
        assert made.ask(Ping) == {"ok": True}
        for one in idle:
            one.close()


def test_the_same_id_with_other_content_is_a_conflict_across_the_socket(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        for party, error in (("a", None), ("b", Conflict)):
            create = build(CreateKey, {"id": "one-request", "party": party, "random": new_random()})
            if error is None:
                made.control.ask(create)
            else:
                with pytest.raises(error):
                    made.control.ask(create)
        with pytest.raises(NotFound):
            made.ask(GetKey, key="nobody")


def test_workers_ask_without_holding_up_their_loop(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        control = AsyncControl(made.directory)

        async def main() -> None:
            key = await control.ask(
                build(CreateKey, {"id": new_id(), "party": "acme", "random": new_random()})
            )
            assert key["party"] == "acme"
            with pytest.raises(NotFound):
                await control.ask(build(GetKey, {"id": new_id(), "key": "nobody"}))

        uvloop.run(main())
        names = [f"model-{at}" for at in range(1200)]
        found = number(made.control.ask, "model", names)
        assert (
            sorted(found.values()) == list(range(1, 1201))
            and number(made.control.ask, "model", names) == found
        )


def test_a_clerk_that_does_not_answer_is_503(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.prepare()
    with pytest.raises(StoreUnavailable):
        Control(directory, 0.1).ask(Ping(id=new_id()))

    async def main() -> None:
        with pytest.raises(StoreUnavailable):
            await AsyncControl(directory, 0.1).ask(Ping(id=new_id()))

    uvloop.run(main())


DYING_WORKER = """
import sys
from pathlib import Path
from kpgate._fast.commit import KEY, Life, Region, Seat
from kpgate._fast.limit import Gate, Limits, Verdict
region = Region.open(sys.argv[1])
limits = Limits(region, Seat(region, Life.obtain(Path(sys.argv[2]), 3)), 60_000_000)
gate = Gate(KEY, 1, concurrency_max=5)
print(limits.admit(0, (gate,), (Gate(3, 1),), 0, Verdict()), flush=True)
sys.stdin.read()
"""


def test_the_calls_of_a_dead_worker_are_ended_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        mine = made.sit(2)
        gate = Gate(0, 1, concurrency_max=5)
        now_us = time.monotonic_ns() // 1000
        assert mine.admit(now_us, (gate,), (Gate(3, 1),), 0, Verdict()) == DONE
        command = [sys.executable, "-c", DYING_WORKER, made.region.path, str(made.directory.run)]
        other = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert other.stdout is not None
        assert other.stdout.readline() == b"%d\n" % DONE
        assert mine.in_use(0, 1) == 2
        other.kill()
        other.communicate()
        deadline = time.monotonic() + 10
        while mine.in_use(0, 1) != 1 and time.monotonic() < deadline:
            made.ask(Ping)
        assert mine.in_use(0, 1) == 1


@contextmanager
def stopped(made: Gateway, index: int, mode: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker at a seat that is stopped: while it holds the lock, or while it does not."""
    command = [sys.executable, "-m", "tests.kit.hammer", made.region.path, str(made.directory.run)]
    process = subprocess.Popen([*command, str(index), "0", mode], cwd=ROOT, stdout=subprocess.PIPE)
    with process:
        try:
            assert process.stdout is not None
            for said in ("ready", "holding")[: 1 + (mode == "hold")]:
                assert process.stdout.readline().decode() == f"{said}\n"
            process.send_signal(signal.SIGSTOP)
            yield process
        finally:
            process.kill()


def test_a_stopped_owner_of_the_lock_is_killed_and_others_go_on(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        limits = made.sit(2)
        key = made.ask(CreateKey, party="acme", random=new_random())
        with stopped(made, 4, "rest") as other, stopped(made, 3, "hold") as owner:
            assert owner.wait(20) == -signal.SIGKILL
            assert limits.admit(1, (Gate(0, 1, concurrency_max=5),), (Gate(3, 1),), 0, Verdict()) == DONE
            assert (made.region.owner, made.region.takeovers) == (None, 1)
            made.ask(RevokeKey, key=key["id"])
            assert other.poll() is None, "who holds no lock may stand still"
        said = [json.loads(line) for line in made.stop().splitlines()]
        assert said == [{"clerk": "stuck_owner_killed", "seat": 3, "pid": owner.pid}]


def test_a_change_that_waits_for_a_stopped_owner_is_kept_and_in_force(tmp_path: Path) -> None:
    with gateway(tmp_path) as made, stopped(made, 3, "hold"):
        key = made.ask(CreateKey, party="acme", random=new_random())
        assert worker(made).identify(key["key"].encode(), "").key_id == key["id"]


def test_time_in_which_nobody_looked_does_not_count(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        made.stop()
        life = Life.obtain(made.directory.run, 2)
        assert life is not None
        killed: list[int] = []
        warden = Warden(
            made.region, Seat(made.region, life), made.directory.run, lambda seat, pid: killed.append(pid)
        )
        with stopped(made, 3, "hold") as owner:
            for look in range(5):
                warden.look(look * 3_600_000_000)
                assert not killed
            warden.look(6 * 3_600_000_000)
            assert killed == [owner.pid]
            assert owner.wait(20) == -signal.SIGKILL


def test_a_dead_owner_s_lock_is_taken_over_though_nobody_asks_for_it(tmp_path: Path) -> None:
    with gateway(tmp_path) as made, stopped(made, 3, "hold") as owner:
        owner.kill()
        owner.wait()
        until(lambda: made.region.owner is None)
        assert made.region.takeovers == 1


def test_the_socket_and_the_pepper_are_their_owners_alone(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        for path in (made.directory.socket, made.directory.root / "pepper"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert made.directory.heartbeat.exists()
        made.stop()
        assert not made.directory.socket.exists()


def test_a_deep_data_directory_has_a_socket_too(tmp_path: Path) -> None:
    root = tmp_path / ("d" * 60) / ("e" * 60)
    root.mkdir(parents=True)
    with gateway(root) as made:
        assert made.ask(Ping) == {"ok": True}


def test_a_missing_pepper_is_told_where_keys_exist(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    with reach(directory) as ask:
        ask(Ping(id=new_id()))
    pepper = directory.pepper()
    assert directory.pepper() == pepper and len(pepper) == 32
    (tmp_path / "pepper").unlink()
    with pytest.raises(StoreUnavailable, match="missing"):
        directory.pepper()
    (tmp_path / "pepper").write_bytes(b"short")
    with pytest.raises(StoreUnavailable, match="damaged"):
        directory.pepper()

"""A data directory belongs to one gateway, and a start never begins beside the orphans of another."""

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kpgate._fast.commit import Life
from kpgate.app.node import Node, NodeRefused, file_system


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = Node(tmp_path / "data")
    node.create()
    return node


def test_the_directory_is_for_its_owner_alone(node: Node) -> None:
    for folder in (node.data, node.run, node.cache):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_directory_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NodeRefused, match=r"data directory .*file/data: Not a directory"):
        Node(tmp_path / "file" / "data").create()


def test_a_second_gateway_is_refused_and_told_who_has_it(node: Node) -> None:
    held = node.take_gateway()
    with pytest.raises(NodeRefused, match=rf"in use by another kpgate \(pid {os.getpid()}\)"):
        node.take_gateway()
    held.close()
    node.take_gateway().close()


def test_members_wait_until_the_start_is_over(node: Node) -> None:
    start = node.take_members()
    with pytest.raises(NodeRefused, match="another kpgate is starting"):
        node.join()
    node.share(start)
    members = [node.join(), node.join()]
    for lock in (start, *members):
        lock.close()


def test_a_start_beside_orphans_is_refused_and_names_them(node: Node) -> None:
    member = node.join()
    life = Life.obtain(node.run, 3)
    assert life is not None
    with pytest.raises(NodeRefused, match=rf"pids {os.getpid()}\)"):
        node.take_members(wait_s=0.1)
    life.close()
    member.close()
    node.take_members(wait_s=0.1).close()


def test_a_start_waits_for_orphans_to_end(node: Node) -> None:
    script = (
        "import sys; from kpgate.app.node import *; lock = Node(Path(sys.argv[1])).join(); "
        "print(1, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(node.data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as orphan:
        assert orphan.stdin is not None and orphan.stdout is not None
        orphan.stdout.readline()
        with pytest.raises(NodeRefused):
            node.take_members(wait_s=0)
        orphan.stdin.close()
        node.take_members(wait_s=10).close()


def test_locks_are_not_inherited_by_children(node: Node) -> None:
    lock = node.take_gateway()
    flags = fcntl.fcntl(lock.descriptor, fcntl.F_GETFD)
    assert flags & fcntl.FD_CLOEXEC
    lock.close()


def test_the_file_system_is_that_of_the_nearest_mount() -> None:
    assert file_system(Path("/proc/self")) == "proc"

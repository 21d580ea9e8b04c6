"""Profiles are read rightly: perf's stacks, callgrind's parts, whose code a frame is; and a call in memory is whole."""

from collections import Counter
from xml.etree import ElementTree

import pytest

from bench.callgrind import Unavailable, read
from bench.flame import draw
from bench.stacks import collapse, collapsed, parse, part, sampler, shares, system_calls
from bench.target import Shape
from bench.trunk import ORDER, WITH_CREDITS, trunk

PERF = """\
kpgate  10/10  5.000: cpu-clock:
\tffffffff81000001 vfs_write+0x12 ([kernel.kallsyms])
\tffffffff81000002 ksys_write+0x2 ([kernel.kallsyms])
\tffffffff81000003 do_syscall_64+0x2 ([kernel.kallsyms])
\t           a4c14 write+0x14 (/usr/lib/x86_64-linux-gnu/libc.so.6)
\t           14c14 __pyx_f_admit+0x1f4 (/x/kpgate/_fast/limit.cpython-311-x86_64-linux-gnu.so)
\t           24c14 [unknown] (/usr/bin/python3.11)

kpgate  10/10  5.002: cpu-clock:
\t           14c14 __pyx_f_admit+0x1f8 (/x/kpgate/_fast/limit.cpython-311-x86_64-linux-gnu.so)
\t           24c14 [unknown] (/usr/bin/python3.11)

"""
CALLGRIND = """\
# callgrind format
positions: line
events: Ir
summary: 160

ob=/usr/bin/python3.11
fl=???
fn=main
0 10
cob=/x/_fast/limit.so
cfn=admit
calls=2 0
0 150

ob=/x/_fast/limit.so
fn=admit
12 100
13 50
"""


def test_perf_s_stacks_are_turned_and_collapsed() -> None:
    stacks = collapse(PERF.splitlines())
    limit = "__pyx_f_admit (/x/kpgate/_fast/limit.cpython-311-x86_64-linux-gnu.so)"
    assert stacks["[python3] (/usr/bin/python3.11)", limit] == 1
    assert stacks.total() == 2
    assert parse(collapsed(stacks)) == stacks


def test_shares_are_a_part_s_own_and_those_of_what_it_called() -> None:
    stacks = collapse(PERF.splitlines())
    assert shares(stacks) == {
        "kernel": (0.5, 0.5),
        "_fast.limit": (0.5, 1.0),
        "libc": (0.0, 0.5),
        "interpreter": (0.0, 1.0),
    }
    assert system_calls(stacks) == {"write": 0.5}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/v/site-packages/uvloop/loop.cpython-311-x86_64-linux-gnu.so", "uvloop"),
        ("/v/site-packages/granian/_granian.cpython-311-x86_64-linux-gnu.so", "granian"),
        ("/v/site-packages/msgspec/_core.cpython-311-x86_64-linux-gnu.so", "msgspec"),
        ("/usr/lib/python3.11/lib-dynload/_asyncio.cpython-311-x86_64-linux-gnu.so", "standard library"),
        ("/usr/lib/libpython3.13.so.1.0", "interpreter"),
        ("/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "TLS"),
        ("/x/kpgate/services/admit.cpython-311-x86_64-linux-gnu.so", "kpgate/services/admit"),
        ("/opt/other.so", "other.so"),
        ("kpgate/gateway.py:120", "interpreter"),
        ("kpgate/_fast/http1.pyx:149", "_fast.http1"),
    ],
)
def test_a_frame_is_its_file_s_part(file: str, name: str) -> None:
    assert part(f"f ({file})") == name


def test_without_a_sampler_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match=r"perf: apt-get install .* py-spy: pip install"):
        sampler()


def test_callgrind_counts_what_a_function_does_itself() -> None:
    found = read(CALLGRIND)
    assert found.total == 160
    assert found.places == {("/usr/bin/python3.11", "main"): 10, ("/x/_fast/limit.so", "admit"): 150}


def test_a_flame_graph_is_one_sound_svg_and_escapes_names() -> None:
    stacks = Counter({("main (a)", 'operator<"&> (b)'): 3, ("main (a)",): 1})
    root = ElementTree.fromstring(draw("A <call>", stacks, part))
    titles = [one.text for one in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["main (a) [a] 100.00%", 'operator<"&> (b) [b] 75.00%']


@pytest.mark.parametrize("transport", ["granian", "direct"])
def test_a_call_in_memory_goes_through_every_phase(transport: str) -> None:
    seen: list[str] = []
    with trunk(transport) as one, one.watched(seen.append):
        one.call()
    assert seen == [*ORDER, "end"]
    seen.clear()
    with trunk(transport, Shape(credits=True)) as one, one.watched(seen.append):
        one.call()
    assert seen == [*WITH_CREDITS, "end"]

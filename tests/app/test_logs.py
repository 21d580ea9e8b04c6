"""Log lines are written in order, dropped and counted when nobody reads, and never make the writer wait."""

import os
import threading

from kpgate.app.logs import LogWriter


def test_lines_come_out_in_order() -> None:
    reader, writer = os.pipe()
    logs = LogWriter(writer)
    for number in range(1000):
        logs.write(b"%d" % number)
    logs.close()
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        assert stream.read().split() == [b"%d" % number for number in range(1000)]


def test_a_full_pipe_drops_lines_and_counts_them() -> None:
    reader, writer = os.pipe()
    logs = LogWriter(writer, buffer_bytes_max=1 << 20)
    line = b"x" * 1023
    for _ in range(4096):
        logs.write(line)
    assert logs.dropped > 0
    received = bytearray()

    def drain() -> None:
        while data := os.read(reader, 1 << 16):
            received.extend(data)

    thread = threading.Thread(target=drain)
    thread.start()
    logs.close()
    os.close(writer)
    thread.join()
    os.close(reader)
    assert len(received) // 1024 + logs.dropped == 4096


def test_a_closed_descriptor_is_survived() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    logs = LogWriter(writer)
    logs.write(b"lost")
    logs.close()
    os.close(writer)
    assert logs.dropped == 1

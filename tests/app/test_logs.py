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


def test_lines_of_several_workers_are_not_torn_in_the_pipe_they_share() -> None:
    reader, writer = os.pipe()
    received = bytearray()

    def drain() -> None:
        while data := os.read(reader, 700):
            received.extend(data)

    thread = threading.Thread(target=drain)
    thread.start()
    workers = [LogWriter(writer) for _ in range(4)]
    for number in range(3_000):
        for name, logs in zip(b"abcd", workers, strict=True):
            logs.write(bytes([name]) * (1 + number * 7 % 900))
        if number % 100 == 0:
            for logs in workers:
                logs.kick()
    for logs in workers:
        logs.close()
    os.close(writer)
    thread.join()
    os.close(reader)
    lines = received.split(b"\n")[:-1]
    assert len(lines) == 12_000
    assert all(len(set(line)) == 1 for line in lines)
    for name in b"abcd":
        assert [len(line) for line in lines if line[0] == name] == [1 + n * 7 % 900 for n in range(3_000)]

"""What wrk prints is read whole, and a run with one failure is no run."""

import pytest

from bench.governed import Series, peer
from bench.load import SDK, Failed, Run, chat, headers_of, quoted, read, script

SAID = """Running 2s test @ http://127.0.0.1:1/v1/chat/completions
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     7.10ms    2.30ms  40.21ms   91.20%
    Req/Sec     9.02k     1.01k   10.11k    80.00%
  Latency Distribution
     50%  725.00us
     75%    7.71ms
     90%   10.12ms
     99%    1.02s
  18393 requests in 2.01s, 17.05MB read
Requests/sec:   9158.59
Transfer/sec:      8.49MB
"""


def test_figures_are_read_in_milliseconds() -> None:
    assert read(SAID) == Run(9158.59, 0.725, 10.12, 1020.0, 18393)


def test_refusals_and_socket_errors_are_counted() -> None:
    said = SAID.replace(
        "Requests/sec",
        "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 17\nRequests/sec",
    )
    run = read(said)
    assert (run.socket_errors, run.non_2xx) == (10, 17)


@pytest.mark.parametrize("said", ["", "unable to connect to 127.0.0.1:1 Connection refused", SAID[:300]])
def test_a_report_that_is_not_whole_is_a_failure(said: str) -> None:
    with pytest.raises(Failed):
        read(said)


def test_the_official_clients_call_has_eighteen_headers() -> None:
    assert len(headers_of("k", sdk=True)) == 2 + len(SDK) == 18


def test_a_body_of_half_a_kilobyte_goes_into_the_script_quoted() -> None:
    assert 400 <= len(chat()) <= 600
    assert quoted('a"b\\n') == '"a\\"b\\\\n"'
    assert 'wrk.headers["authorization"] = "Bearer k"' in script(chat(), headers_of("k", sdk=False))


def test_a_ratio_is_taken_within_each_round() -> None:
    def run(rate: float) -> Run:
        return Run(rate, 1, 1, 1, 1)

    rounds = [
        {"nginx": run(100), "off": run(50)},
        {"nginx": run(10), "off": run(9)},
        {"nginx": run(10), "off": run(6)},
    ]
    assert Series("x", rounds).ratio("off", "nginx") == (0.5, 0.6, 0.9)


def test_a_peer_is_a_name_and_an_address() -> None:
    assert peer("other=http://127.0.0.1:4000", "k").url == "http://127.0.0.1:4000/v1/chat/completions"
    assert peer("other=https://h/base/v1/", "").url == "https://h:443/base/v1/chat/completions"
    for wrong in ("other", "=http://x", "other=ftp://x"):
        with pytest.raises(ValueError):
            peer(wrong, "")

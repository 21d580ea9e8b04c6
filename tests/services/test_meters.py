"""The metrics of calls: which cells a record moves, and that words which are equal move the same ones."""

from kpgate._fast import metric
from kpgate._fast.commit import Region
from kpgate._fast.metric import Shard
from kpgate.domain.call import Record
from kpgate.domain.usage import Usage
from kpgate.services.meters import Meters


def record(model: str, provider: str, status: int = 200, stream: bool = False) -> Record:
    made = Record("id", 0, "/v1/chat/completions", "POST")
    # As a name from elsewhere is: equal, but another object.
    made.model, made.provider = "".join(list(model)), "".join(list(provider))
    made.status, made.stream, made.total_us = status, stream, 5_000
    made.usage = Usage(3, 2, 0, 0, "provider")
    return made


def test_each_set_of_labels_is_counted_apart_however_they_alternate() -> None:
    region = Region.create(metric.areas(1), 1)
    meters = Meters(Shard(region, 0))
    kinds = [("m", "p", 200), ("m", "q", 200), ("m", "p", 429), ("n", "p", 200)]
    for turn in range(3):
        for model, provider, status in kinds:
            for stream in (False, True):
                meters.count(record(model, provider, status, stream))
                meters.attempt(provider, "ok" if turn else "upstream_failed")
    text = metric.render(region, {}).decode()
    for model, provider, status in kinds:
        labels = f'path="/v1/chat/completions",model="{model}",provider="{provider}",status="{status}"'
        assert f"kpgate_requests_total{{{labels}}} 6\n" in text
    assert 'kpgate_tokens_total{model="m",kind="input"} 54\n' in text
    assert 'kpgate_upstream_attempts_total{provider="p",outcome="ok"} 12\n' in text
    assert 'kpgate_upstream_attempts_total{provider="q",outcome="upstream_failed"} 2\n' in text

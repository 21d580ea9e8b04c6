"""The metrics of calls: which cells one record moves. The cells themselves are `_fast.metric`'s.

Every label's value comes from the configuration or from a fixed list: none is a key, an id or a caller's text.
"""

from kpgate._fast.metric import Counter, Gauge, Histogram, RequestCells, Shard, escape
from kpgate.domain.call import Record
from kpgate.domain.usage import Usage

LATENCY_BOUNDS_US = tuple(
    int(seconds * 1_000_000)
    for seconds in (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
)
OVERHEAD_BOUNDS_US = (50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 1_000_000)
PACE_BOUNDS_US = tuple(
    int(ms * 1_000) for ms in (1, 2.5, 5, 10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1_000)
)
TOKEN_BOUNDS = tuple(4**power for power in range(14))


def label(name: str, value: str) -> str:
    """A label as the cells have it."""
    return f'{name}="{escape(value)}"'


class _Cells:
    """The cells of one path, model, provider, status and way of replying."""

    __slots__ = (
        "cached",
        "cached_anew",
        "input_sizes",
        "model",
        "output_sizes",
        "pace",
        "path",
        "provider",
        "reasoning",
        "request",
        "status",
        "stream",
    )

    def __init__(self, shard: Shard, key: tuple[str, str, str, int, bool]) -> None:
        self.path, self.model, self.provider, self.status, self.stream = (
            path,
            model,
            provider,
            status,
            stream,
        ) = key
        path, model, provider = escape(path), escape(model), escape(provider)
        of_model = f'model="{model}"'
        gen_ai = (
            f'gen_ai_operation_name="{path}",gen_ai_request_model="{model}",gen_ai_provider_name="{provider}"'
        )
        first = (
            ("kpgate_time_to_first_token_seconds", of_model),
            ("gen_ai_server_time_to_first_token", gen_ai),
        )
        self.request = RequestCells(
            requests=(
                shard.counter(
                    "kpgate_requests_total",
                    f'path="{path}",{of_model},provider="{provider}",status="{status}"',
                ),
            ),
            total=(
                shard.histogram("kpgate_request_seconds", f'path="{path}",{of_model}', LATENCY_BOUNDS_US),
                shard.histogram("gen_ai_server_request_duration", gen_ai, LATENCY_BOUNDS_US),
            ),
            overhead=(shard.histogram("kpgate_overhead_seconds", f'path="{path}"', OVERHEAD_BOUNDS_US),),
            first_byte=tuple(shard.histogram(n, labels, LATENCY_BOUNDS_US) for n, labels in first)
            if stream
            else (),
            prompt_tokens=(shard.counter("kpgate_tokens_total", f'{of_model},kind="input"'),),
            completion_tokens=(shard.counter("kpgate_tokens_total", f'{of_model},kind="output"'),),
        )
        self.cached: Counter = shard.counter("kpgate_tokens_total", f'{of_model},kind="cached"')
        self.cached_anew: Counter = shard.counter("kpgate_tokens_total", f'{of_model},kind="cache_write"')
        self.reasoning: Counter = shard.counter("kpgate_tokens_total", f'{of_model},kind="reasoning"')
        self.input_sizes = self._sizes(shard, gen_ai, "input")
        self.output_sizes = self._sizes(shard, gen_ai, "output")
        self.pace: Histogram = shard.histogram("gen_ai_server_time_per_output_token", gen_ai, PACE_BOUNDS_US)

    def fit(self, record: Record) -> bool:
        """Whether they are sure to be a record's: its words are the very same."""
        return (
            self.model is record.model
            and self.path is record.path
            and self.provider is record.provider
            and self.status == record.status
            and self.stream == record.stream
        )

    def _sizes(self, shard: Shard, gen_ai: str, kind: str) -> Histogram:
        labels = f'{gen_ai},gen_ai_token_type="{kind}"'
        return shard.histogram("gen_ai_client_token_usage", labels, TOKEN_BOUNDS, 1)


class Meters:
    """The metrics that one worker keeps. A combination of labels is made once and kept: there are so many only."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._cells: dict[tuple[str, str, str, int, bool], _Cells] = {}
        self._lately: dict[str, _Cells] = {}
        self._attempts: dict[str, dict[str, Counter]] = {}
        self._last_provider = self._last_outcome = ""
        self._last_attempt: Counter | None = None
        self._refusals: dict[str, Counter] = {}
        self._expected: dict[str, Counter] = {}
        self._units: dict[tuple[str, str], Counter] = {}
        self._credit = {
            kind: shard.counter("kpgate_credit_microkpt_total", f'kind="{kind}"')
            for kind in ("held", "charged", "overrun", "hedged", "shadowed")
        }
        self._held, self._charged = self._credit["held"], self._credit["charged"]
        self._hedges: dict[tuple[str, str], Counter] = {}
        self.inflight: Gauge = shard.gauge("kpgate_inflight")

    @property
    def shard(self) -> Shard:
        """Where the metrics are that are kept elsewhere."""
        return self._shard

    def attempt(self, provider: str, outcome: str) -> None:
        """One attempt ended: `ok`, or an error's code."""
        last = self._last_attempt
        if last is not None and provider is self._last_provider and outcome is self._last_outcome:
            # As most are: the very same words.
            last.add(1)
            return
        of_provider = self._attempts.get(provider)
        if of_provider is None:
            of_provider = self._attempts[provider] = {}
        counter = of_provider.get(outcome)
        if counter is None:
            labels = f'provider="{escape(provider)}",outcome="{outcome}"'
            counter = self._shard.counter("kpgate_upstream_attempts_total", labels)
            of_provider[outcome] = counter
        counter.add(1)
        self._last_provider, self._last_outcome, self._last_attempt = provider, outcome, counter

    def hedge(self, model: str, outcome: str) -> None:
        """A second attempt beside the first came to this: `won`, `lost`, `failed`; or it did not begin."""
        counter = self._hedges.get((model, outcome))
        if counter is None:
            labels = f'model="{escape(model)}",outcome="{outcome}"'
            counter = self._hedges[model, outcome] = self._shard.counter("kpgate_hedges_total", labels)
        counter.add(1)

    def house(self, kind: str, microkpt: int) -> None:
        """Something that no caller is charged for may have cost so much."""
        self._credit[kind].add(microkpt)

    def check(self, provider: str, usage: Usage) -> None:
        """What an active check used. Order: rarely."""
        for kind, tokens in (("input", usage.input), ("output", usage.output)):
            labels = f'provider="{escape(provider)}",kind="{kind}"'
            self._shard.counter("kpgate_check_tokens_total", labels).add(tokens)

    def count(self, record: Record) -> None:
        """Move every metric that a record moves, once."""
        cells = self._lately.get(record.model)
        if cells is None or not cells.fit(record):
            cells = self._lately[record.model] = self._find(record)
        usage = record.usage
        cells.request.record(
            record.total_us, record.overhead_us, record.first_token_us, usage.input, usage.output
        )
        if usage.output or usage.input:
            cells.input_sizes.observe(usage.input)
            cells.output_sizes.observe(usage.output)
            if usage.cached:
                cells.cached.add(usage.cached)
            if usage.cache_write or usage.cache_write_long:
                cells.cached_anew.add(usage.written)
            if usage.reasoning:
                cells.reasoning.add(usage.reasoning)
            if record.first_token_us and usage.output > 1:
                cells.pace.observe((record.total_us - record.first_token_us) // (usage.output - 1))
        if usage.units:
            self._count_units(record)
        if record.held:
            self._held.add(record.held)
            self._charged.add(record.cost)
            if record.overrun:
                self._credit["overrun"].add(record.overrun)
        if record.expected > 0:
            self._expect(record)
        if record.error is not None:
            self._refused(record.error.code)

    def _find(self, record: Record) -> _Cells:
        key = (record.path, record.model, record.provider, record.status, record.stream)
        cells = self._cells.get(key)
        if cells is None:
            cells = self._cells[key] = _Cells(self._shard, key)
        return cells

    def _expect(self, record: Record) -> None:
        counter = self._expected.get(record.model)
        if counter is None:
            labels = f'model="{escape(record.model)}"'
            counter = self._expected[record.model] = self._shard.counter(
                "kpgate_expected_microkpt_total", labels
            )
        counter.add(record.expected)

    def _count_units(self, record: Record) -> None:
        key = (record.model, record.path)
        counter = self._units.get(key)
        if counter is None:
            labels = f'model="{escape(record.model)}",path="{escape(record.path)}"'
            counter = self._units[key] = self._shard.counter("kpgate_units_total", labels)
        counter.add(record.usage.units)

    def _refused(self, code: str) -> None:
        counter = self._refusals.get(code)
        if counter is None:
            counter = self._refusals[code] = self._shard.counter("kpgate_refusals_total", f'code="{code}"')
        counter.add(1)

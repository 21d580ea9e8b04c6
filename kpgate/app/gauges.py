"""The figures of a worker that are not about one request: connections, lost log lines, the journal's backlog, which
build this is."""

from kpgate import __version__
from kpgate._fast.metric import Gauge, Shard, escape
from kpgate.app.equipment import Ground
from kpgate.app.logs import LogWriter


class Gauges:
    """Brought up to date once a second. Shape: the journal is the node's, `tells` that this worker speaks of it."""

    def __init__(self, shard: Shard, ground: Ground, log: LogWriter, *, tells: bool) -> None:
        self._shard = shard
        self._ground = ground
        self._log = log
        self._dropped = shard.counter("kpgate_log_lines_dropped_total")
        self._told = 0
        self._connections: dict[tuple[str, str], Gauge] = {}
        shard.gauge("kpgate_build_info", f'version="{__version__}"').set(1)
        shard.gauge("kpgate_workers").set(1)
        self._journal = ground.holds.journal if tells and ground.holds else None
        if self._journal is not None:
            self._unsynced, self._unposted = (
                shard.gauge("kpgate_journal_bytes", f'state="{state}"') for state in ("unsynced", "unposted")
            )

    def refresh(self) -> None:
        """Read what there is to read."""
        self._dropped.add(self._log.dropped - self._told)
        self._told = self._log.dropped
        if self._journal is not None:
            tail = self._journal.tail
            self._unsynced.set(max(0, tail - self._journal.durable))
            self._unposted.set(max(0, tail - self._journal.posted))
        totals: dict[tuple[str, str], int] = {}
        for (provider, *_), pool in self._ground.pools.items():
            counts = pool.counts
            states = ("idle", counts.idle), ("busy", counts.open - counts.idle), ("waiting", counts.waiting)
            for state, count in states:
                totals[provider, state] = totals.get((provider, state), 0) + count
        for (provider, state), count in totals.items():
            gauge = self._connections.get((provider, state))
            if gauge is None:
                labels = f'provider="{escape(provider)}",state="{state}"'
                gauge = self._connections[provider, state] = self._shard.gauge(
                    "kpgate_pool_connections", labels
                )
            gauge.set(count)

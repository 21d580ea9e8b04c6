"""The metrics of calls: which cells one record moves. The cells themselves are `_fast.metric`'s."""

from kpgate._fast.metric import Counter, Gauge, Histogram, Shard, label
from kpgate.domain.call import Record
from kpgate.domain.metrics import LATENCY_BOUNDS_US, OVERHEAD_BOUNDS_US

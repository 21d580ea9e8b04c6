"""Which deployments are failing: passive ejection, with the values that Envoy found in production.

Source: Envoy documentation, outlier detection (checked November 2026).
"""

from kpgate.domain.settings import Ejection


class Health:
    """One deployment's recent past. Units: microseconds, monotonic."""

    __slots__ = ("_span_us", "ejected_until_us", "ejections", "failures")

    def __init__(self) -> None:
        self.failures = 0
        self.ejections = 0
        self.ejected_until_us = 0
        self._span_us = 0

    def succeeded(self, now_us: int) -> None:
        """An attempt was answered. A deployment that has done well for as long as it was out is trusted again."""
        self.failures = 0
        if self.ejections and now_us - self.ejected_until_us > self._span_us:
            self.ejections = 0

    def failed(self, now_us: int, rules: Ejection, peers: "list[Health]") -> None:
        """An attempt failed; enough of them in a row eject, unless too many of its peers are out already."""
        self.failures += 1
        if self.failures < rules.failures or self.ejected(now_us):
            return
        out = sum(peer.ejected(now_us) for peer in peers)
        if (out + 1) * 100 > rules.percent_max * len(peers):
            return
        self.ejections += 1
        self.failures = 0
        self._span_us = int(min(rules.base_s * self.ejections, rules.max_s) * 1_000_000)
        self.ejected_until_us = now_us + self._span_us

    def ejected(self, now_us: int) -> bool:
        """Whether it is out now."""
        return now_us < self.ejected_until_us

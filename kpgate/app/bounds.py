"""How long clients may take: what a reload may change under transports that are running."""

import msgspec

from kpgate.domain.settings import Server


class Bounds(msgspec.Struct):
    """Changed in place by a reload. Units: microseconds."""

    head_us: int = 10_000_000
    idle_us: int = 75_000_000
    body_idle_us: int = 30_000_000
    write_stall_us: int = 60_000_000
    bytes_a_second_min: int = 240

    def follow(self, server: Server) -> None:
        """Take what the settings say."""
        self.head_us = int(server.head_s * 1e6)
        self.idle_us = int(server.idle_s * 1e6)
        self.body_idle_us = int(server.body_idle_s * 1e6)
        self.write_stall_us = int(server.write_stall_s * 1e6)
        self.bytes_a_second_min = server.bytes_a_second_min

"""What `kpgate serve` was asked to do, from the command line to whoever serves."""

from pathlib import Path
from typing import Any, Literal

import msgspec

Transport = Literal["granian", "direct"]


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of `kpgate serve`. None: the configuration says it."""

    config: Path | None = None
    data: Path = Path("data")
    host: str | None = None
    port: int | None = None
    workers: int | None = None
    transport: Transport | None = None
    demo: bool = False

    def overrides(self) -> dict[str, Any]:
        """The settings among them, for `config.load`."""
        return {
            "server.host": self.host,
            "server.port": self.port,
            "server.workers": self.workers,
            "server.transport": self.transport,
        }

"""How long a message takes: the α–β model of a link."""

from __future__ import annotations

from dataclasses import dataclass

from wiregrad.runtimes.asynchronous.compute import NonNegative, Positive


@dataclass(frozen=True, kw_only=True)
class LinkModel:
    """Each worker's own link to the server, the same both ways."""

    latency: NonNegative = 0.0
    """Seconds a message (α)."""
    bandwidth: Positive | None = None
    """Bytes a second (1/β); None: as many as one likes."""

    def seconds(self, bits: int) -> float:
        """Seconds for a message of so many bits on the wire."""
        return self.latency + (0.0 if self.bandwidth is None else bits / 8 / self.bandwidth)

"""The metrics that figures, tables and checks can name, with their column, unit and direction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A measured quantity: `factor` times its column is in `unit`."""

    column: str
    name: str
    unit: str = ""
    factor: float = 1.0
    rising: bool = False
    """Whether more is better."""
    floor: float = 0.0
    """Values below it are taken for it: rounding decides what they are."""

    @property
    def sign(self) -> float:
        """+1 where more is better, −1 where less is."""
        return 1.0 if self.rising else -1.0


ZERO = 1e-12
"""A ‖∇f‖² below this is taken for zero."""

MetricName = Literal["accuracy", "train_loss", "test_loss", "perplexity", "grad_norm"]
METRICS: dict[MetricName, Metric] = {
    "accuracy": Metric("metric_test", "test accuracy", "points", 100.0, rising=True),
    "train_loss": Metric("loss_train", "train loss"),
    "test_loss": Metric("loss_test", "test loss"),
    "perplexity": Metric("perplexity", "test perplexity"),
    "grad_norm": Metric("grad_norm", "gradient norm", floor=math.sqrt(ZERO)),
}

BitsColumn = Literal[
    "uplink_bits_paper",
    "uplink_bits_wire",
    "total_bits_paper",
    "total_bits_wire",
    "all_bits_once",
    "all_bits_each",
]
"""Columns of histories, and of what is derived from them, that count bits."""

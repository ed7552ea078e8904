"""The quantities on the axes of learning curves: columns of histories, with label and scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Axis:
    """A quantity on an axis: `factor` times a column of the history."""

    column: str
    label: str
    scale: Literal["linear", "log", "log2"] = "linear"
    factor: float = 1.0


XAxis = Literal[
    "epoch",
    "round",
    "bits_paper",
    "bits_wire",
    "downlink_bits_wire",
    "total_bits_wire",
    "total_bits_paper",
    "all_bits_once",
    "all_bits_each",
]
YAxis = Literal[
    "train_loss", "test_loss", "accuracy", "perplexity", "grad_norm", "compression_error"
]
X_AXES: dict[str, Axis] = {
    "epoch": Axis("epoch", "epochs"),
    "round": Axis("step", "rounds"),
    "bits_paper": Axis("uplink_bits_paper", "uplink bits per worker (paper's count)", "log2"),
    "bits_wire": Axis("uplink_bits_wire", "uplink bits per worker (on the wire)", "log2"),
    "downlink_bits_wire": Axis("downlink_bits_wire", "downlink bits, one copy (wire)", "log2"),
    "total_bits_wire": Axis("total_bits_wire", "uplink + downlink bits (on the wire)", "log2"),
    "total_bits_paper": Axis(
        "total_bits_paper", "uplink + downlink bits per worker (paper's count)", "log2"
    ),
    "all_bits_once": Axis("all_bits_once", "bits of all links, broadcast counted once", "log2"),
    "all_bits_each": Axis("all_bits_each", "bits of all links, broadcast counted n times", "log2"),
}
Y_AXES: dict[str, Axis] = {
    "train_loss": Axis("loss_train", "train loss", "log"),
    "test_loss": Axis("loss_test", "test loss", "log"),
    "accuracy": Axis("metric_test", "test accuracy (%)", factor=100.0),
    "perplexity": Axis("perplexity", "test perplexity", "log"),
    "grad_norm": Axis("grad_norm", "gradient norm ‖∇f(x)‖", "log"),
    "compression_error": Axis("compression_error", "relative compression error", "log"),
}

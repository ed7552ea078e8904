"""Columns derived from those of a history: bits summed over links, and perplexity.

A history counts uplink bits as the mean over workers and downlink bits as one copy of the
broadcast. Sums over all links of n workers say how often they count that copy.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

DERIVED = [
    "total_bits_wire",
    "total_bits_paper",
    "all_bits_once",
    "all_bits_each",
    "perplexity",
]
"""The names, in the order of `with_derived`.

`total_bits_*`: what one worker sends and receives; `all_bits_once`: n uplinks and one copy of the
broadcast, on the wire; `all_bits_each`: n uplinks and n copies; `perplexity`: exp of the test loss.
"""


def with_derived(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame`, a history with a column `workers`, with the columns of `DERIVED` added."""
    up, down, n = (frame[c] for c in ("uplink_bits_wire", "downlink_bits_wire", "workers"))
    with np.errstate(over="ignore"):
        perplexity = np.exp(frame["loss_test"].astype("float64"))
    return frame.assign(
        total_bits_wire=up + down,
        total_bits_paper=frame["uplink_bits_paper"] + frame["downlink_bits_paper"],
        all_bits_once=n * up + down,
        all_bits_each=n * (up + down),
        perplexity=perplexity,
    )

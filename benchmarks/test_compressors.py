"""One round of error feedback of 16 workers through the channel of a run, against `e += g`.

Both sides read and write the same two float32 arrays `[n, d]` on one thread. The residual is reset
before every call, outside the timing, so that each call starts from the same values.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

from ratios import Goal, Row, Turns, milliseconds
from synthetic import simulated
from wiregrad import kernels
from wiregrad.compressors import registry

pytestmark = pytest.mark.benchmark(timer=time.process_time)
LIMIT = "e += g"
GROUP = "Compressors with error feedback"
ONE_PASS, TOP_K = Goal(0.60, 0.80), Goal(0.35, 0.55)
ROWS = {
    "scaled sign": ({"name": "scaled_sign"}, ONE_PASS),
    "QSGD, 4 bits": ({"name": "qsgd", "levels": 7}, ONE_PASS),
    "QSGD, 8 bits": ({"name": "qsgd", "levels": 127}, ONE_PASS),
    "log quantiser, 4 bits": ({"name": "log_quantiser", "bits": 4}, ONE_PASS),
    "ternary": ({"name": "ternary"}, ONE_PASS),
    "sparsifier, 1 %": ({"name": "sparsifier", "ratio": 0.01}, ONE_PASS),
    "Rand-k, 1 %": ({"name": "rand_k", "ratio": 0.01}, ONE_PASS),
    "Top-k, 1 %, exact": ({"name": "top_k", "ratio": 0.01}, TOP_K),
}
FALLBACK = {
    "scaled sign": ({"name": "scaled_sign"}, Goal(0.15)),
    "Top-k, 1 %, exact": ({"name": "top_k", "ratio": 0.01}, Goal(0.08)),
}


class Feedback:
    """The uplink of a run of n workers, with gradients g and residuals e, both `[n, d]`."""

    def __init__(self, spec: dict[str, Any], quick: bool) -> None:
        self.compressor = registry.build(spec)
        self.n, self.d = (2, 4096) if quick else (16, 1_000_000)
        runtime = simulated(self.d, self.n, name="comp_ams", compressor=spec, blocks="whole")
        self.up, self.e = runtime.up, runtime.state.workers.error
        self.g = torch.randn(self.n, self.d, generator=torch.Generator().manual_seed(1))
        self._start = self.e.clone()

    def reset(self) -> None:
        self.e.copy_(self._start)

    def ours(self) -> None:
        self.up.open(measure=False)
        self.up.error_feedback(self.compressor, self.g, self.e)

    def limit(self) -> None:
        self.e += self.g


@pytest.mark.parametrize("what", ROWS)
def test_error_feedback(what: str, turns: Turns, table: list[Row], quick: bool) -> None:
    spec, goal = ROWS[what]
    at = Feedback(spec, quick)
    took = turns(at.ours, {LIMIT: at.limit}, at.reset)
    share = took[LIMIT] / took["ours"]
    table.append(Row(GROUP, what, "speed of e += g", share, "%", milliseconds(took), goal))


@pytest.mark.parametrize("what", FALLBACK)
def test_without_kernels(what: str, turns: Turns, table: list[Row], quick: bool) -> None:
    spec, goal = FALLBACK[what]
    with kernels.using(kernels.OFF):
        at = Feedback(spec, quick)
        took = turns(at.ours, {LIMIT: at.limit}, at.reset)
    share = took[LIMIT] / took["ours"]
    table.append(
        Row(GROUP, f"{what}, no kernels", "speed of e += g", share, "%", milliseconds(took), goal)
    )


def torch_top_k(at: Feedback) -> bytes:
    """Worker by worker: torch.topk, then 4 bytes for each index and 4 for each value."""
    sent = []
    k = at.d // 100
    for g, e in zip(at.g, at.e, strict=True):
        e.add_(g)
        places = e.abs().topk(k, sorted=False).indices
        sent += [places.to(torch.int32).numpy().tobytes(), e[places].numpy().tobytes()]
        e[places] = 0.0
    return b"".join(sent)


def numpy_top_k(at: Feedback) -> bytes:
    """As `torch_top_k`, with np.argpartition."""
    sent = []
    k = at.d // 100
    for g, e in zip(at.g.numpy(), at.e.numpy(), strict=True):
        np.add(e, g, out=e)
        places = np.argpartition(np.abs(e), at.d - k)[at.d - k :]
        sent += [places.astype(np.int32).tobytes(), e[places].tobytes()]
        e[places] = 0.0
    return b"".join(sent)


def numpy_sign(at: Feedback) -> bytes:
    """Worker by worker: np.packbits of the signs, and one scale."""
    sent = []
    for g, e in zip(at.g.numpy(), at.e.numpy(), strict=True):
        np.add(e, g, out=e)
        scale = np.abs(e).mean(dtype=np.float32)
        positive = e >= 0
        sent += [scale.tobytes(), np.packbits(positive).tobytes()]
        np.subtract(e, np.where(positive, scale, -scale), out=e)
    return b"".join(sent)


PEERS = {
    "Top-k, 1 %: torch.topk + packing": ("Top-k, 1 %, exact", torch_top_k),
    "Top-k, 1 %: NumPy argpartition": ("Top-k, 1 %, exact", numpy_top_k),
    "sign: NumPy packbits": ("scaled sign", numpy_sign),
}


@pytest.mark.parametrize("what", PEERS)
def test_peer(what: str, turns: Turns, table: list[Row], quick: bool) -> None:
    ours, codec = PEERS[what]
    at = Feedback(ROWS[ours][0], quick)
    took = turns(at.ours, {"peer": lambda: codec(at)}, at.reset)
    name, _, peer = what.partition(": ")
    table.append(Row("Peers", name, peer, took["peer"] / took["ours"], "×", milliseconds(took)))

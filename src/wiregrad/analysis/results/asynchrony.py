"""Numbers of runs with stale or compressed gradients: gaps to f*, bounds, rounds, clocks.

The constants of the theorem that a run is held against are in its card, as `theory`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.core.errors import RecordError
from wiregrad.core.files import sha256_file
from wiregrad.runs import record

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One run: its group, its card and its history by step."""

    group: GroupResult
    card: record.RunCard
    run_id: str
    frame: pd.DataFrame

    @property
    def label(self) -> str:
        """The method's label."""
        return self.group.label

    @property
    def diverged(self) -> bool:
        """Whether it did."""
        return self.card.outcome == record.Outcome.DIVERGED

    def setting(self, key: str) -> Any:
        """A value of the configuration, or of ``theory``, by dotted key; None where absent."""
        node: Any = self.card.config | {"theory": self.card.theory}
        for part in key.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        return node

    @property
    def gaps(self) -> Array:
        """The gap f − f* at each row, as a share of that at x⁰; NaN without ``theory``."""
        loss = self.frame["loss_train"].to_numpy(dtype="float64")
        gap = loss - float(self.card.theory.get("f_star", math.nan))
        shares: Array = gap / gap[0]
        return shares

    @property
    def steps(self) -> Array:
        """The step of each row."""
        return self.frame["step"].to_numpy(dtype="float64")


def runs(results: Results, labels: Sequence[str] = ()) -> Iterator[Run]:
    """The runs of these labels (of all, if none is given), in the results of one experiment."""
    for group in results.groups:
        if labels and group.label not in labels:
            continue
        mine = results.frame[results.frame["label"] == group.label]
        for run_id, card in zip(group.runs, group.cards, strict=True):
            frame = mine[mine["run_id"] == run_id].sort_values("step")
            yield Run(group, card, run_id, frame)


def rounds_until(run: Run, column: str, below: float) -> float:
    """The first logged round at which `column`, a column or ``gap``, is at or below `below`.

    Infinite where it never was, or where the run diverged.
    """
    values = run.gaps if column == "gap" else run.frame[column].to_numpy(dtype="float64")
    met = np.flatnonzero(values <= below)
    return math.inf if run.diverged or met.size == 0 else float(run.steps[met[0]])


def bits_until(run: Run, below: float, column: str = "uplink_bits_paper") -> float:
    """Bits in `column` until the gap was a share `below` of that at x⁰; infinite if never."""
    met = np.flatnonzero(run.gaps <= below)
    if run.diverged or met.size == 0:
        return math.inf
    return float(run.frame[column].to_numpy(dtype="float64")[met[0]])


def stale_bound(run: Run) -> tuple[Array, Array] | None:
    """The bound on E f(x_k) − f* at each row as a share of the gap at x⁰, and its transient part.

    Theorem T1 bounds the gap itself. T2 and T3 bound ‖x − x*‖², from which the gap follows by
    f − f* ≤ (L/2)‖x − x*‖². None where the step is above the theorem's, or the run has no theorem.
    """
    from wiregrad.theory import asynchronous as theory  # it imports torch

    t = run.card.theory
    if not t or t["multiple"] > 1:
        return None
    s = theory.Sum(each=tuple(t["each"]), L=t["L"], mu=t["mu"], stale=t["stale"])
    lr, alpha, gap = t["multiple"] * t["step"], t["alpha"], t["gap"]
    distance2, sigma2, half = t["distance2"], t["sigma2"], t["L"] / 2 / gap
    covers: dict[str, Callable[[float, float], float]] = {
        "T1": lambda k, _: theory.q_gd_bound(s, lr, alpha, int(k), 1.0),
        "T2": lambda k, noise: (
            half * theory.distributed_bound(s, lr, alpha, int(k), distance2, noise)
        ),
        "T3": lambda k, noise: (
            half * theory.delayed(s, lr, alpha, t["tau"], noise).bound(k, distance2)
        ),
    }
    of = covers[t["theorem"]]
    whole, transient = (np.array([of(k, noise) for k in run.steps]) for noise in (sigma2, 0.0))
    return whole, transient


def guaranteed(run: Run, below: float) -> float:
    """Rounds until the transient part of the bound is a share `below` of the gap at x⁰.

    NaN where there is no bound, infinite where it does not fall.
    """
    found = stale_bound(run)
    if found is None:
        return math.nan
    transient = found[1]
    rate = (transient[-1] / transient[0]) ** (1 / run.steps[-1])
    return max(0.0, math.log(below / transient[0]) / math.log(rate)) if rate < 1 else math.inf


def plateau(run: Run, share: float = 1 / 3) -> float:
    """The mean gap over the last `share` of the rounds, as a share of the gap at x⁰."""
    late = run.steps >= (1 - share) * run.steps[-1]
    return math.nan if run.diverged else float(run.gaps[late].mean())


# -- staleness and clocks -------------------------------------------------------------------------


def gradients(run: Run) -> pd.DataFrame | None:
    """Every gradient that was applied, by `wiregrad.runs.record.STALENESS_SCHEMA`; None if unknown.

    Raises RecordError where the file is not the one that the run card names.
    """
    directory, named = run.group.directory, run.card.staleness_sha256
    if directory is None or named is None:
        return None
    path = directory / run.run_id / record.STALENESS
    if not path.exists():
        return None
    if sha256_file(path) != named:
        raise RecordError(f"{path}: not the staleness that run.json names (sha256)")
    found: pd.DataFrame = pq.read_table(path).to_pandas()
    return found


def clock(run: Run) -> Array | None:
    """Seconds on the runtime's clock at each row of the history; None where it has no clock."""
    applied = gradients(run)
    if applied is None or applied.empty:
        return None
    at = applied.groupby("update")["applied"].max()
    updates, seconds = at.index.to_numpy(dtype="float64"), at.to_numpy(dtype="float64")
    found: Array = np.interp(run.steps, updates, seconds)
    found[run.steps < updates[0]] = 0.0
    return found


def seconds_until(run: Run, column: str, target: float, *, rising: bool) -> float:
    """Seconds on the runtime's clock until `column` first reached `target`.

    Infinite where it never did, NaN where the runtime has no clock.
    """
    at = clock(run)
    if at is None:
        return math.nan
    values = run.frame[column].to_numpy(dtype="float64")
    met = np.flatnonzero(values >= target if rising else values <= target)
    return math.inf if run.diverged or met.size == 0 else float(at[met[0]])

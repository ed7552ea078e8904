"""How many times fewer bits a method sends: the check `bits_ratio`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from wiregrad.analysis.claims.spec import Check, Finding, checks
from wiregrad.analysis.results import statistics
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Estimate, Verdict


@checks.register("bits_ratio")
@dataclass(frozen=True, kw_only=True)
class BitsRatio(Check):
    """The method `dense` sends `expected` times the bits of `compressed` at equal epochs.

    Bits on one link are counted by `convention`; the ratio by the other convention is shown beside
    it. `tolerance` is relative. Bits are exact counts, so one seed suffices, and the interval is
    the range over seeds.
    """

    dense: str
    compressed: str
    expected: float
    convention: Literal["paper", "wire"] = "paper"
    link: Literal["uplink", "downlink"] = "uplink"
    workers: int | None = None
    """Only runs with this number of workers; needed where runs differ in it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (self.dense, self.compressed)

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        other = {"paper": "wire", "wire": "paper"}[self.convention]
        ratios = self._ratios(results.frame, self.convention)
        beside = self._ratios(results.frame, other)
        if ratios.size == 0:
            return Finding(Verdict.INCONCLUSIVE, reason="no epoch that both methods reached")
        estimate = Estimate(
            float(np.median(ratios)), float(ratios.min()), float(ratios.max()), ratios.size
        )
        margin = self.tolerance * self.expected
        verdict = statistics.judge_within(estimate, self.expected, margin)
        named = {"paper": "in the paper's convention", "wire": "on the wire"}
        detail = (
            f"{estimate.value:.1f}× {named[self.convention]}, "
            f"{float(np.median(beside)):.1f}× {named[other]}"
        )
        reason = "seeds disagree" if verdict is Verdict.INCONCLUSIVE else ""
        return Finding(verdict, estimate, "×", detail, reason)

    def _ratios(
        self, frame: pd.DataFrame, convention: str
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        column = f"{self.link}_bits_{convention}"
        if self.workers is not None:
            frame = frame[frame["workers"] == self.workers]
        frame = frame[frame["step"] > 0]
        sides = {
            label: frame[frame["label"] == label].pivot_table(
                index="seed", columns="step", values=column, aggfunc="last"
            )
            for label in self.labels
        }
        dense, compressed = sides[self.dense], sides[self.compressed]
        seeds = dense.index.intersection(compressed.index)
        ratios = []
        for seed in seeds:
            both = pd.DataFrame({"d": dense.loc[seed], "c": compressed.loc[seed]}).dropna()
            if len(both):  # the last step that both methods logged
                ratios.append(float(both["d"].iloc[-1] / both["c"].iloc[-1]))
        return np.asarray(ratios, dtype=np.float64)

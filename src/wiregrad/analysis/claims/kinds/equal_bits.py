"""The order of methods by gradient norm at equal bits: the check `equal_bits`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wiregrad.analysis.claims.spec import Finding, checks
from wiregrad.analysis.claims.sweeps import LevelsCheck, Pair, Tiers, tier_pairs
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.metrics import ZERO


@checks.register("equal_bits")
@dataclass(frozen=True, kw_only=True)
class EqualBits(LevelsCheck):
    """Methods have ‖∇f‖² in the order given once each worker has sent the same number of bits.

    Compared is at ten equal parts of `bits` and by the area between the curves. Uplink bits are
    counted as values only. What counts of a run is its last logged round within them, or its end
    where it sends fewer. Every method of a tier must be below every method of the next by a factor
    above 1 + `tolerance`. Values below 1e-12 count as 1e-12, and two of them are not compared. The
    effect is the smallest factor by area.
    """

    what: ClassVar[str] = "numbers of bits"

    order: Tiers
    """Labels in tiers, the best tier first."""
    bits: float

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return tuple(label for tier in self.order for label in tier)

    def pairs(self) -> list[tuple[str, str]]:
        """See LevelsCheck."""
        return tier_pairs(self.order)

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        ends = {label: self._at(results, label, [self.bits])[0] for label in self.labels}
        listed = ", ".join(f"{results.title(k)} {v:.3g}" for k, v in ends.items())
        detail = f"‖∇f‖² at {self.bits:,.0f} bits a worker: {listed}"
        levels = [self.bits * part / 10 for part in range(1, 11)]
        fine = [self.bits * part / 100 for part in range(1, 101)]
        found = [self._pair(results, pair, (levels, fine)) for pair in self.pairs()]
        return self.judged(results, found, detail)

    def _pair(
        self,
        results: Results,
        pair: tuple[str, str],
        levels: tuple[Sequence[float], Sequence[float]],
    ) -> Pair:
        def factors(bits: Sequence[float]) -> list[float]:
            better, worse = (self._at(results, label, bits) for label in pair)
            return [_factor(a, b) for a, b in zip(better, worse, strict=True)]

        return self.compared(results, pair, factors, levels, 1 + self.tolerance)

    def _at(self, results: Results, label: str, bits: Sequence[float]) -> list[float]:
        """The mean of ‖∇f‖² over runs at each number of bits; infinite where all diverged."""
        mine = results.frame[results.frame["label"] == label]
        mine = mine[mine["outcome"] != "diverged"].dropna(subset="grad_norm").sort_values("step")
        curves = [
            (run["uplink_bits_paper"].to_numpy(dtype="float64"), run["grad_norm"].to_numpy() ** 2)
            for _, run in mine.groupby("run_id")
        ]
        if not curves:
            return [math.inf] * len(bits)
        last = [
            [squares[max(0, int(np.searchsorted(spent, b, side="right")) - 1)] for b in bits]
            for spent, squares in curves
        ]
        return [float(value) for value in np.mean(last, axis=0)]


def _factor(better: float, worse: float) -> float:
    """`worse` over `better`, neither below `ZERO`; NaN where both are, or neither has a value."""
    if (better < ZERO and worse < ZERO) or (math.isinf(better) and math.isinf(worse)):
        return math.nan
    return max(worse, ZERO) / max(better, ZERO)

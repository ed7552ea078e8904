"""Compressed methods need fewer bits to the same gap: the check `bits_to_gap`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wiregrad.analysis.claims.order import by_factor
from wiregrad.analysis.claims.runs import RunsCheck, mean
from wiregrad.analysis.claims.spec import Finding, checks
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Estimate, Verdict


@checks.register("bits_to_gap")
@dataclass(frozen=True, kw_only=True)
class BitsToGap(RunsCheck):
    """Each method needs fewer uplink bits than `dense` until f − f* is a given share of its start.

    The effect is the smallest ratio of the bits of `dense` to those of a method, which must be
    above 1 + `tolerance`; a factor within 5 % of 1 is a tie.
    """

    dense: str
    below: float
    """The share of the gap at x⁰."""

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (*self.methods, self.dense)

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        bits = {
            label: mean([asynchrony.bits_until(run, self.below) for run in of])
            for label in self.labels
            if (of := list(asynchrony.runs(results, (label,))))
        }
        base = bits[self.dense]
        if not math.isfinite(base):
            return Finding(Verdict.INCONCLUSIVE, reason=f"{self.dense} never got to {self.below:g}")
        factors = {label: base / bits[label] for label in self.methods}
        titles = {g.label: g.title for g in results.groups}
        listed = ", ".join(f"{titles[k]} {v:,.0f}" for k, v in bits.items())
        worst = min(factors.values())
        detail = f"uplink bits a worker until the gap is {self.below:g} of the first: {listed}"
        estimate = Estimate.exact(worst, min(g.seeds for g in results.groups))
        verdict, reason = by_factor(worst, 1 + self.tolerance)
        return Finding(verdict, estimate, "×", detail, reason)

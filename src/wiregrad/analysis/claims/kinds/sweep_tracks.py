"""Methods need as many bits to a tolerance as another: the check `sweep_tracks`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from wiregrad.analysis.claims.spec import Check, Finding, checks
from wiregrad.analysis.claims.sweeps import (
    bits_text,
    bits_to_tolerance,
    factor,
    seeds_of,
)
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Estimate, Verdict
from wiregrad.analysis.results.sweeps import Convention


@checks.register("sweep_tracks")
@dataclass(frozen=True, kw_only=True)
class SweepTracks(Check):
    """The methods `followers` need about as many uplink bits to a gradient norm as `leader`.

    That is, within a factor of 1 + `tolerance` up or down, at the best points of their sweeps. The
    effect is the ratio furthest from 1.
    """

    spends: ClassVar[bool] = False

    followers: tuple[str, ...]
    leader: str
    convention: Convention = "paper"

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (*self.followers, self.leader)

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        base = bits_to_tolerance(results, self.leader, self.convention)
        values = {
            label: bits_to_tolerance(results, label, self.convention) for label in self.followers
        }
        listed = ", ".join(f"{results.title(k)} {bits_text(v)}" for k, v in values.items())
        detail = f"bits a worker: {results.title(self.leader)} {bits_text(base)}; {listed}"
        found = {label: factor(value, base) for label, value in values.items()}
        if not math.isfinite(base) or any(math.isnan(ratio) for ratio in found.values()):
            why = f"{results.title(self.leader)} never met the tolerance, or was not swept"
            return Finding(Verdict.INCONCLUSIVE, None, "×", detail, why)
        label = max(found, key=lambda key: abs(math.log(found[key])))
        near = abs(math.log(found[label])) <= math.log1p(self.tolerance)
        verdict = Verdict.of(near)
        return Finding(verdict, Estimate.exact(found[label], seeds_of(results, label)), "×", detail)

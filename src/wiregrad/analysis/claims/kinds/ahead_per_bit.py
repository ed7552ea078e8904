"""The check `ahead_per_bit`."""

from __future__ import annotations

from dataclasses import dataclass

from wiregrad.analysis.claims.kinds.better import Better
from wiregrad.analysis.claims.spec import Finding, checks
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.metrics import BitsColumn
from wiregrad.analysis.results.statistics import Verdict


@checks.register("ahead_per_bit")
@dataclass(frozen=True, kw_only=True)
class AheadPerBit(Better):
    """As `better`, at equal bits: as many as the run that sent least had sent at its end."""

    bits: BitsColumn = "total_bits_paper"

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        mine = results.frame[results.frame["label"].isin(self.labels)]
        mine = mine[mine["outcome"] != "diverged"]
        spent = mine.groupby(["label", "seed"])[self.bits].max()
        if spent.empty:
            return Finding(Verdict.INCONCLUSIVE, reason="every run diverged")
        plain = Better(
            experiment=self.experiment,
            tolerance=self.tolerance,
            better=self.better,
            worse=self.worse,
            metric=self.metric,
            at={self.bits: float(spent.min())},
            workers=self.workers,
            ratio=self.ratio,
        )
        found = plain.evaluate(results)
        detail = f"at {float(spent.min()):.3g} bits: {found.detail}"
        return Finding(found.verdict, found.estimate, found.unit, detail, found.reason)

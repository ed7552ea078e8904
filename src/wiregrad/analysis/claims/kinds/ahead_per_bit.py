"""Some methods are better than others at equal bits: the check `ahead_per_bit`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wiregrad.analysis.claims.kinds.better import Better
from wiregrad.analysis.claims.spec import Finding, checks
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.metrics import BitsColumn
from wiregrad.analysis.results.statistics import Verdict


@checks.register("ahead_per_bit")
@dataclass(frozen=True, kw_only=True)
class AheadPerBit(Better):
    """Every method of `better` beats every method of `worse` when all have spent the same bits.

    That is as many bits as the run that spent the fewest had spent at its end. Otherwise as the
    check `better`; its `at` is not used.
    """

    bits: BitsColumn = "total_bits_paper"
    """The column of bits that are equal."""

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
        return replace(found, detail=detail)

"""The gap of asynchronous methods stays below its bound: the check `below_stale_bound`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wiregrad.analysis.claims.runs import RunsCheck
from wiregrad.analysis.claims.spec import Finding, checks
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.asynchrony import Run
from wiregrad.analysis.results.statistics import Estimate, Verdict


@checks.register("below_stale_bound")
@dataclass(frozen=True, kw_only=True)
class BelowStaleBound(RunsCheck):
    """The gap f − f* stays at or below the bound of its theorem in every logged round after x⁰.

    Gaps are means over the seeds of one setting. The effect is the largest ratio of gap to bound,
    which must not exceed 1 + `tolerance`. Gaps below 1e-9 of that at x⁰ are rounding errors, and
    left out.
    """

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        worst: dict[str, float] = {}
        groups: dict[tuple[object, ...], list[Run]] = {}
        for run in self.runs(results):
            if run.diverged:
                return Finding(Verdict.NOT_REPRODUCED, reason=f"{run.group.title} diverged")
            t = run.card.theory
            setting = (*map(t.get, ("tau", "multiple", "step")), str(run.setting("runtime.delay")))
            groups.setdefault((run.label, *setting), []).append(run)
        for (label, *_), some in groups.items():
            found = asynchrony.stale_bound(some[0])
            if found is None:
                continue
            length = min(len(run.gaps) for run in some)
            gaps = np.mean([run.gaps[:length] for run in some], axis=0)
            later = some[0].steps[:length] > 0
            ratios = (gaps / found[0][:length])[later & (gaps > 1e-9)]
            name = str(label)
            worst[name] = max(float(ratios.max(initial=0.0)), worst.get(name, 0.0))
        if not worst:
            return Finding(Verdict.INCONCLUSIVE, reason="no run is within a theorem")
        titles = {g.label: g.title for g in results.groups}
        listed = ", ".join(f"{titles[k]} {v:.3g}" for k, v in worst.items())
        largest = max(worst.values())
        estimate = Estimate.exact(largest, min(len(some) for some in groups.values()))
        held = largest <= 1 + self.tolerance
        detail = f"largest measured/bound: {listed}"
        return Finding(Verdict.of(held), estimate, "×", detail)

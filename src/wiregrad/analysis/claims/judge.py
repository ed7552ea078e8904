"""Verdicts on claims at a scale.

A check says what the runs show. Whether that decides the claim depends on four further rules, in
this order; `docs/preregistration.md` has their history.

1. Budget. A claim says what the paper spent. Where a scale gives less than the share that the claim
   asks for, the check is computed and shown, and the verdict is "not tested at this scale".
2. Tuning. Where the best rate or point of a compared method is at the edge of its grid, or it was
   not tuned at all, the verdict is "tuning not settled".
3. Seeds. With fewer seeds than the claim asks for it is inconclusive; with fewer than `FEW_SEEDS`
   it is never "not reproduced".
4. Family. Verdicts of t-tests on the empirical claims of a paper are corrected together, by Holm's
   method; one that does not survive is inconclusive.

Identities of bits and bounds hold in every run: rules 2 to 4 do not apply to them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wiregrad.analysis.claims.catalogue import parse_all
from wiregrad.analysis.claims.claim import Claim
from wiregrad.analysis.claims.spec import Check, Finding
from wiregrad.analysis.results.aggregate import GroupResult, Results, not_run
from wiregrad.analysis.results.statistics import UNKNOWN, Verdict, holm
from wiregrad.core.errors import ConfigError

if TYPE_CHECKING:
    from wiregrad.studies.plan import Plan

BUDGET_SLACK = 0.995
"""A run counts as complete from this share of the budget: a last partial batch may be dropped."""
FEW_SEEDS = 5
"""With fewer seeds no claim whose runs are random is "not reproduced"."""
READINGS = {
    Verdict.REPRODUCED: "holds in our setting",
    Verdict.NOT_REPRODUCED: "does not hold in our setting",
}
"""How a verdict reads where the setting is ours."""


@dataclass(frozen=True)
class Judged:
    """A claim with the finding on it: one row of the verdict table."""

    paper: str
    id: str
    statement: str
    where: str
    paper_value: str
    verdict: str
    effect: float
    low: float
    high: float
    unit: str
    seeds: int
    tolerance: float
    budget: str
    detail: str
    reason: str
    check: str
    experiment: str
    kind: str = "empirical"
    setting: str = "paper"
    p: float = math.nan
    """The p-value of the verdict, before the correction of the family; NaN without a t-test."""
    spent: str = ""
    """The budget in words where it is less than the paper's, e.g. "at 40 of 100 epochs"."""

    @property
    def reads(self) -> str:
        """The verdict in words: whose setting it is about, and at what part of the budget."""
        verdict = Verdict(self.verdict)
        text = READINGS.get(verdict, self.verdict) if self.setting == "ours" else self.verdict
        return f"{text}, {self.spent}" if self.spent and verdict in READINGS else text

    @property
    def observed(self) -> str:
        """Effect and interval as text; a dash where there is none."""
        if not math.isfinite(self.effect):
            return "—"
        text = f"{self.effect:.3g}"
        if math.isfinite(self.low) and self.low < self.high:
            text += f" [{self.low:.3g}, {self.high:.3g}]"
        text += f" {self.unit}" if self.unit else ""
        return text.replace("-", "−")


def judge(claim: Claim, paper: str, results: Results) -> Judged:
    """The verdict on one claim of `paper`, from the results of a scale, before rule 4."""
    check = claim.build(paper)
    mine = results.of(paper, check.experiment)
    absent = _absent(check, mine)
    if absent:
        return _row(claim, paper, check, Finding(Verdict.NOT_TESTED, reason=absent), _Spent())
    finding = check.evaluate(mine)
    spent = _budget(claim, check, mine)
    reasons = [reason for reason in (_scale_reason(claim, results.scale), spent.short) if reason]
    if reasons:
        finding = replace(finding, verdict=Verdict.NOT_TESTED, reason="; ".join(reasons))
    elif finding.verdict is not Verdict.NOT_TESTED and claim.statistical:
        finding = _with_enough(claim, finding, [g for g in mine.groups if g.label in check.labels])
    return _row(claim, paper, check, finding, spent)


def _with_enough(claim: Claim, finding: Finding, groups: Sequence[GroupResult]) -> Finding:
    """The finding after the rules on tuning and on seeds."""
    unsettled = {group.title: group.unsettled for group in groups if group.unsettled}
    if claim.rates == "tuned" and unsettled:
        reason = "; ".join(f"{title}: {why}" for title, why in unsettled.items())
        return replace(finding, verdict=Verdict.UNSETTLED, reason=reason)
    if isinstance(claim.seeds, str) or finding.verdict not in READINGS:
        return finding
    seeds = min(group.seeds for group in groups)
    least = FEW_SEEDS if finding.verdict is Verdict.NOT_REPRODUCED else 0
    needed = max(claim.seeds, least)
    if seeds >= needed:
        return finding
    leaning = {Verdict.REPRODUCED: "for", Verdict.NOT_REPRODUCED: "against"}[finding.verdict]
    reason = f"{seeds} of the {needed} seeds that a verdict takes; they speak {leaning} the claim"
    return replace(finding, verdict=Verdict.INCONCLUSIVE, reason=reason, p=math.nan)


def corrected(rows: Sequence[Judged]) -> list[Judged]:
    """The verdicts on the claims of one paper after Holm's correction of its empirical claims.

    The family is every empirical claim with a verdict or an inconclusive test that has a p-value.
    """
    family = [
        i
        for i, row in enumerate(rows)
        if row.kind == "empirical"
        and row.verdict in {*READINGS, Verdict.INCONCLUSIVE}
        and math.isfinite(row.p)
    ]
    kept = dict(zip(family, holm([rows[i].p for i in family]), strict=True))
    found = list(rows)
    for i, significant in kept.items():
        if not significant and found[i].verdict in READINGS:
            reason = f"p = {found[i].p:.2g}: not significant among {len(family)} tests of the paper"
            found[i] = replace(found[i], verdict=str(Verdict.INCONCLUSIVE), reason=reason)
    return found


def judge_all(plan: Plan, results: Results) -> list[Judged]:
    """The verdicts on all claims of the plan's papers, in the order of their files.

    Raises ConfigError when a claim names a method that is no label.
    """
    claims = parse_all(plan.papers)
    for name, some in claims.items():
        for claim in some:
            unknown = set(claim.build(name).labels) - set(plan.methods)
            if unknown:
                raise ConfigError(
                    f"config/papers/{name}: claims.{claim.id}.args: unknown label "
                    f"{min(unknown)!r} (known: {', '.join(plan.methods)})"
                )
    return [
        row
        for name, some in claims.items()
        for row in corrected([judge(claim, name, results) for claim in some])
    ]


def _scale_reason(claim: Claim, scale: str) -> str:
    if claim.scales == "all" or scale in claim.scales:
        return ""
    return claim.otherwise or f"testable at scale {' or '.join(claim.scales)}"


def _absent(check: Check, mine: Results) -> str:
    """Why there is nothing to check; empty when every method has runs."""
    if not mine.groups:
        return f"not run: experiment {check.experiment!r} is not part of scale {mine.scale}"
    reasons: dict[str, list[str]] = {}
    for label in check.labels:
        group = mine.group(label)
        if group is None:
            reasons.setdefault("not run: not part of the experiment", []).append(label)
        elif not group.cards:
            reasons.setdefault(not_run(group.reason), []).append(label)
    if sum(map(len, reasons.values())) == len(check.labels) and len(reasons) == 1:
        return next(iter(reasons))
    return "; ".join(f"{', '.join(who)}: {why}" for why, who in reasons.items())


@dataclass(frozen=True)
class _Spent:
    """What runs spent of a claim's budget, in words."""

    text: str = ""
    """E.g. "5 of 20 epochs"."""
    short: str = ""
    """How it falls short of what the claim asks for; empty if it does not."""
    part: str = ""
    """What the verdict adds where it was judged on less than the budget."""


def _budget(claim: Claim, check: Check, mine: Results) -> _Spent:
    frame = mine.frame[mine.frame["label"].isin(check.labels)]
    completed = frame[frame["outcome"] == "completed"]
    spent = completed.groupby(["label", "run_id"])[["epoch", "samples", "step"]].max()
    items = claim.budget.items()
    if not items and not check.spends:
        return _Spent()
    if not items or spent.empty:
        reached = float(spent["epoch"].min()) if len(spent) else 0.0
        return _Spent(f"{_count(reached)} epochs" if reached else "")
    got = {column: float(spent[column].min()) for _, column, _ in items}
    # Named is the part of the budget of which the smallest share was spent, the first of equals.
    shares = [min(1.0, got[column] / (BUDGET_SLACK * amount)) for _, column, amount in items]
    key, column, amount = items[shares.index(min(shares))]
    if min(shares) < 1:
        whose = "the" if claim.budget.ours else "the paper's"
        text = f"{_count(got[column])} of {_count(amount)} {key}"
        if min(shares) >= claim.budget.least:
            return _Spent(text, part=f"at {text}")
        return _Spent(text, f"{_count(got[column])} of {whose} {_count(amount)} {key}")
    return _Spent(f"{_count(got[column])} of {_count(amount)} {key}")


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _row(claim: Claim, paper: str, check: Check, finding: Finding, spent: _Spent) -> Judged:
    estimate = finding.estimate or UNKNOWN
    return Judged(
        paper=paper,
        id=claim.id,
        statement=" ".join(claim.statement.split()),
        where=claim.where,
        paper_value=claim.paper_value,
        verdict=str(finding.verdict),
        effect=estimate.value,
        low=estimate.low,
        high=estimate.high,
        unit=finding.unit,
        seeds=estimate.n,
        tolerance=claim.tolerance,
        budget=spent.text,
        detail=finding.detail,
        reason=finding.reason,
        check=claim.check,
        experiment=check.experiment,
        kind=claim.kind,
        setting=claim.setting,
        p=finding.p,
        spent=spent.part,
    )

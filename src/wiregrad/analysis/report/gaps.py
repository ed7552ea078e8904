"""What a page leaves out because the scale did not try it, each reason once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wiregrad.analysis.claims.claim import Claim
from wiregrad.analysis.claims.judge import Judged
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.analysis.results.statistics import Verdict


@dataclass(frozen=True)
class Gap:
    """Things that are missing for one reason."""

    reason: str
    what: tuple[str, ...]


def by_reason(found: Iterable[tuple[str, str]]) -> list[Gap]:
    """(reason, thing) pairs as one gap for each reason, in the order of the first thing."""
    reasons: dict[str, list[str]] = {}
    for reason, thing in found:
        reasons.setdefault(reason, []).append(thing)
    return [Gap(reason, tuple(things)) for reason, things in reasons.items()]


def left_out(groups: Sequence[GroupResult]) -> bool:
    """Whether the scale plans no run of these groups."""
    return all(group.planned == 0 for group in groups)


def claim_left_out(claim: Claim, row: Judged, mine: Results) -> bool:
    """Whether a claim was not tried.

    It needs a method that the scale plans no run of, in its experiment; `mine` are the results of
    its paper.
    """
    if row.verdict != Verdict.NOT_TESTED:
        return False
    experiment = mine.of(row.paper, row.experiment)
    needed = (experiment.group(label) for label in claim.build(row.paper).labels)
    return any(group is None or left_out([group]) for group in needed)

"""The order of exact numbers, such as bits: pairs compared at several levels, and ties.

One level may be crossed by luck. So a pair of methods is compared at several levels of the same
quantity, and by the area between their curves over all levels that both reach. Factors within
`TIE` of 1 are ties.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from wiregrad.analysis.results.statistics import Verdict

TIE = 0.05
"""Numbers that differ by this share at most are ties."""
LEAST_LEVELS = 4
"""A pair that can be compared at fewer levels is not decided: a majority of seven."""


class Side(StrEnum):
    """What one comparison says about the claim that a pair is in order."""

    FOR = "for"
    AGAINST = "against"
    TIE = "tie"
    UNKNOWN = "unknown"


def side_of(factor: float, need: float = 1.0) -> Side:
    """What a factor that is claimed to be above `need` says; NaN is unknown.

    Ties exist where the claim is one of order: not where `need` is below 1, or beyond a tie.
    """
    if math.isnan(factor):
        return Side.UNKNOWN
    order = 1 <= need <= 1 + TIE
    if factor > (1 + TIE if order else need):
        return Side.FOR
    return Side.TIE if order and factor >= 1 / (1 + TIE) else Side.AGAINST


def by_factor(factor: float, need: float = 1.0) -> tuple[Verdict, str]:
    """The verdict on one factor that is claimed to be above `need`, and why it is open."""
    side = side_of(factor, need)
    if side is Side.TIE:
        return Verdict.INCONCLUSIVE, "a tie within 5 %"
    if side is Side.UNKNOWN:
        return Verdict.INCONCLUSIVE, "the factor is not known"
    return Verdict.of(side is Side.FOR), ""


def by_levels(levels: Sequence[Side], area: Side, what: str) -> tuple[Verdict, str]:
    """The verdict on a pair from its comparisons at each level and by area, and why it is open.

    In order: no level is against, and most levels and the area are for it. Not in order: most
    levels and the area are against it. `what` names the levels, e.g. "tolerances".
    """
    known: list[Side] = [side for side in levels if side is not Side.UNKNOWN]
    if len(known) < LEAST_LEVELS:
        return Verdict.INCONCLUSIVE, f"compared at {len(known)} of {len(levels)} {what} only"
    count = Counter(known)
    if 2 * count[Side.FOR] > len(known) and not count[Side.AGAINST] and area is Side.FOR:
        return Verdict.REPRODUCED, ""
    if 2 * count[Side.AGAINST] > len(known) and area is Side.AGAINST:
        return Verdict.NOT_REPRODUCED, ""
    if 2 * count[Side.TIE] > len(known) and area is Side.TIE:
        return Verdict.INCONCLUSIVE, f"a tie within 5 % at {count[Side.TIE]} of {len(known)} {what}"
    return Verdict.INCONCLUSIVE, (
        f"in order at {count[Side.FOR]} of {len(known)} {what}, the other way at "
        f"{count[Side.AGAINST]}, by area {_AREA[area]}"
    )


_AREA = {
    Side.FOR: "in order",
    Side.AGAINST: "the other way",
    Side.TIE: "a tie",
    Side.UNKNOWN: "not known",
}

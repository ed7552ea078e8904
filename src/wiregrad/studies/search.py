"""Search of a grid whose axes grow until the best value has a worse neighbour on both sides.

Of every axis the *profile* is looked at: the best score of each value over all values of the other
axes. While the best of a profile is at an end, the axis is extended there in steps of its own
factor, the ratio of the grid's two outermost values. Once it is in the interior, the axis is
refined, once, by the square root of the factor: the two geometric means beside the best. Whatever
was scored before is kept, and the points tried depend on the scores alone. Torch is not imported.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Point = tuple[float, ...]
"""One value on each axis."""
Score = tuple[float, ...] | None
"""Smaller is better, compared element by element; None where a run diverged, the worst of all."""
Evaluate = Callable[[Sequence[Point]], Sequence[Score]]
"""Scores points, in their order."""

REFINED = 2
"""Values by which an axis is refined."""
_DIGITS = 6
"""Significant digits of the values that a search adds."""


@dataclass(frozen=True)
class Axis:
    """A geometric grid of one hyper-parameter, and how far it may grow.

    `low` and `high` are natural ends: a best value there counts as one in the interior. A grid may
    begin with 0, which must then be `low`; its factor is that of the positive values.
    """

    name: str
    grid: tuple[float, ...]
    cap: int | None = None
    """Values at the most, those of the refinement included; None: the grid stays as it is."""
    low: float = 0.0
    high: float = math.inf
    whole: bool = False
    """Whether values are whole numbers."""

    @property
    def grows(self) -> bool:
        """Whether the grid may be extended: an axis of a single value is fixed."""
        return self.cap is not None and len(self.grid) > 1

    def beyond(self, values: Iterable[float], *, up: bool) -> float | None:
        """The next value above (below) the positive `values`; None past a natural end."""
        first, *_, last = positive = sorted(value for value in self.grid if value > 0)
        factor = last / positive[-2] if up else positive[1] / first
        end = max(values) if up else min(value for value in values if value > 0)
        found = self._rounded(end * factor if up else end / factor)
        if self.whole and found == end:
            found += 1 if up else -1
        found = min(max(found, self.low), self.high)
        return None if found in (end, 0.0) else found

    def between(self, one: float, other: float) -> float:
        """The geometric mean of two values."""
        return self._rounded(math.sqrt(one * other))

    def _rounded(self, value: float) -> float:
        return float(round(value)) if self.whole else float(f"{value:.{_DIGITS}g}")


@dataclass(frozen=True)
class Found:
    """What came of a search."""

    scores: Mapping[Point, Score]
    """By point, in the order of the values as numbers, that of the first axis first."""
    best: Point | None
    """Of equals the smallest; None where every point diverged."""
    settled: Mapping[str, bool]
    """By axis, whether the best has a worse neighbour on both sides, or is at a natural end."""
    values: Mapping[str, tuple[float, ...]]
    """By axis, what was tried."""


def search(axes: Sequence[Axis], evaluate: Evaluate) -> Found:
    """Score the grid of `axes`, all combinations, and let it grow until the best is settled.

    An axis whose cap is reached before stays unsettled, and unrefined. Where every point has
    diverged, axes are extended downwards. `evaluate` is called with new points only.
    """
    values = {axis.name: sorted(set(axis.grid)) for axis in axes}
    scores: dict[Point, Score] = {}
    refined: set[str] = set()
    while True:
        product = itertools.product(*(values[axis.name] for axis in axes))
        points = [point for point in product if point not in scores]
        scores.update(zip(points, evaluate(points), strict=True))
        profiles = {axis.name: _profile(place, scores) for place, axis in enumerate(axes)}
        added = {
            axis.name: _extensions(axis, profiles[axis.name], axis.name in refined) for axis in axes
        }
        if not any(added.values()):
            ready = [axis for axis in axes if axis.name not in refined]
            added = {axis.name: _refinements(axis, profiles[axis.name]) for axis in ready}
            refined |= {name for name, new in added.items() if new}
        if not any(added.values()):
            break
        for name, new in added.items():
            values[name] = sorted({*values[name], *new})
    best = min(scores, key=lambda point: (_order(scores[point]), point))
    return Found(
        scores=dict(sorted(scores.items())),
        best=None if scores[best] is None else best,
        settled={axis.name: not any(_open_ends(axis, profiles[axis.name])) for axis in axes},
        values={name: tuple(tried) for name, tried in values.items()},
    )


Profile = dict[float, Score]


def _order(score: Score) -> tuple[bool, tuple[float, ...]]:
    """Compares scores: a diverged point is worse than any other."""
    return score is None, score or ()


def _profile(place: int, scores: Mapping[Point, Score]) -> Profile:
    """The best score of each value on the axis at `place`."""
    profile: Profile = {}
    for point, score in sorted(scores.items(), key=lambda item: item[0][place]):
        value = point[place]
        profile[value] = min(profile.get(value), score, key=_order)
    return profile


def _best_values(profile: Profile) -> list[float]:
    best = min(profile.values(), key=_order)
    return [value for value, score in profile.items() if score == best]


def _open_ends(axis: Axis, profile: Profile) -> tuple[bool, bool]:
    """Whether the best value, or one that equals it, is at the lower (upper) end of an axis.

    Neither a natural end nor the single value of a fixed axis is one. 0 is no neighbour where the
    grid may grow: between it and the smallest positive value there is room.
    """
    best = _best_values(profile)
    if profile[best[0]] is None:
        return best[0] > axis.low, False
    if len(axis.grid) == 1:
        return False, False
    values = list(profile)
    first = min((v for v in values if v > 0), default=0.0) if axis.grows else values[0]
    return best[0] == first > axis.low, best[-1] == values[-1] < axis.high


def _extensions(axis: Axis, profile: Profile, refined: bool) -> list[float]:
    """The next values beyond the open ends of an axis, as many as the cap leaves room for."""
    if not axis.grows:
        return []
    assert axis.cap is not None
    ends = zip((False, True), _open_ends(axis, profile), strict=True)
    wanted = [axis.beyond(profile, up=up) for up, is_open in ends if is_open]
    room = axis.cap - len(profile) - (0 if refined else REFINED)
    return [value for value in wanted if value is not None][: max(0, room)]


def _refinements(axis: Axis, profile: Profile) -> list[float]:
    """The geometric means of a settled best value and its neighbours."""
    if not axis.grows or any(_open_ends(axis, profile)):
        return []
    values = list(profile)
    place = values.index(_best_values(profile)[0])
    beside = [values[i] for i in (place - 1, place + 1) if 0 <= i < len(values)]
    means = {axis.between(values[place], value) for value in beside if value * values[place] > 0}
    return sorted(means - profile.keys())

"""A bound τ on the staleness, where a server applies one message after the other.

-   A worker begins only while at most τ others are under way: of τ + 1 gradients the last can be
    applied τ updates after x was read.
-   A message is applied only if all that are under way can still meet their bounds after it.

So no gradient is ever dropped, and none is applied later than the bound: the oldest one can always
be applied on arrival.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class StalenessBound:
    """At most `tau` updates between the reading of x and the use of its gradient; None: any."""

    tau: int | None

    def may_begin(self, under_way: int) -> bool:
        """Whether one more worker may read x while `under_way` gradients are pending."""
        return self.tau is None or under_way <= self.tau

    def may_apply(self, version: int, others: Iterable[int]) -> bool:
        """Whether after update `version` + 1 all others can meet the bound.

        `others`: the versions of x that the other pending gradients are taken at.
        """
        if self.tau is None:
            return True
        return all(version + 1 + r <= v + self.tau for r, v in enumerate(sorted(others)))

"""The step size of a configured method: its premises meet the theorem that covers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from wiregrad.core.errors import NotCovered
from wiregrad.methods.base import Method
from wiregrad.methods.premises import (
    AB,
    CompressedSum,
    Dimensions,
    LearnedShifts,
    ThreePoint,
    ThreePointBothWays,
)
from wiregrad.theory import asynchronous, bidirectional, three_pc
from wiregrad.theory.asynchronous import Sum
from wiregrad.theory.constants import Constants

Regime = Literal["nonconvex", "pl", "convex"]

REGIMES: dict[Regime, Callable[[Constants, AB], float]] = {
    "nonconvex": three_pc.nonconvex_step,
    "pl": three_pc.pl_step,
    "convex": three_pc.convex_step,
}
"""The theorems of 3PC, by what they assume of f."""


def step_size(
    method: Method, c: Constants, *, n: int, d: int, regime: Regime = "nonconvex"
) -> float:
    """The largest step that the theorem of `regime` allows on f = mean f_i.

    Methods that compress both ways have the nonconvex theorem alone, and DIANA the strongly convex
    one, whatever the regime. For a method whose premises are not `proven` it is the step from
    which its papers tune it.

    Args:
        method: With the compressors of the run; its own `lr` is not looked at.
        c: Constants of f.
        n: Number of workers.
        d: Dimension of x: vectors `[d]` are compressed as a whole.
        regime: What is known of f.

    Raises:
        NotCovered: If no theorem covers the method, its compressor or f.
    """
    match method.premises(Dimensions([(d,)], n)):
        case ThreePoint(ab=ab):
            return REGIMES[regime](c, ab)
        case ThreePointBothWays(uplink=uplink, downlink=downlink):
            return bidirectional.step(c, uplink, downlink)
        case LearnedShifts(omega=omega):
            return three_pc.diana_step(c, omega, n)
        case _:
            raise NotCovered(f"no theorem here covers {method.name}")


def sum_step_size(method: Method, s: Sum, *, d: int, tau: int | None) -> tuple[str, float, float]:
    """The theorem that covers a method on f = Σ f_i, its largest step, and the α that it uses.

    Args:
        method: With the compressor of the run; its own `lr` is not looked at.
        s: Constants of f.
        d: Dimension of x.
        tau: The largest delay in updates, under given delays (0 is one, too); None in synchronous
            rounds.

    Raises:
        NotCovered: If no theorem covers the method, its compressor or f.
    """
    found = method.premises(Dimensions([(d,)], len(s.each)))
    if not isinstance(found, CompressedSum):
        raise NotCovered(f"no theorem here covers {method.name}")
    alpha = asynchronous.alpha(found.compressor, d)
    if found.at == "workers":
        if tau is None:
            return "T2", asynchronous.distributed_step(s, alpha), alpha
        return "T3", asynchronous.delayed_step(s, alpha, tau), alpha
    if tau is None:
        return "T1", asynchronous.q_gd_step(s.L, alpha), alpha
    raise NotCovered(f"no theorem here covers {method.name} with delays")

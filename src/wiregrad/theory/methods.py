"""From a configured method to its constants A and B and to its theoretical step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wiregrad.compressors.base import Compressor
from wiregrad.core.layout import Shape
from wiregrad.methods import Method, baselines, diana, marina
from wiregrad.methods.three_point import bidirectional, ef21, lag, mechanisms
from wiregrad.methods.three_point.mechanisms import ThreePointCompressor
from wiregrad.theory import bidirectional as two_way
from wiregrad.theory import three_pc as theory
from wiregrad.theory.constants import Constants
from wiregrad.theory.three_pc import AB

Regime = Literal["nonconvex", "pl", "convex"]


@dataclass(frozen=True)
class Setting:
    """What constants depend on beside the method: the blocks of a vector, and n workers."""

    shapes: Sequence[Shape]
    n: int = 1

    def alpha(self, compressor: Compressor) -> float:
        """α of a contractive compressor here."""
        return theory.alpha(compressor, self.shapes)

    def omega(self, compressor: Compressor) -> float:
        """ω of an unbiased compressor here."""
        return theory.omega(compressor, self.shapes)


Rules = dict[type, Callable[[Any, Setting], AB]]

COVERED: Rules = {
    mechanisms.EF21: lambda m, s: theory.ef21(s.alpha(m.compressor)),
    mechanisms.LAG: lambda m, _: theory.lag(m.zeta),
    mechanisms.CLAG: lambda m, s: theory.clag(s.alpha(m.compressor), m.zeta),
    mechanisms.AdaCGD: lambda m, s: theory.adacgd(s.alpha(m.compressors[-1]), m.zeta),
    mechanisms.ThreePCv1: lambda m, s: theory.v1(s.alpha(m.compressor)),
    mechanisms.ThreePCv2: lambda m, s: theory.v2(s.alpha(m.compressor), s.omega(m.unbiased)),
    mechanisms.ThreePCv3: lambda m, s: theory.v3(s.alpha(m.compressor), _constants(m.inner, s)),
    mechanisms.ThreePCv4: lambda m, s: theory.v4(s.alpha(m.compressor), s.alpha(m.second)),
    mechanisms.ThreePCv5: lambda m, s: theory.v5(s.alpha(m.compressor), m.p),
    ef21.EF21Plus: lambda m, s: theory.ef21(s.alpha(m.compressor)),
    marina.Marina: lambda m, s: theory.marina(m.p, s.omega(m.compressor), s.n),
    marina.MarinaPermK: lambda m, _: theory.marina_perm_k(m.p),
    baselines.DistSGD: lambda _m, _s: theory.gd(),
}
"""The methods that the theorems of 3PC cover."""

TUNED_FROM: Rules = {
    lag.Lazy: lambda _m, _s: theory.gd(),
    baselines.EFSGD: lambda m, s: theory.ef21(s.alpha(m.compressor)),
    baselines.NaiveSGD: lambda m, s: theory.ef21(s.alpha(m.compressor)),
}
"""Methods without a theorem here, and whose step their papers' runs start from.

LAG as first published takes that of gradient descent, 1/L₋; classic error feedback is tuned in
multiples of EF21's (arXiv 2106.05203).
"""


def constants(method: Method | ThreePointCompressor, shapes: Sequence[Shape], n: int = 1) -> AB:
    """A and B of a method or a three-point compressor on blocks of these shapes, n workers.

    Raises TypeError for a method that the theorems do not cover, ValueError for a compressor that
    is not of the kind they ask for.
    """
    return _constants(method, Setting(shapes, n))


def _constants(method: Any, setting: Setting, extra: Rules | None = None) -> AB:
    table = COVERED | (extra or {})
    for cls in type(method).__mro__:
        if cls in table:
            return table[cls](method, setting)
    raise TypeError(f"no theorem here covers {method.name}")


def step_size(
    method: Method, c: Constants, *, n: int, d: int, regime: Regime = "nonconvex"
) -> float:
    """The largest step that the theorem of `regime` allows n workers, on whole vectors `[d]`.

    Both directions have the nonconvex theorem alone, DIANA the strongly convex one; for methods
    without a theorem, what `TUNED_FROM` says. Raises TypeError and ValueError as `constants`,
    ValueError also where f has no μ.
    """
    setting = Setting([(d,)], n)
    if isinstance(method, diana.Diana):
        return theory.diana_step(c, setting.omega(method.compressor), n)
    if isinstance(method, bidirectional.TwoWay):
        up, down = (_constants(each, setting) for each in method.mechanisms())
        return two_way.step(c, up, down)
    ab = _constants(method, setting, TUNED_FROM)
    return STEPS[regime](c, ab)


STEPS: dict[Regime, Callable[[Constants, AB], float]] = {
    "nonconvex": theory.nonconvex_step,
    "pl": theory.pl_step,
    "convex": theory.convex_step,
}

"""The logarithmic quantiser of Efficient-Adam: powers of two of the largest element."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic
import torch

from wiregrad.compressors.base import Contract, register
from wiregrad.compressors.levels import Levels, Packing, SignedLevels, relative
from wiregrad.compressors.reduce import max_abs, scale_dtype
from wiregrad.core.layout import Shape
from wiregrad.kernels.draws import Generators
from wiregrad.kernels.stochastic import Kind


@register("log_quantiser")
@dataclass(frozen=True, kw_only=True)
class LogQuantiser(Levels):
    """‖x‖_∞ times the nearest of 0, ±2^-k, …, ±1/2, ±1 (ties go up); b bits make k = 2^(b-1) − 2.

    Contractive. An element errs by itself at most where it is halfway to the smallest level, h =
    2^-(k+1), and by a third of itself above that level; the largest element is exact. So
    1 − δ = max{(d−1)h²/(1 + (d−1)h²), (d−1)/(16 + 9(d−1))}, the second for k ≥ 1 only: it is
    reached by d − 1 elements at h, or at 3/4, of the largest.
    """

    codec = 9
    source = (
        "recalled setting of arXiv 2205.14473 (Efficient-Adam), from arXiv 2004.14180; "
        "constant derived here"
    )

    bits: Annotated[int, pydantic.Field(ge=2, le=8)] = 3

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{"bits": 2}, {"bits": 3}, {"bits": 4}, {"bits": 8}]

    def contract(self, shape: Shape) -> Contract:
        rest = math.prod(shape) - 1
        k = self._largest(self.bits) - 1
        low = rest * 4.0 ** -(k + 1)
        high = rest / (16 + 9 * rest) if k else 0.0
        return Contract("contractive", 1 - max(low / (1 + low), high))

    def _quantise(self, x: torch.Tensor, generators: Generators, shape: Shape) -> SignedLevels:
        largest = self._largest(self.bits)
        scales = max_abs(x).to(scale_dtype(x.dtype))[:, None]
        mantissa, power = torch.frexp(relative(x, scales))
        # level ℓ stands for 2^(ℓ - largest); relative = mantissa · 2^power, mantissa in [1/2, 1).
        level = power + (mantissa >= 0.75).int() + (largest - 1)
        level = torch.where(power + largest >= 1, level.clamp_(min=1), 0)
        level = torch.where(mantissa > 0, level, 0)
        return SignedLevels(torch.where(x < 0, -level, level).to(torch.int16), scales, self.bits)

    @classmethod
    def _dequantise(cls, quantised: SignedLevels, out: torch.Tensor) -> None:
        levels = quantised.levels.int()
        size = torch.exp2(levels.abs().double() - cls._largest(quantised.param))
        out.copy_(size.mul_(quantised.scales.double()).mul_(levels.sign()))

    def packing(self) -> Packing:
        s = self._largest(self.bits)
        return Packing(Kind.POWER, s, self.bits, largest=True, param=self.bits)

    @classmethod
    def _allowed(cls) -> tuple[int, int]:
        return 2, 8

    @classmethod
    def _width(cls, param: int) -> int:
        return param

    @classmethod
    def _largest(cls, param: int) -> int:
        return (1 << (param - 1)) - 1

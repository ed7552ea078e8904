"""QSGD: random rounding to s levels of the norm."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any

import pydantic
import torch

from wiregrad.compressors.base import Content, Contract, Params, register
from wiregrad.compressors.levels import (
    Levels,
    Packing,
    SignedLevels,
    level_values,
    norm_scale,
    place,
    round_at_random,
)
from wiregrad.compressors.reduce import norm2
from wiregrad.core.layout import Shape
from wiregrad.kernels.draws import Generators, keys_of
from wiregrad.kernels.stochastic import Kind


@register("qsgd")
@dataclass(frozen=True, kw_only=True)
class QSGD(Levels):
    """‖x‖₂·sgn(x_j)·ℓ_j/s, ℓ_j the level |x_j|s/‖x‖₂ rounded at random to an integer.

    Unbiased, α = 1 + min(d/s², √d/s). ⌈log₂(2s + 1)⌉ bits an element, of fixed width.
    """

    codec = 6
    random = True
    source = "arXiv 1610.02132 (QSGD), Lemma 3.1"

    levels: Annotated[int, pydantic.Field(ge=1, le=(1 << 15) - 1)] = 4
    """s"""

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{"levels": 1}, {"levels": 4}, {"levels": 127}, {"levels": 1000}]

    def contract(self, shape: Shape) -> Contract:
        d, s = math.prod(shape), self.levels
        return Contract("unbiased", 1 + min(d / s**2, math.sqrt(d) / s))

    def content(self, shape: Shape, params: Params) -> Content:
        return replace(super().content(shape, params), uniform_levels=self.levels)

    def _quantise(self, x: torch.Tensor, generators: Generators, shape: Shape) -> SignedLevels:
        scales = norm_scale(self.name, x, norm2(x))
        levels = round_at_random(place(x, scales, self.levels), keys_of(generators, x.device))
        return SignedLevels(levels.copysign_(x).to(torch.int16), scales, self.levels)

    @classmethod
    def _dequantise(cls, quantised: SignedLevels, out: torch.Tensor) -> None:
        level_values(quantised.levels, quantised.scales, quantised.param, out)

    def packing(self) -> Packing:
        s = self.levels
        return Packing(Kind.UNIFORM, s, self._width(s), largest=False, param=s)

    @classmethod
    def _allowed(cls) -> tuple[int, int]:
        return 1, (1 << 15) - 1

    @classmethod
    def _width(cls, param: int) -> int:
        return (2 * param).bit_length()

    @classmethod
    def _largest(cls, param: int) -> int:
        return param

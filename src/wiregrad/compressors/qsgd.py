"""QSGD: random rounding to s levels of the norm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic
import torch

from wiregrad.compressors.base import Contract, Generators, register
from wiregrad.compressors.levels import LevelCode, Levels, norm_scale, relative
from wiregrad.compressors.random import uniform
from wiregrad.compressors.reduce import norm2
from wiregrad.layout import Shape


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

    def _quantise(self, x: torch.Tensor, generators: Generators, shape: Shape) -> LevelCode:
        scales = norm_scale(self.name, x, norm2(x))
        place = relative(x, scales).mul_(self.levels)
        below = place.floor()
        below += uniform(x, generators) < place.sub_(below)
        return LevelCode(below.copysign_(x).to(torch.int16), scales, self.levels)

    @classmethod
    def _dequantise(cls, code: LevelCode, out: torch.Tensor) -> None:
        # The quotient is at most 1, so that no rounding passes the scale.
        out.copy_((code.levels.double() / code.param).mul_(code.scales.double()))

    @classmethod
    def _allowed(cls) -> tuple[int, int]:
        return 1, (1 << 15) - 1

    @classmethod
    def _width(cls, param: int) -> int:
        return (2 * param).bit_length()

    @classmethod
    def _largest(cls, param: int) -> int:
        return param

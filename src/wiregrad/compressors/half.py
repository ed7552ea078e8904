"""Half precision: every element rounded to the nearest number of 16 bits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch

from wiregrad import wire
from wiregrad.compressors.base import Contract, Params, all_finite, register
from wiregrad.compressors.identity import value_bytes, values_from
from wiregrad.compressors.quantiser import Quantiser
from wiregrad.compressors.reduce import exponent, times_power
from wiregrad.core.errors import NonFiniteError
from wiregrad.core.layout import Shape
from wiregrad.kernels.draws import Generators

_TOP = 15
"""Scaled blocks have 2^14 ≤ ‖x‖_∞ < 2^15: rounding up stays below float16's largest, 65504."""
_MAX_POWER = 1100


class ScaledHalves(NamedTuple):
    """`halves` `[n, d]`; the vector is halves · 2^`powers` (`[n]`, or None: unscaled)."""

    halves: torch.Tensor
    powers: torch.Tensor | None


@dataclass(frozen=True, kw_only=True)
class _Half(Quantiser[ScaledHalves]):
    """Body: the power of two (int16, if scaled), then 16 bits an element. Parameter: scaled, 0/1.

    scaled (default): the block is multiplied by a power of two so that its largest element lies
    just below 2^15. With u the unit roundoff and t half the smallest denormal number,
    1 − δ = u² + d t²/2^28, whatever the size of x.
    not scaled: the plain cast. Elements below the range of the half type become 0, so that only
    ‖C(x) − x‖ ≤ ‖x‖ holds for all x (u² holds in the normal range); one above it raises
    NonFiniteError.
    """

    n_params = 1
    half: ClassVar[torch.dtype]

    scaled: bool = True

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{}, {"scaled": False}]

    def contract(self, shape: Shape) -> Contract:
        if not self.scaled:
            return Contract("biased", 1.0)
        info = torch.finfo(self.half)
        roundoff, lost = info.eps / 2, info.smallest_normal * info.eps / 2
        return Contract.of_error(roundoff**2 + math.prod(shape) * lost**2 / 2.0**28)

    def _quantise(self, x: torch.Tensor, generators: Generators, shape: Shape) -> ScaledHalves:
        if self.scaled:
            powers = exponent(x) - _TOP
            return ScaledHalves(times_power(x, -powers[:, None]).to(self.half), powers)
        halves = x.to(self.half, copy=True)
        if not all_finite(halves):
            raise NonFiniteError(f"{self.name}: an element leaves the range of {self.half}")
        return ScaledHalves(halves, None)

    @classmethod
    def _dequantise(cls, quantised: ScaledHalves, out: torch.Tensor) -> None:
        if quantised.powers is None:
            values = quantised.halves.to(torch.float64)
        else:
            values = times_power(quantised.halves, quantised.powers[:, None])
        # Rounding up may have passed the largest number of out's type.
        end = torch.finfo(out.dtype).max
        out.copy_(values.clamp_(-end, end))

    def _params(self, quantised: ScaledHalves, numel: int) -> list[Params]:
        return [(int(self.scaled),)] * len(quantised.halves)

    @classmethod
    def _pack(cls, quantised: ScaledHalves, params: Params) -> bytes:
        halves = value_bytes(quantised.halves[0])
        if quantised.powers is None:
            return halves
        return int(quantised.powers[0]).to_bytes(2, "little", signed=True) + halves

    @classmethod
    def _unpack(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> ScaledHalves:
        split = 2 * params[0]
        halves = values_from(body[split:], numel, cls.half)[None]
        if not split:
            return ScaledHalves(halves, None)
        power = int.from_bytes(body[:split], "little", signed=True)
        if abs(power) > _MAX_POWER:
            raise wire.CorruptPayload(f"power {power}, allowed: ±{_MAX_POWER}")
        return ScaledHalves(halves, torch.tensor([power]))

    @classmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        if params[0] > 1:
            raise wire.CorruptPayload(f"scaled is {params[0]}, allowed: 0 or 1")
        return 2 * params[0] + 2 * numel


@register("fp16")
@dataclass(frozen=True, kw_only=True)
class FP16(_Half):
    """Rounds to float16: 11 significant bits, u = 2⁻¹¹. See `scaled` for the constant."""

    codec = 11
    half = torch.float16
    source = "IEEE 754 binary16; constant derived here"


@register("bf16")
@dataclass(frozen=True, kw_only=True)
class BF16(_Half):
    """Rounds to bfloat16: 8 significant bits, u = 2⁻⁸. See `scaled` for the constant."""

    codec = 12
    half = torch.bfloat16
    source = "bfloat16; constant derived here"

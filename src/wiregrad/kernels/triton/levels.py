"""Quantisers to a few levels of a scale: from elements to levels, and back.

The definitions are those of `compressors.levels`; the kinds those of `kernels.stochastic`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from wiregrad.kernels.triton.compact import SIGN_OFF
from wiregrad.kernels.triton.draws import draw
from wiregrad.kernels.triton.sums import at_least

UNIFORM, TERNARY, POWER = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
WRITE, ADD = tl.constexpr(0), tl.constexpr(1)
_DRAWN = tl.constexpr(2147483648.0)
_LAST = tl.constexpr(2147483647)
_COARSE = tl.constexpr(~0x7FFF)


@triton.jit
def power_of_two(power):
    """2^power in float32, for powers from −126 to 127."""
    return ((power + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def _exponent(wide):
    """E with 2^(e−1) ≤ `wide` < 2^e, float64 and positive."""
    return ((wide.to(tl.int64, bitcast=True) >> 52) & 0x7FF).to(tl.int32) - 1022


@triton.jit
def _bits(x):
    return x.to(tl.int32, bitcast=True)


@triton.jit
def _levels_of_power(size, wide, S: tl.constexpr):
    """The nearest level of each |x|, where 0.75·2^e goes up."""
    up = tl.maximum(101 - _exponent(wide), 0)
    first = power_of_two(tl.minimum(up, 127))
    second = power_of_two(tl.maximum(up - 127, 0))
    lifted = wide * first.to(tl.float64) * second.to(tl.float64)
    top = _bits(at_least(lifted * 0.75))
    least = power_of_two(1 - S + up * 0).to(tl.float64) * 0.5
    bottom = _bits(at_least(lifted * least))
    found = _bits(size * first * second)
    level = ((found - top) >> 23) + S
    return tl.where(level > 1, level, (found >= bottom).to(tl.int32))


@triton.jit
def _levels_at_random(size, wide, key, group, lane, S: tl.constexpr):
    """|x|·s/scale rounded to one of the integers around it."""
    power = tl.minimum(tl.maximum(-_exponent(wide), -126), 126)
    first = power_of_two(power)
    second = at_least((wide * 0.0 + S) / (wide * first.to(tl.float64)))
    place = tl.minimum(size * first * second, S * 1.0)
    level = place.to(tl.int32)
    rest = (place - level.to(tl.float32)) * _DRAWN
    chance = rest.to(tl.int32)
    return level + (draw(key, group, lane) > chance ^ _LAST).to(tl.int32)


@triton.jit
def symbols_of(x, scale, key, group, lane, KIND: tl.constexpr, S: tl.constexpr):
    """The symbols of `x` `[G, 8]`, int32; `scale` `[1, 1]`."""
    wide = tl.where(scale > 0.0, scale, 1.0).to(tl.float64)
    size = (_bits(x) & SIGN_OFF).to(tl.float32, bitcast=True)
    if KIND == POWER:
        level = _levels_of_power(size, wide, S)
    else:
        level = _levels_at_random(size, wide, key, group, lane, S)
    level = tl.where(scale > 0.0, level, 0)
    sign = _bits(x) >> 31
    return level + (level & sign) if KIND == TERNARY else ((level ^ sign) - sign) + S


@triton.jit
def values_of(symbol, scale, KIND: tl.constexpr, S: tl.constexpr):
    """What symbols stand for."""
    if KIND == TERNARY:
        return tl.where(symbol == 1, scale, tl.where(symbol == 2, -scale, 0.0))
    level = symbol - S
    if KIND == POWER:
        size = scale * power_of_two(tl.maximum(tl.abs(level) - S, -126))
        return tl.where(level == 0, 0.0, tl.where(level < 0, -size, size))
    unit = scale.to(tl.float64) / (scale.to(tl.float64) * 0.0 + S)
    coarse = (_bits(unit.to(tl.float32)) & _COARSE).to(tl.float32, bitcast=True)
    fine = (unit - coarse.to(tl.float64)).to(tl.float32)
    whole = level.to(tl.float32)
    return whole * coarse + whole * fine

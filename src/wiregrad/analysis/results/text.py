"""Numbers as text, one form for each use."""

from __future__ import annotations

import math

_PREFIXES = ("", " k", " M", " G", " T")


def short_number(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"


def short_bits(value: float) -> str:
    """Three significant digits with an SI prefix, e.g. 12.4 k; a dash where it is not finite."""
    if not math.isfinite(value):
        return "—"
    power = min(max(math.floor(math.log10(max(value, 1.0))) // 3, 0), len(_PREFIXES) - 1)
    scaled = value / 1000.0**power
    decimals = 0 if power == 0 or scaled >= 100 else 1 if scaled >= 10 else 2
    return f"{scaled:,.{decimals}f}" + _PREFIXES[power]


def tick_bits(value: float) -> str:
    """A round number of bits with an SI prefix and no trailing zeros, e.g. 20 k."""
    power = min(max(math.floor(math.log10(value) + 1e-9) // 3, 0), len(_PREFIXES) - 1)
    return f"{value / 1000.0**power:g}" + _PREFIXES[power]


def signed(value: float) -> str:
    """Two decimals, with a minus sign and not a hyphen: a slope."""
    return f"{value:.2f}".replace("-", "−")

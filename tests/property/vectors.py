"""Vectors that compressors are tested on, and the compressors themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st

from wiregrad.compressors import Compressor, registry

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def every_compressor() -> list[Any]:
    """Each family of the package with each of its own example settings."""
    return [(name, example) for name in registry for example in registry[name].examples()]


def label(case: tuple[str, dict[str, Any]]) -> str:
    name, example = case
    return "-".join([name, *(f"{key}={value}" for key, value in example.items())])


def build(case: tuple[str, dict[str, Any]]) -> Compressor:
    name, example = case
    return registry.build({"name": name, **example})


def generators(n: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(1000 * seed + i) for i in range(n)]


def _normal(d: int, g: torch.Generator) -> torch.Tensor:
    return torch.randn(d, generator=g, dtype=torch.float64)


def _one_hot(d: int, g: torch.Generator) -> torch.Tensor:
    x = torch.zeros(d, dtype=torch.float64)
    x[int(torch.randint(max(d, 1), (), generator=g)) : d][:1] = -1.0
    return x


def _heavy(d: int, g: torch.Generator) -> torch.Tensor:
    return _normal(d, g) * torch.exp(4 * _normal(d, g)).clamp(max=1e4)


def _sparse(d: int, g: torch.Generator) -> torch.Tensor:
    return _normal(d, g) * (torch.rand(d, generator=g) < 0.2)


def _eighths(d: int, g: torch.Generator) -> torch.Tensor:
    """One large element, the others an eighth of it: hard for logarithmic levels."""
    x = torch.full((d,), 0.125, dtype=torch.float64)
    x[:1] = 1.0
    return x


KINDS: dict[str, Callable[[int, torch.Generator], torch.Tensor]] = {
    "normal": _normal,
    "one_hot": _one_hot,
    "heavy": _heavy,
    "sparse": _sparse,
    "eighths": _eighths,
    "equal": lambda d, _: torch.full((d,), -0.7, dtype=torch.float64),
    "ties": lambda d, g: torch.randint(-2, 3, (d,), generator=g).double(),
    "zero": lambda d, _: torch.zeros(d, dtype=torch.float64),
    "minus_zero": lambda d, _: -torch.zeros(d, dtype=torch.float64),
}


def make(kind: str, n: int, d: int, dtype: torch.dtype, power: float = 0.0) -> torch.Tensor:
    """`n` rows of this kind, times `power` of the way to the end of the type's range."""
    rows = [KINDS[kind](d, g) for g in generators(n, seed=7)]
    info = torch.finfo(dtype)
    end = info.max if power > 0 else info.smallest_normal * info.eps
    x = torch.stack(rows) * end ** abs(power)
    return x.clamp(-info.max, info.max).to(dtype)


@st.composite
def rows(draw: st.DrawFn, sizes: tuple[int, ...] = (1, 2, 3, 8, 33, 130)) -> torch.Tensor:
    """`[n, d]`: a kind of vector at some magnitude, or any floats at all."""
    dtype = draw(st.sampled_from(DTYPES))
    n = draw(st.integers(1, 3))
    if draw(st.integers(0, 3)):
        power = draw(st.sampled_from((0.0, 0.0, 0.0, 0.9, 0.999, -0.9, -1.0)))
        return make(
            draw(st.sampled_from(list(KINDS))), n, draw(st.sampled_from(sizes)), dtype, power
        )
    width = {8: 64, 4: 32, 2: 16}[dtype.itemsize]
    floats = st.floats(allow_nan=False, allow_infinity=False, width=width)
    d = draw(st.integers(1, 12))
    values = draw(st.lists(floats, min_size=n * d, max_size=n * d))
    x = torch.tensor(values, dtype=torch.float64).view(n, d)
    return x.clamp(-torch.finfo(dtype).max, torch.finfo(dtype).max).to(dtype)

"""Draws for rows: each row from its own generator, whatever the batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from wiregrad.compressors.base import Generators


def of_rows(generators: Generators) -> Sequence[torch.Generator]:
    """The generators, which `Blocked` has checked to be there for a family that draws."""
    if generators is None:
        raise ValueError("a generator is required")
    return generators


def uniform(x: torch.Tensor, generators: Generators) -> torch.Tensor:
    """Uniform on [0, 1), float64, of the shape of `x` `[n, d]`.

    float64, since a float32 draw would round every probability up to a multiple of 2⁻²⁴.
    """
    out = torch.empty(x.shape, dtype=torch.float64, device=x.device)
    for row, generator in zip(out, of_rows(generators), strict=True):
        row.uniform_(generator=generator)
    return out

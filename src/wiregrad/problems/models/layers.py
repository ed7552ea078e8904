"""Layers without weights, where torch's draw from the global generator or are slow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from wiregrad.problems.models.stacked import Context


class Dropout(nn.Module):
    """Dropout by explicit generators, one a worker; with `channels` whole channels drop.

    Inputs `[m * b, ...]` belong to the m workers of `generators`, one after the other. In training
    each kept value is scaled by 1/(1 - p); in evaluation nothing happens.
    """

    generators: Sequence[torch.Generator] = ()

    def __init__(self, p: float = 0.5, *, channels: bool = False) -> None:
        super().__init__()
        self.p, self.channels = p, channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` with a fraction p of its values (or channels) zeroed."""
        if not self.training:
            return x
        if not self.generators:
            raise RuntimeError("Dropout in training needs generators")
        keep = 1.0 - self.p
        mask = x.new_empty(x.shape[:2] if self.channels else x.shape)
        for part, generator in zip(mask.chunk(len(self.generators)), self.generators, strict=True):
            part.bernoulli_(keep, generator=generator)
        mask.div_(keep)
        return x * (mask[:, :, None, None] if self.channels else mask)


def max_pool(x: torch.Tensor) -> torch.Tensor:
    """2x2 max-pooling of `[b, c, h, w]`, h and w even: `functional.max_pool2d(x, 2)` to the bit.

    Torch's takes the values one by one when channels are not innermost; this one is vectorised.
    """
    pooled: torch.Tensor = _MaxPool.apply(x)
    return pooled


class _MaxPool(torch.autograd.Function):
    """Columns first, then rows: of equal values the first in row order wins, as in torch."""

    @staticmethod
    def forward(ctx: Context, x: torch.Tensor) -> torch.Tensor:
        left, right = x[..., 0::2], x[..., 1::2]
        rows = torch.maximum(left, right)
        top, bottom = rows[..., 0::2, :], rows[..., 1::2, :]
        ctx.save_for_backward(left >= right, top >= bottom)
        return torch.maximum(top, bottom)

    @staticmethod
    def backward(ctx: Context, grad: torch.Tensor) -> torch.Tensor:
        left, top = ctx.saved_tensors
        rows = grad.new_empty(left.shape)
        torch.mul(grad, top, out=rows[..., 0::2, :])
        torch.sub(grad, rows[..., 0::2, :], out=rows[..., 1::2, :])
        down = grad.new_empty(*left.shape[:-1], 2 * left.shape[-1])
        torch.mul(rows, left, out=down[..., 0::2])
        torch.sub(rows, down[..., 0::2], out=down[..., 1::2])
        return down

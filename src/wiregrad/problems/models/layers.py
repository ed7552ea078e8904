"""Layers without weights: dropout from explicit generators, and fused max-pooling with ReLU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from wiregrad.kernels import pooling
from wiregrad.problems.models.per_worker import Context


class Dropout(nn.Module):
    """Dropout that draws from one explicit generator for each worker.

    Inputs `[m * b, ...]` belong to the m workers of `generators`, one after the other. In training
    each kept value is scaled by 1/(1 - p); in evaluation the input is returned unchanged.

    Args:
        p: Probability that a value is dropped, in [0, 1).
        channels: Drop whole channels of `[b, c, h, w]` in place of single values.
    """

    generators: Sequence[torch.Generator] = ()
    """Set by the problem before each pass in training."""

    def __init__(self, p: float = 0.5, *, channels: bool = False) -> None:
        super().__init__()
        self.p, self.channels = p, channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` with a random fraction p of its values (or channels) set to zero."""
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


def pool_relu(x: torch.Tensor) -> torch.Tensor:
    """2×2 max-pooling of `[b, c, h, w]`, then ReLU; one pass where compiled kernels can be used."""
    if not pooling.supports(x):
        return functional.max_pool2d(x, 2).relu()
    pooled: torch.Tensor = _PoolReLU.apply(x)
    return pooled


class _PoolReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, x: torch.Tensor) -> torch.Tensor:
        y = pooling.forward(x)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Context, grad: torch.Tensor) -> torch.Tensor:
        x, y = ctx.saved_tensors
        return pooling.backward(x, y, grad)

"""Layers that torch has only in a form that draws from the global generator."""

from __future__ import annotations

import torch
from torch import nn


class Dropout(nn.Module):
    """Dropout by an explicit `generator`; with `channels` whole channels of `[b, c, ...]` drop.

    In training each kept value is scaled by 1/(1 - p); in evaluation nothing happens.
    """

    generator: torch.Generator | None = None

    def __init__(self, p: float = 0.5, *, channels: bool = False) -> None:
        super().__init__()
        self.p, self.channels = p, channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` with a fraction p of its values (or channels) zeroed."""
        if not self.training:
            return x
        if self.generator is None:
            raise RuntimeError("Dropout in training needs a generator")
        shape = (*x.shape[:2], *(1 for _ in x.shape[2:])) if self.channels else x.shape
        keep = 1.0 - self.p
        mask = x.new_empty(shape).bernoulli_(keep, generator=self.generator)
        return x * mask.div_(keep)

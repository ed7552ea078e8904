"""Dropout that does not draw from the global generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


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

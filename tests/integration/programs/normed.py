"""A plugin: a small network with batch-norm, on MNIST."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from wiregrad.problems import register
from wiregrad.problems.vision import MnistCNN
from wiregrad.problems.vision import Normed as WithNorms


@register("normed")
@dataclass(frozen=True, kw_only=True)
class Normed(WithNorms, MnistCNN):
    """conv 1→4 5×5 of stride 4, batch-norm, ReLU, fc."""

    def network(self, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
        """See DeepSpec."""
        del tensors
        return nn.Sequential(
            nn.Conv2d(1, 4, 5, stride=4),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(144, 10),
        )

"""Subsets of ImageNet: Tiny ImageNet with ResNet-18, and with a small network of ours."""

from __future__ import annotations

from dataclasses import dataclass

import pydantic

from wiregrad.problems.base import register
from wiregrad.problems.models import convnets
from wiregrad.problems.vision.images import AugmentedSpec


@register("tiny_imagenet_small")
@dataclass(frozen=True, kw_only=True)
class TinyImageNetSmall(AugmentedSpec):
    """A small convolutional network of ours on 50 classes of Tiny ImageNet, for CPUs.

    d = 299,602 with 50 classes. No batch-norm, so that workers join in one pass.
    """

    data: str = "tiny_imagenet50"
    batch: pydantic.PositiveInt = 32
    shape = (3, 64, 64)
    classes = 50
    architecture = convnets.TinyNet

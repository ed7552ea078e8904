"""Subsets of ImageNet: Tiny ImageNet with ResNet-18 or a small network, and ResNet-50.

No paper of the suite has these tasks; batch sizes and augmentation are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import pydantic

from wiregrad.problems.base import register
from wiregrad.problems.models import convnets, resnet
from wiregrad.problems.vision.images import AugmentedSpec, Normed


@register("tiny_imagenet_small")
@dataclass(frozen=True, kw_only=True)
class TinyImageNetSmall(AugmentedSpec):
    """A small convolutional network of our own on 50 classes of Tiny ImageNet, for CPUs.

    d = 299,602. It has no batch-norm, so that one pass can serve several workers.
    """

    data: str = "tiny_imagenet50"
    batch: pydantic.PositiveInt = 32
    shape = (3, 64, 64)
    classes = 50
    architecture = convnets.TinyNet


@register("tiny_imagenet_resnet18")
@dataclass(frozen=True, kw_only=True)
class TinyImageNetResNet18(Normed, AugmentedSpec):
    """ResNet-18 with the stem for small images on Tiny ImageNet, d = 11,271,432 (200 classes)."""

    data: str = "tiny_imagenet"
    batch: pydantic.PositiveInt = 32
    shape = (3, 64, 64)
    classes = 200
    architecture = staticmethod(resnet.resnet18_cifar)


@register("imagenet_resnet50")
@dataclass(frozen=True, kw_only=True)
class ImageNetResNet50(Normed, AugmentedSpec):
    """ResNet-50 on square images of any size, d = 25,557,032 with 1,000 classes.

    With the 100 classes of ImageNet-100, d = 23,712,932.
    """

    data: str = "imagenet100"
    batch: pydantic.PositiveInt = 32
    shape = None
    classes = 1000
    architecture = staticmethod(resnet.resnet50_imagenet)

"""ResNet-18 for 32×32 images."""

from __future__ import annotations

from torch import nn

DIM = 11_173_962
"""d of `resnet18_cifar`."""


def resnet18_cifar(classes: int = 10) -> nn.Module:
    """ResNet-18 of torchvision in its CIFAR form: a 3×3 stem of stride 1, no max-pool.

    He et al. 2016, with the stem that is common on 32×32 images; d = 11,173,962 with 10 classes.
    """
    from torchvision.models import resnet18  # noqa: PLC0415 - a second of import, only needed here

    model: nn.Module = resnet18(num_classes=classes)
    model.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return model

"""ResNet-18 for small images and ResNet-50 for ImageNet, from torchvision.

The import of torchvision takes a second, so that it is done inside the functions.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from torch import nn


def resnet18_cifar(classes: int = 10) -> nn.Module:
    """ResNet-18 (He et al. 2016) for `[b, 3, 32, 32]` or larger images.

    It has the 3×3 stem of stride 1 without max-pooling that is common for small images.
    d = 11,173,962 with 10 classes, 11,271,432 with 200.
    """
    from torchvision.models import resnet18

    model: nn.Module = resnet18(num_classes=classes)
    model.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return model


def resnet50_imagenet(classes: int = 1000) -> nn.Module:
    """ResNet-50, randomly initialised: d = 25,557,032 with 1,000 classes.

    It is meant for 224×224 images; since it ends in a mean over the image, it takes any size.
    """
    from torchvision.models import resnet50

    model: nn.Module = resnet50(num_classes=classes)
    return model

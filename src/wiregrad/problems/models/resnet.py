"""ResNet-18 for small images, ResNet-50 for those of ImageNet; torchvision's networks.

torchvision takes a second to import, so that only who builds one of them imports it.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from torch import nn


def resnet18_cifar(classes: int = 10) -> nn.Module:
    """ResNet-18 of torchvision in its CIFAR form: a 3×3 stem of stride 1, no max-pool.

    He et al. 2016, with the stem that is common on 32×32 images, and on 64×64 ones;
    d = 11,173,962 with 10 classes, 11,271,432 with 200.
    """
    from torchvision.models import resnet18

    model: nn.Module = resnet18(num_classes=classes)
    model.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return model


def resnet50_imagenet(classes: int = 1000) -> nn.Module:
    """ResNet-50 of torchvision, randomly initialised: d = 25,557,032 with 1,000 classes.

    It ends in a mean over the image, so that any size will do; it is meant for 224×224.
    """
    from torchvision.models import resnet50

    model: nn.Module = resnet50(num_classes=classes)
    return model

"""MNIST and CIFAR-10: the networks of COMP-AMS, and those of CD-Adam on CIFAR-10."""

from __future__ import annotations

from dataclasses import dataclass

import pydantic

from wiregrad.problems.base import register
from wiregrad.problems.models import convnets, resnet, vgg, wide
from wiregrad.problems.vision.images import AugmentedSpec, Channels, ImageSpec, Normed

MNIST = Channels((0.1307,), (0.3081,))
CIFAR10 = Channels((0.49140, 0.48216, 0.44653), (0.24703, 0.24348, 0.26159))


@register("mnist_cnn")
@dataclass(frozen=True, kw_only=True)
class MnistCNN(ImageSpec):
    """The CNN of COMP-AMS's scripts on MNIST, d = 21,840; 16 workers with 32 samples each."""

    data: str = "mnist"
    batch: pydantic.PositiveInt = 32
    shape = (1, 28, 28)
    channels = MNIST
    architecture = convnets.MnistCNN


@dataclass(frozen=True, kw_only=True)
class _Cifar(AugmentedSpec):
    data: str = "cifar10"
    batch: pydantic.PositiveInt = 32
    shape = (3, 32, 32)
    channels = CIFAR10


@register("cifar_lenet5")
@dataclass(frozen=True, kw_only=True)
class CifarLeNet5(_Cifar):
    """LeNet-5 on CIFAR-10, d = 62,006: the network that the text of COMP-AMS names."""

    architecture = convnets.LeNet5


@register("cifar_lenet")
@dataclass(frozen=True, kw_only=True)
class CifarLeNet(_Cifar):
    """The LeNet of COMP-AMS's scripts on CIFAR-10, d = 541,094."""

    architecture = convnets.LeNet


@dataclass(frozen=True, kw_only=True)
class _NormedCifar(Normed, _Cifar):
    batch: pydantic.PositiveInt = 128


@register("cifar_resnet18")
@dataclass(frozen=True, kw_only=True)
class CifarResNet18(_NormedCifar):
    """ResNet-18 on CIFAR-10, d = 11,173,962.

    COMP-AMS (appendix) has 4 workers with 64 samples each, CD-Adam 128 samples per worker.
    """

    batch: pydantic.PositiveInt = 64
    architecture = staticmethod(resnet.resnet18_cifar)


@register("cifar_vgg16_bn")
@dataclass(frozen=True, kw_only=True)
class CifarVGG16(_NormedCifar):
    """VGG-16-BN on CIFAR-10, d = 14,728,266 (CD-Adam); 128 samples per worker."""

    architecture = staticmethod(vgg.vgg16_bn_cifar)


@register("cifar_wrn16_4")
@dataclass(frozen=True, kw_only=True)
class CifarWRN16x4(_NormedCifar):
    """WRN-16-4 on CIFAR-10, d = 2,748,890 (CD-Adam); 128 samples per worker."""

    architecture = staticmethod(wide.wrn16_4)

"""Image classification: the convolutional networks of COMP-AMS on MNIST and CIFAR-10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import pydantic
import torch
from torch import nn
from torch.nn import functional

from wiregrad.errors import ConfigError
from wiregrad.problems.base import register
from wiregrad.problems.deep import DeepSpec, Samples
from wiregrad.problems.models import convnets, resnet

PAD = 4
"""Pixels of zeros on each side from which a crop of the original size is taken."""


@dataclass(frozen=True)
class Channels:
    """Mean and standard deviation of each channel over the training set, pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


MNIST = Channels((0.1307,), (0.3081,))
CIFAR10 = Channels((0.49140, 0.48216, 0.44653), (0.24703, 0.24348, 0.26159))


class Images:
    """Images uint8 `[N, c, h, w]` with labels; batches are float32, normalised by channel."""

    eval_batch = 500

    def __init__(
        self, pixels: torch.Tensor, labels: torch.Tensor, channels: Channels, *, augment: bool
    ) -> None:
        self._pixels, self._labels, self._augment = pixels, labels, augment
        mean, std = (torch.tensor(v, device=pixels.device) for v in (channels.mean, channels.std))
        self._scale = (1.0 / (255.0 * std)).view(-1, 1, 1)
        self._shift = (-mean / std).view(-1, 1, 1)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._labels)

    def batch(
        self, rows: torch.Tensor, generators: Sequence[torch.Generator] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images `[b, c, h, w]`, channels innermost, and labels `[b]`.

        They are augmented where there are generators, each of which draws for an equal part of
        the rows.
        """
        rows = rows.to(self._labels.device)
        pixels = self._pixels[rows]
        if self._augment and generators:
            pixels = crop_and_flip(pixels, *generators)
        # Not `contiguous`: with one channel that leaves the strides, by which torch takes a layout.
        images = torch.empty(pixels.shape, device=pixels.device, memory_format=torch.channels_last)
        return torch.mul(pixels, self._scale, out=images).add_(self._shift), self._labels[rows]

    def in_order(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows as they are: all images cost the same."""
        return rows


def crop_and_flip(pixels: torch.Tensor, *generators: torch.Generator) -> torch.Tensor:
    """Each image `[b, c, h, w]` padded by zeros, cropped at a random place, and flipped or not.

    Each generator draws for an equal part of the images. They are on the CPU: the draws are the
    same on every device.
    """
    b, c, h, w = pixels.shape
    each = b // len(generators)
    draws = [
        (
            torch.randint(2 * PAD + 1, (2, each, 1), generator=generator),
            torch.randint(2, (each, 1), generator=generator, dtype=torch.bool),
        )
        for generator in generators
    ]
    top, left = torch.cat([place for place, _ in draws], dim=1)
    flip = torch.cat([flip for _, flip in draws])
    ys = top + torch.arange(h)
    xs = left + torch.arange(w)
    xs = torch.where(flip, xs.flip(1), xs)
    places = ys[:, :, None] * (w + 2 * PAD) + xs[:, None, :]
    padded = functional.pad(pixels, (PAD, PAD, PAD, PAD)).view(b, c, -1)
    index = places.view(b, 1, h * w).expand(b, c, h * w).to(pixels.device)
    return padded.gather(2, index).view(b, c, h, w)


@dataclass(frozen=True, kw_only=True)
class _Vision(DeepSpec):
    shape: ClassVar[tuple[int, int, int]]
    channels: ClassVar[Channels]

    def _augmented(self) -> bool:
        return False

    def samples(self, tensors: Mapping[str, torch.Tensor], split: str) -> Samples:
        """See DeepSpec. Raises ConfigError where the data set holds no such images."""
        pixels = tensors.get(f"{split}_images")
        if pixels is None or pixels[0].numel() != torch.Size(self.shape).numel():
            raise ConfigError(
                f"problem.data: {self.data!r} has no images of {self.shape}, which "
                f"{self.name} needs"
            )
        return Images(
            pixels.view(-1, *self.shape),
            tensors[f"{split}_labels"],
            self.channels,
            augment=self._augmented(),
        )


@register("mnist_cnn")
@dataclass(frozen=True, kw_only=True)
class MnistCNN(_Vision):
    """The CNN of COMP-AMS on MNIST (scripts), d = 21,840; 16 workers with 32 samples each."""

    data: str = "mnist"
    batch: pydantic.PositiveInt = 32
    shape = (1, 28, 28)
    channels = MNIST

    def model(self) -> nn.Module:
        """See DeepSpec."""
        return convnets.MnistCNN()


@dataclass(frozen=True, kw_only=True)
class _Cifar(_Vision):
    data: str = "cifar10"
    batch: pydantic.PositiveInt = 32
    augment: bool = True
    """Crop from a padding of 4 zeros and flip, in training."""
    shape = (3, 32, 32)
    channels = CIFAR10

    def _augmented(self) -> bool:
        return self.augment


@register("cifar_lenet5")
@dataclass(frozen=True, kw_only=True)
class CifarLeNet5(_Cifar):
    """LeNet-5 on CIFAR-10, d = 62,006: the network that COMP-AMS's text names."""

    def model(self) -> nn.Module:
        """See DeepSpec."""
        return convnets.LeNet5()


@register("cifar_lenet")
@dataclass(frozen=True, kw_only=True)
class CifarLeNet(_Cifar):
    """The scripts' LeNet on CIFAR-10, d = 541,094."""

    def model(self) -> nn.Module:
        """See DeepSpec."""
        return convnets.LeNet()


@register("cifar_resnet18")
@dataclass(frozen=True, kw_only=True)
class CifarResNet18(_Cifar):
    """ResNet-18 on CIFAR-10, d = 11,173,962 (COMP-AMS, appendix); 4 workers with 64 samples each.

    Batch-norm: each worker's batch alone in training; `statistics` says whose running statistics
    are used in evaluation.
    """

    batch: pydantic.PositiveInt = 64
    statistics: Literal["worker_0"] = "worker_0"

    def model(self) -> nn.Module:
        """See DeepSpec."""
        return resnet.resnet18_cifar()

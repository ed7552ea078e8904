"""Image classification in general: normalised and augmented batches, and the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from wiregrad.core.errors import ConfigError
from wiregrad.problems.deep import DeepSpec
from wiregrad.problems.norms import Policy
from wiregrad.problems.samples import Samples

Shape = tuple[int, int, int]
"""Channels, height, width."""
EVAL_PIXELS = 500 * 64 * 64
"""Pixels of the images that are evaluated at a time (at most 500 images), to bound memory."""


@dataclass(frozen=True)
class Channels:
    """Mean and standard deviation of each channel over the training set, for pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Images:
    """Images with labels, from which batches are float32 and normalised by channel.

    Args:
        pixels: uint8 `[N, c, h, w]`.
        labels: int64 `[N]`, on the same device.
        channels: Statistics by which batches are normalised.
        augment: Whether batches that are given generators are cropped and flipped.
    """

    def __init__(
        self, pixels: torch.Tensor, labels: torch.Tensor, channels: Channels, *, augment: bool
    ) -> None:
        self.eval_batch = max(1, min(500, EVAL_PIXELS // pixels[0, 0].numel()))
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
        """See Samples. Images `[b, c, h, w]` in channels-last memory, and labels `[b]`."""
        rows = rows.to(self._labels.device)
        pixels = self._pixels[rows]
        if self._augment and generators:
            pixels = crop_and_flip(pixels, *generators)
        # Not `contiguous`: it leaves the strides of one-channel images, by which torch chooses.
        images = torch.empty(pixels.shape, device=pixels.device, memory_format=torch.channels_last)
        return torch.mul(pixels, self._scale, out=images).add_(self._shift), self._labels[rows]

    def sorted_by_cost(self, rows: torch.Tensor) -> torch.Tensor:
        """See Samples. The rows as they are, since all images cost the same."""
        return rows


def crop_and_flip(pixels: torch.Tensor, *generators: torch.Generator) -> torch.Tensor:
    """Pad each image by zeros, crop it at a random place, and flip it with probability 1/2.

    Args:
        pixels: Images `[b, c, h, w]`. The padding on each side is h // 8: 4 pixels for a height of
            32, as is common on CIFAR.
        generators: Each draws for an equal part of the images. They are on the CPU, so that the
            draws are the same on every device.

    Returns:
        Images `[b, c, h, w]`.
    """
    b, c, h, w = pixels.shape
    pad, each = h // 8, b // len(generators)
    draws = [
        (
            torch.randint(2 * pad + 1, (2, each, 1), generator=generator),
            torch.randint(2, (each, 1), generator=generator, dtype=torch.bool),
        )
        for generator in generators
    ]
    top, left = torch.cat([place for place, _ in draws], dim=1)
    flip = torch.cat([flip for _, flip in draws])
    ys = top + torch.arange(h)
    xs = left + torch.arange(w)
    xs = torch.where(flip, xs.flip(1), xs)
    places = ys[:, :, None] * (w + 2 * pad) + xs[:, None, :]
    padded = functional.pad(pixels, (pad, pad, pad, pad)).view(b, c, -1)
    index = places.view(b, 1, h * w).expand(b, c, h * w).to(pixels.device)
    return padded.gather(2, index).view(b, c, h, w)


@dataclass(frozen=True, kw_only=True)
class ImageSpec(DeepSpec):
    """A network on images; a subclass sets the network and the images that it takes.

    The number of classes and the channel statistics are those of the data set where it has the
    tensors ``classes`` and ``channels``, else those of the class.
    """

    shape: ClassVar[Shape | None]
    """Of the images; None stands for squares of any size with three channels."""
    architecture: ClassVar[Callable[[int], nn.Module]]
    """The network for a number of classes."""
    classes: ClassVar[int] = 10
    channels: ClassVar[Channels | None] = None

    def _augmented(self) -> bool:
        return False

    def network(self, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
        """See DeepSpec."""
        classes = self.classes
        if "classes" in tensors:
            classes = bytes(tensors["classes"].tolist()).count(b"\n") + 1
        return type(self).architecture(classes)

    def samples(self, tensors: Mapping[str, torch.Tensor], split: str) -> Samples:
        """See DeepSpec. Raises ConfigError where the data set has no images of this shape."""
        pixels = tensors.get(f"{split}_images")
        shape = self._shape(pixels)
        channels = _channels(tensors) or self.channels
        if pixels is None or shape is None or channels is None:
            raise ConfigError(
                f"problem.data: {self.data!r} has no images of {self.shape or '(3, s, s)'}, which "
                f"{self.name} needs"
            )
        labels = tensors[f"{split}_labels"]
        return Images(pixels.view(-1, *shape), labels, channels, augment=self._augmented())

    def _shape(self, pixels: torch.Tensor | None) -> Shape | None:
        """The shape of one image, or None where the network does not take it."""
        if pixels is None:
            return None
        if self.shape is not None:
            return self.shape if pixels[0].numel() == torch.Size(self.shape).numel() else None
        return (3, pixels.shape[-2], pixels.shape[-1]) if pixels.shape[1] == 3 else None


def _channels(tensors: Mapping[str, torch.Tensor]) -> Channels | None:
    if "channels" not in tensors:
        return None
    mean, std = (tuple(row) for row in tensors["channels"].tolist())
    return Channels(mean, std)


@dataclass(frozen=True, kw_only=True)
class AugmentedSpec(ImageSpec):
    """A network on images that are augmented in training."""

    augment: bool = True
    """In training, pad the image by zeros, crop it at random, and flip it (`crop_and_flip`)."""

    def _augmented(self) -> bool:
        return self.augment


@dataclass(frozen=True, kw_only=True)
class Normed:
    """Mixin, to be put before ImageSpec, for networks with batch-norm."""

    statistics: Policy = "worker_0"
    """Which running statistics an evaluation uses: worker 0's, or the mean over workers."""

    def statistics_policy(self) -> Policy:
        """See DeepSpec."""
        return self.statistics

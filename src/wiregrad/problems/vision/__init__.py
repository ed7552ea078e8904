"""Image classification; importing the package registers its problems."""

from wiregrad.problems.vision import imagenet, small
from wiregrad.problems.vision.images import Channels, Images, Normed, crop_and_flip
from wiregrad.problems.vision.small import CIFAR10, MNIST, MnistCNN

__all__ = [
    "CIFAR10",
    "MNIST",
    "Channels",
    "Images",
    "MnistCNN",
    "Normed",
    "crop_and_flip",
    "imagenet",
    "small",
]

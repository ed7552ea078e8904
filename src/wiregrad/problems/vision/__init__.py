"""Image classification: MNIST, CIFAR and subsets of ImageNet. Importing it registers them."""

from wiregrad.problems.vision import imagenet, mnist_cifar
from wiregrad.problems.vision.images import Channels, Images, Normed, crop_and_flip
from wiregrad.problems.vision.mnist_cifar import CIFAR10, MNIST, MnistCNN

__all__ = [
    "CIFAR10",
    "MNIST",
    "Channels",
    "Images",
    "MnistCNN",
    "Normed",
    "crop_and_flip",
    "imagenet",
    "mnist_cifar",
]

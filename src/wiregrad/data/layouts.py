"""The layouts in which sources carry data sets, and the function that reads each."""

from __future__ import annotations

from collections.abc import Callable

from wiregrad.data import adult, folders, images, libsvm, photos, reviews
from wiregrad.data.catalogue import Layout
from wiregrad.data.files import Arrays

Reader = Callable[..., Arrays]
"""Called with files by role and the entry's options as keywords."""

LAYOUTS: dict[Layout, Reader] = {
    "mnist-idx": images.read_mnist_idx,
    "mnist-idx-5k": images.read_mnist_idx_5k,
    "mnist-csv": images.read_mnist_csv,
    "cifar-binary": images.read_cifar_binary,
    "cifar100-binary": images.read_cifar100_binary,
    "cifar-webp": images.read_cifar_webp,
    "tiny-imagenet-npz": photos.read_tiny_npz,
    "tiny-imagenet-zip": photos.read_tiny_zip,
    "image-tar": photos.read_tar,
    "image-folder": folders.read_folder,
    "imdb-jsonl": reviews.read_jsonl,
    "imdb-csv": reviews.read_csv,
    "libsvm": libsvm.read_set,
    "adult": adult.read_adult,
}

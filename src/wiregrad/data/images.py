"""Readers for MNIST, CIFAR-10 and CIFAR-100 in the formats of their sources.

Tensors, for ``train`` and ``test``: ``*_images`` uint8, [N, 28, 28] for MNIST and [N, 3, 32, 32]
for CIFAR, as stored (0..255, not normalised); ``*_labels`` int64 [N]. Every reader raises
DataCorrupt where a file is not in its format.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wiregrad.core.errors import DataCorrupt
from wiregrad.data.files import Arrays, read_bytes, read_member
from wiregrad.data.photos import channels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Bytes = npt.NDArray[np.uint8]


def read_idx(path: Path) -> Bytes:
    """The array in an idx file of unsigned bytes, plain or compressed.

    Raises DataCorrupt if the header is not that of such a file, or does not fit the length.
    """
    raw = read_bytes(path)
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08" or len(raw) < 4 + 4 * raw[3]:
        raise DataCorrupt(f"{path}: not an idx file of unsigned bytes")
    start = 4 + 4 * raw[3]
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start], dtype=">u4"))
    if len(raw) - start != int(np.prod(shape, dtype=np.int64)):
        raise DataCorrupt(f"{path}: {len(raw) - start} bytes of values, the header says {shape}")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def read_mnist_idx(files: Mapping[str, Path]) -> Arrays:
    """Format ``mnist-idx``: the four official files."""
    arrays: Arrays = {}
    for split in ("train", "test"):
        images = read_idx(files[f"{split}_images"])
        labels = read_idx(files[f"{split}_labels"]).astype(np.int64)
        arrays |= _checked(split, images, labels, (28, 28), files[f"{split}_images"])
    return arrays


def read_mnist_csv(files: Mapping[str, Path]) -> Arrays:
    """Format ``mnist-csv``: rows of 784 pixels and a label, equally many of each class.

    The table has no split of its own: images are sorted by their sha256, and the last fifth of each
    class becomes the test set. The result is that of ``mnist-idx-5k``.
    """
    path = files["data"]
    try:
        text = read_bytes(path).decode("ascii")
        table = np.loadtxt(io.StringIO(text), delimiter=",", dtype=np.uint8, ndmin=2)
    except (ValueError, OverflowError) as error:
        raise DataCorrupt(f"{path}: {error}") from None
    if table.shape[1] != 785:
        raise DataCorrupt(f"{path}: {table.shape[1]} columns, expected 784 pixels and a label")
    images, labels = table[:, :784].reshape(-1, 28, 28), table[:, 784].astype(np.int64)
    return _split_by_class(images, labels, path)


def read_mnist_idx_5k(files: Mapping[str, Path]) -> Arrays:
    """Format ``mnist-idx-5k``: the first 500 images of each class in the official training files.

    They are divided as in `read_mnist_csv`.
    """
    images = read_idx(files["train_images"])
    labels = read_idx(files["train_labels"]).astype(np.int64)
    _checked("train", images, labels, (28, 28), files["train_images"])
    rows = np.concatenate([np.flatnonzero(labels == label)[:500] for label in range(10)])
    return _split_by_class(images[rows], labels[rows], files["train_images"])


def _split_by_class(images: Bytes, labels: npt.NDArray[np.int64], path: Path) -> Arrays:
    order = np.array(sorted(range(len(images)), key=lambda i: _image_key(images[i])))
    images, labels = images[order], labels[order]
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        rows = np.flatnonzero(labels == label)
        test[rows[len(rows) - len(rows) // 5 :]] = True
    return _checked("train", images[~test], labels[~test], (28, 28), path) | _checked(
        "test", images[test], labels[test], (28, 28), path
    )


def read_cifar_binary(files: Mapping[str, Path]) -> Arrays:
    """Format ``cifar-binary``: the official archive in its "binary version", in official order.

    Each record is a label byte and 3072 bytes, the planes R, G and B. (The Python version of the
    archive consists of pickles, which wiregrad does not open.)
    """
    batches = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
    return _records(files["archive"], "cifar-10-batches-bin", batches, head=1, classes=10)


def read_cifar100_binary(files: Mapping[str, Path]) -> Arrays:
    """Format ``cifar100-binary``: the same for CIFAR-100, with its 100 fine classes as labels.

    Each record has two label bytes, coarse and fine. There are the further tensors ``classes`` and
    ``channels`` of `wiregrad.data.photos`.
    """
    path, folder = files["archive"], "cifar-100-binary"
    names = read_member(path, f"{folder}/fine_label_names.txt").decode().split()
    batches = {"train": ["train.bin"], "test": ["test.bin"]}
    arrays = _records(path, folder, batches, head=2, classes=len(names))
    arrays["classes"] = np.frombuffer("\n".join(names).encode(), dtype=np.uint8)
    arrays["channels"] = channels(arrays["train_images"])
    return arrays


def _records(
    path: Path, folder: str, batches: Mapping[str, list[str]], *, head: int, classes: int
) -> Arrays:
    """The arrays from records of `head` label bytes, the last of which is used, and 3072 pixels."""
    arrays: Arrays = {}
    length = head + 3072
    for split, members in batches.items():
        raw = b"".join(read_member(path, f"{folder}/{name}") for name in members)
        if len(raw) % length:
            raise DataCorrupt(f"{path}: {split}: {len(raw)} bytes, not n x {length}")
        records = np.frombuffer(raw, dtype=np.uint8).reshape(-1, length)
        images = records[:, head:].reshape(-1, 3, 32, 32)
        labels = records[:, head - 1].astype(np.int64)
        arrays |= _checked(split, images, labels, (3, 32, 32), path, classes)
    return arrays


def read_cifar_webp(files: Mapping[str, Path]) -> Arrays:
    """Format ``cifar-webp``: lossless WebP strips of images above one another, and labels as npz.

    Roles are ``train_strip_*`` and ``test_strip_*``, in alphabetical order, and ``train_labels``
    and ``test_labels`` with an array ``label``.
    """
    arrays: Arrays = {}
    for split in ("train", "test"):
        strips = [path for role, path in sorted(files.items()) if role.startswith(f"{split}_strip")]
        images = np.concatenate([_strip(path) for path in strips])
        labels_path = files[f"{split}_labels"]
        try:
            with np.load(labels_path, allow_pickle=False) as stored:
                labels = stored["label"].astype(np.int64)
        except (OSError, ValueError, KeyError) as error:
            raise DataCorrupt(f"{labels_path}: {error}") from None
        arrays |= _checked(split, images, labels, (3, 32, 32), labels_path)
    return arrays


def _strip(path: Path) -> Bytes:
    from PIL import Image  # a slow import that only this format needs

    try:
        with Image.open(path, formats=["WEBP"]) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except OSError as error:
        raise DataCorrupt(f"{path}: {error}") from None
    if pixels.shape[1] != 32 or pixels.shape[0] % 32:
        raise DataCorrupt(
            f"{path}: {pixels.shape[1]}x{pixels.shape[0]} pixels, not a 32-wide strip"
        )
    return pixels.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)


def _image_key(image: Bytes) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()


def _checked(
    split: str,
    images: Bytes,
    labels: npt.NDArray[np.int64],
    shape: tuple[int, ...],
    path: Path,
    classes: int = 10,
) -> Arrays:
    if images.shape[1:] != shape or len(images) != len(labels):
        raise DataCorrupt(
            f"{path}: {split}: images {images.shape} and {len(labels)} labels, expected N x {shape}"
        )
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= classes:
        raise DataCorrupt(f"{path}: {split}: labels must be in 0..{classes - 1}, and at least one")
    return {
        f"{split}_images": np.ascontiguousarray(images),
        f"{split}_labels": np.ascontiguousarray(labels),
    }

"""Sets of photographs as uint8 tensors: Tiny ImageNet, Imagenette, ImageNet-100, any folder.

Tensors, for ``train`` and ``test``: ``*_images`` uint8 [N, 3, s, s] (0..255, not normalised) and
``*_labels`` int64 [N]; ``classes`` uint8 [bytes], the names of the classes in the order of their
labels, joined by newlines; ``channels`` float64 [2, 3], mean and standard deviation of each channel
over the training images, for pixels in [0, 1].

Preparation. Classes are in alphabetical order. Rows are sorted by class, then by file name,
whatever the source. Images are decoded by pillow as RGB. One that is not s × s is scaled (bilinear)
until its shorter side is s, and its centre is kept. The test set is what the sources call ``val``.
"""

from __future__ import annotations

import io
import lzma
import math
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wiregrad.core.errors import ConfigError, DataCorrupt
from wiregrad.core.names import unknown
from wiregrad.core.validation import parse_yaml
from wiregrad.data.files import Arrays, decompress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image

Bytes = npt.NDArray[np.uint8]
SPLITS = {"train": "train", "test": "val"}
"""Our name of a split -> its name in these sources."""
IN_MEMORY = 1 << 31
"""Sets with more bytes of pixels are decoded to a temporary file instead of memory."""
_CHUNK = 256


@dataclass(frozen=True, order=True)
class Photo:
    """One encoded image."""

    label: str
    """Name of its class."""
    name: str
    """Its file name within the class."""
    read: Callable[[], bytes] = field(compare=False)


@cache
def class_list(name: str) -> tuple[str, ...]:
    """A list of classes in ``classes.yaml``, in its order. Raises ConfigError if it is unknown."""
    text = resources.files("wiregrad.data").joinpath("classes.yaml").read_text(encoding="utf-8")
    lists: dict[str, list[str]] = parse_yaml(text)
    if name not in lists:
        raise ConfigError(f"data: {unknown('list of classes', name, lists)}")
    return tuple(lists[name])


def read_tiny_npz(files: Mapping[str, Path], **options: object) -> Arrays:
    """Format ``tiny-imagenet-npz``: `classes` (JSON), and the archives `train` and `val`.

    An archive has the arrays ``jpeg_xz`` (one xz stream of all JPEG files), ``offsets`` (of the
    files in the decompressed stream), ``y`` (numbers of the classes) and ``name``. `options` and
    the arrays are those of `prepare`. Raises DataCorrupt.
    """
    import json

    try:
        labels = json.loads(files["classes"].read_text(encoding="utf-8"))["wnids"]
        photos = {split: _of_npz(files[theirs], labels) for split, theirs in SPLITS.items()}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataCorrupt(f"{files['train'].parent}: {error}") from None
    return prepare(photos, str(files["train"].parent), **options)  # type: ignore[arg-type]


def _of_npz(path: Path, labels: Sequence[str]) -> list[Photo]:
    with np.load(path, allow_pickle=False) as stored:
        raw = decompress(stored["jpeg_xz"].tobytes(), str(path))
        ends, names, numbers = (stored[key].tolist() for key in ("offsets", "name", "y"))
    if not len(ends) - 1 == len(names) == len(numbers) or ends[0] != 0 or ends[-1] != len(raw):
        raise DataCorrupt(f"{path}: offsets, names and labels do not fit one another")
    return [
        Photo(labels[number], name, io.BytesIO(raw[start:end]).getvalue)
        for number, name, start, end in zip(numbers, names, ends, ends[1:], strict=False)
    ]


def read_tiny_zip(files: Mapping[str, Path], **options: object) -> Arrays:
    """Format ``tiny-imagenet-zip``: the official archive, which is not extracted.

    It has ``train/CLASS/images/NAME``, and ``val/images/NAME`` with classes in
    ``val/val_annotations.txt``. `options` and the arrays are those of `prepare`. Raises
    DataCorrupt.
    """
    path = files["archive"]
    try:
        with zipfile.ZipFile(path) as archive:
            root = "tiny-imagenet-200"
            text = archive.read(f"{root}/val/val_annotations.txt").decode()
            known = dict(line.split("\t")[:2] for line in text.splitlines() if line)
            photos: dict[str, list[Photo]] = {split: [] for split in SPLITS}
            for member in archive.namelist():
                part = PurePosixPath(member)
                read = partial(archive.read, member)
                if part.match(f"{root}/train/*/images/*"):
                    photos["train"].append(Photo(part.parts[2], part.name, read))
                elif part.match(f"{root}/val/images/*"):
                    photos["test"].append(Photo(known[part.name], part.name, read))
            return prepare(photos, str(path), **options)  # type: ignore[arg-type]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataCorrupt(f"{path}: not the archive of Tiny ImageNet ({error})") from None


def read_tar(files: Mapping[str, Path], **options: object) -> Arrays:
    """Format ``image-tar``: an archive of ``train/CLASS/NAME`` and ``val/CLASS/NAME``.

    `options` and the arrays are those of `prepare`. Raises DataCorrupt.
    """
    path = files["archive"]
    ours = {theirs: split for split, theirs in SPLITS.items()}
    photos: dict[str, list[Photo]] = {split: [] for split in SPLITS}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                parts = PurePosixPath(member.name).parts
                handle = archive.extractfile(member) if member.isfile() else None
                if handle is not None and len(parts) == 4 and parts[1] in ours:
                    read = io.BytesIO(handle.read()).getvalue
                    photos[ours[parts[1]]].append(Photo(parts[2], parts[3], read))
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error) as error:
        raise DataCorrupt(f"{path}: damaged archive ({error})") from None
    return prepare(photos, str(path), **options)  # type: ignore[arg-type]


def prepare(
    photos: Mapping[str, Sequence[Photo]],
    where: str,
    *,
    size: int,
    classes: str | None = None,
    rows: tuple[int, int] | None = None,
) -> Arrays:
    """Decode images to the tensors that this module describes.

    Args:
        photos: The images of "train" and "test".
        where: Begins the message of an error.
        size: Height and width s of the prepared images, in pixels.
        classes: A list in ``classes.yaml``: all of its classes must exist, others are left out.
        rows: The numbers of training and of test images that there must be.

    Raises:
        DataCorrupt: Classes or images are missing, or an image cannot be decoded.
        ConfigError: The list of classes is unknown.
    """
    labels = _classes(photos, where, classes)
    number = {label: i for i, label in enumerate(labels)}
    arrays: Arrays = {"classes": np.frombuffer("\n".join(labels).encode(), dtype=np.uint8)}
    for split, wanted in zip(SPLITS, rows or (None, None), strict=True):
        mine = sorted(photo for photo in photos[split] if photo.label in number)
        if not mine or len(mine) != (wanted or len(mine)):
            promised = f", expected {wanted}" if wanted else ""
            raise DataCorrupt(f"{where}: {len(mine)} {split} images{promised}")
        arrays[f"{split}_images"] = _decode_all(mine, size, where)
        arrays[f"{split}_labels"] = np.array([number[p.label] for p in mine], dtype=np.int64)
    arrays["channels"] = channels(arrays["train_images"])
    return arrays


def _classes(
    photos: Mapping[str, Sequence[Photo]], where: str, chosen: str | None
) -> tuple[str, ...]:
    found = {photo.label for photo in photos["train"]}
    wanted = tuple(sorted(found)) if chosen is None else tuple(sorted(class_list(chosen)))
    missing = sorted(set(wanted) - found)
    if missing or not wanted:
        raise DataCorrupt(f"{where}: no training images of {', '.join(missing[:3]) or 'any class'}")
    untrained = sorted({photo.label for photo in photos["test"]} - found)
    if chosen is None and untrained:
        raise DataCorrupt(f"{where}: only test images of {', '.join(untrained[:3])}")
    return wanted


def _decode_all(photos: Sequence[Photo], size: int, where: str) -> Bytes:
    shape = (len(photos), 3, size, size)
    pixels: Bytes
    if np.prod(shape, dtype=np.int64) < IN_MEMORY:
        pixels = np.empty(shape, dtype=np.uint8)
    else:
        from wiregrad.data.prepared import cache_folder

        with tempfile.TemporaryFile(dir=cache_folder() / "data") as file:
            pixels = np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
    for row, photo in zip(pixels, photos, strict=True):
        try:
            row[:] = decode(photo.read(), size).transpose(2, 0, 1)
        except (OSError, ValueError) as error:
            raise DataCorrupt(f"{where}: {photo.label}/{photo.name}: {error}") from None
    return pixels


def decode(raw: bytes, size: int) -> Bytes:
    """An encoded image as uint8 [size, size, 3]; raises OSError or ValueError if it is damaged."""
    from PIL import Image  # a slow import that only these formats need

    with Image.open(io.BytesIO(raw)) as picture:
        return np.asarray(_fitted(picture.convert("RGB"), size))


def _fitted(picture: Image, size: int) -> Image:
    from PIL.Image import Resampling

    width, height = picture.size
    if width == height == size:
        return picture
    short = min(width, height)
    scaled = (max(size, round(width * size / short)), max(size, round(height * size / short)))
    picture = picture.resize(scaled, Resampling.BILINEAR)
    left, top = (scaled[0] - size) // 2, (scaled[1] - size) // 2
    return picture.crop((left, top, left + size, top + size))


def channels(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Mean and standard deviation [2, c] of uint8 pixels [N, c, h, w], scaled to [0, 1].

    The sums are exact, so that the result is the same on every machine.
    """
    count = pixels.size // pixels.shape[1]
    sums = [[0, 0] for _ in range(pixels.shape[1])]
    for part in _chunks(pixels):
        for total, plane in zip(sums, part.transpose(1, 0, 2, 3), strict=True):
            values = np.bincount(plane.reshape(-1), minlength=256).tolist()
            total[0] += sum(v * n for v, n in enumerate(values))
            total[1] += sum(v * v * n for v, n in enumerate(values))
    means = [first / count / 255 for first, _ in sums]
    spreads = [math.sqrt((second * count - first**2) / count**2) / 255 for first, second in sums]
    return np.array([means, spreads])


def _chunks(pixels: npt.NDArray[np.generic]) -> Iterator[npt.NDArray[np.uint8]]:
    for start in range(0, len(pixels), _CHUNK):
        yield np.asarray(pixels[start : start + _CHUNK], dtype=np.uint8)

"""The image formats, each on a small set made here."""

import io
import tarfile

import numpy as np
import pytest

from wiregrad.core.errors import DataCorrupt
from wiregrad.data import images


def idx(array):
    shape = np.array(array.shape, dtype=">u4").tobytes()
    return b"\x00\x00\x08" + bytes([array.ndim]) + shape + array.astype(np.uint8).tobytes()


@pytest.fixture
def digits():
    """Training images and labels with 600 of each class, in a mixed order."""
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.repeat(np.arange(10), 600))
    return rng.integers(0, 256, (6000, 28, 28), dtype=np.uint8), labels


def test_idx_round_trip(tmp_path):
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(idx(array))
    assert np.array_equal(images.read_idx(tmp_path / "a"), array)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"\x01" + b[1:]]
)
def test_damaged_idx_is_refused(tmp_path, damage):
    (tmp_path / "a").write_bytes(damage(idx(np.zeros((2, 3)))))
    with pytest.raises(DataCorrupt, match=str(tmp_path / "a")):
        images.read_idx(tmp_path / "a")


def test_mnist_part_is_the_same_from_table_and_from_official_files(tmp_path, digits):
    pixels, labels = digits
    files = {"train_images": tmp_path / "i", "train_labels": tmp_path / "l"}
    files["train_images"].write_bytes(idx(pixels))
    files["train_labels"].write_bytes(idx(labels))
    rows = np.concatenate([np.flatnonzero(labels == label)[:500] for label in range(10)])
    table = np.hstack([pixels[rows].reshape(5000, 784), labels[rows, None]])
    np.savetxt(tmp_path / "t", table, delimiter=",", fmt="%d")

    official = images.read_mnist_idx_5k(files)
    carried = images.read_mnist_csv({"data": tmp_path / "t"})
    assert all(np.array_equal(official[key], carried[key]) for key in official)
    assert official["train_images"].shape == (4000, 28, 28)
    assert np.bincount(official["test_labels"]).tolist() == [100] * 10
    seen = {row.tobytes() for row in official["train_images"]}
    assert not seen & {row.tobytes() for row in official["test_images"]}


def test_mnist_table_of_other_width_is_refused(tmp_path):
    (tmp_path / "t").write_text("1,2,3\n4,5,6\n")
    with pytest.raises(DataCorrupt, match="3 columns, expected 784 pixels and a label"):
        images.read_mnist_csv({"data": tmp_path / "t"})


def test_mnist_labels_are_counted_and_bounded(tmp_path, digits):
    files = {
        f"{s}_{k}": tmp_path / f"{s}{k}" for s in ("train", "test") for k in ("images", "labels")
    }
    for role, path in files.items():
        path.write_bytes(idx(digits[0][:5] if role.endswith("images") else np.arange(5)))
    assert images.read_mnist_idx(files)["test_labels"].tolist() == [0, 1, 2, 3, 4]
    files["test_labels"].write_bytes(idx(np.array([1, 2, 3, 4])))
    with pytest.raises(DataCorrupt, match=r"test: images .* and 4 labels"):
        images.read_mnist_idx(files)
    files["test_labels"].write_bytes(idx(np.array([1, 2, 3, 4, 10])))
    with pytest.raises(DataCorrupt, match=r"labels must be in 0\.\.9"):
        images.read_mnist_idx(files)


def test_cifar_binary_archive(tmp_path):
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)
    labels = rng.integers(0, 10, 12)
    records = np.hstack([labels[:, None].astype(np.uint8), pixels.reshape(12, -1)])
    path = tmp_path / "cifar.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
        for name, part in zip(names, np.split(records, 6), strict=True):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = part.nbytes
            tar.addfile(member, io.BytesIO(part.tobytes()))
    found = images.read_cifar_binary({"archive": path})
    assert np.array_equal(found["train_images"], pixels[:10])
    assert np.array_equal(found["test_labels"], labels[10:])
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataCorrupt, match=r"cifar\.tar\.gz"):
        images.read_cifar_binary({"archive": path})


def test_cifar100_binary_archive(tmp_path):
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 256, (9, 3, 32, 32), dtype=np.uint8)
    fine, coarse = rng.permutation(9).astype(np.uint8), np.full(9, 99, dtype=np.uint8)
    records = np.hstack([coarse[:, None], fine[:, None], pixels.reshape(9, -1)])
    names = "\n".join(f"name_{i}" for i in range(9))
    members = {"train.bin": records[:6], "test.bin": records[6:], "fine_label_names.txt": names}

    def archive():
        with tarfile.open(path, "w:gz") as tar:
            for name, part in members.items():
                raw = part.encode() if isinstance(part, str) else part.tobytes()
                member = tarfile.TarInfo(f"cifar-100-binary/{name}")
                member.size = len(raw)
                tar.addfile(member, io.BytesIO(raw))

    path = tmp_path / "cifar100.tar.gz"
    archive()
    found = images.read_cifar100_binary({"archive": path})
    assert np.array_equal(found["train_images"], pixels[:6])
    assert found["test_labels"].tolist() == fine[6:].tolist()
    assert bytes(found["classes"]).decode() == names
    assert np.allclose(found["channels"][0], pixels[:6].mean((0, 2, 3)) / 255)
    members["fine_label_names.txt"] = "only one"
    archive()
    with pytest.raises(DataCorrupt, match=r"labels must be in 0\.\.1"):
        images.read_cifar100_binary({"archive": path})


def test_cifar_strips(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    files = {}
    for split, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        part = pixels[rows].transpose(0, 2, 3, 1)
        for number, strip in enumerate(np.split(part, 2)):
            path = files[f"{split}_strip_{number:03d}"] = tmp_path / f"{split}{number}.webp"
            Image.fromarray(strip.reshape(-1, 32, 3)).save(path, lossless=True)
        files[f"{split}_labels"] = tmp_path / f"{split}.npz"
        np.savez(files[f"{split}_labels"], label=np.arange(rows.start, rows.stop, dtype=np.uint8))
    found = images.read_cifar_webp(files)
    assert np.array_equal(found["train_images"], pixels[:4])
    assert np.array_equal(found["test_images"], pixels[4:])
    assert found["test_labels"].tolist() == [4, 5]

    np.savez(files["test_labels"], label=np.array([{}, {}], dtype=object))  # it would be unpickled
    with pytest.raises(DataCorrupt, match=r"test\.npz"):
        images.read_cifar_webp(files)

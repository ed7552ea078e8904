"""Sets of photographs, each format on a few real pictures made here."""

import io
import json
import lzma
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from wiregrad import data
from wiregrad.cli.data import app
from wiregrad.core.errors import ConfigError, DataCorrupt, DataUnavailable
from wiregrad.data import loading, photos
from wiregrad.data.schema import HubSource, ImageOptions

WNIDS = ["n02", "n01", "n03"]


def jpeg(seed, width=8, height=8):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90)
    return out.getvalue()


@pytest.fixture
def pictures():
    """By split: (class, name, JPEG); two of each class to train, one to test, in no order."""
    train = [(w, f"{w}_{i}.JPEG", jpeg(10 * c + i)) for i in (1, 0) for c, w in enumerate(WNIDS)]
    test = [(w, f"val_{c}.JPEG", jpeg(100 + c)) for c, w in enumerate(WNIDS)]
    return {"train": train, "val": test}


def check(found, pictures):
    """Rows are by class and name, and pixels those that pillow decodes."""
    assert bytes(found["classes"]).decode().split("\n") == sorted(WNIDS)
    for split, theirs in (("train", "train"), ("test", "val")):
        rows = sorted(pictures[theirs])
        assert found[f"{split}_labels"].tolist() == [sorted(WNIDS).index(w) for w, _, _ in rows]
        for pixels, (_, _, raw) in zip(found[f"{split}_images"], rows, strict=True):
            decoded = np.asarray(Image.open(io.BytesIO(raw)).convert("RGB"))
            assert np.array_equal(pixels, decoded.transpose(2, 0, 1))
    x = found["train_images"] / 255
    assert np.allclose(found["channels"], [x.mean((0, 2, 3)), x.std((0, 2, 3))], rtol=1e-12)


def npz(folder, pictures):
    files = {"classes": folder / "classes.json"}
    files["classes"].write_text(json.dumps({"wnids": WNIDS}))
    for split, rows in pictures.items():
        files[split] = folder / f"{split}.npz"
        np.savez(
            files[split],
            jpeg_xz=np.frombuffer(lzma.compress(b"".join(raw for _, _, raw in rows)), np.uint8),
            offsets=np.cumsum([0] + [len(raw) for _, _, raw in rows]),
            y=np.array([WNIDS.index(w) for w, _, _ in rows], dtype=np.uint8),
            name=np.array([name for _, name, _ in rows]),
        )
    return files


def test_tiny_imagenet_of_the_mirror_and_of_the_official_archive_are_the_same(tmp_path, pictures):
    mirrored = photos.read_tiny_npz(npz(tmp_path, pictures), size=8)
    check(mirrored, pictures)
    path = tmp_path / "tiny.zip"
    with zipfile.ZipFile(path, "w") as archive:
        root = "tiny-imagenet-200"
        for w, name, raw in pictures["train"]:
            archive.writestr(f"{root}/train/{w}/images/{name}", raw)
            archive.writestr(f"{root}/train/{w}/boxes_of_{name}.txt", "")
        for _, name, raw in pictures["val"]:
            archive.writestr(f"{root}/val/images/{name}", raw)
        archive.writestr(f"{root}/test/images/test_0.JPEG", jpeg(0))
        notes = "".join(f"{name}\t{w}\t0\t0\t62\t62\n" for w, name, _ in pictures["val"])
        archive.writestr(f"{root}/val/val_annotations.txt", notes)
    official = photos.read_tiny_zip({"archive": path}, size=8)
    assert mirrored.keys() == official.keys()
    assert all(np.array_equal(mirrored[key], official[key]) for key in mirrored)
    with pytest.raises(DataCorrupt, match=r"tiny\.zip: 6 train images, expected 7"):
        photos.read_tiny_zip({"archive": path}, size=8, rows=(7, 3))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataCorrupt, match=r"tiny\.zip: not the archive of Tiny ImageNet"):
        photos.read_tiny_zip({"archive": path}, size=8)


def test_damaged_arrays_of_the_mirror_are_refused(tmp_path, pictures):
    files = npz(tmp_path, pictures)
    with np.load(files["val"]) as stored:
        arrays = dict(stored)
    np.savez(files["val"], **arrays | {"offsets": arrays["offsets"][:-1]})
    with pytest.raises(DataCorrupt, match=r"val\.npz: offsets, names and labels do not fit"):
        photos.read_tiny_npz(files, size=8)
    np.savez(files["val"], **arrays | {"name": np.array([{}], dtype=object)})  # would be unpickled
    with pytest.raises(DataCorrupt, match="allow_pickle"):
        photos.read_tiny_npz(files, size=8)
    broken = arrays["offsets"].copy()
    broken[1] -= 200
    np.savez(files["val"], **arrays | {"offsets": broken})
    with pytest.raises(DataCorrupt, match=r"n01/val_1\.JPEG"):
        photos.read_tiny_npz(files, size=8)


def test_a_subset_is_the_classes_of_its_list(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(photos, "class_list", {"two": ("n01", "n03")}.__getitem__)
    found = photos.read_tiny_npz(npz(tmp_path, pictures), size=8, classes="two")
    kept = {s: [row for row in rows if row[0] != "n02"] for s, rows in pictures.items()}
    whole = photos.read_tiny_npz(npz(tmp_path, kept), size=8)
    assert all(np.array_equal(found[key], whole[key]) for key in whole)
    lacking = {s: rows[1:2] for s, rows in pictures.items()}
    with pytest.raises(DataCorrupt, match="no training images of n03"):
        photos.read_tiny_npz(npz(tmp_path, lacking), size=8, classes="two")


def test_lists_of_classes():
    chosen = photos.class_list("imagenet100")
    assert len(set(chosen)) == 100
    assert len(photos.class_list("tiny_imagenet50")) == 50
    with pytest.raises(ConfigError, match=r"unknown list of classes 'x' \(known: .*imagenet100"):
        photos.class_list("x")
    for entry in data.entries().values():
        if isinstance(entry.options, ImageOptions) and entry.options.classes:
            assert photos.class_list(entry.options.classes)


@pytest.mark.parametrize(("width", "height"), [(16, 8), (8, 20), (24, 24), (40, 32)])
def test_other_sizes_are_scaled_and_the_middle_is_taken(width, height):
    ramp = np.zeros((height, width, 3), dtype=np.uint8)
    ramp[..., 0] = np.linspace(0, 250, width)[None, :]
    ramp[..., 1] = np.linspace(0, 250, height)[:, None]
    out = io.BytesIO()
    Image.fromarray(ramp).save(out, "PNG")
    got = photos.decode(out.getvalue(), 8).astype(float)
    assert got.shape == (8, 8, 3)
    assert (np.diff(got[..., 0], axis=1) >= 0).all()
    assert abs(got[..., 0].mean() - 125) < 4  # the middle of the ramp
    assert abs(got[..., 1].mean() - 125) < 4
    share = 250 * min(width, height) / np.array([width, height])  # of the ramp that is left
    spread = got[0, -1, 0] - got[0, 0, 0], got[-1, 0, 1] - got[0, 0, 1]
    assert np.allclose(spread, share * 7 / 8, rtol=0.2)


def test_large_sets_are_put_together_in_a_file(tmp_path, pictures, monkeypatch):
    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path))
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(photos, "IN_MEMORY", 1)
    found = photos.read_tiny_npz(npz(tmp_path, pictures), size=8)
    assert isinstance(found["train_images"], np.memmap)
    check(found, pictures)
    assert not list((tmp_path / "data").iterdir())


@pytest.fixture
def folder(tmp_path, pictures):
    """The pictures in the folders of ImageFolder."""
    root = tmp_path / "set"
    for split, rows in pictures.items():
        for w, name, raw in rows:
            path = root / split / w / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
    return root


def test_a_folder_is_a_data_set_and_is_prepared_anew_when_it_changes(
    tmp_path, folder, pictures, monkeypatch
):
    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WIREGRAD_SOURCES", "package")  # it is the user's own, whatever this says
    name = f"folder:{folder}?size=8"
    found = data.load(name)
    check({key: tensor.numpy() for key, tensor in found.tensors.items()}, pictures)
    assert (found.name, found.source) == ("folder", f"folder {folder}")
    assert found.variant == data.load(name).variant != data.load(name.replace("=8", "=4")).variant
    assert data.entry(name).bytes > 9 * 3 * 64
    (folder / "train/n01/more.png").write_bytes(jpeg(7))
    (folder / "val").rename(folder / "test")
    changed = data.load(name)
    assert len(changed.tensors["train_labels"]) == 7
    assert changed.digest != found.digest
    listed = CliRunner().invoke(app, ["list", name])
    assert listed.exit_code == 0
    assert "cached, from folder" in listed.output
    assert "folder:PATH?size=64" in CliRunner().invoke(app, ["list"]).output


def test_a_folder_that_is_none(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path / "cache"))
    for name in ("folder:x", "folder:?size=8", "folder:x?size=0", "folder:x?size=8&more=1"):
        with pytest.raises(ConfigError, match=r"allowed is folder:PATH\?size=PIXELS"):
            data.entry(name)
    with pytest.raises(ConfigError, match="unknown list of classes 'y'"):
        data.entry("folder:x?size=8&classes=y")
    with pytest.raises(DataUnavailable, match=r"none is not a folder"):
        data.load(f"folder:{tmp_path}/none?size=8")
    with pytest.raises(DataUnavailable, match="no training images of n0"):
        data.load(f"folder:{folder}?size=8&classes=imagenet100")
    (folder / "val/n04").mkdir()
    (folder / "val/n04/a.jpg").write_bytes(jpeg(0))
    with pytest.raises(DataUnavailable, match="only test images of n04"):
        data.load(f"folder:{folder}?size=8")
    (folder / "val/n04/a.jpg").unlink()
    (folder / "val/n01/val_1.JPEG").write_bytes(b"no picture")
    with pytest.raises(DataUnavailable, match=r"n01/val_1\.JPEG"):
        data.load(f"folder:{folder}?size=8")


def test_pictures_of_the_hub(tmp_path, folder, pictures, monkeypatch):
    """`datasets` reads a folder as it reads a repository of the hub: labels and encoded images."""
    monkeypatch.setattr(photos, "class_list", {"ours": ("n01", "n02", "n03")}.__getitem__)
    (folder / "val").rename(folder / "validation")
    hub = HubSource(
        kind="datasets",
        format="image-folder",
        path=str(folder),
        revision=None,
        splits=("train", "validation"),
        classes="ours",
    )
    entry = data.entry("imagenet100").model_copy(
        update={"options": ImageOptions(size=8, classes="ours", rows=(6, 3))}
    )
    found = loading.read_source(entry, hub, tmp_path)
    for rows in pictures.values():  # the hub has no file names: rows stay in its own order
        rows.sort()
    check(found, pictures)
    monkeypatch.setattr(photos, "class_list", {"ours": ("n01", "n02")}.__getitem__)
    (tmp_path / "again").mkdir()
    with pytest.raises(DataCorrupt, match="its classes are not those of the list ours"):
        loading.read_source(entry, hub, tmp_path / "again")


def test_an_archive_in_folders(tmp_path, pictures):
    path = tmp_path / "set.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for split, rows in pictures.items():
            for w, name, raw in rows:
                member = tarfile.TarInfo(f"set/{split}/{w}/{name}")
                member.size = len(raw)
                archive.addfile(member, io.BytesIO(raw))
    check(photos.read_tar({"archive": path}, size=8), pictures)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataCorrupt, match=r"set\.tgz: damaged archive"):
        photos.read_tar({"archive": path}, size=8)

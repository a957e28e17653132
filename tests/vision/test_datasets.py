"""Datasets read the files of their publications, made here in small; as torchvision does."""

from __future__ import annotations

import gzip
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight.vision.datasets as ours
from tests.vision.compare import photo

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)


def idx(path: Path, array: np.ndarray, packed: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {"uint8": 8, "int32": 12}[array.dtype.name]
    data = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    data += array.astype(array.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(gzip.compress(data) if packed else data)


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo(20, 24, seed=seed)).save(path)


def mnist(root: Path, name: str = "MNIST") -> None:
    for kind in ("train", "t10k"):
        raw = root / name / "raw"
        idx(raw / f"{kind}-images-idx3-ubyte", RNG.integers(0, 255, (5, 28, 28)).astype(np.uint8))
        idx(raw / f"{kind}-labels-idx1-ubyte", np.arange(5, dtype=np.uint8))


def emnist(root: Path) -> None:
    raw = root / "EMNIST" / "raw"
    for kind in ("train", "test"):
        images = RNG.integers(0, 255, (3, 28, 28)).astype(np.uint8)
        idx(raw / f"emnist-letters-{kind}-images-idx3-ubyte", images)
        idx(raw / f"emnist-letters-{kind}-labels-idx1-ubyte", np.arange(1, 4, dtype=np.uint8))


def cifar(root: Path) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        data = RNG.integers(0, 255, (4, 3072)).astype(np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [3, 1, 2, 0]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcd")}))


def stl(root: Path) -> None:
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    for part, count in (("train", 4), ("test", 3), ("unlabeled", 2)):
        RNG.integers(0, 255, count * 3 * 96 * 96).astype(np.uint8).tofile(folder / f"{part}_X.bin")
        if part != "unlabeled":
            np.arange(1, count + 1, dtype=np.uint8).tofile(folder / f"{part}_y.bin")
    (folder / "class_names.txt").write_text("airplane\nbird\n")


def folders(root: Path) -> None:
    for i, name in enumerate(("cat/a.png", "cat/deep/b.png", "dog/c.jpg", "dog/note.txt")):
        if name.endswith("txt"):
            (root / name).write_text("no image")
        else:
            picture(root / name, i)


def voc(root: Path) -> None:
    base = root / "VOCdevkit" / "VOC2012"
    picture(base / "JPEGImages" / "one.jpg")
    picture(base / "SegmentationClass" / "one.png")
    for kind in ("Main", "Segmentation"):
        (base / "ImageSets" / kind).mkdir(parents=True)
        (base / "ImageSets" / kind / "train.txt").write_text("one\n")
    (base / "Annotations").mkdir()
    (base / "Annotations" / "one.xml").write_text(
        "<annotation><size><width>24</width></size><object><name>cat</name><part><name>head</name>"
        "</part></object></annotation>"
    )


def coco(root: Path) -> None:
    picture(root / "images" / "a.jpg")
    picture(root / "images" / "b.jpg", 1)
    facts = {
        "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 2, "file_name": "a.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "caption": "a cat"}
        ],
        "categories": [{"id": 3, "name": "cat"}],
    }
    (root / "notes.json").write_text(json.dumps(facts))


def celeba(root: Path) -> None:
    base = root / "celeba"
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        picture(base / "img_align_celeba" / name)
    (base / "list_eval_partition.txt").write_text("a.jpg 0\nb.jpg 0\nc.jpg 1\n")
    (base / "identity_CelebA.txt").write_text("a.jpg 5\nb.jpg 6\nc.jpg 7\n")
    (base / "list_attr_celeba.txt").write_text(
        "2\nYoung Smiling\na.jpg 1 -1\nb.jpg -1 -1\nc.jpg 1 1\n"
    )
    (base / "list_bbox_celeba.txt").write_text(
        "2\nid x y w h\na.jpg 1 2 3 4\nb.jpg 5 6 7 8\nc.jpg 1 1 1 1\n"
    )
    (base / "list_landmarks_align_celeba.txt").write_text(
        "2\nx y\na.jpg 1 2\nb.jpg 3 4\nc.jpg 1 1\n"
    )


def pets(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    picture(base / "images" / "Big_Cat_1.jpg")
    picture(base / "annotations" / "trimaps" / "Big_Cat_1.png")
    (base / "annotations" / "trainval.txt").write_text("Big_Cat_1 1 1 1\n")


def food(root: Path) -> None:
    picture(root / "food-101" / "images" / "pie" / "1.jpg")
    (root / "food-101" / "meta").mkdir()
    (root / "food-101" / "meta" / "train.json").write_text(json.dumps({"pie": ["pie/1"]}))


def signs(root: Path) -> None:
    picture(root / "gtsrb" / "GTSRB" / "Training" / "00001" / "a.ppm")


def without_sums(cls: Any) -> Any:
    """The class for files that are not the published ones."""
    known = {"train_list": [[n, None] for n, _ in cls.train_list]}
    known["test_list"] = [[n, None] for n, _ in cls.test_list]
    return type(cls.__name__, (cls,), {**known, "meta": {**cls.meta, "md5": None}})


CASES: dict[str, tuple[Callable[[Path], None], Callable[[Any, Path], Any]]] = {
    "MNIST": (mnist, lambda d, r: d.MNIST(r)),
    "MNIST test": (mnist, lambda d, r: d.MNIST(r, train=False)),
    "FashionMNIST": (lambda r: mnist(r, "FashionMNIST"), lambda d, r: d.FashionMNIST(r)),
    "KMNIST": (lambda r: mnist(r, "KMNIST"), lambda d, r: d.KMNIST(r)),
    "EMNIST": (emnist, lambda d, r: d.EMNIST(r, "letters")),
    "CIFAR10": (cifar, lambda d, r: without_sums(d.CIFAR10)(str(r))),
    "CIFAR10 test": (cifar, lambda d, r: without_sums(d.CIFAR10)(str(r), train=False)),
    "ImageFolder": (folders, lambda d, r: d.ImageFolder(r)),
    "FakeData": (lambda r: None, lambda d, r: d.FakeData(3, (3, 8, 9), 5)),
    "VOCDetection": (voc, lambda d, r: d.VOCDetection(r)),
    "VOCSegmentation": (voc, lambda d, r: d.VOCSegmentation(r)),
    "CelebA": (celeba, lambda d, r: d.CelebA(r, "train", ["attr", "identity", "bbox"])),
    "CelebA all": (celeba, lambda d, r: d.CelebA(r, "all")),
    "OxfordIIITPet": (
        pets,
        lambda d, r: d.OxfordIIITPet(r, target_types=["category", "segmentation"]),
    ),
    "Food101": (food, lambda d, r: d.Food101(r)),
    "GTSRB": (signs, lambda d, r: d.GTSRB(r)),
}


def plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, (int, str, float)) or value is None:
        return value
    if hasattr(value, "detach"):
        return value.detach().numpy().tolist()
    return [value.mode, np.asarray(value).tolist()]


@pytest.mark.parametrize("name", CASES)
def test_a_dataset_reads_what_torchvision_reads(name: str, tmp_path: Path) -> None:
    theirs = pytest.importorskip("torchvision.datasets")
    if name.startswith("CelebA"):  # which compares checksums
        theirs.CelebA._check_integrity = lambda self: True
    make, build = CASES[name]
    make(tmp_path)
    expected, found = build(theirs, tmp_path), build(ours, tmp_path)
    assert len(found) == len(expected)
    for i in range(len(expected)):
        assert plain(found[i]) == plain(expected[i])
    assert repr(found) == repr(expected)
    for fact in ("classes", "class_to_idx", "attr_names"):
        assert getattr(found, fact, None) == getattr(expected, fact, None)


@pytest.mark.parametrize("name", CASES)
def test_a_dataset_reads_its_files(name: str, tmp_path: Path) -> None:
    make, build = CASES[name]
    make(tmp_path)
    dataset = build(ours, tmp_path)
    image, _ = dataset[len(dataset) - 1]
    assert isinstance(image, Image.Image)


def test_coco_is_read_without_further_packages(tmp_path: Path) -> None:
    coco(tmp_path)
    found = ours.CocoDetection(tmp_path / "images", str(tmp_path / "notes.json"))
    assert found.ids == [2, 7]
    assert found[0][1] == []
    assert found[1][1][0]["bbox"] == [1, 2, 3, 4]
    captions = ours.CocoCaptions(tmp_path / "images", str(tmp_path / "notes.json"))
    assert captions[1][1] == ["a cat"]


def test_stl10_reads_columns_first(tmp_path: Path) -> None:
    stl(tmp_path)
    found = ours.STL10(str(tmp_path), "train+unlabeled")
    assert len(found) == 6
    assert found.labels.tolist() == [0, 1, 2, 3, -1, -1]
    raw = np.fromfile(tmp_path / "stl10_binary" / "train_X.bin", np.uint8)[: 3 * 96 * 96]
    assert np.array_equal(np.asarray(found[0][0]), raw.reshape(3, 96, 96).transpose(2, 1, 0))


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    cifar(tmp_path)

    class Evil:
        def __reduce__(self) -> Any:
            return (print, ("run",))

    path = tmp_path / "cifar-10-batches-py" / "data_batch_1"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        without_sums(ours.CIFAR10)(str(tmp_path))


def test_a_cut_off_idx_file_is_an_error(tmp_path: Path) -> None:
    mnist(tmp_path)
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="its header"):
        ours.MNIST(tmp_path)


def test_a_missing_dataset_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="download=True"):
        ours.MNIST(tmp_path)
    with pytest.raises(FileNotFoundError, match="any class folder"):
        ours.ImageFolder(tmp_path)


def test_a_picture_outside_the_folder_is_refused(tmp_path: Path) -> None:
    coco(tmp_path)
    notes = json.loads((tmp_path / "notes.json").read_text())
    notes["images"][1]["file_name"] = "../images/../../secret.jpg"
    (tmp_path / "notes.json").write_text(json.dumps(notes))
    with pytest.raises(ValueError, match="outside"):
        ours.CocoDetection(tmp_path / "images", str(tmp_path / "notes.json"))[0]

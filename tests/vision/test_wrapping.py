"""`wrap_dataset_for_transforms_v2`: samples that the second version of the transforms moves."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight as rl
import rushlight.vision.datasets as ours
from rushlight.overrides import BaseTorchFunctionMode
from rushlight.vision import tv_tensors
from rushlight.vision.transforms import v2
from tests.vision.beside.trees import plain, plant
from tests.vision.test_datasets import celeba, cifar, coco, folders, pets, picture, without_sums


def voc(root: Path) -> None:
    base = root / "VOCdevkit" / "VOC2012"
    picture(base / "JPEGImages" / "one.jpg")
    picture(base / "SegmentationClass" / "one.png")
    for kind in ("Main", "Segmentation"):
        (base / "ImageSets" / kind).mkdir(parents=True)
        (base / "ImageSets" / kind / "train.txt").write_text("one\n")
    (base / "Annotations").mkdir()
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
    things = "".join(f"<object><name>{n}</name>{box}</object>" for n in ("cat", "sofa"))
    text = f"<annotation><size><width>24</width></size>{things}</annotation>"
    (base / "Annotations" / "one.xml").write_text(text)


def polygons(root: Path) -> None:
    coco(root)
    notes = json.loads((root / "notes.json").read_text())
    facts = {"segmentation": {"counts": [40, 9, 431], "size": [20, 24]}, "area": 9, "iscrowd": 0}
    notes["annotations"][0].update(facts)
    (root / "notes.json").write_text(json.dumps(notes))


Case = tuple[Callable[[Path], None], Callable[[Any, Path], Any], Any]
CASES: dict[str, Case] = {
    "VOCDetection": (voc, lambda d, r: d.VOCDetection(r), None),
    "VOCDetection all": (voc, lambda d, r: d.VOCDetection(r), "all"),
    "VOCSegmentation": (voc, lambda d, r: d.VOCSegmentation(r), None),
    "CelebA": (celeba, lambda d, r: d.CelebA(r, "train", ["identity", "bbox"]), None),
    "OxfordIIITPet": (pets, lambda d, r: d.OxfordIIITPet(r, target_types="segmentation"), None),
    "ImageFolder": (folders, lambda d, r: d.ImageFolder(r), None),
    "CIFAR10": (cifar, lambda d, r: without_sums(d.CIFAR10)(str(r)), None),
    "WIDERFace": (plant, lambda d, r: d.WIDERFace(r), None),
    "Kitti": (plant, lambda d, r: d.Kitti(r), ("boxes", "labels", "alpha")),
    "Cityscapes": (plant, lambda d, r: d.Cityscapes(f"{r}/city", target_type="semantic"), None),
}


def coco_of(datasets: Any, root: Path) -> Any:
    return datasets.CocoDetection(root / "images", str(root / "notes.json"))


def kinds(value: Any) -> Any:
    """What sorts of tensors a sample has."""
    if isinstance(value, (tuple, list)):
        return [kinds(part) for part in value]
    if isinstance(value, dict):
        return {key: kinds(part) for key, part in sorted(value.items())}
    return type(value).__name__


# torchvision leaves files open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", CASES)
def test_a_wrapped_dataset_gives_what_torchvision_gives(name: str, tmp_path: Path) -> None:
    theirs = pytest.importorskip("torchvision.datasets")
    if name.startswith("CelebA"):  # which compares checksums
        theirs.CelebA._check_integrity = lambda self: True
    make, build, keys = CASES[name]
    make(tmp_path)
    expected = theirs.wrap_dataset_for_transforms_v2(build(theirs, tmp_path), keys)
    found = ours.wrap_dataset_for_transforms_v2(build(ours, tmp_path), keys)
    assert len(found) == len(expected)
    for i in range(len(expected)):
        assert plain(found[i]) == plain(expected[i])
        assert kinds(found[i]) == kinds(expected[i])


@pytest.mark.parametrize("name", CASES)
def test_a_wrapped_dataset_stays_of_its_class(name: str, tmp_path: Path) -> None:
    make, build, keys = CASES[name]
    make(tmp_path)
    dataset = build(ours, tmp_path)
    wrapped = ours.wrap_dataset_for_transforms_v2(dataset, keys)
    assert isinstance(wrapped, type(dataset))
    assert len(wrapped) == len(dataset)
    assert plain(wrapped[0][0]) == plain(dataset[0][0])


def test_boxes_of_coco_move_with_the_picture(tmp_path: Path) -> None:
    polygons(tmp_path)
    dataset = coco_of(ours, tmp_path)
    dataset.transforms = v2.RandomHorizontalFlip(1.0)
    wrapped = ours.wrap_dataset_for_transforms_v2(dataset)
    image, target = wrapped[1]
    assert image.size == (24, 20)
    assert isinstance(target["boxes"], tv_tensors.BoundingBoxes)
    assert target["boxes"].tolist() == [[24 - 4, 2, 24 - 1, 6]]
    assert target["labels"].tolist() == [3]
    assert target["image_id"] == 7
    assert wrapped[0][1] == {"image_id": 2}


def test_masks_of_coco_are_drawn(tmp_path: Path) -> None:
    polygons(tmp_path)
    wrapped = ours.wrap_dataset_for_transforms_v2(coco_of(ours, tmp_path), "all")
    mask = wrapped[1][1]["masks"]
    assert isinstance(mask, tv_tensors.Mask)
    assert mask.shape == (1, 20, 24)
    # Counts run down the columns: 9 after 40 are rows 0 to 8 of the third column.
    assert rl.nonzero(mask[0].as_subclass(rl.Tensor)).tolist() == [[row, 2] for row in range(9)]


def test_things_of_cityscapes_have_a_mask_and_a_class(tmp_path: Path) -> None:
    plant(tmp_path)
    dataset = ours.Cityscapes(tmp_path / "city", target_type="instance")
    numbers = np.asarray(dataset[0][1])
    target = ours.wrap_dataset_for_transforms_v2(dataset)[0][1]
    each = np.unique(numbers)
    assert target["labels"].tolist() == [int(n) // 1000 if n >= 1000 else int(n) for n in each]
    assert isinstance(target["masks"], tv_tensors.Mask)
    assert np.array_equal(target["masks"].numpy()[:, 0], numbers == each[:, None, None])


def test_a_wrapped_dataset_can_be_pickled(tmp_path: Path) -> None:
    voc(tmp_path)
    wrapped = ours.wrap_dataset_for_transforms_v2(
        ours.VOCDetection(tmp_path, transforms=v2.RandomHorizontalFlip(1.0))
    )
    again = pickle.loads(pickle.dumps(wrapped))
    assert again[0][1]["boxes"].tolist() == wrapped[0][1]["boxes"].tolist()
    assert again[0][1]["boxes"].tolist()[0] == [15, 2, 23, 8]


def test_what_has_no_rule_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="VisionDataset"):
        ours.wrap_dataset_for_transforms_v2([1, 2])
    with pytest.raises(TypeError, match="No wrapper exists for dataset class FakeData"):
        ours.wrap_dataset_for_transforms_v2(ours.FakeData(3))
    folders(tmp_path)
    with pytest.raises(ValueError, match="only supported"):
        ours.wrap_dataset_for_transforms_v2(ours.ImageFolder(tmp_path), "all")
    with pytest.raises(ValueError, match="collection of strings"):
        ours.wrap_dataset_for_transforms_v2(ours.ImageFolder(tmp_path), 3)


def test_unknown_keys_are_an_error(tmp_path: Path) -> None:
    voc(tmp_path)
    with pytest.raises(ValueError, match=r"\['masks'\] are not available"):
        ours.wrap_dataset_for_transforms_v2(ours.VOCDetection(tmp_path), ["masks"])


def test_what_is_computed_of_an_image_is_plain_whoever_watches() -> None:
    image = tv_tensors.Image(rl.zeros(3, 4, 5))
    with BaseTorchFunctionMode():
        assert type(image + 1) is rl.Tensor
    with tv_tensors.set_return_type("TVTensor"):
        assert type(image + 1) is tv_tensors.Image
        assert [type(part) for part in image.unbind()] == [tv_tensors.Image] * 3
        boxes = tv_tensors.BoundingBoxes([[0, 0, 2, 3]], format="XYXY", canvas_size=(4, 5))
        assert (boxes * 2).canvas_size == (4, 5)
    assert type(image + 1) is rl.Tensor
    with pytest.raises(ValueError, match="return_type"):
        tv_tensors.set_return_type("Image")

"""The shipped digits are the UCI digits, and a damaged file is reported."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import rushlight
from rushlight.datasets import CorruptDataError, Digits, digits, load_digits


def test_all_images_are_there_in_the_documented_form() -> None:
    images, labels = load_digits()
    assert images.shape == (1797, 1, 8, 8) and images.dtype == np.float32
    assert labels.shape == (1797,) and labels.dtype == np.int64
    assert images.min() == 0.0 and images.max() == 1.0
    # The counts that the data set's own description gives for its test set.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_splits_are_disjoint_complete_and_balanced() -> None:
    train, train_labels = load_digits("train")
    test, test_labels = load_digits("test")
    whole, _ = load_digits()
    assert len(train) == 1442 and len(test) == 355
    rows = {row.tobytes() for row in whole}
    parts = [{row.tobytes() for row in part} for part in (train, test)]
    assert len(rows) == 1797 and parts[0] | parts[1] == rows and not parts[0] & parts[1]
    assert np.bincount(test_labels).tolist() == [35, 36, 35, 36, 36, 36, 36, 35, 34, 36]
    assert np.bincount(train_labels).min() == 140


def test_an_item_is_an_image_tensor_and_an_int() -> None:
    dataset = Digits("test")
    image, label = dataset[0]
    assert isinstance(image, rushlight.Tensor) and image.dtype == rushlight.float32
    assert tuple(image.shape) == (1, 8, 8)
    assert type(label) is int
    assert len(dataset) == 355
    assert tuple(dataset.data.shape) == (355, 1, 8, 8)
    assert dataset.targets[0].item() == label


def test_writing_into_an_item_leaves_the_dataset_as_it_was() -> None:
    dataset = Digits("test")
    before = dataset[3][0].numpy().copy()
    dataset[3][0].zero_()
    assert np.array_equal(dataset[3][0].numpy(), before)


def test_transforms_are_applied() -> None:
    dataset = Digits("train", transform=lambda x: x.flatten(), target_transform=str)
    image, label = dataset[1]
    assert tuple(image.shape) == (64,) and isinstance(label, str)


def test_iteration_ends() -> None:
    assert sum(1 for _ in Digits("test")) == 355


def test_another_split_is_refused() -> None:
    with pytest.raises(ValueError, match="split must be 'train' or 'test'; got 'val'"):
        Digits("val")
    with pytest.raises(ValueError, match="got 'val'"):
        load_digits("val")


def damage_cut(content: bytes) -> bytes:
    return gzip.compress(content)[:-100]


def damage_changed(content: bytes) -> bytes:
    return gzip.compress(content.replace(b"16", b"15", 1))


def damage_not_gzip(content: bytes) -> bytes:
    return content


@pytest.mark.parametrize("damage", [damage_cut, damage_changed, damage_not_gzip])
def test_a_damaged_file_is_reported(damage, tmp_path: Path) -> None:
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(damage(gzip.decompress(digits.DATA_FILE.read_bytes())))
    with pytest.raises(CorruptDataError, match="install rushlight again"):
        load_digits(path=path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CorruptDataError, match="is missing"):
        load_digits(path=tmp_path / "none.csv.gz")


@pytest.mark.parametrize("value", [b"17", b"-1"])
def test_a_value_out_of_range_is_reported_even_with_a_right_checksum(value: bytes) -> None:
    row = b",".join([value] + [b"0"] * 64)
    content = b"\n".join([row] * digits.IMAGES)
    with pytest.raises(CorruptDataError, match="outside its range"):
        digits._parse(content, Path("digits"))

"""The UCI handwritten digits: 1,797 gray images of 8 x 8 pixels, with their labels.

In: `digits.csv.gz` beside this file (its origin and licence are in `DIGITS.md`).  Out: NumPy
arrays, or a `Dataset` of tensors.  The file is checked on every load: its checksum, its shape and
the range of every value, so a damaged installation is reported and never trained on.  Level 12.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rushlight.base.dtypes import float32, int64
from rushlight.tensor.tensor import tensor_from_numpy
from rushlight.utils.data import Dataset

DATA_FILE = Path(__file__).with_name("digits.csv.gz")
CHECKSUM = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"
IMAGES = 1797
PIXELS = 64
BRIGHTEST = 16
CLASSES = 10
# Every fifth image of each digit is for testing.  The file goes from writer to writer, so both
# parts hold images of all thirteen of them, and every digit in the same share.
TEST_EVERY = 5


class CorruptDataError(RuntimeError):
    """A data file of the package is missing or is not what was shipped."""


def load_digits(split: str | None = None, path: Path = DATA_FILE) -> tuple[np.ndarray, np.ndarray]:
    """The digits as NumPy arrays: images and labels.

    Shapes: images (N, 1, 8, 8), labels (N,); N is 1442 for `split="train"`, 355 for
    `split="test"`, 1797 for `None`.
    Dtypes: images float32 between 0 (paper) and 1 (ink); labels int64 from 0 to 9.
    Raises: ValueError for another split; CorruptDataError if the file was damaged.
    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, 1998, doi:10.24432/C50P49, CC BY 4.0.
    """
    if split not in (None, "train", "test"):
        raise ValueError(f"Digits: split must be 'train', 'test' or None; got {split!r}")
    table = _parse(_read(path), path)
    images = (table[:, :PIXELS].astype(np.float32) / BRIGHTEST).reshape(IMAGES, 1, 8, 8)
    labels = table[:, PIXELS].astype(np.int64)
    if split is None:
        return images, labels
    for_testing = np.zeros(IMAGES, dtype=bool)
    for digit in range(CLASSES):
        for_testing[np.flatnonzero(labels == digit)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    chosen = for_testing if split == "test" else ~for_testing
    return images[chosen], labels[chosen]


class Digits(Dataset):  # type: ignore[misc]
    """A dataset of (image, label) pairs: image (1, 8, 8) float32 in [0, 1], label an int.

    `data` holds all images of the split as one tensor (N, 1, 8, 8), `targets` all labels (N,).
    `transform` and `target_transform` are applied to each image and each label.
    Raises: ValueError for a split other than "train" and "test"; CorruptDataError.
    """

    classes = tuple(str(digit) for digit in range(CLASSES))

    def __init__(
        self,
        split: str = "train",
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if split not in ("train", "test"):
            raise ValueError(f"Digits: split must be 'train' or 'test'; got {split!r}")
        self.split = split
        self.transform = transform
        self.target_transform = target_transform
        self._images, self._labels = load_digits(split)
        self.data = tensor_from_numpy(self._images.copy(), float32)
        self.targets = tensor_from_numpy(self._labels.copy(), int64)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        # A copy: the image becomes the tensor's own, and a user may write into it.
        image = tensor_from_numpy(self._images[index].copy(), float32)
        label = int(self._labels[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def __repr__(self) -> str:
        return f"Digits(split={self.split!r}, images={len(self)}, size=8x8, classes={CLASSES})"


def _read(path: Path) -> bytes:
    try:
        with gzip.open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise CorruptDataError(f"Digits: {path} is missing; install rushlight again") from None
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptDataError(
            f"Digits: {path} cannot be read ({error}); install rushlight again"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != CHECKSUM:
        raise CorruptDataError(
            f"Digits: {path} has the SHA-256 checksum {found[:12]}..., expected"
            f" {CHECKSUM[:12]}...; install rushlight again"
        )
    return content


def _parse(content: bytes, path: Path) -> np.ndarray:
    """The table (1797, 65) of pixels and label.  Checked even though the checksum was right:
    the checks say what the rest of this file relies on."""
    rows = [line.split(b",") for line in content.splitlines()]
    if len(rows) != IMAGES or {len(row) for row in rows} != {PIXELS + 1}:
        raise CorruptDataError(f"Digits: {path} is not a table of {IMAGES} x {PIXELS + 1} values")
    table = np.array(rows, dtype=np.int64)
    pixels, labels = table[:, :PIXELS], table[:, PIXELS]
    if pixels.min() < 0 or pixels.max() > BRIGHTEST or labels.min() < 0 or labels.max() >= CLASSES:
        raise CorruptDataError(f"Digits: {path} holds a value outside its range")
    return table

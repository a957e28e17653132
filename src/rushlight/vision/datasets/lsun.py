"""LSUN: a million pictures of scenes in a database for each category.

In: folders `CATEGORY_SPLIT_lmdb`, which LMDB reads; the package is optional.  Out: (image, number
of the category).  Level 14.
"""

from __future__ import annotations

import bisect
import io
import itertools
import os
from collections.abc import Callable, Iterable
from typing import Any

from rushlight.vision.datasets.optional import lmdb, require
from rushlight.vision.datasets.vision import VisionDataset
from rushlight.vision.pillow import Image

CATEGORIES = (
    "bedroom", "bridge", "church_outdoor", "classroom", "conference_room", "dining_room", "kitchen",
    "living_room", "restaurant", "tower",
)  # fmt: skip
SPLITS = ("train", "val", "test")


class LSUNClass(VisionDataset):
    """The pictures of one database; the target is None.  Raises: ImportError without LMDB."""

    def __init__(
        self, root: Any, transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
    ) -> None:  # fmt: skip
        require("lmdb", "LSUN")
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.env = lmdb.open(
            str(root), max_readers=1, readonly=True, lock=False, readahead=False, meminit=False
        )
        with self.env.begin(write=False) as transaction:
            self.keys = list(transaction.cursor().iternext(keys=True, values=False))
        self.length = len(self.keys)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        with self.env.begin(write=False) as transaction:
            data = transaction.get(self.keys[index])
        image = Image.open(io.BytesIO(data)).convert("RGB")
        if self.transform is not None:
            image = self.transform(image)
        return image, None if self.target_transform is None else self.target_transform(None)

    def __len__(self) -> int:
        return self.length


class LSUN(VisionDataset):
    """Scenes of ten categories.  Source: Yu et al. 2015.

    classes: "train", "val" or "test", or names such as "bedroom_train".  Raises: ValueError.
    """

    def __init__(
        self, root: Any, classes: Any = "train", transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.classes = _verified(classes)
        self.dbs = [
            LSUNClass(os.path.join(root, f"{name}_lmdb"), transform=transform)
            for name in self.classes
        ]
        self.indices = list(itertools.accumulate(len(db) for db in self.dbs))
        self.length = self.indices[-1] if self.indices else 0

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        number = bisect.bisect_right(self.indices, index)
        if number == len(self.dbs):
            raise IndexError(f"index {index} is beyond the {self.length} pictures")
        image, _ = self.dbs[number][index - (self.indices[number - 1] if number else 0)]
        target = number if self.target_transform is None else self.target_transform(number)
        return image, target

    def __len__(self) -> int:
        return self.length

    def extra_repr(self) -> str:
        return f"Classes: {self.classes}"


def _verified(classes: Any) -> list[str]:
    if classes == "test":
        return ["test"]
    if classes in SPLITS:
        return [f"{name}_{classes}" for name in CATEGORIES]
    if isinstance(classes, str):
        raise ValueError(
            f"Unknown value '{classes}' for argument classes. Valid values are {set(SPLITS)}."
        )
    if not isinstance(classes, Iterable):
        raise ValueError(
            f"Expected type str or Iterable for argument classes, but got type {type(classes)}."
        )
    names = list(classes)
    for name in names:
        if not isinstance(name, str):
            raise ValueError(
                f"Expected type str for elements in argument classes, but got type {type(name)}."
            )
        category, _, split = name.rpartition("_")
        if category not in CATEGORIES:
            raise ValueError(
                f"Unknown value '{category}' for LSUN class. Valid values are {CATEGORIES}."
            )
        if split not in SPLITS:
            raise ValueError(f"Unknown value '{split}' for postfix. Valid values are {SPLITS}.")
    return names

"""Images in folders whose names are their classes, and images made up.

In: `root/class/file`.  Out: (image, number of the class).  Level 14.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight.vision.datasets.vision import VisionDataset
from rushlight.vision.pillow import Image
from rushlight.vision.transforms import functional as F

IMG_EXTENSIONS = (
    ".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp",
)  # fmt: skip


def has_file_allowed_extension(filename: str, extensions: Any) -> bool:
    """Whether the name ends in one of them, in any case."""
    return filename.lower().endswith(
        extensions if isinstance(extensions, str) else tuple(extensions)
    )


def is_image_file(filename: str) -> bool:
    """Whether the name is that of an image."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: Any) -> tuple[list[str], dict[str, int]]:
    """(names of the folders, sorted; their numbers).  Raises: FileNotFoundError for none."""
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: number for number, name in enumerate(classes)}


def make_dataset(
    directory: Any, class_to_idx: dict[str, int] | None = None, extensions: Any = None,
    is_valid_file: Callable[[str], bool] | None = None, allow_empty: bool = False,
) -> list[tuple[str, int]]:  # fmt: skip
    """(path, class) of all files, sorted.

    Raises: ValueError unless exactly one of `extensions` and `is_valid_file` is given;
    FileNotFoundError for classes without a file.
    """
    directory = os.path.expanduser(directory)
    if class_to_idx is None:
        class_to_idx = find_classes(directory)[1]
    elif not class_to_idx:
        raise ValueError("'class_to_index' must have at least one entry to collect any samples.")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError(
            "Both extensions and is_valid_file cannot be None or not None at the same time"
        )
    instances, available = [], set()
    for name in sorted(class_to_idx):
        folder = os.path.join(directory, name)
        if not os.path.isdir(folder):
            continue
        for root, _, files in sorted(os.walk(folder, followlinks=True)):
            for file in sorted(files):
                path = os.path.join(root, file)
                if (
                    is_valid_file(path)
                    if is_valid_file
                    else has_file_allowed_extension(path, extensions)
                ):
                    instances.append((path, class_to_idx[name]))
                    available.add(name)
    empty = set(class_to_idx) - available
    if empty and not allow_empty:
        message = f"Found no valid file for the classes {', '.join(sorted(empty))}. "
        if extensions is not None:
            kinds = extensions if isinstance(extensions, str) else ", ".join(extensions)
            message += f"Supported extensions are: {kinds}"
        raise FileNotFoundError(message)
    return instances


class DatasetFolder(VisionDataset):
    """Files in folders whose names are their classes, read by `loader`."""

    def __init__(
        self, root: Any, loader: Callable[[str], Any], extensions: Any = None,
        transform: Any = None, target_transform: Any = None,
        is_valid_file: Callable[[str], bool] | None = None, allow_empty: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        classes, class_to_idx = self.find_classes(self.root)
        self.loader = loader
        self.extensions = extensions
        self.classes = classes
        self.class_to_idx = class_to_idx
        self.samples = self.make_dataset(
            self.root, class_to_idx, extensions, is_valid_file, allow_empty
        )
        self.targets = [target for _, target in self.samples]

    @staticmethod
    def make_dataset(
        directory: Any, class_to_idx: dict[str, int], extensions: Any = None,
        is_valid_file: Any = None, allow_empty: bool = False,
    ) -> list[tuple[str, int]]:  # fmt: skip
        """(path, class) of all files."""
        if class_to_idx is None:
            raise ValueError("The class_to_idx parameter cannot be None.")
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: Any) -> tuple[list[str], dict[str, int]]:
        """(names, their numbers)."""
        return find_classes(directory)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        sample = self.loader(path)
        if self.transform is not None:
            sample = self.transform(sample)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return sample, target

    def __len__(self) -> int:
        return len(self.samples)


def pil_loader(path: Any) -> Any:
    """The image in RGB."""
    with open(path, "rb") as file:
        return Image.open(file).convert("RGB")


def default_loader(path: Any) -> Any:
    """The image in RGB."""
    return pil_loader(path)


class ImageFolder(DatasetFolder):
    """Images in folders whose names are their classes."""

    def __init__(
        self, root: Any, transform: Any = None, target_transform: Any = None,
        loader: Callable[[str], Any] = default_loader, is_valid_file: Any = None,
        allow_empty: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            root, loader, IMG_EXTENSIONS if is_valid_file is None else None, transform,
            target_transform, is_valid_file, allow_empty,
        )  # fmt: skip
        self.imgs = self.samples


class FakeData(VisionDataset):
    """Noise as images, random numbers as classes; the same for the same `random_offset`."""

    def __init__(
        self, size: int = 1000, image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10, transform: Any = None, target_transform: Any = None,
        random_offset: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        state = rl.get_rng_state()
        rl.manual_seed(index + self.random_offset)
        image = rl.randn(*self.image_size)
        target: Any = rl.randint(0, self.num_classes, size=(1,), dtype=rl.long)[0]
        rl.set_rng_state(state)
        picture = F.to_pil_image(image)
        if self.transform is not None:
            picture = self.transform(picture)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return picture, target.item() if isinstance(target, rl.Tensor) else target

    def __len__(self) -> int:
        return self.size

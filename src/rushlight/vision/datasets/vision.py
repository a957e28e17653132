"""What the datasets have in common.  Level 14."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rushlight.utils.data import Dataset

Transform = Callable[[Any], Any]


class StandardTransform:
    """A transform of the image beside one of the target."""

    def __init__(
        self, transform: Transform | None = None, target_transform: Transform | None = None
    ) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        lines = [type(self).__name__]
        for title, part in (
            ("Transform: ", self.transform),
            ("Target transform: ", self.target_transform),
        ):
            if part is not None:
                first, *rest = repr(part).splitlines()
                lines += [title + first, *[" " * len(title) + line for line in rest]]
        return "\n".join(lines)


class VisionDataset(Dataset):
    """Images and targets below a folder.

    transforms: takes both; or `transform` and `target_transform`, which take one each.
    Raises: ValueError for both kinds together.
    """

    _repr_indent = 4

    def __init__(
        self, root: Any = None, transforms: Callable[..., Any] | None = None,
        transform: Transform | None = None, target_transform: Transform | None = None,
    ) -> None:  # fmt: skip
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        separate = transform is not None or target_transform is not None
        if transforms is not None and separate:
            raise ValueError(
                "Only transforms or transform/target_transform can be passed as argument"
            )
        self.transform = transform
        self.target_transform = target_transform
        if separate:
            transforms = StandardTransform(transform, target_transform)
        self.transforms = transforms

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def _both(self, image: Any, target: Any) -> tuple[Any, Any]:
        return (image, target) if self.transforms is None else self.transforms(image, target)

    @property
    def _folder(self) -> Path:
        return Path(self.root)

    def extra_repr(self) -> str:
        """Further lines of the text."""
        return ""

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if self.transforms is not None:
            body += [repr(self.transforms)]
        return "\n".join(
            [f"Dataset {type(self).__name__}", *[" " * self._repr_indent + line for line in body]]
        )


def chosen(value: Any, name: str, valid: Any) -> Any:
    """The value.  Raises: ValueError unless it is one of `valid`."""
    if value not in valid:
        raise ValueError(
            f"Unknown value '{value}' for argument {name}. Valid values are {set(valid)}."
        )
    return value

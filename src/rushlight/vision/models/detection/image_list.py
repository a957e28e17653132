"""Images of several sizes in one batch.

In: a padded batch and the sizes before padding.  Out: both, kept together.  Level 14.
"""

from __future__ import annotations

from typing import Any

from rushlight import Tensor


class ImageList:
    """A padded batch (N, C, H, W) and the (height, width) of each image in it."""

    def __init__(self, tensors: Tensor, image_sizes: list[tuple[int, int]]) -> None:
        self.tensors = tensors
        self.image_sizes = image_sizes

    def to(self, device: Any) -> ImageList:
        """The same images on another device."""
        return ImageList(self.tensors.to(device), self.image_sizes)

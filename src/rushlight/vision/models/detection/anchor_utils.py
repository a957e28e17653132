"""Anchors: the boxes that a detector starts from, around each place of each feature map.

In: a batch of images and its feature maps.  Out: for each image the boxes (A, 4) of all maps, as
(x1, y1, x2, y2) in pixels of the batch.  Sources: Ren et al. 2015; Liu et al. 2016.  Level 14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor, nn
from rushlight.vision.models.detection.image_list import ImageList


class AnchorGenerator(nn.Module):
    """Boxes of fixed sizes and aspect ratios (height / width) around each place.

    sizes, aspect_ratios: for each feature map, those of its anchors.
    """

    def __init__(
        self, sizes: Any = ((128, 256, 512),), aspect_ratios: Any = ((0.5, 1.0, 2.0),)
    ) -> None:
        super().__init__()
        if not isinstance(sizes[0], (list, tuple)):
            sizes = tuple((size,) for size in sizes)
        if not isinstance(aspect_ratios[0], (list, tuple)):
            aspect_ratios = (aspect_ratios,) * len(sizes)
        self.sizes = sizes
        self.aspect_ratios = aspect_ratios
        self.cell_anchors = [
            self.generate_anchors(size, ratio) for size, ratio in zip(sizes, aspect_ratios)
        ]

    def generate_anchors(
        self, scales: Sequence[float], aspect_ratios: Sequence[float],
        dtype: Any = rl.float32, device: Any = None,
    ) -> Tensor:  # fmt: skip
        """The anchors around (0, 0), (ratios * scales, 4), on whole pixels."""
        sides = np.asarray(scales, np.float32)
        down = np.sqrt(np.asarray(aspect_ratios, np.float32))
        widths = ((np.float32(1) / down)[:, None] * sides[None, :]).ravel()
        heights = (down[:, None] * sides[None, :]).ravel()
        boxes = np.stack([-widths, -heights, widths, heights], 1) / np.float32(2)
        return rl.from_numpy(np.round(boxes)).to(dtype)

    def set_cell_anchors(self, dtype: Any, device: Any = None) -> None:
        """The anchors around (0, 0) in another dtype."""
        self.cell_anchors = [anchors.to(dtype) for anchors in self.cell_anchors]

    def num_anchors_per_location(self) -> list[int]:
        """How many anchors each feature map has at a place."""
        return [len(s) * len(r) for s, r in zip(self.sizes, self.aspect_ratios)]

    def grid_anchors(self, grid_sizes: Any, strides: Any) -> list[Tensor]:
        """For each map of (height, width), with the (y, x) step of its places: (places, 4)."""
        if not len(grid_sizes) == len(strides) == len(self.cell_anchors):
            raise ValueError(
                "Anchors should be Tuple[Tuple[int]] because each feature map could potentially"
                " have different sizes and aspect ratios. There needs to be a match between the"
                " number of feature maps passed and the number of sizes / aspect ratios specified."
            )
        found = []
        for size, stride, base in zip(grid_sizes, strides, self.cell_anchors):
            ys = np.arange(size[0], dtype=np.float32) * np.float32(int(stride[0]))
            xs = np.arange(size[1], dtype=np.float32) * np.float32(int(stride[1]))
            y, x = (part.ravel() for part in np.meshgrid(ys, xs, indexing="ij"))
            shifts = np.stack([x, y, x, y], 1)
            boxes = shifts[:, None, :] + base.numpy()[None, :, :]
            found.append(rl.from_numpy(boxes.reshape(-1, 4)))
        return found

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        grids = [tuple(m.shape[-2:]) for m in feature_maps]
        height, width = image_list.tensors.shape[-2:]
        strides = [(height // g[0], width // g[1]) for g in grids]
        boxes = rl.cat(self.grid_anchors(grids, strides)).to(feature_maps[0].dtype)
        return [boxes for _ in image_list.image_sizes]


class DefaultBoxGenerator(nn.Module):
    """The default boxes of SSD: their sizes are shares of the image.

    scales: one more than there are maps; evenly from `min_ratio` to `max_ratio` where None.
    steps: pixels between places of each map; the image's size over the map's where None.
    """

    def __init__(
        self, aspect_ratios: list[list[int]], min_ratio: float = 0.15, max_ratio: float = 0.9,
        scales: list[float] | None = None, steps: list[int] | None = None, clip: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if steps is not None and len(aspect_ratios) != len(steps):
            raise ValueError("aspect_ratios and steps should have the same length")
        self.aspect_ratios = aspect_ratios
        self.steps = steps
        self.clip = clip
        maps = len(aspect_ratios)
        if scales is not None:
            self.scales = scales
        elif maps > 1:
            span = max_ratio - min_ratio
            self.scales = [min_ratio + span * k / (maps - 1.0) for k in range(maps)] + [1.0]
        else:
            self.scales = [min_ratio, max_ratio]
        self._wh_pairs = self._generate_wh_pairs(maps)

    def _generate_wh_pairs(
        self, num_outputs: int, dtype: Any = rl.float32, device: Any = None
    ) -> list[Tensor]:
        found = []
        for k in range(num_outputs):
            scale, between = self.scales[k], math.sqrt(self.scales[k] * self.scales[k + 1])
            pairs = [[scale, scale], [between, between]]
            for ratio in self.aspect_ratios[k]:
                root = math.sqrt(ratio)
                pairs += [[scale * root, scale / root], [scale / root, scale * root]]
            found.append(rl.tensor(pairs, dtype=dtype))
        return found

    def num_anchors_per_location(self) -> list[int]:
        """How many boxes each feature map has at a place."""
        return [2 + 2 * len(ratios) for ratios in self.aspect_ratios]

    def _centres_and_sizes(self, grids: Any, image_size: tuple[int, int]) -> np.ndarray:
        parts = []
        for k, (rows, columns) in enumerate(grids):
            y_places, x_places = float(rows), float(columns)
            if self.steps is not None:
                y_places = image_size[0] / self.steps[k]
                x_places = image_size[1] / self.steps[k]
            half = np.float32(0.5)
            ys = (np.arange(rows, dtype=np.float32) + half) / np.float32(y_places)
            xs = (np.arange(columns, dtype=np.float32) + half) / np.float32(x_places)
            y, x = (part.ravel() for part in np.meshgrid(ys, xs, indexing="ij"))
            sizes = self._wh_pairs[k].numpy()
            sizes = np.clip(sizes, 0, 1) if self.clip else sizes
            centres = np.repeat(np.stack([x, y], 1), len(sizes), 0)
            parts.append(np.concatenate([centres, np.tile(sizes, (rows * columns, 1))], 1))
        return np.concatenate(parts)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(aspect_ratios={self.aspect_ratios}, clip={self.clip},"
            f" scales={self.scales}, steps={self.steps})"
        )

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        height, width = image_list.tensors.shape[-2:]
        grids = [tuple(m.shape[-2:]) for m in feature_maps]
        boxes = self._centres_and_sizes(grids, (height, width))
        centres, half = boxes[:, :2], np.float32(0.5) * boxes[:, 2:]
        size = np.array([width, height], np.float32)
        corners = np.concatenate([(centres - half) * size, (centres + half) * size], 1)
        found = rl.from_numpy(corners.astype(np.float32)).to(feature_maps[0].dtype)
        return [found for _ in image_list.image_sizes]

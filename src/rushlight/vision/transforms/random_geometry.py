"""The first version's crops and perspective at random places.

In and out: one PIL image or tensor (..., C, H, W).  Level 14.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

from rushlight import Tensor
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.arguments import TWO_DIMENSIONS, pair_of_sizes
from rushlight.vision.transforms.draws import chance, integer, log_uniform, logarithms, uniform
from rushlight.vision.transforms.interpolation import InterpolationMode, mode_of


class RandomCrop(Module):
    """A rectangle of `size` at a random place."""

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, height, width).  Raises: ValueError for a size beyond the image."""
        _, h, w = F.get_dimensions(img)
        th, tw = output_size
        if h < th or w < tw:
            raise ValueError(
                f"Required crop size {(th, tw)} is larger than input image size {(h, w)}"
            )
        if w == tw and h == th:
            return 0, 0, h, w
        return integer(0, h - th + 1), integer(0, w - tw + 1), th, tw

    def __init__(
        self, size: Any, padding: Any = None, pad_if_needed: bool = False, fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:  # fmt: skip
        super().__init__()
        height, width = pair_of_sizes(size, TWO_DIMENSIONS)
        self.size = (height, width)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        _, height, width = F.get_dimensions(img)
        if self.pad_if_needed and width < self.size[1]:
            img = F.pad(img, [self.size[1] - width, 0], self.fill, self.padding_mode)
        if self.pad_if_needed and height < self.size[0]:
            img = F.pad(img, [0, self.size[0] - height], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


def filling(fill: Any, img: Any) -> Any:
    """The fill as functions want it: for a tensor one float for each channel."""
    if not isinstance(img, Tensor):
        return fill
    channels = F.get_dimensions(img)[0]
    if isinstance(fill, (int, float)):
        return [float(fill)] * channels
    return [float(f) for f in fill]


def check_fill(fill: Any) -> Any:
    """0 for None.  Raises: TypeError for what is no colour."""
    if fill is None:
        return 0
    if not isinstance(fill, (Sequence, numbers.Number)):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


class RandomPerspective(Module):
    """Corners moved inwards by up to `distortion_scale` of half the image, with probability `p`."""

    def __init__(
        self, distortion_scale: float = 0.5, p: float = 0.5,
        interpolation: Any = InterpolationMode.BILINEAR, fill: Any = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.p = p
        self.interpolation = mode_of(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = check_fill(fill)

    def forward(self, img: Any) -> Any:
        fill = filling(self.fill, img)
        if chance() < self.p:
            _, height, width = F.get_dimensions(img)
            start, end = self.get_params(width, height, self.distortion_scale)
            return F.perspective(img, start, end, self.interpolation, fill)
        return img

    @staticmethod
    def get_params(
        width: int, height: int, distortion_scale: float
    ) -> tuple[list[list[int]], list[list[int]]]:
        """(the four corners, where they go), each [x, y], clockwise from top left."""
        reach_w = int(distortion_scale * (width // 2)) + 1
        reach_h = int(distortion_scale * (height // 2)) + 1
        top_left = [integer(0, reach_w), integer(0, reach_h)]
        top_right = [integer(width - reach_w, width), integer(0, reach_h)]
        bottom_right = [integer(width - reach_w, width), integer(height - reach_h, height)]
        bottom_left = [integer(0, reach_w), integer(height - reach_h, height)]
        corners = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        return corners, [top_left, top_right, bottom_right, bottom_left]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


def draw_resized_crop(
    height: int, width: int, scale: Sequence[float], ratio: Sequence[float]
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random part with `scale` of the area and `ratio` of sides."""
    area = height * width
    for _ in range(10):
        target = area * uniform(scale[0], scale[1])
        aspect = log_uniform(ratio[0], ratio[1])
        w = round(math.sqrt(target * aspect))
        h = round(math.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            return integer(0, height - h + 1), integer(0, width - w + 1), h, w
    # None fitted: the largest part in the middle whose sides are allowed.
    in_ratio = float(width) / float(height)
    if in_ratio < min(ratio):
        w = width
        h = round(w / min(ratio))
    elif in_ratio > max(ratio):
        h = height
        w = round(h * max(ratio))
    else:
        w, h = width, height
    return (height - h) // 2, (width - w) // 2, h, w


class RandomResizedCrop(Module):
    """A random part, by area and ratio of sides, resized to `size`."""

    def __init__(
        self, size: Any, scale: Any = (0.08, 1.0), ratio: Any = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = InterpolationMode.BILINEAR, antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.size = pair_of_sizes(size, TWO_DIMENSIONS)
        if not isinstance(scale, Sequence):
            raise TypeError("Scale should be a sequence")
        if not isinstance(ratio, Sequence):
            raise TypeError("Ratio should be a sequence")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=2)
        self.interpolation = mode_of(interpolation)
        self.antialias = antialias
        self.scale = scale
        self.ratio = ratio
        logarithms(*ratio)

    @staticmethod
    def get_params(img: Any, scale: Any, ratio: Any) -> tuple[int, int, int, int]:
        """(top, left, height, width) of the part."""
        _, height, width = F.get_dimensions(img)
        return draw_resized_crop(height, width, scale, ratio)

    def forward(self, img: Any) -> Any:
        part = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *part, self.size, self.interpolation, antialias=self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size},"
            f" scale={tuple(round(s, 4) for s in self.scale)},"
            f" ratio={tuple(round(r, 4) for r in self.ratio)},"
            f" interpolation={self.interpolation.value}, antialias={self.antialias})"
        )

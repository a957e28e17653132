"""Grids of places in an image, and reading the image there.

In: matrices or coefficients as plain numbers, images (N, C, H, W).  Out: grids (1, H, W, 2) in the
coordinates of `grid_sample` (-1 … 1, corners of pixels), sampled images.  Level 14.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor


def _pixel_rows(width: int, height: int, start_x: float, start_y: float, dtype: Any) -> Tensor:
    xs = rl.linspace(start_x, start_x + width - 1, steps=width, dtype=dtype)
    ys = rl.linspace(start_y, start_y + height - 1, steps=height, dtype=dtype).unsqueeze(-1)
    ones = rl.ones((height, width), dtype=dtype)
    return rl.stack([xs.expand(height, width), ys.expand(height, width), ones], -1)


def affine_grid(
    matrix: Sequence[float], width: int, height: int, dtype: Any,
    output: tuple[int, int] | None = None,
) -> Tensor:  # fmt: skip
    """Where each pixel of an `output` (width, height) comes from in a width × height image."""
    out_w, out_h = (width, height) if output is None else output
    base = _pixel_rows(out_w, out_h, 0.5 - 0.5 * out_w, 0.5 - 0.5 * out_h, dtype)
    theta = rl.tensor(list(matrix), dtype=dtype).reshape(2, 3)
    scaled = theta.t() / rl.tensor([0.5 * width, 0.5 * height], dtype=dtype)
    return (base.reshape(out_h * out_w, 3) @ scaled).reshape(1, out_h, out_w, 2)


def perspective_grid(coefficients: Sequence[float], width: int, height: int, dtype: Any) -> Tensor:
    """Where each pixel comes from by the eight coefficients of `perspective_coefficients`."""
    a, b, c, d, e, f, g, h = coefficients
    base = _pixel_rows(width, height, 0.5, 0.5, dtype).reshape(height * width, 3)
    above = rl.tensor([[a, d], [b, e], [c, f]], dtype=dtype)
    above = above / rl.tensor([0.5 * width, 0.5 * height], dtype=dtype)
    below = rl.tensor([[g, g], [h, h], [1.0, 1.0]], dtype=dtype)
    grid = (base @ above) / (base @ below) - 1.0
    return grid.reshape(1, height, width, 2)


def sample(img: Tensor, grid: Tensor, mode: str, fill: Any, older: bool = False) -> Tensor:
    """The image (N, C, H, W) at the grid's places; `fill` beyond its borders.

    older: mix in the fill as the first version of the transforms does, which rounds otherwise.
    """
    if img.shape[0] > 1:
        grid = grid.expand(img.shape[0], *grid.shape[1:])
    if fill is None:
        return F.grid_sample(img, grid, mode=mode, padding_mode="zeros", align_corners=False)
    mask = rl.ones((img.shape[0], 1, *img.shape[2:]), dtype=img.dtype)
    both = F.grid_sample(
        rl.cat((img, mask), 1), grid, mode=mode, padding_mode="zeros", align_corners=False
    )
    img, mask = both[:, :-1], both[:, -1:]
    values = [float(x) for x in fill] if isinstance(fill, (tuple, list)) else [float(fill)]
    filling = rl.tensor(values, dtype=img.dtype).view(1, -1, 1, 1)
    if mode == "nearest":
        return rl.where(mask < 0.5, filling, img)
    if older:
        return img * mask + (1.0 - mask) * filling
    return (img - filling) * mask + filling

"""The plain numbers behind geometric transforms: matrices, output sizes, coefficients.

In and out: Python numbers.  Level 14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def inverse_affine_matrix(
    center: Sequence[float], angle: float, translate: Sequence[float], scale: float,
    shear: Sequence[float], inverted: bool = True,
) -> list[float]:  # fmt: skip
    """The 2 x 3 matrix, row by row, from output to input pixels (`inverted`) or the other way.

    The forward map is T C R S Sx Sy C⁻¹ with translation T, centre C, rotation R, scale S and the
    shears.  Angles in degrees.
    """
    turn = math.radians(angle)
    shear_x = math.radians(shear[0])
    shear_y = math.radians(shear[1])
    cx, cy = center
    tx, ty = translate
    a = math.cos(turn - shear_y) / math.cos(shear_y)
    b = -math.cos(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) - math.sin(turn)
    c = math.sin(turn - shear_y) / math.cos(shear_y)
    d = -math.sin(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) + math.cos(turn)
    if inverted:
        # The rotation and shears have determinant 1.
        m = [x / scale for x in (d, -b, 0.0, -c, a, 0.0)]
        m[2] += m[0] * (-cx - tx) + m[1] * (-cy - ty)
        m[5] += m[3] * (-cx - tx) + m[4] * (-cy - ty)
        m[2] += cx
        m[5] += cy
    else:
        m = [x * scale for x in (a, b, 0.0, c, d, 0.0)]
        m[2] += m[0] * (-cx) + m[1] * (-cy)
        m[5] += m[3] * (-cx) + m[4] * (-cy)
        m[2] += cx + tx
        m[5] += cy + ty
    return m


def affine_output_size(matrix: Sequence[float], width: int, height: int) -> tuple[int, int]:
    """(width, height) of the box around the image that `matrix` (from output to input) turns."""
    half_w, half_h = 0.5 * width, 0.5 * height
    corners = np.array(
        [[-half_w, -half_h, 1], [-half_w, half_h, 1], [half_w, half_h, 1], [half_w, -half_h, 1]],
        dtype=np.float32,
    )
    moved = corners @ np.array(matrix, dtype=np.float32).reshape(2, 3).T
    shift = np.array([half_w, half_h], dtype=np.float32)
    low, high = moved.min(0) + shift, moved.max(0) + shift
    # A corner that lies a rounding error beyond a pixel must not add one.
    tolerance = np.float32(1e-4)
    ceiled = np.ceil(np.trunc(high / tolerance) * tolerance)
    floored = np.floor(np.trunc(low / tolerance) * tolerance)
    size = ceiled - floored
    return int(size[0]), int(size[1])


def perspective_coefficients(
    startpoints: Sequence[Sequence[int]], endpoints: Sequence[Sequence[int]]
) -> list[float]:
    """The eight numbers that take the four end points back to the four start points.

    (x, y) comes from ((a x + b y + c) / (g x + h y + 1), (d x + e y + f) / (g x + h y + 1)).
    Raises: ValueError unless there are four points each.
    """
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            "Please provide exactly four corners, got"
            f" {len(startpoints)} startpoints and {len(endpoints)} endpoints."
        )
    rows = np.zeros((8, 8), dtype=np.float64)
    for i, (to, source) in enumerate(zip(endpoints, startpoints)):
        rows[2 * i] = [to[0], to[1], 1, 0, 0, 0, -source[0] * to[0], -source[0] * to[1]]
        rows[2 * i + 1] = [0, 0, 0, to[0], to[1], 1, -source[1] * to[0], -source[1] * to[1]]
    wanted = np.array(startpoints, dtype=np.float64).reshape(8)
    found = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return [float(x) for x in found.astype(np.float32)]


def resized_size(
    canvas_size: Sequence[int], size: Sequence[int] | None, max_size: int | None = None,
    allow_none: bool = False,
) -> list[int]:  # fmt: skip
    """[height, width] after resizing the shorter edge to `size` (one number), or to both.

    max_size bounds the longer edge.  Raises: ValueError if the request contradicts itself.
    """
    height, width = canvas_size
    short, long = (width, height) if width <= height else (height, width)
    if size is None:
        if not allow_none or max_size is None:
            raise ValueError("size can only be None when max_size is given")
        new_short, new_long = int(max_size * short / long), max_size
    elif len(size) == 1:
        wanted = size[0]
        new_short, new_long = wanted, int(wanted * long / short)
        if max_size is not None:
            if max_size <= wanted:
                raise ValueError(
                    f"max_size = {max_size} must be strictly greater than the requested "
                    f"size for the smaller edge size = {list(size)}"
                )
            if new_long > max_size:
                new_short, new_long = int(max_size * new_short / new_long), max_size
    else:
        return [size[0], size[1]]
    new_w, new_h = (new_short, new_long) if width <= height else (new_long, new_short)
    return [new_h, new_w]

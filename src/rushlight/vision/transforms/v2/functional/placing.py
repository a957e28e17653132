"""Kernels of geometry on boxes and points.

In: a tensor of boxes or points with its format and canvas (height, width).  Out: (the moved
tensor, the new canvas).  Level 14.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight import Tensor
from rushlight.vision import tv_tensors
from rushlight.vision.transforms.matrices import affine_output_size, inverse_affine_matrix
from rushlight.vision.transforms.v2.functional.boxes import (
    XYXY,
    clamped,
    format_of,
    from_xyxy,
    to_xyxy,
)
from rushlight.vision.transforms.v2.functional.geometry import (
    affine_arguments,
    center_place,
    coefficients_of,
    crop_size,
    identity_grid,
    output_size,
    padding_sizes,
)

Placed = tuple[Tensor, tuple[int, int]]


def on_boxes(kernel: Callable[..., Placed]) -> Callable[..., Any]:
    """The kernel on BoundingBoxes, which know their format, canvas and clamping."""

    def call(inpt: Any, *args: Any, **kwargs: Any) -> Any:
        plain = inpt.as_subclass(Tensor)
        moved, canvas = kernel(
            plain, format_of(inpt.format), inpt.canvas_size, *args,
            clamping_mode=inpt.clamping_mode, **kwargs,
        )  # fmt: skip
        return tv_tensors.wrap(moved, like=inpt, canvas_size=canvas)

    return call


def on_points(kernel: Callable[..., Placed]) -> Callable[..., Any]:
    """The kernel on KeyPoints, which know their canvas."""

    def call(inpt: Any, *args: Any, **kwargs: Any) -> Any:
        moved, canvas = kernel(inpt.as_subclass(Tensor), inpt.canvas_size, *args, **kwargs)
        return tv_tensors.wrap(moved, like=inpt, canvas_size=canvas)

    return call


# ---- turning over -------------------------------------------------------------------------------


def _mirrored(boxes: Tensor, format: Any, length: int, axis: int) -> Tensor:
    columns = [boxes[..., i] for i in range(4)]
    first, second = columns[axis], columns[axis + 2]
    if format == XYXY:
        columns[axis], columns[axis + 2] = length - second, length - first
    elif format.value == "XYWH":
        columns[axis] = length - (first + second)
    else:
        columns[axis] = length - first
    return rl.stack(columns, -1)


def horizontal_flip_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, **_: Any
) -> Placed:
    """Left and right exchanged."""
    return _mirrored(bounding_boxes, format_of(format), canvas_size[1], 0), canvas_size


def vertical_flip_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, **_: Any
) -> Placed:
    """Top and bottom exchanged."""
    return _mirrored(bounding_boxes, format_of(format), canvas_size[0], 1), canvas_size


def horizontal_flip_keypoints(keypoints: Tensor, canvas_size: Any) -> Placed:
    """Left and right exchanged."""
    x, y = keypoints[..., 0], keypoints[..., 1]
    return rl.stack([canvas_size[1] - 1 - x, y], -1), canvas_size


def vertical_flip_keypoints(keypoints: Tensor, canvas_size: Any) -> Placed:
    """Top and bottom exchanged."""
    x, y = keypoints[..., 0], keypoints[..., 1]
    return rl.stack([x, canvas_size[0] - 1 - y], -1), canvas_size


# ---- sizes --------------------------------------------------------------------------------------


def _ratios(old: Any, new: Any) -> tuple[float, float]:
    return new[1] / old[1], new[0] / old[0]


def resize_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, size: Any, interpolation: Any = None,
    max_size: int | None = None, antialias: Any = None, clamping_mode: Any = "soft",
) -> Placed:  # fmt: skip
    """Scaled as the image is."""
    new = output_size(canvas_size, size, max_size)
    if list(new) == list(canvas_size):
        return bounding_boxes, canvas_size
    w, h = _ratios(canvas_size, new)
    scaled = bounding_boxes.mul(rl.tensor([w, h, w, h])).to(bounding_boxes.dtype)
    return scaled, (new[0], new[1])


def resize_keypoints(
    keypoints: Tensor, canvas_size: Any, size: Any, interpolation: Any = None,
    max_size: int | None = None, antialias: Any = None,
) -> Placed:  # fmt: skip
    """Scaled as the image is."""
    new = output_size(canvas_size, size, max_size)
    if list(new) == list(canvas_size):
        return keypoints, canvas_size
    scaled = keypoints.mul(rl.tensor(list(_ratios(canvas_size, new)))).to(keypoints.dtype)
    return scaled, (new[0], new[1])


def crop_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, top: int, left: int, height: int,
    width: int, clamping_mode: Any = "soft",
) -> Placed:  # fmt: skip
    """Shifted, and cut at the rectangle."""
    format = format_of(format)
    shift = [left, top, left, top] if format == XYXY else [left, top, 0, 0]
    moved = bounding_boxes - rl.tensor(shift, dtype=bounding_boxes.dtype)
    return clamped(moved, format, (height, width), clamping_mode), (height, width)


def crop_keypoints(
    keypoints: Tensor, canvas_size: Any, top: int, left: int, height: int, width: int
) -> Placed:
    """Shifted; points beyond the rectangle stay beyond."""
    return keypoints - rl.tensor([left, top], dtype=keypoints.dtype), (height, width)


def center_crop_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, output_size: Any,
    clamping_mode: Any = "soft",
) -> Placed:  # fmt: skip
    """As `crop_bounding_boxes`, in the middle."""
    size = crop_size(output_size)
    top, left = center_place(canvas_size, size)[1]
    return crop_bounding_boxes(
        bounding_boxes, format, canvas_size, top, left, *size, clamping_mode=clamping_mode
    )


def center_crop_keypoints(keypoints: Tensor, canvas_size: Any, output_size: Any) -> Placed:
    """As `crop_keypoints`, in the middle."""
    size = crop_size(output_size)
    top, left = center_place(canvas_size, size)[1]
    return crop_keypoints(keypoints, canvas_size, top, left, *size)


def resized_crop_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, top: int, left: int, height: int,
    width: int, size: Any, interpolation: Any = None, antialias: Any = None,
    clamping_mode: Any = "soft",
) -> Placed:  # fmt: skip
    """Crop, then resize."""
    moved, canvas = crop_bounding_boxes(
        bounding_boxes, format, canvas_size, top, left, height, width, clamping_mode=clamping_mode
    )
    return resize_bounding_boxes(moved, format, canvas, size)


def resized_crop_keypoints(
    keypoints: Tensor, canvas_size: Any, top: int, left: int, height: int, width: int, size: Any,
    interpolation: Any = None, antialias: Any = None,
) -> Placed:  # fmt: skip
    """Crop, then resize."""
    moved, canvas = crop_keypoints(keypoints, canvas_size, top, left, height, width)
    return resize_keypoints(moved, canvas, size)


def _padded_canvas(canvas_size: Any, padding: Any, padding_mode: str) -> tuple[list[int], Any]:
    if padding_mode != "constant":
        raise ValueError(f"Padding mode '{padding_mode}' is not supported with bounding boxes")
    left, right, top, bottom = padding_sizes(padding)
    return [left, top], (canvas_size[0] + top + bottom, canvas_size[1] + left + right)


def pad_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, padding: Any, fill: Any = None,
    padding_mode: str = "constant", clamping_mode: Any = "soft",
) -> Placed:  # fmt: skip
    """Shifted by the new pixels on the left and at the top."""
    shift, canvas = _padded_canvas(canvas_size, padding, padding_mode)
    format = format_of(format)
    shift = shift * 2 if format == XYXY else [*shift, 0, 0]
    moved = bounding_boxes + rl.tensor(shift, dtype=bounding_boxes.dtype)
    return clamped(moved, format, canvas, clamping_mode), canvas


def pad_keypoints(
    keypoints: Tensor, canvas_size: Any, padding: Any, fill: Any = None,
    padding_mode: str = "constant",
) -> Placed:  # fmt: skip
    """Shifted by the new pixels on the left and at the top."""
    shift, canvas = _padded_canvas(canvas_size, padding, padding_mode)
    return keypoints + rl.tensor(shift, dtype=keypoints.dtype), canvas


# ---- maps of corners ----------------------------------------------------------------------------


def _by_corners(boxes: Tensor, format: Any, move: Callable[[Tensor], Tensor]) -> Tensor:
    """Boxes around the moved corners, in floats."""
    corners = to_xyxy(boxes if boxes.is_floating_point() else boxes.float(), format)
    points = corners[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
    moved = move(points).reshape(-1, 4, 2)
    return rl.cat([moved.amin(dim=1), moved.amax(dim=1)], -1)


def _finished(boxes: Tensor, like: Tensor, format: Any, canvas: Any, mode: Any) -> Tensor:
    bounded = clamped(boxes, XYXY, canvas, mode)
    return from_xyxy(bounded, format).to(like.dtype)


def _affine_map(matrix: list[float], dtype: Any) -> Callable[[Tensor], Tensor]:
    transposed = rl.tensor(matrix, dtype=dtype).reshape(2, 3).t()

    def move(points: Tensor) -> Tensor:
        return rl.cat([points, rl.ones((points.shape[0], 1), dtype=points.dtype)], -1) @ transposed

    return move


def _forward_matrix(
    canvas: Any, angle: Any, translate: Any, scale: float, shear: Any, center: Any
) -> list[float]:
    angle, translate, shear, center = affine_arguments(angle, translate, scale, shear, center)
    middle = [canvas[1] * 0.5, canvas[0] * 0.5] if center is None else center
    return inverse_affine_matrix(middle, angle, translate, scale, shear, inverted=False)


def _working_dtype(tensor: Tensor) -> Any:
    return tensor.dtype if tensor.is_floating_point() else rl.float32


def affine_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, angle: Any, translate: Any,
    scale: float, shear: Any, interpolation: Any = None, fill: Any = None, center: Any = None,
    clamping_mode: Any = "soft", expand: bool = False,
) -> Placed:  # fmt: skip
    """The boxes around the turned boxes."""
    format = format_of(format)
    if bounding_boxes.numel() == 0:
        return bounding_boxes, canvas_size
    matrix = _forward_matrix(canvas_size, angle, translate, scale, shear, center)
    move = _affine_map(matrix, _working_dtype(bounding_boxes))
    moved = _by_corners(bounding_boxes, format, move)
    canvas = canvas_size
    if expand:
        shift, canvas = _expanded(canvas_size, matrix, move, moved.dtype)
        moved = moved - rl.cat([shift, shift], -1)
    return _finished(moved, bounding_boxes, format, canvas, clamping_mode), canvas


def _expanded(canvas: Any, matrix: list[float], move: Any, dtype: Any) -> tuple[Tensor, Any]:
    height, width = canvas
    corners = rl.tensor([[0, 0], [0, height], [width, height], [width, 0]], dtype=dtype)
    new_width, new_height = affine_output_size(matrix, width, height)
    return move(corners).amin(dim=0, keepdim=True), (new_height, new_width)


def affine_keypoints(
    keypoints: Tensor, canvas_size: Any, angle: Any, translate: Any, scale: float, shear: Any,
    interpolation: Any = None, fill: Any = None, center: Any = None, expand: bool = False,
) -> Placed:  # fmt: skip
    """Turned, shifted, scaled and sheared as the image is."""
    if keypoints.numel() == 0:
        return keypoints, canvas_size
    matrix = _forward_matrix(canvas_size, angle, translate, scale, shear, center)
    dtype = _working_dtype(keypoints)
    move = _affine_map(matrix, dtype)
    moved = move(keypoints.to(dtype).reshape(-1, 2))
    canvas = canvas_size
    if expand:
        shift, canvas = _expanded(canvas_size, matrix, move, dtype)
        moved = moved - shift
    return moved.reshape(keypoints.shape).to(keypoints.dtype), canvas


def rotate_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, angle: float,
    interpolation: Any = None, expand: bool = False, center: Any = None, fill: Any = None,
    clamping_mode: Any = "soft",
) -> Placed:  # fmt: skip
    """The boxes around the turned boxes."""
    return affine_bounding_boxes(
        bounding_boxes, format, canvas_size, -angle, [0.0, 0.0], 1.0, [0.0, 0.0],
        center=None if expand else center, clamping_mode=clamping_mode, expand=expand,
    )  # fmt: skip


def rotate_keypoints(
    keypoints: Tensor, canvas_size: Any, angle: float, interpolation: Any = None,
    expand: bool = False, center: Any = None, fill: Any = None,
) -> Placed:  # fmt: skip
    """Turned as the image is."""
    return affine_keypoints(
        keypoints, canvas_size, -angle, [0.0, 0.0], 1.0, [0.0, 0.0],
        center=None if expand else center, expand=expand,
    )  # fmt: skip


def _perspective_map(coefficients: Any, dtype: Any) -> Callable[[Tensor], Tensor]:
    """The way from input to output, the reverse of what images are sampled by."""
    a, b, c, d, e, f, g, h = coefficients
    denominator = a * e - b * d
    if denominator == 0:
        raise RuntimeError(
            f"Provided perspective_coeffs {list(coefficients)} can not be inverted to transform"
            f" bounding boxes. Denominator is zero, denom={denominator}"
        )
    inverse = [
        (e - f * h) / denominator, (c * h - b) / denominator, (b * f - c * e) / denominator,
        (f * g - d) / denominator, (a - c * g) / denominator, (c * d - a * f) / denominator,
        (d * h - e * g) / denominator, (b * g - a * h) / denominator, 1.0,
    ]  # fmt: skip
    above = rl.tensor(inverse[:6], dtype=dtype).reshape(2, 3).t()
    below = rl.tensor(inverse[6:] * 2, dtype=dtype).reshape(2, 3).t()

    def move(points: Tensor) -> Tensor:
        rows = rl.cat([points, rl.ones((points.shape[0], 1), dtype=points.dtype)], -1)
        return (rows @ above) / (rows @ below)

    return move


def perspective_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, startpoints: Any, endpoints: Any,
    interpolation: Any = None, fill: Any = None, coefficients: Any = None,
    clamping_mode: Any = "soft",
) -> Placed:  # fmt: skip
    """The boxes around the moved corners."""
    format = format_of(format)
    if bounding_boxes.numel() == 0:
        return bounding_boxes, canvas_size
    move = _perspective_map(
        coefficients_of(startpoints, endpoints, coefficients), _working_dtype(bounding_boxes)
    )
    moved = _by_corners(bounding_boxes, format, move)
    return _finished(moved, bounding_boxes, format, canvas_size, clamping_mode), canvas_size


def perspective_keypoints(
    keypoints: Tensor, canvas_size: Any, startpoints: Any, endpoints: Any,
    interpolation: Any = None, fill: Any = None, coefficients: Any = None,
) -> Placed:  # fmt: skip
    """Moved as the image is."""
    if keypoints.numel() == 0:
        return keypoints, canvas_size
    dtype = _working_dtype(keypoints)
    move = _perspective_map(coefficients_of(startpoints, endpoints, coefficients), dtype)
    moved = move(keypoints.to(dtype).reshape(-1, 2))
    return moved.reshape(keypoints.shape).to(keypoints.dtype), canvas_size


def _elastic_map(canvas: Any, displacement: Tensor, dtype: Any) -> Callable[[Tensor], Tensor]:
    height, width = canvas
    # The displacement says where a pixel comes from; the way back is approximated by its negative.
    reverse = identity_grid(height, width, dtype).sub(displacement.to(dtype))[0]
    size = rl.tensor([width, height], dtype=dtype)

    def move(points: Tensor) -> Tensor:
        places = points.to(rl.int64)
        xs, ys = places[:, 0].clamp(0, width - 1), places[:, 1].clamp(0, height - 1)
        return reverse[ys, xs].add(1).mul(0.5 * size).sub(0.5)

    return move


def elastic_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, displacement: Tensor,
    interpolation: Any = None, fill: Any = None, clamping_mode: Any = "soft",
) -> Placed:  # fmt: skip
    """The boxes around the moved corners."""
    format = format_of(format)
    if bounding_boxes.numel() == 0:
        return bounding_boxes, canvas_size
    move = _elastic_map(canvas_size, displacement, _working_dtype(bounding_boxes))
    moved = _by_corners(bounding_boxes, format, move)
    return _finished(moved, bounding_boxes, format, canvas_size, clamping_mode), canvas_size


def elastic_keypoints(
    keypoints: Tensor, canvas_size: Any, displacement: Tensor, interpolation: Any = None,
    fill: Any = None,
) -> Placed:  # fmt: skip
    """Moved as the image is."""
    if keypoints.numel() == 0:
        return keypoints, canvas_size
    dtype = _working_dtype(keypoints)
    moved = _elastic_map(canvas_size, displacement, dtype)(keypoints.to(dtype).reshape(-1, 2))
    return moved.reshape(keypoints.shape).to(keypoints.dtype), canvas_size

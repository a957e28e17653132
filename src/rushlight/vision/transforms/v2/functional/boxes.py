"""Boxes and points: their formats, sizes and bounds.

In: tensors of boxes (N, 4) with a format and the canvas (height, width), points (..., 2).
Level 14.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import Tensor
from rushlight.vision import tv_tensors
from rushlight.vision.tv_tensors import BoundingBoxes, BoundingBoxFormat, KeyPoints

XYXY, XYWH, CXCYWH = BoundingBoxFormat.XYXY, BoundingBoxFormat.XYWH, BoundingBoxFormat.CXCYWH


def format_of(format: Any) -> BoundingBoxFormat:
    """The format, also where it is given by name.

    Raises: NotImplementedError for turned boxes, which no kernel moves yet.
    """
    found = BoundingBoxFormat[format.upper()] if isinstance(format, str) else format
    if tv_tensors.is_rotated_bounding_format(found):
        raise NotImplementedError(f"boxes of format {found.value} are not moved by transforms yet")
    return found


def to_xyxy(boxes: Tensor, format: BoundingBoxFormat) -> Tensor:
    """(left, top, right, bottom)."""
    if format == XYXY:
        return boxes
    first, size = boxes[..., :2], boxes[..., 2:]
    if format == XYWH:
        return rl.cat([first, first + size], -1)
    half = size / 2 if boxes.is_floating_point() else size.div(2, rounding_mode="floor")
    start = first - half
    if boxes.is_floating_point():
        return rl.cat([start, first + half], -1)
    # Whole numbers: rounded so that width and height stay.
    half_up = rl.div(size, -2, rounding_mode="floor")
    start = first + half_up
    return rl.cat([start, size + start], -1)


def from_xyxy(boxes: Tensor, format: BoundingBoxFormat) -> Tensor:
    """The reverse of `to_xyxy`."""
    if format == XYXY:
        return boxes
    start, stop = boxes[..., :2], boxes[..., 2:]
    if format == XYWH:
        return rl.cat([start, stop - start], -1)
    if boxes.is_floating_point():
        return rl.cat([(start + stop) * 0.5, stop - start], -1)
    return rl.cat([(start * 2 + (stop - start)).div(2, rounding_mode="floor"), stop - start], -1)


def convert_bounding_box_format(
    inpt: Tensor, old_format: Any = None, new_format: Any = None, inplace: bool = False
) -> Tensor:
    """Boxes in another format; `old_format` only where the boxes do not know it.

    Raises: TypeError, ValueError.
    """
    if new_format is None:
        raise TypeError("convert_bounding_box_format() missing 1 required argument: 'new_format'")
    new = format_of(new_format)
    if isinstance(inpt, BoundingBoxes):
        if old_format is not None:
            raise ValueError("For bounding box tv_tensor inputs, `old_format` must not be passed.")
        old = format_of(inpt.format)
        output = from_xyxy(to_xyxy(inpt.as_subclass(Tensor), old), new) if old != new else inpt
        return tv_tensors.wrap(output, like=inpt, format=new)
    if old_format is None:
        raise ValueError("For pure tensor inputs, `old_format` has to be passed.")
    old = format_of(old_format)
    if old == new:
        return inpt
    converted = from_xyxy(to_xyxy(inpt, old), new)
    return inpt.copy_(converted) if inplace else converted


def clamped(
    boxes: Tensor, format: BoundingBoxFormat, canvas_size: Any, mode: str | None = "soft"
) -> Tensor:
    """Boxes within the canvas; unchanged where `mode` is None."""
    if mode is None:
        return boxes.clone()
    dtype = boxes.dtype
    corners = to_xyxy(boxes, format)
    height, width = canvas_size
    xs = corners[..., 0::2].clamp(0, width)
    ys = corners[..., 1::2].clamp(0, height)
    corners = rl.stack([xs[..., 0], ys[..., 0], xs[..., 1], ys[..., 1]], -1)
    return from_xyxy(corners, format).to(dtype)


def clamp_bounding_boxes(
    inpt: Tensor, format: Any = None, canvas_size: Any = None, clamping_mode: Any = "auto"
) -> Tensor:
    """Boxes cut at the borders of the image.  Raises: ValueError for missing or needless facts."""
    if isinstance(inpt, BoundingBoxes):
        if format is not None or canvas_size is not None:
            raise ValueError(
                "For bounding box tv_tensor inputs, `format` and `canvas_size` must not be passed."
            )
        mode = inpt.clamping_mode if clamping_mode == "auto" else clamping_mode
        output = clamped(inpt.as_subclass(Tensor), format_of(inpt.format), inpt.canvas_size, mode)
        return tv_tensors.wrap(output, like=inpt)
    if format is None or canvas_size is None or clamping_mode == "auto":
        raise ValueError(
            "For pure tensor inputs, `format`, `canvas_size` and `clamping_mode` have to be passed."
        )
    return clamped(inpt, format_of(format), canvas_size, clamping_mode)


def clamped_points(points: Tensor, canvas_size: Any) -> Tensor:
    """Points within the canvas's pixels."""
    height, width = canvas_size
    return rl.stack([points[..., 0].clamp(0, width - 1), points[..., 1].clamp(0, height - 1)], -1)


def clamp_keypoints(inpt: Tensor, canvas_size: Any = None) -> Tensor:
    """Points moved to the border where they lie beyond.  Raises: ValueError."""
    if isinstance(inpt, KeyPoints):
        if canvas_size is not None:
            raise ValueError("For keypoints tv_tensor inputs, `canvas_size` must not be passed.")
        return tv_tensors.wrap(
            clamped_points(inpt.as_subclass(Tensor), inpt.canvas_size), like=inpt
        )
    if canvas_size is None:
        raise ValueError("For pure tensor inputs, `canvas_size` has to be passed.")
    return clamped_points(inpt, canvas_size)


def sanitize_bounding_boxes(
    bounding_boxes: Tensor, format: Any = None, canvas_size: Any = None, min_size: float = 1.0,
    min_area: float = 1.0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(the boxes that lie within the image and are large enough, which ones they are)."""
    if isinstance(bounding_boxes, BoundingBoxes):
        format, canvas_size = bounding_boxes.format, bounding_boxes.canvas_size
    elif format is None or canvas_size is None:
        raise ValueError(
            "format and canvas_size must be passed if bounding_boxes is a pure tensor."
        )
    corners = to_xyxy(bounding_boxes.as_subclass(Tensor), format_of(format))
    height, width = canvas_size
    ws, hs = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    valid = (ws >= min_size) & (hs >= min_size) & (corners >= 0).all(dim=-1)
    if min_area > 1.0 or min_area != min_size:
        valid = valid & (ws * hs >= min_area)
    valid = valid & (corners[:, 0] <= width) & (corners[:, 2] <= width)
    valid = valid & (corners[:, 1] <= height) & (corners[:, 3] <= height)
    kept = bounding_boxes.as_subclass(Tensor)[valid]
    if isinstance(bounding_boxes, BoundingBoxes):
        kept = tv_tensors.wrap(kept, like=bounding_boxes)
    return kept, valid


def sanitize_keypoints(key_points: Tensor, canvas_size: Any = None) -> tuple[Tensor, Tensor]:
    """(the points within the image, which ones they are)."""
    if isinstance(key_points, KeyPoints):
        canvas_size = key_points.canvas_size
    elif canvas_size is None:
        raise ValueError("canvas_size must be passed if key_points is a pure tensor.")
    plain = key_points.as_subclass(Tensor)
    height, width = canvas_size
    x, y = plain[..., 0], plain[..., 1]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    valid = inside.reshape(inside.shape[0], -1).all(dim=-1) if inside.ndim > 1 else inside
    kept = plain[valid]
    return (
        tv_tensors.wrap(kept, like=key_points) if isinstance(key_points, KeyPoints) else kept
    ), valid

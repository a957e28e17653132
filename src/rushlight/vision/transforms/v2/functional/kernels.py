"""The kernels of boxes, key points and masks as torchvision names them: only what they look at.

In: plain tensors and the facts about them.  Out: what moved, with the new canvas where the function
can change it.  Each calls the one that the functions above use, which take all arguments of the
image's kernel.  Level 14.
"""

from __future__ import annotations

from typing import Any

from rushlight import Tensor
from rushlight.vision.transforms.v2.functional import geometry as _g
from rushlight.vision.transforms.v2.functional import placing as _p
from rushlight.vision.tv_tensors import BoundingBoxFormat

Moved = tuple[Tensor, tuple[int, int]]


def resize_bounding_boxes(
    bounding_boxes: Tensor, canvas_size: Any, size: Any, max_size: int | None = None,
    format: Any = BoundingBoxFormat.XYXY, clamping_mode: Any = "soft",
) -> Moved:  # fmt: skip
    """The boxes of the resized image, and its size."""
    return _p.resize_bounding_boxes(
        bounding_boxes, format, canvas_size, size, max_size=max_size, clamping_mode=clamping_mode
    )


def resize_keypoints(
    keypoints: Tensor, size: Any, canvas_size: Any, max_size: int | None = None
) -> Moved:
    """The points of the resized image, and its size."""
    return _p.resize_keypoints(keypoints, canvas_size, size, max_size=max_size)


def crop_bounding_boxes(
    bounding_boxes: Tensor, format: Any, top: int, left: int, height: int, width: int,
    clamping_mode: Any = "soft",
) -> Moved:  # fmt: skip
    """The boxes of a window, and its size."""
    return _p.crop_bounding_boxes(
        bounding_boxes, format, (height, width), top, left, height, width, clamping_mode
    )


def crop_keypoints(keypoints: Tensor, top: int, left: int, height: int, width: int) -> Moved:
    """The points of a window, and its size."""
    return _p.crop_keypoints(keypoints, (height, width), top, left, height, width)


def resized_crop_bounding_boxes(
    bounding_boxes: Tensor, format: Any, top: int, left: int, height: int, width: int, size: Any,
    clamping_mode: Any = "soft",
) -> Moved:  # fmt: skip
    """The boxes of a resized window, and its size."""
    return _p.resized_crop_bounding_boxes(
        bounding_boxes, format, (height, width), top, left, height, width, size,
        clamping_mode=clamping_mode,
    )  # fmt: skip


def resized_crop_keypoints(
    keypoints: Tensor, top: int, left: int, height: int, width: int, size: Any
) -> Moved:
    """The points of a resized window, and its size."""
    return _p.resized_crop_keypoints(keypoints, (height, width), top, left, height, width, size)


def pad_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, padding: Any,
    padding_mode: str = "constant", clamping_mode: Any = "soft",
) -> Moved:  # fmt: skip
    """The boxes of the image with borders, and its size."""
    return _p.pad_bounding_boxes(
        bounding_boxes, format, canvas_size, padding, None, padding_mode, clamping_mode
    )


def pad_keypoints(
    keypoints: Tensor, canvas_size: Any, padding: Any, padding_mode: str = "constant"
) -> Moved:
    """The points of the image with borders, and its size."""
    return _p.pad_keypoints(keypoints, canvas_size, padding, None, padding_mode)


def affine_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, angle: Any, translate: Any,
    scale: float, shear: Any, center: Any = None, clamping_mode: Any = "soft",
) -> Tensor:  # fmt: skip
    """The boxes around the turned boxes; the canvas stays what it was."""
    return _p.affine_bounding_boxes(
        bounding_boxes, format, canvas_size, angle, translate, scale, shear, center=center,
        clamping_mode=clamping_mode,
    )[0]  # fmt: skip


def affine_keypoints(
    keypoints: Tensor, canvas_size: Any, angle: Any, translate: Any, scale: float, shear: Any,
    center: Any = None,
) -> Moved:  # fmt: skip
    """The turned points, and the size of the image."""
    return _p.affine_keypoints(
        keypoints, canvas_size, angle, translate, scale, shear, center=center
    )


def rotate_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, angle: float, expand: bool = False,
    center: Any = None, clamping_mode: Any = "soft",
) -> Moved:  # fmt: skip
    """The boxes around the turned boxes, and the size of the image."""
    return _p.rotate_bounding_boxes(
        bounding_boxes, format, canvas_size, angle, expand=expand, center=center,
        clamping_mode=clamping_mode,
    )  # fmt: skip


def rotate_keypoints(
    keypoints: Tensor, canvas_size: Any, angle: float, expand: bool = False, center: Any = None
) -> Moved:
    """The turned points, and the size of the image."""
    return _p.rotate_keypoints(keypoints, canvas_size, angle, expand=expand, center=center)


def perspective_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, startpoints: Any, endpoints: Any,
    coefficients: Any = None, clamping_mode: Any = "soft",
) -> Tensor:  # fmt: skip
    """The boxes around the boxes seen from elsewhere."""
    return _p.perspective_bounding_boxes(
        bounding_boxes, format, canvas_size, startpoints, endpoints, coefficients=coefficients,
        clamping_mode=clamping_mode,
    )[0]  # fmt: skip


def perspective_keypoints(
    keypoints: Tensor, canvas_size: Any, startpoints: Any, endpoints: Any, coefficients: Any = None
) -> Tensor:
    """The points seen from elsewhere."""
    return _p.perspective_keypoints(
        keypoints, canvas_size, startpoints, endpoints, coefficients=coefficients
    )[0]


def elastic_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Any, displacement: Tensor,
    clamping_mode: Any = "soft",
) -> Tensor:  # fmt: skip
    """The boxes around the displaced boxes."""
    return _p.elastic_bounding_boxes(
        bounding_boxes, format, canvas_size, displacement, clamping_mode=clamping_mode
    )[0]


def elastic_keypoints(keypoints: Tensor, canvas_size: Any, displacement: Tensor) -> Tensor:
    """The displaced points."""
    return _p.elastic_keypoints(keypoints, canvas_size, displacement)[0]


def affine_mask(
    mask: Tensor, angle: Any, translate: Any, scale: float, shear: Any, fill: Any = None,
    center: Any = None,
) -> Tensor:  # fmt: skip
    """The turned mask."""
    return _g.affine_mask(mask, angle, translate, scale, shear, fill=fill, center=center)


def rotate_mask(
    mask: Tensor, angle: float, expand: bool = False, center: Any = None, fill: Any = None
) -> Tensor:
    """The turned mask."""
    return _g.rotate_mask(mask, angle, expand=expand, center=center, fill=fill)


def perspective_mask(
    mask: Tensor, startpoints: Any, endpoints: Any, fill: Any = None, coefficients: Any = None
) -> Tensor:
    """The mask seen from elsewhere."""
    return _g.perspective_mask(mask, startpoints, endpoints, fill=fill, coefficients=coefficients)


def elastic_mask(mask: Tensor, displacement: Tensor, fill: Any = None) -> Tensor:
    """The displaced mask."""
    return _g.elastic_mask(mask, displacement, fill=fill)

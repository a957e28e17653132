"""Sizes, dtypes, conversions and the remaining kernels.

In: images in any form.  Out: numbers, or images in another form.  Level 14.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor
from rushlight.vision import tv_tensors
from rushlight.vision.pillow import Image as PILImage
from rushlight.vision.pillow import is_pil_image
from rushlight.vision.transforms import _functional_tensor as F_t
from rushlight.vision.transforms.conversion import pil_to_tensor, to_pil_image


def get_dimensions_image(image: Tensor) -> list[int]:
    """[channels, height, width]."""
    if image.ndim < 2:
        raise TypeError(f"Input tensor should have at least two dimensions, but got {image.ndim}")
    return [1 if image.ndim == 2 else image.shape[-3], *image.shape[-2:]]


def get_num_channels_image(image: Tensor) -> int:
    """How many channels the image has."""
    return get_dimensions_image(image)[0]


def get_size_image(image: Tensor) -> list[int]:
    """[height, width]."""
    return get_dimensions_image(image)[1:]


def get_size_pil(image: Any) -> list[int]:
    """[height, width]."""
    return [image.height, image.width]


def get_size_canvas(inpt: Any) -> list[int]:
    """[height, width] of the image that boxes or points lie in."""
    return list(inpt.canvas_size)


def get_num_frames_video(video: Tensor) -> int:
    """How many images the video has."""
    return video.shape[-4]


def to_image(inpt: Any) -> tv_tensors.Image:
    """An array (H, W, C), PIL image or tensor as Image.  Raises: TypeError."""
    if isinstance(inpt, np.ndarray):
        array = inpt[:, :, None] if inpt.ndim == 2 else inpt
        output = rl.from_numpy(array.copy()).permute((2, 0, 1)).contiguous()
    elif is_pil_image(inpt):
        output = pil_to_tensor(inpt)
    elif isinstance(inpt, Tensor):
        output = inpt
    else:
        raise TypeError(
            f"Input can either be a pure Tensor, a numpy array,"
            f" or a PIL image, but got {type(inpt)} instead."
        )
    return tv_tensors.Image(output)


def to_dtype_image(image: Tensor, dtype: Any = rl.float32, scale: bool = False) -> Tensor:
    """Another dtype, on its scale if `scale`."""
    if image.dtype == dtype:
        return image
    return F_t.convert_image_dtype(image, dtype) if scale else image.to(dtype)


def to_dtype_mask(mask: Tensor, dtype: Any = rl.float32, scale: bool = False) -> Tensor:
    """Another dtype; labels have no scale."""
    return mask.to(dtype)


def to_dtype_plain(inpt: Any, dtype: Any = rl.float32, scale: bool = False) -> Any:
    """Another dtype of boxes or points, of the same kind."""
    return inpt.to(dtype)


def erase_image(
    image: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False
) -> Tensor:
    """Write `v` over the rectangle at row `i`, column `j`."""
    image = image if inplace else image.clone()
    image[..., i : i + h, j : j + w] = v
    return image


def erase_pil(image: Any, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Any:
    """As `erase_image`."""
    return to_pil_image(erase_image(pil_to_tensor(image), i, j, h, w, v), mode=image.mode)


def jpeg_pil(image: Any, quality: int) -> Any:
    """The image after JPEG's losses at a quality of 1 … 100."""
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=quality)
    stream.seek(0)
    return PILImage.open(stream).convert(image.mode)


def jpeg_image(image: Tensor, quality: int) -> Tensor:
    """As `jpeg_pil`, for bytes with one or three channels.  Raises: RuntimeError."""
    if image.dtype != rl.uint8:
        raise RuntimeError(f"jpeg: needs bytes; got {image.dtype}")
    shape = image.shape
    frames = image.reshape(-1, *shape[-3:])
    found = [pil_to_tensor(jpeg_pil(to_pil_image(frame), quality)) for frame in frames]
    return rl.stack(found).reshape(shape)


def uniform_temporal_subsample_video(video: Tensor, num_samples: int) -> Tensor:
    """`num_samples` images of the video, evenly spread."""
    count = video.shape[-4]
    indices = rl.linspace(0, count - 1, num_samples).clamp(0, count - 1).long()
    return rl.index_select(video, -4, indices)


def get_size_mask(mask: Tensor) -> list[int]:
    """[height, width]."""
    return list(mask.shape[-2:])


get_size_bounding_boxes = get_size_keypoints = get_size_canvas

"""Kernels of geometry on tensors (..., C, H, W): images and masks.

Integer images are computed in float32 and rounded; bytes are resized in integers.  Level 14.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor
from rushlight.vision.transforms import _functional_pil as F_pil
from rushlight.vision.transforms import _functional_tensor as F_t
from rushlight.vision.transforms import functional as F_v1
from rushlight.vision.transforms.interpolation import (
    InterpolationMode,
    mode_of,
    pil_modes_mapping,
)
from rushlight.vision.transforms.matrices import (
    affine_output_size,
    inverse_affine_matrix,
    perspective_coefficients,
    resized_size,
)
from rushlight.vision.transforms.sampling import affine_grid, perspective_grid, sample

NEAREST, BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR
BICUBIC, NEAREST_EXACT = InterpolationMode.BICUBIC, InterpolationMode.NEAREST_EXACT


def horizontal_flip_image(image: Tensor) -> Tensor:
    """Left and right exchanged."""
    return image.flip(-1)


def vertical_flip_image(image: Tensor) -> Tensor:
    """Top and bottom exchanged."""
    return image.flip(-2)


def output_size(canvas_size: Any, size: Any, max_size: int | None) -> list[int]:
    """[height, width] of a resized image.  Raises: ValueError."""
    if isinstance(size, int):
        size = [size]
    elif max_size is not None and size is not None and len(size) != 1:
        raise ValueError(
            "max_size should only be passed if size is None or specifies the length of the smaller"
            " edge, i.e. size should be an int or a sequence of length 1 in torchscript mode."
        )
    return resized_size(canvas_size, size, max_size, allow_none=True)


def resize_image(
    image: Tensor, size: Any, interpolation: Any = BILINEAR, max_size: int | None = None,
    antialias: bool | None = True,
) -> Tensor:  # fmt: skip
    """Resize to (height, width), or the shorter edge to one number, or the longer to `max_size`."""
    interpolation = mode_of(interpolation)
    old = list(image.shape[-2:])
    new = output_size(old, size, max_size)
    if new == old:
        return image
    shape = image.shape
    if image.numel() == 0:
        return image.reshape(*shape[:-2], *new)
    if interpolation not in (NEAREST, NEAREST_EXACT, BILINEAR, BICUBIC):
        raise ValueError(
            f"Interpolation mode '{interpolation.value}' is unsupported with Tensor input"
        )
    batch = image.reshape(-1, *shape[-3:]) if image.ndim != 4 else image
    smooth = interpolation in (BILINEAR, BICUBIC)
    dtype = image.dtype
    cast = not image.is_floating_point() and dtype != rl.uint8
    batch = F.interpolate(
        batch.to(rl.float32) if cast else batch, size=new, mode=interpolation.value,
        align_corners=False if smooth else None, antialias=bool(antialias) and smooth,
    )  # fmt: skip
    if cast:
        batch = batch.round().to(dtype)
    return batch.reshape(*shape[:-2], *new)


def resize_pil(
    image: Any, size: Any, interpolation: Any = BILINEAR, max_size: int | None = None,
    antialias: Any = True,
) -> Any:  # fmt: skip
    """As `resize_image`, always antialiased."""
    old = [image.height, image.width]
    new = output_size(old, size, max_size)
    return (
        image if new == old else image.resize(new[::-1], pil_modes_mapping[mode_of(interpolation)])
    )


def _one_channel(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A kernel of images on masks (..., H, W), which may lack the axis of channels."""

    def call(mask: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if mask.ndim >= 3:
            return kernel(mask, *args, **kwargs)
        return kernel(mask.unsqueeze(0), *args, **kwargs).squeeze(0)

    return call


def resize_mask(
    mask: Tensor, size: Any, *args: Any, max_size: int | None = None, **kwargs: Any
) -> Tensor:
    """As `resize_image`, to the nearest pixel."""
    return _one_channel(resize_image)(mask, size, NEAREST, max_size)


def crop_image(image: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """A rectangle; zeros where it reaches beyond."""
    h, w = image.shape[-2:]
    right, bottom = left + width, top + height
    if left < 0 or top < 0 or right > w or bottom > h:
        inner = image[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        padding = [
            max(min(right, 0) - left, 0), max(right - max(w, left), 0),
            max(min(bottom, 0) - top, 0), max(bottom - max(h, top), 0),
        ]  # fmt: skip
        return F.pad(inner, padding)
    return image[..., top:bottom, left:right]


def pad_image(
    image: Tensor, padding: Any, fill: Any = None, padding_mode: str = "constant"
) -> Tensor:
    """Add pixels at the four sides; `fill` may hold a number for each channel."""
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError(
            f"`padding_mode` should be either `'constant'`, `'edge'`,"
            f" `'reflect'` or `'symmetric'`, but got `'{padding_mode}'`."
        )
    sizes = padding_sizes(padding)
    if padding_mode == "constant" and isinstance(fill, (list, tuple)) and len(fill) > 1:
        padded = [
            F.pad(image[..., c : c + 1, :, :], sizes, value=float(value))
            for c, value in enumerate(fill)
        ]
        return rl.cat(padded, dim=-3)
    value = fill[0] if isinstance(fill, (list, tuple)) else fill
    if padding_mode == "constant":
        return F.pad(image, sizes, value=0.0 if value is None else float(value))
    shape = image.shape
    batch = image.reshape(-1, *shape[-3:])
    left, right, top, bottom = sizes
    found = F_t.pad(batch, [left, top, right, bottom], padding_mode=padding_mode)
    return found.reshape(*shape[:-2], *found.shape[-2:])


def padding_sizes(padding: Any) -> list[int]:
    """[left, right, top, bottom].  Raises: TypeError, ValueError."""
    if not isinstance(padding, (int, list, tuple)):
        raise TypeError(
            f"`padding` should be an integer or tuple or list of integers, but got {padding}"
        )
    if not isinstance(padding, int) and len(padding) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element"
            f" tuple, not a {len(padding)} element tuple"
        )
    return F_t.pad_order(padding)


def pad_mask(
    mask: Tensor, padding: Any, fill: Any = None, padding_mode: str = "constant"
) -> Tensor:
    """As `pad_image`; `fill` is one number."""
    if isinstance(fill, (tuple, list)):
        raise ValueError("Non-scalar fill value is not supported")
    return _one_channel(pad_image)(mask, padding, 0 if fill is None else fill, padding_mode)


def center_crop_image(image: Tensor, output_size: Any) -> Tensor:
    """The middle; padded with zeros where the image is smaller."""
    wanted = crop_size(output_size)
    padding, (top, left) = center_place(image.shape[-2:], wanted)
    if padding is not None:
        image = F.pad(image, F_t.pad_order(padding))
        top, left = center_place(image.shape[-2:], wanted)[1]
    return image[..., top : top + wanted[0], left : left + wanted[1]]


def center_crop_pil(image: Any, output_size: Any) -> Any:
    """As `center_crop_image`."""
    return F_v1.center_crop(image, crop_size(output_size))


def crop_size(output_size: Any) -> tuple[int, int]:
    """(height, width) from a number or one or two numbers.  Raises: ValueError."""
    if isinstance(output_size, numbers.Number):
        return int(output_size), int(output_size)  # type: ignore[call-overload]
    if len(output_size) == 1:
        return output_size[0], output_size[0]
    return output_size[0], output_size[1]


def center_place(canvas: Any, wanted: Any) -> tuple[list[int] | None, tuple[int, int]]:
    """(padding that is needed first, or None; (top, left) of the middle)."""
    (height, width), (crop_h, crop_w) = canvas, wanted
    padding = None
    if crop_h > height or crop_w > width:
        more_h, more_w = max(crop_h - height, 0), max(crop_w - width, 0)
        padding = [more_w // 2, more_h // 2, (more_w + 1) // 2, (more_h + 1) // 2]
    return padding, (round((height - crop_h) / 2.0), round((width - crop_w) / 2.0))


def resized_crop_image(
    image: Tensor, top: int, left: int, height: int, width: int, size: Any,
    interpolation: Any = BILINEAR, antialias: bool | None = True,
) -> Tensor:  # fmt: skip
    """Crop, then resize."""
    return resize_image(
        crop_image(image, top, left, height, width), size, interpolation, antialias=antialias
    )


def resized_crop_mask(
    mask: Tensor, top: int, left: int, height: int, width: int, size: Any, *args: Any, **kwargs: Any
) -> Tensor:
    """Crop, then resize to the nearest pixel."""
    return resize_mask(crop_image(mask, top, left, height, width), size)


def resized_crop_pil(
    image: Any, top: int, left: int, height: int, width: int, size: Any,
    interpolation: Any = BILINEAR, antialias: Any = True,
) -> Any:  # fmt: skip
    """Crop, then resize."""
    return resize_pil(F_pil.crop(image, top, left, height, width), size, interpolation)


def _sampled(image: Tensor, grid: Tensor, mode: str, fill: Any) -> Tensor:
    shape = image.shape
    batch = image.reshape(-1, *shape[-3:])
    dtype = image.dtype
    floating = image.is_floating_point()
    found = sample(batch if floating else batch.to(rl.float32), grid, mode, fill)
    if not floating:
        found = found.round().to(dtype)
    return found.reshape(*shape[:-2], *found.shape[-2:])


def _checked(image: Tensor, interpolation: Any, fill: Any, modes: Any = (NEAREST, BILINEAR)) -> str:
    interpolation = mode_of(interpolation)
    if interpolation not in modes:
        raise ValueError(
            f"Interpolation mode '{interpolation.value}' is unsupported with Tensor input"
        )
    if isinstance(fill, (tuple, list)) and len(fill) > 1 and len(fill) != image.shape[-3]:
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of"
            f" the image ({len(fill)} != {image.shape[-3]})"
        )
    return interpolation.value


def _grid_dtype(image: Tensor) -> Any:
    return image.dtype if image.is_floating_point() else rl.float32


def affine_arguments(
    angle: Any, translate: Any, scale: float, shear: Any, center: Any
) -> tuple[float, list[float], list[float], Any]:
    """(angle, translation, two shears, centre) as floats.  Raises: TypeError, ValueError."""
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, (list, tuple)):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if not isinstance(shear, (numbers.Number, list, tuple)):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    shears = [float(shear), 0.0] if isinstance(shear, numbers.Number) else [float(s) for s in shear]  # type: ignore[arg-type]
    shears = shears * 2 if len(shears) == 1 else shears
    if len(shears) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    middle = None if center is None else [float(c) for c in center]
    if middle is not None and len(middle) != 2:
        raise ValueError("Argument center should be a sequence of length 2")
    return float(angle), [float(t) for t in translate], shears, middle


def _from_middle(center: Any, height: int, width: int) -> list[float]:
    if center is None:
        return [0.0, 0.0]
    return [c - s * 0.5 for c, s in zip(center, [width, height])]


def affine_image(
    image: Tensor, angle: Any, translate: Any, scale: float, shear: Any,
    interpolation: Any = NEAREST, fill: Any = None, center: Any = None,
) -> Tensor:  # fmt: skip
    """Turn, shift, scale and shear around `center`."""
    mode = _checked(image, interpolation, fill)
    angle, translate, shear, center = affine_arguments(angle, translate, scale, shear, center)
    height, width = image.shape[-2:]
    if image.numel() == 0:
        return image
    matrix = inverse_affine_matrix(
        _from_middle(center, height, width), angle, translate, scale, shear
    )
    return _sampled(image, affine_grid(matrix, width, height, _grid_dtype(image)), mode, fill)


def affine_pil(
    image: Any, angle: Any, translate: Any, scale: float, shear: Any,
    interpolation: Any = NEAREST, fill: Any = None, center: Any = None,
) -> Any:  # fmt: skip
    """As `affine_image`."""
    angle, translate, shear, center = affine_arguments(angle, translate, scale, shear, center)
    middle = [image.width * 0.5, image.height * 0.5] if center is None else center
    matrix = inverse_affine_matrix(middle, angle, translate, scale, shear)
    return F_pil.affine(image, matrix, pil_modes_mapping[mode_of(interpolation)], fill)


def affine_mask(
    mask: Tensor, angle: Any, translate: Any, scale: float, shear: Any,
    interpolation: Any = NEAREST, fill: Any = None, center: Any = None,
) -> Tensor:  # fmt: skip
    """As `affine_image`, to the nearest pixel."""
    return _one_channel(affine_image)(mask, angle, translate, scale, shear, NEAREST, fill, center)


def rotate_image(
    image: Tensor, angle: float, interpolation: Any = NEAREST, expand: bool = False,
    center: Any = None, fill: Any = None,
) -> Tensor:  # fmt: skip
    """Turn against the clock by degrees."""
    angle = angle % 360
    height, width = image.shape[-2:]
    # Quarters of a turn need no sampling.
    if center is None:
        if angle == 0:
            return image.clone()
        if angle == 180:
            return image.flip(-1).flip(-2)
        if expand or width == height:
            if angle == 90:
                return image.transpose(-1, -2).flip(-2)
            if angle == 270:
                return image.transpose(-1, -2).flip(-1)
    mode = _checked(image, interpolation, fill)
    matrix = inverse_affine_matrix(
        _from_middle(center, height, width), -angle, [0.0, 0.0], 1.0, [0.0, 0.0]
    )
    if image.numel() == 0:
        return image
    size = affine_output_size(matrix, width, height) if expand else (width, height)
    return _sampled(image, affine_grid(matrix, width, height, _grid_dtype(image), size), mode, fill)


def rotate_pil(
    image: Any, angle: float, interpolation: Any = NEAREST, expand: bool = False,
    center: Any = None, fill: Any = None,
) -> Any:  # fmt: skip
    """As `rotate_image`."""
    return F_pil.rotate(
        image, angle, pil_modes_mapping[mode_of(interpolation)], expand, center, fill
    )


def rotate_mask(
    mask: Tensor, angle: float, interpolation: Any = NEAREST, expand: bool = False,
    center: Any = None, fill: Any = None,
) -> Tensor:  # fmt: skip
    """As `rotate_image`, to the nearest pixel."""
    return _one_channel(rotate_image)(mask, angle, NEAREST, expand, center, fill)


def coefficients_of(startpoints: Any, endpoints: Any, coefficients: Any) -> Sequence[float]:
    """The eight numbers, given or computed.  Raises: ValueError for both, or neither."""
    if coefficients is not None:
        if startpoints is not None and endpoints is not None:
            raise ValueError(
                "The startpoints/endpoints and the coefficients shouldn't be defined concurrently."
            )
        if len(coefficients) != 8:
            raise ValueError("Argument coefficients should have 8 float values")
        return coefficients
    if startpoints is None or endpoints is None:
        raise ValueError(
            "Either the startpoints/endpoints or the coefficients must have non `None` values."
        )
    return perspective_coefficients(startpoints, endpoints)


def perspective_image(
    image: Tensor, startpoints: Any, endpoints: Any, interpolation: Any = BILINEAR,
    fill: Any = None, coefficients: Any = None,
) -> Tensor:  # fmt: skip
    """Move the four corners `startpoints` (x, y) to `endpoints`."""
    found = coefficients_of(startpoints, endpoints, coefficients)
    mode = _checked(image, interpolation, fill)
    if image.numel() == 0:
        return image
    height, width = image.shape[-2:]
    return _sampled(image, perspective_grid(found, width, height, _grid_dtype(image)), mode, fill)


def perspective_pil(
    image: Any, startpoints: Any, endpoints: Any, interpolation: Any = BILINEAR,
    fill: Any = None, coefficients: Any = None,
) -> Any:  # fmt: skip
    """As `perspective_image`."""
    found = coefficients_of(startpoints, endpoints, coefficients)
    return F_pil.perspective(image, found, pil_modes_mapping[mode_of(interpolation)], fill)


def perspective_mask(
    mask: Tensor, startpoints: Any, endpoints: Any, interpolation: Any = NEAREST,
    fill: Any = None, coefficients: Any = None,
) -> Tensor:  # fmt: skip
    """As `perspective_image`, to the nearest pixel."""
    return _one_channel(perspective_image)(
        mask, startpoints, endpoints, NEAREST, fill, coefficients
    )


def identity_grid(height: int, width: int, dtype: Any) -> Tensor:
    """(1, H, W, 2): where each pixel is."""
    xs = rl.linspace((1 - width) / width, (width - 1) / width, width, dtype=dtype)
    ys = rl.linspace((1 - height) / height, (height - 1) / height, height, dtype=dtype).unsqueeze(
        -1
    )
    return rl.stack([xs.expand(height, width), ys.expand(height, width)], -1).unsqueeze(0)


def elastic_image(
    image: Tensor, displacement: Tensor, interpolation: Any = BILINEAR, fill: Any = None
) -> Tensor:
    """Move each pixel by `displacement` (1, H, W, 2).  Raises: TypeError, ValueError."""
    if not isinstance(displacement, Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    mode = _checked(image, interpolation, fill, (NEAREST, BILINEAR, BICUBIC))
    if image.numel() == 0:
        return image
    height, width = image.shape[-2:]
    if tuple(displacement.shape) != (1, height, width, 2):
        raise ValueError(
            f"Argument displacement shape should be {(1, height, width, 2)},"
            f" but given {tuple(displacement.shape)}"
        )
    dtype = _grid_dtype(image)
    grid = identity_grid(height, width, dtype).add(displacement.to(dtype))
    return _sampled(image, grid, mode, fill)


def elastic_pil(
    image: Any, displacement: Tensor, interpolation: Any = BILINEAR, fill: Any = None
) -> Any:
    """As `elastic_image`."""
    moved = elastic_image(F_v1.pil_to_tensor(image), displacement, interpolation, fill)
    return F_v1.to_pil_image(moved, mode=image.mode)


def elastic_mask(
    mask: Tensor, displacement: Tensor, interpolation: Any = NEAREST, fill: Any = None
) -> Tensor:
    """As `elastic_image`, to the nearest pixel."""
    return _one_channel(elastic_image)(mask, displacement, NEAREST, fill)


def _five_places(canvas: Any, size: Any) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    crop_h, crop_w = crop_size(size)
    height, width = canvas
    if crop_w > width or crop_h > height:
        raise ValueError(f"Requested crop size {size} is bigger than input size {(height, width)}")
    last_h, last_w = height - crop_h, width - crop_w
    middle = (round(last_h / 2.0), round(last_w / 2.0))
    return (crop_h, crop_w), [(0, 0), (0, last_w), (last_h, 0), (last_h, last_w), middle]


def five_crop_image(image: Tensor, size: Any) -> tuple[Tensor, ...]:
    """The four corners and the middle."""
    wanted, places = _five_places(image.shape[-2:], size)
    return tuple(crop_image(image, top, left, *wanted) for top, left in places)


def five_crop_pil(image: Any, size: Any) -> tuple[Any, ...]:
    """As `five_crop_image`."""
    wanted, places = _five_places((image.height, image.width), size)
    return tuple(F_pil.crop(image, top, left, *wanted) for top, left in places)


def ten_crop_image(image: Tensor, size: Any, vertical_flip: bool = False) -> tuple[Tensor, ...]:
    """`five_crop_image` of the image and of its mirror image."""
    mirrored = vertical_flip_image(image) if vertical_flip else horizontal_flip_image(image)
    return five_crop_image(image, size) + five_crop_image(mirrored, size)


def ten_crop_pil(image: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """As `ten_crop_image`."""
    mirrored = F_pil.vflip(image) if vertical_flip else F_pil.hflip(image)
    return five_crop_pil(image, size) + five_crop_pil(mirrored, size)

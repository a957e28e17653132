"""The first version of the transforms as functions, for PIL images and tensors (..., C, H, W).

In and out: one image, of the same kind.  Level 14.
"""

from __future__ import annotations

import numbers
import warnings
from typing import Any

import rushlight as rl
from rushlight import Tensor
from rushlight.vision.pillow import is_pil_image
from rushlight.vision.transforms import _functional_pil as F_pil
from rushlight.vision.transforms import _functional_tensor as F_t
from rushlight.vision.transforms.conversion import pil_to_tensor, to_pil_image, to_tensor
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

__all__ = [
    "InterpolationMode", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue",
    "adjust_saturation", "adjust_sharpness", "affine", "autocontrast", "center_crop",
    "convert_image_dtype", "crop", "elastic_transform", "equalize", "erase", "five_crop",
    "gaussian_blur", "get_dimensions", "get_image_num_channels", "get_image_size", "hflip",
    "invert", "normalize", "pad", "perspective", "pil_modes_mapping", "pil_to_tensor", "posterize",
    "resize", "resized_crop", "rgb_to_grayscale", "rotate", "solarize", "ten_crop",
    "to_grayscale", "to_pil_image", "to_tensor", "vflip",
]  # fmt: skip

_get_inverse_affine_matrix = inverse_affine_matrix
_get_perspective_coeffs = perspective_coefficients
_is_pil_image = is_pil_image
_interpolation_modes_from_int = mode_of


def _both(tensor_function: Any, pil_function: Any, img: Any, *arguments: Any) -> Any:
    function = tensor_function if isinstance(img, Tensor) else pil_function
    return function(img, *arguments)


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]."""
    return _both(F_t.get_dimensions, F_pil.get_dimensions, img)


def get_image_size(img: Any) -> list[int]:
    """[width, height]."""
    return _both(F_t.get_image_size, F_pil.get_image_size, img)


def get_image_num_channels(img: Any) -> int:
    """How many channels the image has."""
    return _both(F_t.get_image_num_channels, F_pil.get_image_num_channels, img)


def convert_image_dtype(image: Tensor, dtype: Any = rl.float32) -> Tensor:
    """A tensor image on the scale of another dtype.  Raises: TypeError, RuntimeError."""
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    return F_t.convert_image_dtype(image, dtype)


def normalize(tensor: Tensor, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """`(tensor - mean) / std`, channel by channel, of a floating tensor (..., C, H, W).

    Raises: TypeError, ValueError.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    return F_t.normalize(tensor, mean, std, inplace)


def resize(
    img: Any, size: Any, interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None, antialias: bool | None = True,
) -> Any:  # fmt: skip
    """Resize to (height, width), or the shorter edge to one number, the longer at most `max_size`.

    Raises: TypeError, ValueError.
    """
    interpolation = mode_of(interpolation)
    if isinstance(size, (list, tuple)):
        if len(size) not in (1, 2):
            raise ValueError(
                f"Size must be an int or a 1 or 2 element"
                f" tuple/list, not a {len(size)} element tuple/list"
            )
        if max_size is not None and len(size) != 1:
            raise ValueError(
                "max_size should only be passed if size specifies the length of the smaller edge,"
                " i.e. size should be an int or a sequence of length 1 in torchscript mode."
            )
    _, height, width = get_dimensions(img)
    wanted = [size] if isinstance(size, int) else size
    output = resized_size((height, width), wanted, max_size, allow_none=True)
    if [height, width] == output:
        return img
    if isinstance(img, Tensor):
        if interpolation.value not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
            raise ValueError(
                f"Interpolation mode '{interpolation.value}' is unsupported with Tensor input"
            )
        return F_t.resize(img, output, interpolation.value, bool(antialias))
    if antialias is False:
        warnings.warn(
            "Anti-alias option is always applied for PIL"
            " Image input. Argument antialias is ignored.",
            stacklevel=2,
        )
    return F_pil.resize(img, output, pil_modes_mapping[interpolation])


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Add pixels: a number, (left/right, top/bottom), or (left, top, right, bottom).

    padding_mode: constant, edge, reflect or symmetric.  Raises: TypeError, ValueError.
    """
    return _both(F_t.pad, F_pil.pad, img, padding, fill, padding_mode)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A rectangle; black where it reaches beyond the image."""
    return _both(F_t.crop, F_pil.crop, img, top, left, height, width)


def center_crop(img: Any, output_size: Any) -> Any:
    """The middle of the image; padded with black where it is smaller."""
    if isinstance(output_size, numbers.Number):
        output_size = (int(output_size), int(output_size))  # type: ignore[call-overload]
    elif len(output_size) == 1:
        output_size = (output_size[0], output_size[0])
    _, height, width = get_dimensions(img)
    crop_h, crop_w = output_size
    if crop_w > width or crop_h > height:
        img = pad(img, [
            (crop_w - width) // 2 if crop_w > width else 0,
            (crop_h - height) // 2 if crop_h > height else 0,
            (crop_w - width + 1) // 2 if crop_w > width else 0,
            (crop_h - height + 1) // 2 if crop_h > height else 0,
        ], fill=0)  # fmt: skip
        _, height, width = get_dimensions(img)
        if crop_w == width and crop_h == height:
            return img
    top = round((height - crop_h) / 2.0)
    left = round((width - crop_w) / 2.0)
    return crop(img, top, left, crop_h, crop_w)


def resized_crop(
    img: Any, top: int, left: int, height: int, width: int, size: Any,
    interpolation: Any = InterpolationMode.BILINEAR, antialias: bool | None = True,
) -> Any:  # fmt: skip
    """Crop, then resize."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def hflip(img: Any) -> Any:
    """Left and right exchanged."""
    return _both(F_t.hflip, F_pil.hflip, img)


def vflip(img: Any) -> Any:
    """Top and bottom exchanged."""
    return _both(F_t.vflip, F_pil.vflip, img)


def perspective(
    img: Any, startpoints: Any, endpoints: Any, interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:  # fmt: skip
    """Move the four corners `startpoints` (x, y) to `endpoints`."""
    coefficients = perspective_coefficients(startpoints, endpoints)
    interpolation = mode_of(interpolation)
    if isinstance(img, Tensor):
        return F_t.perspective(img, coefficients, interpolation.value, fill)
    return F_pil.perspective(img, coefficients, pil_modes_mapping[interpolation], fill)


def _two(size: Any) -> tuple[int, int]:
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    return size[0], size[1]


def five_crop(img: Any, size: Any) -> tuple[Any, ...]:
    """The four corners and the middle.  Raises: ValueError for a size beyond the image."""
    crop_h, crop_w = _two(size)
    _, height, width = get_dimensions(img)
    if crop_w > width or crop_h > height:
        raise ValueError(f"Requested crop size {size} is bigger than input size {(height, width)}")
    return (
        crop(img, 0, 0, crop_h, crop_w),
        crop(img, 0, width - crop_w, crop_h, crop_w),
        crop(img, height - crop_h, 0, crop_h, crop_w),
        crop(img, height - crop_h, width - crop_w, crop_h, crop_w),
        center_crop(img, [crop_h, crop_w]),
    )


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image and of its mirror image."""
    size = _two(size)
    mirrored = vflip(img) if vertical_flip else hflip(img)
    return five_crop(img, size) + five_crop(mirrored, size)


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """0 is black, 1 the image, 2 twice as bright."""
    return _both(F_t.adjust_brightness, F_pil.adjust_brightness, img, brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """0 is plain gray, 1 the image."""
    return _both(F_t.adjust_contrast, F_pil.adjust_contrast, img, contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """0 is black and white, 1 the image."""
    return _both(F_t.adjust_saturation, F_pil.adjust_saturation, img, saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turn all colours by -0.5 … 0.5 of the colour circle."""
    return _both(F_t.adjust_hue, F_pil.adjust_hue, img, hue_factor)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """`255 gain (x / 255)^gamma`."""
    return _both(F_t.adjust_gamma, F_pil.adjust_gamma, img, gamma, gain)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """0 is blurred, 1 the image, 2 sharper."""
    return _both(F_t.adjust_sharpness, F_pil.adjust_sharpness, img, sharpness_factor)


def rotate(
    img: Any, angle: float, interpolation: Any = InterpolationMode.NEAREST, expand: bool = False,
    center: Any = None, fill: Any = None,
) -> Any:  # fmt: skip
    """Turn against the clock by degrees around `center` (x, y), the image's by default.

    expand: make the canvas as large as the turned image.  Raises: TypeError.
    """
    interpolation = mode_of(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    if not isinstance(img, Tensor):
        return F_pil.rotate(img, angle, pil_modes_mapping[interpolation], expand, center, fill)
    _, height, width = get_dimensions(img)
    middle = [0.0, 0.0]
    if center is not None:
        middle = [1.0 * (c - s * 0.5) for c, s in zip(center, [width, height])]
    # On the screen the vertical axis points down: its angles run with the clock.
    matrix = inverse_affine_matrix(middle, -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    size = affine_output_size(matrix, width, height) if expand else None
    return F_t.rotate(img, matrix, interpolation.value, expand, fill, size)


def affine(
    img: Any, angle: float, translate: Any, scale: float, shear: Any,
    interpolation: Any = InterpolationMode.NEAREST, fill: Any = None, center: Any = None,
) -> Any:  # fmt: skip
    """Turn (degrees, clockwise), shift (pixels), scale and shear (degrees) around `center`.

    Raises: TypeError, ValueError.
    """
    interpolation = mode_of(interpolation)
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
    shear = [float(shear), 0.0] if isinstance(shear, numbers.Number) else list(shear)  # type: ignore[arg-type]
    if len(shear) == 1:
        shear = [shear[0], shear[0]]
    if len(shear) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    _, height, width = get_dimensions(img)
    if not isinstance(img, Tensor):
        middle = [width * 0.5, height * 0.5] if center is None else center
        matrix = inverse_affine_matrix(middle, float(angle), list(translate), scale, shear)
        return F_pil.affine(img, matrix, pil_modes_mapping[interpolation], fill)
    middle = [0.0, 0.0]
    if center is not None:
        middle = [1.0 * (c - s * 0.5) for c, s in zip(center, [width, height])]
    shift = [1.0 * t for t in translate]
    matrix = inverse_affine_matrix(middle, float(angle), shift, scale, shear)
    return F_t.affine(img, matrix, interpolation.value, fill)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """A PIL image in gray, with one or three equal channels.  Raises: TypeError for tensors."""
    if is_pil_image(img):
        return F_pil.to_grayscale(img, num_output_channels)
    raise TypeError("Input should be PIL Image")


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """In gray, with one or three equal channels."""
    return _both(F_t.rgb_to_grayscale, F_pil.to_grayscale, img, num_output_channels)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Tensor:
    """Write `v` over the rectangle at row `i`, column `j`.  Raises: TypeError for PIL images."""
    if not isinstance(img, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    return F_t.erase(img, i, j, h, w, v, inplace)


def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Blur by a Gaussian of `kernel_size` (x, y), odd.

    sigma: standard deviation; by default 0.15 of the size and 0.35 more.
    Raises: TypeError, ValueError.
    """
    if not isinstance(kernel_size, (int, list, tuple)):
        raise TypeError(
            f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}"
        )
    sizes = [kernel_size, kernel_size] if isinstance(kernel_size, int) else list(kernel_size)
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    for size in sizes:
        if size % 2 == 0 or size < 0:
            raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    if sigma is None:
        sigma = [size * 0.15 + 0.35 for size in sizes]
    if not isinstance(sigma, (int, float, list, tuple)):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    sigmas = [float(sigma)] * 2 if isinstance(sigma, (int, float)) else [float(s) for s in sigma]
    if len(sigmas) == 1:
        sigmas *= 2
    if len(sigmas) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(sigmas)}")
    if min(sigmas) <= 0.0:
        raise ValueError(f"sigma should have positive values. Got {sigmas}")
    if isinstance(img, Tensor):
        return F_t.gaussian_blur(img, sizes, sigmas)
    if not is_pil_image(img):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")
    return to_pil_image(F_t.gaussian_blur(pil_to_tensor(img), sizes, sigmas), mode=img.mode)


def invert(img: Any) -> Any:
    """The negative."""
    return _both(F_t.invert, F_pil.invert, img)


def posterize(img: Any, bits: int) -> Any:
    """Keep the `bits` highest bits of each byte.  Raises: ValueError beyond 0 … 8."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    return _both(F_t.posterize, F_pil.posterize, img, bits)


def solarize(img: Any, threshold: float) -> Any:
    """Invert what is at least `threshold`."""
    return _both(F_t.solarize, F_pil.solarize, img, threshold)


def autocontrast(img: Any) -> Any:
    """Stretch each channel over the whole range."""
    return _both(F_t.autocontrast, F_pil.autocontrast, img)


def equalize(img: Any) -> Any:
    """Make all levels about equally frequent."""
    return _both(F_t.equalize, F_pil.equalize, img)


def elastic_transform(
    img: Any, displacement: Tensor, interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:  # fmt: skip
    """Move each pixel by `displacement` (1, H, W, 2).  Raises: TypeError, ValueError."""
    interpolation = mode_of(interpolation)
    if not isinstance(displacement, Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    tensor = img
    if not isinstance(img, Tensor):
        if not is_pil_image(img):
            raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")
        tensor = pil_to_tensor(img)
    expected = (1, *tensor.shape[-2:], 2)
    if tuple(displacement.shape) != expected:
        raise ValueError(
            f"Argument displacement shape should be {expected}, but given {displacement.shape}"
        )
    output = F_t.elastic_transform(tensor, displacement, interpolation.value, fill)
    return output if isinstance(img, Tensor) else to_pil_image(output, mode=img.mode)

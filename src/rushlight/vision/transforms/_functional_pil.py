"""What transforms do to an image of Pillow's.

In and out: `PIL.Image.Image`.  Level 14.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.vision.pillow import Image, ImageEnhance, ImageOps, is_pil_image


def _check(img: Any) -> None:
    if not is_pil_image(img):
        raise TypeError(f"img should be PIL Image. Got {type(img)}")


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]."""
    _check(img)
    width, height = img.size
    return [get_image_num_channels(img), height, width]


def get_image_size(img: Any) -> list[int]:
    """[width, height]."""
    _check(img)
    return list(img.size)


def get_image_num_channels(img: Any) -> int:
    """How many bands the image has."""
    _check(img)
    return len(img.getbands())


def hflip(img: Any) -> Any:
    """Left and right exchanged."""
    _check(img)
    return img.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def vflip(img: Any) -> Any:
    """Top and bottom exchanged."""
    _check(img)
    return img.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """0 is black, 1 the image."""
    _check(img)
    return ImageEnhance.Brightness(img).enhance(brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """0 is gray, 1 the image."""
    _check(img)
    return ImageEnhance.Contrast(img).enhance(contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """0 is black and white, 1 the image."""
    _check(img)
    return ImageEnhance.Color(img).enhance(saturation_factor)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """0 is blurred, 1 the image."""
    _check(img)
    return ImageEnhance.Sharpness(img).enhance(sharpness_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turn the circle of colours by part of its round.  Raises: ValueError beyond half one."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    _check(img)
    mode = img.mode
    if mode in ("L", "1", "I", "F"):
        return img
    hue, saturation, value = img.convert("HSV").split()
    turned = np.array(hue, dtype=np.uint8)
    with np.errstate(over="ignore"):
        turned += np.int32(hue_factor * 255).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert(mode)


def adjust_gamma(img: Any, gamma: float, gain: float = 1.0) -> Any:
    """`255 gain (x / 255)^gamma`.  Raises: ValueError for a negative gamma."""
    _check(img)
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    mode = img.mode
    table = [int((255 + 1 - 1e-3) * gain * pow(level / 255.0, gamma)) for level in range(256)]
    return img.convert("RGB").point(table * 3).convert(mode)


def pad_sizes(padding: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) from a number, a pair or four numbers."""
    if isinstance(padding, int):
        return padding, padding, padding, padding
    sizes = list(padding)
    if len(sizes) == 1:
        sizes *= 4
    elif len(sizes) == 2:
        sizes = [sizes[0], sizes[1], sizes[0], sizes[1]]
    if len(sizes) != 4:
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element"
            f" tuple, not a {len(sizes)} element tuple"
        )
    left, top, right, bottom = sizes
    return left, top, right, bottom


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Add pixels at the four sides.  Raises: TypeError, ValueError for padding it cannot read."""
    _check(img)
    if not isinstance(padding, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if fill is not None and not isinstance(fill, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate fill arg")
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    left, top, right, bottom = pad_sizes(padding)
    if padding_mode == "constant":
        options = parse_fill(fill, img, name="fill")
        border = (left, top, right, bottom)
        if img.mode == "P":
            padded = ImageOps.expand(img, border=border, **options)
            padded.putpalette(img.getpalette())
            return padded
        return ImageOps.expand(img, border=border, **options)
    if min(left, top, right, bottom) < 0:
        width, height = img.size
        img = img.crop(
            (max(-left, 0), max(-top, 0), width - max(-right, 0), height - max(-bottom, 0))
        )
        left, top, right, bottom = (max(n, 0) for n in (left, top, right, bottom))
    palette = img.getpalette() if img.mode == "P" else None
    array = np.asarray(img)
    widths = [(top, bottom), (left, right)] + [(0, 0)] * (array.ndim - 2)
    found = Image.fromarray(np.pad(array, widths, mode=padding_mode))  # type: ignore[call-overload]
    if palette is not None:
        found = found.convert("P") if found.mode != "L" else found
        found.putpalette(palette)
    return found


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A rectangle of the image; black where it reaches beyond."""
    _check(img)
    return img.crop((left, top, left + width, top + height))


def resize(img: Any, size: Sequence[int], interpolation: int = 2) -> Any:
    """Resize to (height, width)."""
    _check(img)
    if not (isinstance(size, list) and len(size) == 2):
        raise TypeError(f"Got inappropriate size arg: {size}")
    return img.resize(tuple(size[::-1]), interpolation)


def parse_fill(fill: Any, img: Any, name: str = "fillcolor") -> dict[str, Any]:
    """The fill as Pillow's argument: one number for each band."""
    bands = get_image_num_channels(img)
    if fill is None:
        fill = 0
    if isinstance(fill, (int, float)) and bands > 1:
        fill = tuple([fill] * bands)
    if isinstance(fill, (list, tuple)):
        if len(fill) == 1:
            fill = tuple(fill) * bands
        elif len(fill) != bands:
            raise ValueError(
                "The number of elements in 'fill' does not match the number of channels of the "
                f"image ({len(fill)} != {bands})"
            )
        fill = tuple(fill)
    if img.mode != "F":
        if isinstance(fill, (list, tuple)):
            fill = tuple(int(x) for x in fill)
        else:
            fill = int(fill)
        if bands == 1 and isinstance(fill, tuple):
            fill = fill[0]
    return {name: fill}


def affine(img: Any, matrix: Sequence[float], interpolation: int = 0, fill: Any = None) -> Any:
    """Each pixel from where `matrix` (2 x 3, row by row) says."""
    _check(img)
    options = parse_fill(fill, img)
    return img.transform(img.size, Image.Transform.AFFINE, matrix, interpolation, **options)


def rotate(
    img: Any, angle: float, interpolation: int = 0, expand: bool = False,
    center: Any = None, fill: Any = None,
) -> Any:  # fmt: skip
    """Turn against the clock by degrees."""
    _check(img)
    options = parse_fill(fill, img)
    return img.rotate(angle, interpolation, expand, center, **options)


def perspective(
    img: Any, coefficients: Sequence[float], interpolation: int = 3, fill: Any = None
) -> Any:
    """Each pixel from where the eight coefficients say."""
    _check(img)
    options = parse_fill(fill, img)
    return img.transform(
        img.size, Image.Transform.PERSPECTIVE, coefficients, interpolation, **options
    )


def to_grayscale(img: Any, num_output_channels: int) -> Any:
    """Gray, once or three times.  Raises: ValueError for another number."""
    _check(img)
    gray = img.convert("L")
    if num_output_channels == 1:
        return gray
    if num_output_channels != 3:
        raise ValueError("num_output_channels should be either 1 or 3")
    return Image.merge("RGB", (gray, gray, gray))


def invert(img: Any) -> Any:
    """The negative."""
    _check(img)
    return ImageOps.invert(img)


def posterize(img: Any, bits: int) -> Any:
    """Keep the highest bits of each pixel."""
    _check(img)
    return ImageOps.posterize(img, bits)


def solarize(img: Any, threshold: float) -> Any:
    """Invert what is at least `threshold`."""
    _check(img)
    return ImageOps.solarize(img, threshold)  # type: ignore[arg-type]


def autocontrast(img: Any) -> Any:
    """Stretch each band over the whole range."""
    _check(img)
    return ImageOps.autocontrast(img)


def equalize(img: Any) -> Any:
    """Make all levels about equally frequent."""
    _check(img)
    return ImageOps.equalize(img)

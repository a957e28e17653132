"""What transforms do to an image that is a tensor of (..., C, H, W).

In and out: tensors; integer images hold 0 … 255 (or the highest number of their dtype), floating
ones 0 … 1.  Gradients flow wherever the operation has one.  Level 14.
"""

from __future__ import annotations

import functools
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor
from rushlight.tensor.tensor import tensor_from_numpy
from rushlight.vision.transforms.sampling import affine_grid, perspective_grid, sample

_FLOATS = (rl.float32, rl.float64)
_MAXIMA = {rl.uint8: 255, rl.int8: 127, rl.int16: 32767, rl.int32: 2**31 - 1, rl.int64: 2**63 - 1}


def is_image(x: Tensor) -> bool:
    """Whether the tensor has at least height and width."""
    return x.ndim >= 2


def check_image(img: Any) -> None:
    """Raises: TypeError unless it is a tensor with height and width."""
    if not isinstance(img, Tensor) or img.ndim < 2:
        raise TypeError("Tensor is not a torch image.")


def check_channels(img: Tensor, permitted: Sequence[int]) -> None:
    """Raises: TypeError for another number of channels."""
    channels = get_dimensions(img)[0]
    if channels not in permitted:
        raise TypeError(
            f"Input image tensor permitted channel values are {list(permitted)}, but found"
            f" {channels}"
        )


def get_dimensions(img: Tensor) -> list[int]:
    """[channels, height, width]."""
    check_image(img)
    channels = 1 if img.ndim == 2 else img.shape[-3]
    return [channels, *img.shape[-2:]]


def get_image_size(img: Tensor) -> list[int]:
    """[width, height]."""
    check_image(img)
    return [img.shape[-1], img.shape[-2]]


def get_image_num_channels(img: Tensor) -> int:
    """How many channels the image has."""
    return get_dimensions(img)[0]


def max_value(dtype: Any) -> int:
    """The number that means full brightness."""
    return _MAXIMA.get(dtype, 1)


def convert_image_dtype(image: Tensor, dtype: Any = rl.float32) -> Tensor:
    """The same image on the scale of another dtype.

    Raises: RuntimeError where a float cannot hold the integers.
    """
    if image.dtype == dtype:
        return image
    if image.is_floating_point():
        if dtype.is_floating_point:
            return image.to(dtype)
        if (image.dtype == rl.float32 and dtype in (rl.int32, rl.int64)) or (
            image.dtype == rl.float64 and dtype == rl.int64
        ):
            raise RuntimeError(
                f"The cast from {image.dtype} to {dtype} cannot be performed safely."
            )
        # A little less than one more: all levels get an equal share of 0 … 1.
        return image.mul(max_value(dtype) + 1.0 - 1e-3).to(dtype)
    input_max = max_value(image.dtype)
    if dtype.is_floating_point:
        return image.to(dtype) / input_max
    output_max = max_value(dtype)
    if input_max > output_max:
        factor = (input_max + 1) // (output_max + 1)
        return rl.div(image, factor, rounding_mode="floor").to(dtype)
    factor = (output_max + 1) // (input_max + 1)
    return image.to(dtype) * factor


def hflip(img: Tensor) -> Tensor:
    """Left and right exchanged."""
    check_image(img)
    return img.flip(-1)


def vflip(img: Tensor) -> Tensor:
    """Top and bottom exchanged."""
    check_image(img)
    return img.flip(-2)


def crop(img: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """A rectangle of the image; zeros where it reaches beyond."""
    check_image(img)
    h, w = img.shape[-2:]
    bottom, right = top + height, left + width
    if left < 0 or top < 0 or right > w or bottom > h:
        padding = [
            max(-left + min(0, right), 0), max(right - max(w, left), 0),
            max(-top + min(0, bottom), 0), max(bottom - max(h, top), 0),
        ]  # fmt: skip
        inner = img[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        return F.pad(inner, padding)
    return img[..., top:bottom, left:right]


def rgb_to_grayscale(img: Tensor, num_output_channels: int = 1) -> Tensor:
    """Luma of red, green and blue (ITU-R 601-2).  Raises: TypeError, ValueError."""
    if img.ndim < 3:
        raise TypeError(
            f"Input image tensor should have at least 3 dimensions, but found {img.ndim}"
        )
    check_channels(img, [1, 3])
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if img.shape[-3] == 3:
        r, g, b = img.unbind(dim=-3)
        img = (0.2989 * r + 0.587 * g + 0.114 * b).to(img.dtype).unsqueeze(dim=-3)
    else:
        img = img.clone()
    return img.expand(*img.shape[:-3], 3, *img.shape[-2:]) if num_output_channels == 3 else img


def blend(first: Tensor, second: Tensor, ratio: float) -> Tensor:
    """`ratio first + (1 - ratio) second` within the range of the dtype."""
    ratio = float(ratio)
    mixed = ratio * first + (1.0 - ratio) * second
    return mixed.clamp(0, max_value(first.dtype)).to(first.dtype)


def _check_factor(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def adjust_brightness(img: Tensor, factor: float) -> Tensor:
    """0 is black, 1 the image."""
    _check_factor("brightness_factor", factor)
    check_image(img)
    check_channels(img, [1, 3])
    return blend(img, rl.zeros_like(img), factor)


def adjust_contrast(img: Tensor, factor: float) -> Tensor:
    """0 is gray, 1 the image."""
    _check_factor("contrast_factor", factor)
    check_image(img)
    check_channels(img, [3, 1])
    dtype = img.dtype if img.is_floating_point() else rl.float32
    gray = rgb_to_grayscale(img) if img.shape[-3] == 3 else img
    return blend(img, gray.to(dtype).mean(dim=(-3, -2, -1), keepdim=True), factor)


def adjust_saturation(img: Tensor, factor: float) -> Tensor:
    """0 is black and white, 1 the image."""
    _check_factor("saturation_factor", factor)
    check_image(img)
    check_channels(img, [1, 3])
    if img.shape[-3] == 1:
        return img
    return blend(img, rgb_to_grayscale(img), factor)


def adjust_hue(img: Tensor, factor: float) -> Tensor:
    """Turn the circle of colours by `factor` of its round.  Raises: ValueError, TypeError."""
    if not -0.5 <= factor <= 0.5:
        raise ValueError(f"hue_factor ({factor}) is not in [-0.5, 0.5].")
    if not isinstance(img, Tensor):
        raise TypeError("Input img should be Tensor image")
    check_image(img)
    check_channels(img, [1, 3])
    if img.shape[-3] == 1:
        return img
    hue, saturation, value = rgb_to_hsv(convert_image_dtype(img, rl.float32)).unbind(dim=-3)
    hue = (hue + factor) % 1.0
    return convert_image_dtype(hsv_to_rgb(rl.stack((hue, saturation, value), dim=-3)), img.dtype)


def rgb_to_hsv(img: Tensor) -> Tensor:
    """Hue, saturation and value, each 0 … 1, of a floating image."""
    r, g, b = img.unbind(dim=-3)
    high = rl.max(img, dim=-3).values
    low = rl.min(img, dim=-3).values
    # Gray pixels have no hue: their differences are zero and must not divide.
    gray = high == low
    span = high - low
    ones = rl.ones_like(high)
    saturation = span / rl.where(gray, ones, high)
    divisor = rl.where(gray, ones, span)
    red, green, blue = (high - r) / divisor, (high - g) / divisor, (high - b) / divisor
    is_red = high == r
    is_green = high == g
    from_red = is_red * (blue - green)
    from_green = (is_green & ~is_red) * (2.0 + red - blue)
    from_blue = (~is_green & ~is_red) * (4.0 + green - red)
    hue = rl.fmod((from_red + from_green + from_blue) / 6.0 + 1.0, 1.0)
    return rl.stack((hue, saturation, high), dim=-3)


def hsv_to_rgb(img: Tensor) -> Tensor:
    """The reverse of `rgb_to_hsv`."""
    h, s, v = img.unbind(dim=-3)
    sector = rl.floor(h * 6.0)
    f = h * 6.0 - sector
    sector = sector.to(rl.int32) % 6
    p = rl.clamp(v * (1.0 - s), 0.0, 1.0)
    q = rl.clamp(v * (1.0 - s * f), 0.0, 1.0)
    t = rl.clamp(v * (1.0 - s * (1.0 - f)), 0.0, 1.0)
    parts = ((v, q, p, p, t, v), (t, v, v, q, p, p), (p, p, t, v, v, q))
    channels = []
    for choices in parts:
        found = choices[5]
        for number in range(4, -1, -1):
            found = rl.where(sector == number, choices[number], found)
        channels.append(found)
    return rl.stack(channels, dim=-3)


def adjust_gamma(img: Tensor, gamma: float, gain: float = 1.0) -> Tensor:
    """`gain x^gamma` on the scale 0 … 1.  Raises: TypeError, ValueError."""
    if not isinstance(img, Tensor):
        raise TypeError("Input img should be a Tensor.")
    check_channels(img, [1, 3])
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    dtype = img.dtype
    found = img if img.is_floating_point() else convert_image_dtype(img, rl.float32)
    return convert_image_dtype((gain * found**gamma).clamp(0, 1), dtype)


def cast_in(img: Tensor, permitted: Sequence[Any] = _FLOATS) -> tuple[Tensor, bool, bool, Any]:
    """(the image as a batch of a permitted dtype, cast or not, batch axis added or not, dtype)."""
    squeeze = img.ndim < 4
    if squeeze:
        img = img.unsqueeze(dim=0)
    dtype = img.dtype
    cast = dtype not in permitted
    return (img.to(permitted[0]) if cast else img), cast, squeeze, dtype


def cast_out(img: Tensor, cast: bool, squeeze: bool, dtype: Any) -> Tensor:
    """The reverse of `cast_in`; integers are rounded to the nearest, halves to even."""
    if squeeze:
        img = img.squeeze(dim=0)
    if cast:
        img = img.to(dtype) if dtype.is_floating_point else rl.round(img).to(dtype)
    return img


def _symmetric(img: Tensor, padding: Sequence[int]) -> Tensor:
    left, right, top, bottom = padding
    height, width = img.shape[-2:]
    columns = rl.tensor([*range(left - 1, -1, -1), *range(width), *range(-1, -right - 1, -1)])
    rows = rl.tensor([*range(top - 1, -1, -1), *range(height), *range(-1, -bottom - 1, -1)])
    return img[..., rows % height, :][..., :, columns % width]


def pad(img: Tensor, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Tensor:
    """Add pixels at the four sides.  Raises: TypeError, ValueError for padding it cannot read."""
    check_image(img)
    if fill is None:
        fill = 0
    if not isinstance(padding, (int, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if not isinstance(fill, (int, float)):
        raise TypeError("Got inappropriate fill arg")
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    if isinstance(padding, (tuple, list)) and len(padding) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element"
            " tuple"
        )
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    sizes = pad_order(padding)
    if padding_mode == "constant":
        return F.pad(img, sizes, mode="constant", value=float(fill))
    if min(sizes) < 0:
        height, width = img.shape[-2:]
        cut = [min(n, 0) for n in sizes]
        img = img[..., -cut[2] : height + cut[3], -cut[0] : width + cut[1]]
        sizes = [max(n, 0) for n in sizes]
    if padding_mode == "symmetric":
        return _symmetric(img, sizes)
    batch, cast, squeeze, dtype = cast_in(img)
    mode = "replicate" if padding_mode == "edge" else padding_mode
    shape = batch.shape
    batch = batch.reshape(-1, *shape[-3:]) if batch.ndim > 4 else batch
    batch = F.pad(batch, sizes, mode=mode)
    batch = batch.reshape(*shape[:-2], *batch.shape[-2:]) if len(shape) > 4 else batch
    return cast_out(batch, cast, squeeze, dtype)


def pad_order(padding: Any) -> list[int]:
    """[left, right, top, bottom] from a number, a pair or (left, top, right, bottom)."""
    if isinstance(padding, int):
        return [padding] * 4
    if len(padding) == 1:
        return [padding[0]] * 4
    if len(padding) == 2:
        return [padding[0], padding[0], padding[1], padding[1]]
    return [padding[0], padding[2], padding[1], padding[3]]


def resize(
    img: Tensor, size: Any, interpolation: str = "bilinear", antialias: bool = True
) -> Tensor:
    """Resize to (height, width); integer images are computed in float32 and rounded."""
    check_image(img)
    antialias = antialias and interpolation in ("bilinear", "bicubic")
    batch, cast, squeeze, dtype = cast_in(img)
    align = False if interpolation in ("bilinear", "bicubic") else None
    batch = F.interpolate(
        batch, size=list(size), mode=interpolation, align_corners=align, antialias=antialias
    )
    if interpolation == "bicubic" and dtype == rl.uint8:
        batch = batch.clamp(min=0, max=255)
    return cast_out(batch, cast, squeeze, dtype)


def _sample_image(img: Tensor, grid: Tensor, mode: str, fill: Any) -> Tensor:
    batch, cast, squeeze, dtype = cast_in(img, [grid.dtype])
    return cast_out(sample(batch, grid, mode, fill, older=True), cast, squeeze, dtype)


def affine(
    img: Tensor, matrix: Sequence[float], interpolation: str = "nearest", fill: Any = None
) -> Tensor:
    """Each pixel from where `matrix` says, with the image's centre as origin."""
    check_transform_inputs(img, interpolation, fill, ["nearest", "bilinear"], len(matrix), 6)
    height, width = img.shape[-2:]
    dtype = img.dtype if img.is_floating_point() else rl.float32
    return _sample_image(img, affine_grid(matrix, width, height, dtype), interpolation, fill)


def check_transform_inputs(
    img: Tensor, interpolation: str, fill: Any, modes: Sequence[str], given: int, needed: int
) -> None:
    """Raises: TypeError, ValueError for what a geometric transform cannot use."""
    if not isinstance(img, Tensor):
        raise TypeError("Input img should be Tensor")
    check_image(img)
    if given != needed:
        raise ValueError(f"Argument matrix should have {needed} float values")
    if fill is not None and not isinstance(fill, (int, float, tuple, list)):
        raise TypeError("Argument fill should be either int, float, tuple or list")
    if isinstance(fill, (tuple, list)):
        channels = get_dimensions(img)[0]
        if len(fill) > 1 and len(fill) != channels:
            raise ValueError(
                "The number of elements in 'fill' cannot broadcast to match the number of channels"
                f" of the image ({len(fill)} != {channels})"
            )
    if interpolation not in modes:
        raise ValueError(f"Interpolation mode '{interpolation}' is unsupported with Tensor input")


def rotate(
    img: Tensor, matrix: Sequence[float], interpolation: str = "nearest", expand: bool = False,
    fill: Any = None, size: tuple[int, int] | None = None,
) -> Tensor:  # fmt: skip
    """As `affine`, onto a canvas of `size` (width, height) where `expand`."""
    check_transform_inputs(img, interpolation, fill, ["nearest", "bilinear"], len(matrix), 6)
    height, width = img.shape[-2:]
    output = size if expand and size is not None else (width, height)
    dtype = img.dtype if img.is_floating_point() else rl.float32
    return _sample_image(
        img, affine_grid(matrix, width, height, dtype, output), interpolation, fill
    )


def perspective(
    img: Tensor, coefficients: Sequence[float], interpolation: str = "bilinear", fill: Any = None
) -> Tensor:
    """Each pixel from where the eight coefficients say."""
    check_transform_inputs(img, interpolation, fill, ["nearest", "bilinear"], len(coefficients), 8)
    height, width = img.shape[-2:]
    dtype = img.dtype if img.is_floating_point() else rl.float32
    grid = perspective_grid(coefficients, width, height, dtype)
    return _sample_image(img, grid, interpolation, fill)


def elastic_transform(
    img: Tensor, displacement: Tensor, interpolation: str = "bilinear", fill: Any = None
) -> Tensor:
    """Each pixel from its place moved by `displacement` (1, H, W, 2) in halves of the image."""
    check_image(img)
    height, width = img.shape[-2:]
    displacement = displacement.to(rl.float32)
    xs = rl.linspace((1 - width) / width, (width - 1) / width, width)
    ys = rl.linspace((1 - height) / height, (height - 1) / height, height).unsqueeze(-1)
    identity = rl.stack([xs.expand(height, width), ys.expand(height, width)], -1).unsqueeze(0)
    return _sample_image(img, identity + displacement, interpolation, fill)


def gaussian_kernel1d(size: int, sigma: float, dtype: Any) -> Tensor:
    """Weights of a Gaussian at `size` places around its middle, with sum 1."""
    half = (size - 1) * 0.5
    places = rl.linspace(-half, half, steps=size, dtype=dtype)
    weights = rl.exp(-0.5 * (places / sigma).pow(2))
    return weights / weights.sum()


def gaussian_blur(img: Tensor, kernel_size: Sequence[int], sigma: Sequence[float]) -> Tensor:
    """Blur by a Gaussian; the borders are mirrored."""
    check_image(img)
    dtype = img.dtype if img.is_floating_point() else rl.float32
    across = gaussian_kernel1d(kernel_size[0], sigma[0], dtype)
    down = gaussian_kernel1d(kernel_size[1], sigma[1], dtype)
    kernel = down[:, None] * across[None, :]
    kernel = kernel.expand(img.shape[-3], 1, *kernel.shape)
    batch, cast, squeeze, out = cast_in(img, [kernel.dtype])
    half_w, half_h = kernel_size[0] // 2, kernel_size[1] // 2
    batch = F.pad(batch, [half_w, half_w, half_h, half_h], mode="reflect")
    batch = F.conv2d(batch, kernel, groups=batch.shape[-3])
    return cast_out(batch, cast, squeeze, out)


def invert(img: Tensor) -> Tensor:
    """The negative."""
    check_image(img)
    check_channels(img, [1, 3])
    return max_value(img.dtype) - img


def posterize(img: Tensor, bits: int) -> Tensor:
    """Keep the highest bits of each byte.  Raises: TypeError for other dtypes."""
    check_image(img)
    if img.dtype != rl.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    check_channels(img, [1, 3])
    return img & (256 - int(2 ** (8 - bits)))


def solarize(img: Tensor, threshold: float) -> Tensor:
    """Invert what is at least `threshold`.  Raises: TypeError beyond the dtype's range."""
    check_image(img)
    check_channels(img, [1, 3])
    if threshold > max_value(img.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return rl.where(img >= threshold, invert(img), img)


def _blurred(img: Tensor) -> Tensor:
    dtype = img.dtype if img.is_floating_point() else rl.float32
    kernel = rl.ones((3, 3), dtype=dtype)
    kernel[1, 1] = 5.0
    kernel /= kernel.sum()
    kernel = kernel.expand(img.shape[-3], 1, 3, 3)
    batch, cast, squeeze, out = cast_in(img, [kernel.dtype])
    inner = cast_out(F.conv2d(batch, kernel, groups=batch.shape[-3]), cast, squeeze, out)
    result = img.clone()
    result[..., 1:-1, 1:-1] = inner
    return result


def adjust_sharpness(img: Tensor, factor: float) -> Tensor:
    """0 is blurred, 1 the image."""
    _check_factor("sharpness_factor", factor)
    check_image(img)
    check_channels(img, [1, 3])
    if img.shape[-1] <= 2 or img.shape[-2] <= 2:
        return img
    return blend(img, _blurred(img), factor)


def autocontrast(img: Tensor) -> Tensor:
    """Stretch each channel over the whole range."""
    check_image(img)
    check_channels(img, [1, 3])
    bound = max_value(img.dtype)
    dtype = img.dtype if img.is_floating_point() else rl.float32
    low = img.amin(dim=(-2, -1), keepdim=True).to(dtype)
    high = img.amax(dim=(-2, -1), keepdim=True).to(dtype)
    flat = high == low
    scale = rl.where(flat, rl.ones_like(low), bound / rl.where(flat, rl.ones_like(low), high - low))
    low = rl.where(flat, rl.zeros_like(low), low)
    return ((img - low) * scale).clamp(0, bound).to(img.dtype)


def equalize(img: Tensor) -> Tensor:
    """Make all levels about equally frequent.  Raises: TypeError for other than bytes."""
    check_image(img)
    if not 3 <= img.ndim <= 4:
        raise TypeError(f"Input image tensor should have 3 or 4 dimensions, but found {img.ndim}")
    if img.dtype != rl.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    check_channels(img, [1, 3])
    planes = img.reshape(-1, *img.shape[-2:])
    return rl.stack([_equalize_plane(plane) for plane in planes]).reshape(img.shape)


def _equalize_plane(plane: Tensor) -> Tensor:
    counts = rl.bincount(plane.reshape(-1).long(), minlength=256)
    present = counts[counts != 0]
    step = int(rl.div(present[:-1].sum(), 255, rounding_mode="floor"))
    if step == 0:
        return plane
    table = rl.div(counts.cumsum(0) + step // 2, step, rounding_mode="floor")
    table = F.pad(table, [1, 0])[:-1].clamp(0, 255)
    return table[plane.long()].to(rl.uint8)


def normalize(tensor: Tensor, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """`(tensor - mean) / std`, channel by channel.  Raises: TypeError, ValueError."""
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() ="
            f" {tensor.size()}"
        )
    dtype = tensor.dtype
    means, deviations = _per_channel(_numbers(mean), _numbers(std), dtype)
    if (
        dtype in _FLOATS
        and not inplace
        and not tensor.requires_grad
        and tensor.device.type == "cpu"
    ):
        # One image of a data loader: NumPy takes less time than recording two operations.
        plain = np.subtract(tensor._materialize(), means)
        return tensor_from_numpy(np.divide(plain, deviations, out=plain), dtype)
    mean, std = rl.from_numpy(means).to(dtype), rl.from_numpy(deviations).to(dtype)
    return tensor.sub_(mean).div_(std) if inplace else (tensor - mean) / std


def _numbers(values: Any) -> Any:
    values = values.tolist() if isinstance(values, (Tensor, np.ndarray)) else values
    return values if isinstance(values, numbers.Number) else tuple(values)


@functools.lru_cache(maxsize=64)
def _per_channel(mean: Any, std: Any, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations that broadcast over (..., C, H, W).  Raises: ValueError for a zero."""
    kind = np.float64 if dtype == rl.float64 else np.float32
    means, deviations = np.array(mean, dtype=kind), np.array(std, dtype=kind)
    if (deviations == 0).any():
        raise ValueError(
            f"std evaluated to zero after conversion to {dtype}, leading to division by zero."
        )
    means = means.reshape(-1, 1, 1) if means.ndim == 1 else means
    return means, deviations.reshape(-1, 1, 1) if deviations.ndim == 1 else deviations


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Tensor:
    """Write `v` over the rectangle at row `i`, column `j`."""
    check_image(img)
    img = img if inplace else img.clone()
    img[..., i : i + h, j : j + w] = v
    return img

"""Kernels of colour on tensors (..., C, H, W), where the second version rounds otherwise.

What is equal in both versions is taken from the first.  Level 14.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor
from rushlight.vision.transforms import _functional_pil as F_pil
from rushlight.vision.transforms import _functional_tensor as F_t
from rushlight.vision.transforms import functional as F_v1

_check_channels = F_t.check_channels


def _gray(image: Tensor, keep_dtype: bool = True) -> Tensor:
    r, g, b = image.unbind(dim=-3)
    # Products and sums rounded together, as torch's `add` with `alpha` does.
    found = r.mul(0.2989).add(g, alpha=0.587).add(b, alpha=0.114)
    return (found.to(image.dtype) if keep_dtype else found).unsqueeze(dim=-3)


def rgb_to_grayscale_image(image: Tensor, num_output_channels: int = 1) -> Tensor:
    """Luma of red, green and blue, once or three times.  Raises: ValueError."""
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels must be 1 or 3, got {num_output_channels}.")
    if image.shape[-3] == 1:
        found = image.clone()
    elif image.shape[-3] == 3:
        found = _gray(image)
    else:
        raise TypeError(
            f"Input image tensor permitted channel values are 1 or 3, but found {image.shape[-3]}"
        )
    if num_output_channels == 3:
        found = found.expand(*found.shape[:-3], 3, *found.shape[-2:])
    return found


def grayscale_to_rgb_image(image: Tensor) -> Tensor:
    """Three equal channels of one; colour stays."""
    if image.shape[-3] >= 3:
        return image
    return rgb_to_grayscale_image(image, num_output_channels=3)


def grayscale_to_rgb_pil(image: Any) -> Any:
    """As `grayscale_to_rgb_image`."""
    return image if len(image.getbands()) >= 3 else image.convert("RGB")


def _check_factor(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def adjust_brightness_image(image: Tensor, brightness_factor: float) -> Tensor:
    """0 is black, 1 the image."""
    _check_factor("brightness_factor", brightness_factor)
    _check_channels(image, [1, 3])
    bound = F_t.max_value(image.dtype)
    return image.mul(brightness_factor).clamp(0, bound).to(image.dtype)


def _blend(image: Tensor, other: Tensor, factor: float) -> Tensor:
    bound = F_t.max_value(image.dtype)
    mixed = image.mul(factor).add(other, alpha=1.0 - factor).clamp(0, bound)
    return mixed if image.is_floating_point() else mixed.to(image.dtype)


def adjust_saturation_image(image: Tensor, saturation_factor: float) -> Tensor:
    """0 is black and white, 1 the image."""
    _check_factor("saturation_factor", saturation_factor)
    _check_channels(image, [1, 3])
    if image.shape[-3] == 1:
        return image
    gray = _gray(image, keep_dtype=False)
    return _blend(image, gray if image.is_floating_point() else gray.floor(), saturation_factor)


def adjust_contrast_image(image: Tensor, contrast_factor: float) -> Tensor:
    """0 is gray, 1 the image."""
    _check_factor("contrast_factor", contrast_factor)
    _check_channels(image, [1, 3])
    floating = image.is_floating_point()
    if image.shape[-3] == 3:
        gray = _gray(image, keep_dtype=False)
        gray = gray if floating else gray.floor()
    else:
        gray = image if floating else image.to(rl.float32)
    return _blend(image, gray.mean(dim=(-3, -2, -1), keepdim=True), contrast_factor)


def adjust_sharpness_image(image: Tensor, sharpness_factor: float) -> Tensor:
    """0 is blurred, 1 the image."""
    _check_channels(image, [1, 3])
    _check_factor("sharpness_factor", sharpness_factor)
    height, width = image.shape[-2:]
    if image.numel() == 0 or height <= 2 or width <= 2:
        return image
    bound = F_t.max_value(image.dtype)
    floating = image.is_floating_point()
    wide = image if floating else image.to(rl.float32)
    near, middle = 1.0 / 13.0, 5.0 / 13.0
    kernel = rl.tensor([[near] * 3, [near, middle, near], [near] * 3], dtype=wide.dtype)
    batch = wide.reshape(-1, 1, height, width)
    blurred = F.conv2d(batch, kernel.reshape(1, 1, 3, 3))
    blurred = blurred if floating else blurred.round()
    inner = batch[..., 1:-1, 1:-1]
    mixed = inner.add(blurred.sub(inner), alpha=1.0 - sharpness_factor)
    output = batch.clone()
    output[..., 1:-1, 1:-1] = mixed
    output = output.reshape(image.shape).clamp(0, bound)
    return output if floating else output.to(image.dtype)


def adjust_hue_image(image: Tensor, hue_factor: float) -> Tensor:
    """Turn the circle of colours by `hue_factor` of its round."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    _check_channels(image, [1, 3])
    if image.shape[-3] == 1 or image.numel() == 0:
        return image
    return F_t.adjust_hue(image, hue_factor)


def adjust_gamma_image(image: Tensor, gamma: float, gain: float = 1.0) -> Tensor:
    """`gain x^gamma` on the scale 0 … 1."""
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    found = image if image.is_floating_point() else F_t.convert_image_dtype(image, rl.float32)
    found = found.pow(gamma)
    # The upper end is cut after the gain, where there is one.
    found = (found.mul(gain) if gain != 1.0 else found).clamp(0.0, 1.0)
    return F_t.convert_image_dtype(found, image.dtype)


def posterize_image(image: Tensor, bits: int) -> Tensor:
    """Keep the highest bits of each level."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number of bits should be between 0 and 8. Got {bits}")
    if image.is_floating_point():
        levels = 1 << bits
        return image.mul(levels).floor().clamp(0, levels - 1).mul(1.0 / levels)
    width = _BITS[image.dtype]
    if bits >= width:
        return image
    return image & (((1 << bits) - 1) << (width - bits))


_BITS = {rl.uint8: 8, rl.int8: 7, rl.int16: 15, rl.int32: 31, rl.int64: 63}


def solarize_image(image: Tensor, threshold: float) -> Tensor:
    """Invert what is at least `threshold`."""
    if threshold > F_t.max_value(image.dtype):
        raise TypeError(
            f"Threshold should be less or equal the maximum value of the dtype, but got {threshold}"
        )
    return rl.where(image >= threshold, invert_image(image), image)


def autocontrast_image(image: Tensor) -> Tensor:
    """Stretch each channel over the whole range."""
    _check_channels(image, [1, 3])
    if image.numel() == 0:
        return image
    bound = F_t.max_value(image.dtype)
    floating = image.is_floating_point()
    wide = image if floating else image.to(rl.float32)
    low = wide.amin(dim=(-2, -1), keepdim=True)
    high = wide.amax(dim=(-2, -1), keepdim=True)
    flat = high == low
    scale = rl.where(flat, rl.ones_like(low), high.sub(low).mul(1.0 / bound))
    low = rl.where(flat, rl.zeros_like(low), low)
    return wide.sub(low).div(scale).clamp(0, bound).to(image.dtype)


def equalize_image(image: Tensor) -> Tensor:
    """Make all levels about equally frequent."""
    if image.numel() == 0:
        return image
    dtype = image.dtype
    levels = image if dtype == rl.uint8 else F_t.convert_image_dtype(image, rl.uint8)
    planes = levels.reshape(-1, 1, *image.shape[-2:])
    found = F_t.equalize(planes).reshape(image.shape)
    return found if dtype == rl.uint8 else F_t.convert_image_dtype(found, dtype)


def invert_image(image: Tensor) -> Tensor:
    """The negative."""
    if image.is_floating_point():
        return 1.0 - image
    if image.dtype == rl.uint8:
        return image.bitwise_not()
    return image.bitwise_xor((1 << _BITS[image.dtype]) - 1)


def permute_channels_image(image: Tensor, permutation: list[int]) -> Tensor:
    """The channels in another order.  Raises: ValueError for another number of them."""
    channels = image.shape[-3]
    if len(permutation) != channels:
        raise ValueError(
            f"Length of permutation does not match number"
            f" of channels: {len(permutation)} != {channels}"
        )
    return image[..., permutation, :, :]


def permute_channels_pil(image: Any, permutation: list[int]) -> Any:
    """As `permute_channels_image`."""
    return F_v1.to_pil_image(permute_channels_image(F_v1.pil_to_tensor(image), permutation))


def to_grayscale_pil(image: Any, num_output_channels: int = 1) -> Any:
    """Gray, once or three times."""
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels must be 1 or 3, got {num_output_channels}.")
    return F_pil.to_grayscale(image, num_output_channels)


def gaussian_blur_image(image: Tensor, kernel_size: Any, sigma: Any = None) -> Tensor:
    """Blur by a Gaussian; the borders are mirrored.  Raises: TypeError, ValueError."""
    sizes, sigmas = blur_arguments(kernel_size, sigma)
    if image.numel() == 0:
        return image
    dtype = image.dtype
    wide = image if image.is_floating_point() else image.to(rl.float32)
    across, down = (_gaussian(size, s, wide.dtype) for size, s in zip(sizes, sigmas))
    kernel = down.unsqueeze(-1) * across
    batch = wide.reshape(-1, 1, *image.shape[-2:])
    half_w, half_h = sizes[0] // 2, sizes[1] // 2
    batch = F.pad(batch, [half_w, half_w, half_h, half_h], mode="reflect")
    found = F.conv2d(batch, kernel.reshape(1, 1, *kernel.shape)).reshape(image.shape)
    return found if dtype.is_floating_point else found.round().to(dtype)


def _gaussian(size: int, sigma: float, dtype: Any) -> Tensor:
    limit = (size - 1) / (2.0 * 2.0**0.5)
    places = rl.linspace(-limit, limit, steps=size, dtype=dtype)
    return F.softmax(places.div(sigma).pow(2).neg(), dim=0)


def blur_arguments(kernel_size: Any, sigma: Any) -> tuple[list[int], list[float]]:
    """Both for x and y.  Raises: TypeError, ValueError."""
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    sizes = sizes * 2 if len(sizes) == 1 else sizes
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    for size in sizes:
        if size % 2 == 0 or size < 0:
            raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    if sigma is None:
        return sizes, [size * 0.15 + 0.35 for size in sizes]
    if not isinstance(sigma, (int, float, list, tuple)):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    sigmas = [float(sigma)] * 2 if isinstance(sigma, (int, float)) else [float(s) for s in sigma]
    sigmas = sigmas * 2 if len(sigmas) == 1 else sigmas
    if len(sigmas) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(sigmas)}")
    if min(sigmas) <= 0.0:
        raise ValueError(f"sigma should have positive values. Got {sigmas}")
    return sizes, sigmas


def gaussian_blur_pil(image: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """As `gaussian_blur_image`."""
    blurred = gaussian_blur_image(F_v1.pil_to_tensor(image), kernel_size, sigma)
    return F_v1.to_pil_image(blurred, mode=image.mode)


def gaussian_noise_image(
    image: Tensor, mean: float = 0.0, sigma: float = 0.1, clip: bool = True
) -> Tensor:
    """Normal noise added.  Raises: ValueError for a negative sigma and other dtypes."""
    if sigma < 0:
        raise ValueError(f"sigma shouldn't be negative. Got {sigma}")
    if image.is_floating_point():
        noisy = image + (mean + rl.randn_like(image) * sigma)
        return rl.clamp(noisy, 0, 1) if clip else noisy
    if image.dtype != rl.uint8:
        raise ValueError(
            f"Input tensor is expected to be in uint8 or float dtype, got dtype={image.dtype}"
        )
    noise = ((rl.randn_like(image, dtype=rl.float32) * sigma + mean) * 255).to(rl.int16)
    noisy = image.to(rl.int16) + noise
    return (rl.clamp(noisy, 0, 255) if clip else noisy).to(rl.uint8)


def normalize_image(image: Tensor, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """`(image - mean) / std`, channel by channel."""
    return F_t.normalize(image, mean, std, inplace)

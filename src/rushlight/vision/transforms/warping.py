"""The first version's transforms with many random numbers: affine, rotation, colour, erasing, blur.

In and out: one PIL image or tensor (..., C, H, W).  Level 14.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import rushlight as rl
from rushlight import Tensor
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.arguments import (
    angle_range,
    check_sequence,
    factor_range,
    pair_of_sizes,
)
from rushlight.vision.transforms.draws import chance, integer, log_uniform, logarithms, uniform
from rushlight.vision.transforms.interpolation import InterpolationMode, mode_of
from rushlight.vision.transforms.random_geometry import check_fill, filling


class LinearTransformation(Module):
    """The flattened image less `mean_vector`, times a square matrix (whitening)."""

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        super().__init__()
        size = transformation_matrix.shape
        if size[0] != size[1]:
            raise ValueError(
                f"transformation_matrix should be square. Got {tuple(size)} rectangular matrix."
            )
        if mean_vector.shape[0] != size[0]:
            raise ValueError(
                f"mean_vector should have the same length {mean_vector.shape[0]} as any one of the"
                f" dimensions of the transformation_matrix [{tuple(size)}]"
            )
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def forward(self, tensor: Tensor) -> Tensor:
        shape = tensor.shape
        count = shape[-3] * shape[-2] * shape[-1]
        if count != self.transformation_matrix.shape[0]:
            raise ValueError(
                "Input tensor and transformation matrix have incompatible shape."
                f" [{shape[-3]} x {shape[-2]} x {shape[-1]}] !="
                f" {self.transformation_matrix.shape[0]}"
            )
        flat = tensor.reshape(-1, count) - self.mean_vector
        return rl.mm(flat, self.transformation_matrix).reshape(shape)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(transformation_matrix={self.transformation_matrix.tolist()},"
            f" mean_vector={self.mean_vector.tolist()})"
        )


class ColorJitter(Module):
    """Brightness, contrast, saturation and hue changed at random, in random order."""

    def __init__(
        self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0
    ) -> None:
        super().__init__()
        self.brightness = factor_range(brightness, "brightness")
        self.contrast = factor_range(contrast, "contrast")
        self.saturation = factor_range(saturation, "saturation")
        self.hue = factor_range(hue, "hue", center=0, bound=(-0.5, 0.5), clip_first=False)

    @staticmethod
    def get_params(brightness: Any, contrast: Any, saturation: Any, hue: Any) -> tuple[Any, ...]:
        """(the order, then the four factors, None for what stays)."""
        order = rl.randperm(4)
        ranges = (brightness, contrast, saturation, hue)
        return (order, *[None if r is None else uniform(r[0], r[1]) for r in ranges])

    def forward(self, img: Any) -> Any:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        functions = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for number in order.tolist():
            if factors[number] is not None:
                img = functions[number](img, factors[number])
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast},"
            f" saturation={self.saturation}, hue={self.hue})"
        )


class RandomRotation(Module):
    """Turned by a random number of `degrees`."""

    def __init__(
        self, degrees: Any, interpolation: Any = InterpolationMode.NEAREST, expand: bool = False,
        center: Any = None, fill: Any = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.degrees = angle_range(degrees, "degrees")
        if center is not None:
            check_sequence(center, "center", (2,))
        self.center = center
        self.interpolation = mode_of(interpolation)
        self.expand = expand
        self.fill = check_fill(fill)

    @staticmethod
    def get_params(degrees: list[float]) -> float:
        """The angle."""
        return uniform(float(degrees[0]), float(degrees[1]))

    def forward(self, img: Any) -> Any:
        fill = filling(self.fill, img)
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, fill)

    def __repr__(self) -> str:
        text = (
            f"{type(self).__name__}(degrees={self.degrees},"
            f" interpolation={self.interpolation.value}, expand={self.expand}"
        )
        if self.center is not None:
            text += f", center={self.center}"
        if self.fill is not None:
            text += f", fill={self.fill}"
        return text + ")"


def check_affine(
    degrees: Any, translate: Any, scale: Any, shear: Any, center: Any
) -> tuple[Any, Any]:
    """(degrees, shear) as ranges.  Raises: TypeError, ValueError for what is out of range."""
    ranges = angle_range(degrees, "degrees")
    if translate is not None:
        check_sequence(translate, "translate", (2,))
        for t in translate:
            if not 0.0 <= t <= 1.0:
                raise ValueError("translation values should be between 0 and 1")
    if scale is not None:
        check_sequence(scale, "scale", (2,))
        for s in scale:
            if s <= 0:
                raise ValueError("scale values should be positive")
    shears = None if shear is None else angle_range(shear, "shear", (2, 4))
    if center is not None:
        check_sequence(center, "center", (2,))
    return ranges, shears


def draw_affine(
    degrees: Sequence[float], translate: Any, scale: Any, shears: Any, size: Sequence[int]
) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
    """(angle, shift, scale, shear) at random; `size` is (width, height)."""
    angle = uniform(float(degrees[0]), float(degrees[1]))
    shift = (0, 0)
    if translate is not None:
        max_x, max_y = float(translate[0] * size[0]), float(translate[1] * size[1])
        shift = (round(uniform(-max_x, max_x)), round(uniform(-max_y, max_y)))
    factor = 1.0 if scale is None else uniform(scale[0], scale[1])
    shear_x = shear_y = 0.0
    if shears is not None:
        shear_x = uniform(shears[0], shears[1])
        if len(shears) == 4:
            shear_y = uniform(shears[2], shears[3])
    return angle, shift, factor, (shear_x, shear_y)


class RandomAffine(Module):
    """Turned, shifted, scaled and sheared at random around the centre."""

    def __init__(
        self, degrees: Any, translate: Any = None, scale: Any = None, shear: Any = None,
        interpolation: Any = InterpolationMode.NEAREST, fill: Any = 0, center: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.degrees, self.shear = check_affine(degrees, translate, scale, shear, center)
        self.translate = translate
        self.scale = scale
        self.interpolation = mode_of(interpolation)
        self.fill = check_fill(fill)
        self.center = center

    @staticmethod
    def get_params(
        degrees: Any, translate: Any, scale_ranges: Any, shears: Any, img_size: Sequence[int]
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """(angle, shift, scale, shear)."""
        return draw_affine(degrees, translate, scale_ranges, shears, img_size)

    def forward(self, img: Any) -> Any:
        fill = filling(self.fill, img)
        _, height, width = F.get_dimensions(img)
        drawn = self.get_params(
            self.degrees, self.translate, self.scale, self.shear, [width, height]
        )
        return F.affine(
            img, *drawn, interpolation=self.interpolation, fill=fill, center=self.center
        )

    def __repr__(self) -> str:
        text = f"{type(self).__name__}(degrees={self.degrees}"
        for name in ("translate", "scale", "shear"):
            value = getattr(self, name)
            text += f", {name}={value}" if value is not None else ""
        if self.interpolation != InterpolationMode.NEAREST:
            text += f", interpolation={self.interpolation.value}"
        text += f", fill={self.fill}" if self.fill != 0 else ""
        text += f", center={self.center}" if self.center is not None else ""
        return text + ")"


def draw_erasing(
    channels: int, height: int, width: int, scale: Sequence[float], ratio: Sequence[float],
    value: Any,
) -> tuple[int, int, int, int, Tensor] | None:  # fmt: skip
    """(row, column, height, width, what to write), or None where ten tries fitted nowhere."""
    area = height * width
    for _ in range(10):
        erased = area * uniform(scale[0], scale[1])
        aspect = log_uniform(ratio[0], ratio[1])
        h = round(math.sqrt(erased * aspect))
        w = round(math.sqrt(erased / aspect))
        if not (h < height and w < width):
            continue
        if value is None:
            written = rl.empty([channels, h, w], dtype=rl.float32).normal_()
        else:
            written = rl.tensor(value)[:, None, None]
        return integer(0, height - h + 1), integer(0, width - w + 1), h, w, written
    return None


class RandomErasing(Module):
    """A random rectangle of a tensor overwritten, with probability `p`.

    value: a number, one for each channel, or "random" for noise.
    """

    def __init__(
        self, p: float = 0.5, scale: Any = (0.02, 0.33), ratio: Any = (0.3, 3.3), value: Any = 0,
        inplace: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        check_erasing(p, scale, ratio, value)
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Tensor, scale: Any, ratio: Any, value: Any = None
    ) -> tuple[int, int, int, int, Tensor]:
        """(row, column, height, width, what to write); the whole image where nothing fitted."""
        channels, height, width = img.shape[-3:]
        drawn = draw_erasing(channels, height, width, scale, ratio, value)
        return (0, 0, height, width, img) if drawn is None else drawn

    def forward(self, img: Tensor) -> Tensor:
        if chance() >= self.p:
            return img
        value: Any
        if isinstance(self.value, (int, float)):
            value = [float(self.value)]
        elif isinstance(self.value, str):
            value = None
        else:
            value = [float(v) for v in self.value]
        if value is not None and len(value) not in (1, img.shape[-3]):
            raise ValueError(
                "If value is a sequence, it should have either a single value or"
                f" {img.shape[-3]} (number of input channels)"
            )
        drawn = self.get_params(img, self.scale, self.ratio, value)
        return F.erase(img, *drawn, self.inplace)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio},"
            f" value={self.value}, inplace={self.inplace})"
        )


def check_erasing(p: float, scale: Any, ratio: Any, value: Any) -> None:
    """Prepare to draw.  Raises: TypeError, ValueError for what RandomErasing cannot take."""
    if not isinstance(value, (numbers.Number, str, tuple, list)):
        raise TypeError("Argument value should be either a number or str or a sequence")
    if isinstance(value, str) and value != "random":
        raise ValueError("If value is str, it should be 'random'")
    if not isinstance(scale, Sequence):
        raise TypeError("Scale should be a sequence")
    if not isinstance(ratio, Sequence):
        raise TypeError("Ratio should be a sequence")
    if scale[0] > scale[1] or ratio[0] > ratio[1]:
        warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=3)
    if scale[0] < 0 or scale[1] > 1:
        raise ValueError("Scale should be between 0 and 1")
    if p < 0 or p > 1:
        raise ValueError("Random erasing probability should be between 0 and 1")
    logarithms(*ratio)


class GaussianBlur(Module):
    """Blurred by a Gaussian with a random standard deviation between `sigma`'s two."""

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = pair_of_sizes(
            kernel_size, "Kernel size should be a tuple/list of two integers"
        )
        for size in self.kernel_size:
            if size <= 0 or size % 2 == 0:
                raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, numbers.Number):
            if sigma <= 0:  # type: ignore[operator]
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif isinstance(sigma, Sequence) and len(sigma) == 2:
            if not 0.0 < sigma[0] <= sigma[1]:
                raise ValueError("sigma values should be positive and of the form (min, max).")
        else:
            raise ValueError("sigma should be a single number or a list/tuple with length 2.")
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """The standard deviation."""
        return uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, self.kernel_size, [sigma, sigma])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


def two_floats(value: Any, name: str) -> list[float]:
    """Two floats from one or two.  Raises: TypeError, ValueError."""
    if isinstance(value, float):
        return [value, value]
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} should be float or a sequence of floats. Got {type(value)}")
    if len(value) not in (1, 2):
        raise ValueError(f"{name} is a sequence its length should be one of 2. Got {len(value)}")
    for element in value:
        if not isinstance(element, float):
            raise TypeError(f"{name} should be a sequence of floats. Got {type(element)}")
    return [value[0], value[0]] if len(value) == 1 else list(value)


def draw_displacement(
    alpha: Sequence[float], sigma: Sequence[float], size: Sequence[int]
) -> Tensor:
    """(1, H, W, 2): smoothed noise, `alpha` its strength and `sigma` its smoothness."""
    parts = []
    for axis in (0, 1):
        noise = rl.rand([1, 1, *size]) * 2 - 1
        if sigma[axis] > 0.0:
            length = int(8 * sigma[axis] + 1)
            length += length % 2 == 0
            noise = F.gaussian_blur(noise, [length, length], list(sigma))
        # The first part moves along the width, which is the second size.
        parts.append(noise * alpha[axis] / size[1 - axis])
    return rl.cat(parts, 1).permute(0, 2, 3, 1)


class ElasticTransform(Module):
    """Pixels moved by smoothed noise, as seen through water."""

    def __init__(
        self, alpha: Any = 50.0, sigma: Any = 5.0, interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.alpha = two_floats(alpha, "alpha")
        self.sigma = two_floats(sigma, "sigma")
        self.interpolation = mode_of(interpolation)
        self.fill = [float(fill)] if isinstance(fill, (int, float)) else [float(f) for f in fill]

    @staticmethod
    def get_params(alpha: list[float], sigma: list[float], size: list[int]) -> Tensor:
        """The displacement (1, H, W, 2)."""
        return draw_displacement(alpha, sigma, size)

    def forward(self, tensor: Any) -> Any:
        _, height, width = F.get_dimensions(tensor)
        displacement = self.get_params(self.alpha, self.sigma, [height, width])
        return F.elastic_transform(tensor, displacement, self.interpolation, self.fill)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(alpha={self.alpha}, sigma={self.sigma},"
            f" interpolation={self.interpolation}, fill={self.fill})"
        )

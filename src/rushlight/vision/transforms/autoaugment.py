"""Policies of random augmentation, first version: AutoAugment, RandAugment, TrivialAugment, AugMix.

In and out: one PIL image or byte tensor (..., C, H, W).  Sources: Cubuk et al. 2019 and 2020,
Müller and Hutter 2021, Hendrycks et al. 2020.  Level 14.
"""

from __future__ import annotations

import math
from typing import Any

import rushlight as rl
from rushlight import Tensor
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.draws import dirichlet, integer
from rushlight.vision.transforms.interpolation import InterpolationMode
from rushlight.vision.transforms.policies import POLICIES, AutoAugmentPolicy
from rushlight.vision.transforms.random_geometry import filling

__all__ = ["AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide"]


def _apply_op(img: Any, name: str, magnitude: float, interpolation: Any, fill: Any) -> Any:
    if name in ("ShearX", "ShearY"):
        # The policies were found with a shear whose fixed point is the corner, and by slope.
        degrees = math.degrees(math.atan(magnitude))
        shear = [degrees, 0.0] if name == "ShearX" else [0.0, degrees]
        return F.affine(img, 0.0, [0, 0], 1.0, shear, interpolation, fill, center=[0, 0])
    if name in ("TranslateX", "TranslateY"):
        shift = [int(magnitude), 0] if name == "TranslateX" else [0, int(magnitude)]
        return F.affine(img, 0.0, shift, 1.0, [0.0, 0.0], interpolation, fill)
    if name == "Rotate":
        return F.rotate(img, magnitude, interpolation, fill=fill)
    if name == "Posterize":
        return F.posterize(img, int(magnitude))
    if name == "Solarize":
        return F.solarize(img, magnitude)
    if name in _FACTORS:
        return _FACTORS[name](img, 1.0 + magnitude)
    if name in _PLAIN:
        return _PLAIN[name](img)
    raise ValueError(f"The provided operator {name} is not recognized.")


_FACTORS = {
    "Brightness": F.adjust_brightness,
    "Color": F.adjust_saturation,
    "Contrast": F.adjust_contrast,
    "Sharpness": F.adjust_sharpness,
}
_PLAIN = {
    "AutoContrast": F.autocontrast,
    "Equalize": F.equalize,
    "Invert": F.invert,
    "Identity": lambda img: img,
}

Space = dict[str, tuple[Tensor, bool]]


def _steps(count: int, low: float, high: float) -> Tensor:
    return rl.linspace(low, high, count)


def _bits(num_bins: int, drop: float) -> Tensor:
    return 8 - (rl.arange(num_bins) / ((num_bins - 1) / drop)).round().int()


class _Policy(Module):
    """What the four have in common: how a magnitude is found and an operation applied."""

    interpolation: InterpolationMode
    fill: Any

    def _magnitude(
        self, magnitudes: Tensor, signed: bool, index: int | None, bins: int = 0
    ) -> float:
        # The draws and their order are torchvision's: the index, if any, then the sign.
        magnitude = 0.0
        if magnitudes.ndim > 0:
            chosen = integer(0, bins) if index is None else index
            magnitude = float(magnitudes[chosen].item())
        if signed and integer(0, 2):
            magnitude *= -1.0
        return magnitude

    def _fill(self, img: Any) -> Any:
        if self.fill is None or not isinstance(img, Tensor):
            return self.fill
        return filling(self.fill, img)


class AutoAugment(_Policy):
    """Two operations by a policy found by search, for ImageNet, CIFAR-10 or SVHN."""

    def __init__(
        self, policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: InterpolationMode = InterpolationMode.NEAREST, fill: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if policy not in POLICIES:
            raise ValueError(f"The provided policy {policy} is not recognized.")
        self.policy = policy
        self.interpolation = interpolation
        self.fill = fill
        self.policies = POLICIES[policy]

    def _augmentation_space(self, num_bins: int, image_size: tuple[int, int]) -> Space:
        height, width = image_size
        return {
            "ShearX": (_steps(num_bins, 0.0, 0.3), True),
            "ShearY": (_steps(num_bins, 0.0, 0.3), True),
            "TranslateX": (_steps(num_bins, 0.0, 150.0 / 331.0 * width), True),
            "TranslateY": (_steps(num_bins, 0.0, 150.0 / 331.0 * height), True),
            "Rotate": (_steps(num_bins, 0.0, 30.0), True),
            "Brightness": (_steps(num_bins, 0.0, 0.9), True),
            "Color": (_steps(num_bins, 0.0, 0.9), True),
            "Contrast": (_steps(num_bins, 0.0, 0.9), True),
            "Sharpness": (_steps(num_bins, 0.0, 0.9), True),
            "Posterize": (_bits(num_bins, 4), False),
            "Solarize": (_steps(num_bins, 255.0, 0.0), False),
            "AutoContrast": (rl.tensor(0.0), False),
            "Equalize": (rl.tensor(0.0), False),
            "Invert": (rl.tensor(0.0), False),
        }

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, Tensor, Tensor]:
        """(which pair, two chances, two signs)."""
        number = int(rl.randint(transform_num, (1,)).item())
        return number, rl.rand((2,)), rl.randint(2, (2,))

    def forward(self, img: Any) -> Any:
        fill = self._fill(img)
        number, chances, signs = self.get_params(len(self.policies))
        _, height, width = F.get_dimensions(img)
        space = self._augmentation_space(10, (height, width))
        for i, (name, p, index) in enumerate(self.policies[number]):
            if chances[i] <= p:
                magnitudes, signed = space[name]
                magnitude = 0.0 if index is None else float(magnitudes[index].item())
                if signed and signs[i] == 0:
                    magnitude *= -1.0
                img = _apply_op(img, name, magnitude, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(policy={self.policy}, fill={self.fill})"


class RandAugment(_Policy):
    """`num_ops` random operations, all of one `magnitude`."""

    def __init__(
        self, num_ops: int = 2, magnitude: int = 9, num_magnitude_bins: int = 31,
        interpolation: InterpolationMode = InterpolationMode.NEAREST, fill: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation
        self.fill = fill

    def _augmentation_space(self, num_bins: int, image_size: tuple[int, int]) -> Space:
        height, width = image_size
        return {
            "Identity": (rl.tensor(0.0), False),
            "ShearX": (_steps(num_bins, 0.0, 0.3), True),
            "ShearY": (_steps(num_bins, 0.0, 0.3), True),
            "TranslateX": (_steps(num_bins, 0.0, 150.0 / 331.0 * width), True),
            "TranslateY": (_steps(num_bins, 0.0, 150.0 / 331.0 * height), True),
            "Rotate": (_steps(num_bins, 0.0, 30.0), True),
            "Brightness": (_steps(num_bins, 0.0, 0.9), True),
            "Color": (_steps(num_bins, 0.0, 0.9), True),
            "Contrast": (_steps(num_bins, 0.0, 0.9), True),
            "Sharpness": (_steps(num_bins, 0.0, 0.9), True),
            "Posterize": (_bits(num_bins, 4), False),
            "Solarize": (_steps(num_bins, 255.0, 0.0), False),
            "AutoContrast": (rl.tensor(0.0), False),
            "Equalize": (rl.tensor(0.0), False),
        }

    def forward(self, img: Any) -> Any:
        fill = self._fill(img)
        _, height, width = F.get_dimensions(img)
        space = self._augmentation_space(self.num_magnitude_bins, (height, width))
        for _ in range(self.num_ops):
            name = list(space)[integer(0, len(space))]
            magnitude = self._magnitude(*space[name], index=self.magnitude)
            img = _apply_op(img, name, magnitude, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_ops={self.num_ops}, magnitude={self.magnitude},"
            f" num_magnitude_bins={self.num_magnitude_bins}, interpolation={self.interpolation},"
            f" fill={self.fill})"
        )


class TrivialAugmentWide(_Policy):
    """One random operation of a random magnitude from a wide range."""

    def __init__(
        self, num_magnitude_bins: int = 31,
        interpolation: InterpolationMode = InterpolationMode.NEAREST, fill: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation
        self.fill = fill

    def _augmentation_space(self, num_bins: int) -> Space:
        return {
            "Identity": (rl.tensor(0.0), False),
            "ShearX": (_steps(num_bins, 0.0, 0.99), True),
            "ShearY": (_steps(num_bins, 0.0, 0.99), True),
            "TranslateX": (_steps(num_bins, 0.0, 32.0), True),
            "TranslateY": (_steps(num_bins, 0.0, 32.0), True),
            "Rotate": (_steps(num_bins, 0.0, 135.0), True),
            "Brightness": (_steps(num_bins, 0.0, 0.99), True),
            "Color": (_steps(num_bins, 0.0, 0.99), True),
            "Contrast": (_steps(num_bins, 0.0, 0.99), True),
            "Sharpness": (_steps(num_bins, 0.0, 0.99), True),
            "Posterize": (_bits(num_bins, 6), False),
            "Solarize": (_steps(num_bins, 255.0, 0.0), False),
            "AutoContrast": (rl.tensor(0.0), False),
            "Equalize": (rl.tensor(0.0), False),
        }

    def forward(self, img: Any) -> Any:
        fill = self._fill(img)
        space = self._augmentation_space(self.num_magnitude_bins)
        name = list(space)[integer(0, len(space))]
        magnitudes, signed = space[name]
        magnitude = self._magnitude(magnitudes, signed, None, self.num_magnitude_bins)
        return _apply_op(img, name, magnitude, self.interpolation, fill)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_magnitude_bins={self.num_magnitude_bins},"
            f" interpolation={self.interpolation}, fill={self.fill})"
        )


class AugMix(_Policy):
    """The image mixed with `mixture_width` chains of random operations on it."""

    _PARAMETER_MAX = 10

    def __init__(
        self, severity: int = 3, mixture_width: int = 3, chain_depth: int = -1, alpha: float = 1.0,
        all_ops: bool = True, interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        fill: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if not 1 <= severity <= self._PARAMETER_MAX:
            raise ValueError(
                f"The severity must be between [1, {self._PARAMETER_MAX}]. Got {severity} instead."
            )
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops
        self.interpolation = interpolation
        self.fill = fill

    def _augmentation_space(self, num_bins: int, image_size: tuple[int, int]) -> Space:
        height, width = image_size
        space = {
            "ShearX": (_steps(num_bins, 0.0, 0.3), True),
            "ShearY": (_steps(num_bins, 0.0, 0.3), True),
            "TranslateX": (_steps(num_bins, 0.0, width / 3.0), True),
            "TranslateY": (_steps(num_bins, 0.0, height / 3.0), True),
            "Rotate": (_steps(num_bins, 0.0, 30.0), True),
            "Posterize": (4 - (rl.arange(num_bins) / ((num_bins - 1) / 4)).round().int(), False),
            "Solarize": (_steps(num_bins, 255.0, 0.0), False),
            "AutoContrast": (rl.tensor(0.0), False),
            "Equalize": (rl.tensor(0.0), False),
        }
        if self.all_ops:
            for name in ("Brightness", "Color", "Contrast", "Sharpness"):
                space[name] = (_steps(num_bins, 0.0, 0.9), True)
        return space

    def forward(self, orig_img: Any) -> Any:
        fill = self._fill(orig_img)
        _, height, width = F.get_dimensions(orig_img)
        is_tensor = isinstance(orig_img, Tensor)
        img = orig_img if is_tensor else F.pil_to_tensor(orig_img)
        shape = list(img.shape)
        batch = img.reshape([1] * max(4 - img.ndim, 0) + shape)
        weights_shape = [batch.shape[0]] + [1] * (batch.ndim - 1)
        count = batch.shape[0]
        kept = dirichlet([[self.alpha, self.alpha]] * count)
        shares = dirichlet([[self.alpha] * self.mixture_width] * count)
        shares = shares * kept[:, 1].reshape([count, -1])
        mixed = kept[:, 0].reshape(weights_shape) * batch
        space = self._augmentation_space(self._PARAMETER_MAX, (height, width))
        for i in range(self.mixture_width):
            augmented = batch
            depth = self.chain_depth if self.chain_depth > 0 else integer(1, 4)
            for _ in range(depth):
                name = list(space)[integer(0, len(space))]
                magnitude = self._magnitude(*space[name], None, self.severity)
                augmented = _apply_op(augmented, name, magnitude, self.interpolation, fill)
            mixed = mixed + shares[:, i].reshape(weights_shape) * augmented
        mixed = mixed.reshape(shape).to(img.dtype)
        return mixed if is_tensor else F.to_pil_image(mixed, mode=orig_img.mode)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(severity={self.severity}, mixture_width={self.mixture_width},"
            f" chain_depth={self.chain_depth}, alpha={self.alpha}, all_ops={self.all_ops},"
            f" interpolation={self.interpolation}, fill={self.fill})"
        )

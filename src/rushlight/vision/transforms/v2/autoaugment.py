"""Policies of random augmentation, second version.

In and out: one image or video (PIL, tensor, Image, Video) in a nest.  Level 14.
"""

from __future__ import annotations

import math
from typing import Any

import rushlight as rl
from rushlight import Tensor
from rushlight.vision import tv_tensors
from rushlight.vision.pillow import is_pil_image
from rushlight.vision.transforms.draws import chance, dirichlet, integer
from rushlight.vision.transforms.interpolation import InterpolationMode, mode_of
from rushlight.vision.transforms.policies import POLICIES, AutoAugmentPolicy
from rushlight.vision.transforms.v2 import functional as F
from rushlight.vision.transforms.v2.functional import is_pure_tensor
from rushlight.vision.transforms.v2.inputs import flatten, is_image_like, rebuild
from rushlight.vision.transforms.v2.transform import Transform, fill_for, fill_table

__all__ = ["AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide"]

NEAREST = InterpolationMode.NEAREST
Range = tuple[Any, bool]  # the magnitudes (None: none), whether they have a sign


def _steps(count: int, low: float, high: float) -> list[float]:
    return rl.linspace(low, high, count).tolist()


def _bits(count: int, drop: int, most: int = 8) -> list[int]:
    return (most - (rl.arange(count) / ((count - 1) / drop)).round()).int().tolist()


def _space(count: int, shear: float, shift_x: float, shift_y: float, turn: float, factor: float,
           drop: int) -> dict[str, Range]:  # fmt: skip
    space: dict[str, Range] = {
        "ShearX": (_steps(count, 0.0, shear), True),
        "ShearY": (_steps(count, 0.0, shear), True),
        "TranslateX": (_steps(count, 0.0, shift_x), True),
        "TranslateY": (_steps(count, 0.0, shift_y), True),
        "Rotate": (_steps(count, 0.0, turn), True),
        "Brightness": (_steps(count, 0.0, factor), True),
        "Color": (_steps(count, 0.0, factor), True),
        "Contrast": (_steps(count, 0.0, factor), True),
        "Sharpness": (_steps(count, 0.0, factor), True),
        "Posterize": (_bits(count, drop), False),
        "Solarize": (_steps(count, 1.0, 0.0), False),
        "AutoContrast": (None, False),
        "Equalize": (None, False),
    }
    return space


class _Policy(Transform):
    """What the four have in common."""

    def __init__(self, interpolation: Any, fill: Any) -> None:
        super().__init__()
        self.interpolation = mode_of(interpolation)
        self.fill = fill
        self._fill = fill_table(fill)

    def _image(self, inputs: tuple[Any, ...]) -> tuple[Any, list[Any], int]:
        """(the nest, its leaves, which of them is the image).  Raises: TypeError."""
        nest = inputs if len(inputs) > 1 else inputs[0]
        leaves = flatten(nest)
        wanted = self._wanted(leaves)
        places = [
            i for i, (leaf, take) in enumerate(zip(leaves, wanted)) if take and is_image_like(leaf)
        ]
        unfit = [
            leaf for leaf in leaves
            if isinstance(leaf, (tv_tensors.BoundingBoxes, tv_tensors.Mask, tv_tensors.KeyPoints))
        ]  # fmt: skip
        if unfit:
            raise TypeError(
                f"Inputs of type {type(unfit[0]).__name__}"
                f" are not supported by {type(self).__name__}()"
            )
        if len(places) != 1:
            raise TypeError(
                f"{type(self).__name__}(): needs one image or video; found {len(places)}"
            )
        return nest, leaves, places[0]

    def _sign(self, magnitude: float, signed: bool) -> float:
        return -magnitude if signed and chance() <= 0.5 else magnitude

    def _operate(self, image: Any, name: str, magnitude: float) -> Any:
        fill = fill_for(self._fill, type(image))
        options: dict[str, Any] = {"interpolation": self.interpolation, "fill": fill}
        if name in ("ShearX", "ShearY"):
            degrees = math.degrees(math.atan(magnitude))
            shear = [degrees, 0.0] if name == "ShearX" else [0.0, degrees]
            return self._call_kernel(
                F.affine, image, 0.0, [0, 0], 1.0, shear, center=[0, 0], **options
            )
        if name in ("TranslateX", "TranslateY"):
            shift = [int(magnitude), 0] if name == "TranslateX" else [0, int(magnitude)]
            return self._call_kernel(F.affine, image, 0.0, shift, 1.0, [0.0, 0.0], **options)
        if name == "Rotate":
            return self._call_kernel(F.rotate, image, magnitude, **options)
        if name in _FACTORS:
            return self._call_kernel(_FACTORS[name], image, 1.0 + magnitude)
        if name == "Posterize":
            return self._call_kernel(F.posterize, image, bits=int(magnitude))
        if name == "Solarize":
            # A share of full brightness.
            is_floating = isinstance(image, Tensor) and image.is_floating_point()
            return self._call_kernel(F.solarize, image, magnitude * (1.0 if is_floating else 255.0))
        if name in _PLAIN:
            return self._call_kernel(_PLAIN[name], image)
        return image

    def _choose(self, space: dict[str, Range]) -> tuple[str, Range]:
        name = list(space)[integer(0, len(space))]
        return name, space[name]


_FACTORS = {
    "Brightness": F.adjust_brightness,
    "Color": F.adjust_saturation,
    "Contrast": F.adjust_contrast,
    "Sharpness": F.adjust_sharpness,
}
_PLAIN = {"AutoContrast": F.autocontrast, "Equalize": F.equalize, "Invert": F.invert}


class AutoAugment(_Policy):
    """Two operations by a policy found by search, for ImageNet, CIFAR-10 or SVHN."""

    def __init__(
        self, policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET, interpolation: Any = NEAREST,
        fill: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(interpolation, fill)
        if policy not in POLICIES:
            raise ValueError(f"The provided policy {policy} is not recognized.")
        self.policy = policy
        self._policies = POLICIES[policy]

    def forward(self, *inputs: Any) -> Any:
        nest, leaves, place = self._image(inputs)
        image = leaves[place]
        height, width = F.get_size(image)
        space = _space(10, 0.3, 150.0 / 331.0 * width, 150.0 / 331.0 * height, 30.0, 0.9, 4)
        space["Invert"] = (None, False)
        for name, p, index in self._policies[integer(0, len(self._policies))]:
            if not chance() <= p:
                continue
            magnitudes, signed = space[name]
            magnitude = 0.0
            if magnitudes is not None and index is not None:
                magnitude = self._sign(float(magnitudes[index]), signed)
            image = self._operate(image, name, magnitude)
        leaves[place] = image
        return rebuild(nest, iter(leaves))


class RandAugment(_Policy):
    """`num_ops` random operations, all of one `magnitude`."""

    def __init__(
        self, num_ops: int = 2, magnitude: int = 9, num_magnitude_bins: int = 31,
        interpolation: Any = NEAREST, fill: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(interpolation, fill)
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, *inputs: Any) -> Any:
        nest, leaves, place = self._image(inputs)
        image = leaves[place]
        height, width = F.get_size(image)
        space = {"Identity": (None, False)} | _space(
            self.num_magnitude_bins,
            0.3,
            150.0 / 331.0 * width,
            150.0 / 331.0 * height,
            30.0,
            0.9,
            4,
        )
        for _ in range(self.num_ops):
            name, (magnitudes, signed) = self._choose(space)
            magnitude = 0.0
            if magnitudes is not None:
                magnitude = self._sign(float(magnitudes[self.magnitude]), signed)
            image = self._operate(image, name, magnitude)
        leaves[place] = image
        return rebuild(nest, iter(leaves))


class TrivialAugmentWide(_Policy):
    """One random operation of a random magnitude from a wide range."""

    def __init__(
        self, num_magnitude_bins: int = 31, interpolation: Any = NEAREST, fill: Any = None
    ) -> None:
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, *inputs: Any) -> Any:
        nest, leaves, place = self._image(inputs)
        space = {"Identity": (None, False)} | _space(
            self.num_magnitude_bins, 0.99, 32.0, 32.0, 135.0, 0.99, 6
        )
        name, (magnitudes, signed) = self._choose(space)
        magnitude = 0.0
        if magnitudes is not None:
            chosen = float(magnitudes[integer(0, self.num_magnitude_bins)])
            magnitude = self._sign(chosen, signed)
        leaves[place] = self._operate(leaves[place], name, magnitude)
        return rebuild(nest, iter(leaves))


class AugMix(_Policy):
    """The image mixed with `mixture_width` chains of random operations on it."""

    _PARAMETER_MAX = 10

    def __init__(
        self, severity: int = 3, mixture_width: int = 3, chain_depth: int = -1, alpha: float = 1.0,
        all_ops: bool = True, interpolation: Any = InterpolationMode.BILINEAR, fill: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(interpolation, fill)
        if not 1 <= severity <= self._PARAMETER_MAX:
            raise ValueError(
                f"The severity must be between [1, {self._PARAMETER_MAX}]. Got {severity} instead."
            )
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops

    def _augmentation_space(self, height: int, width: int) -> dict[str, Range]:
        every = _space(self._PARAMETER_MAX, 0.3, width / 3.0, height / 3.0, 30.0, 0.9, 4)
        every["Posterize"] = (_bits(self._PARAMETER_MAX, 4, most=4), False)
        strong = ("Brightness", "Color", "Contrast", "Sharpness")
        space = {name: value for name, value in every.items() if name not in strong}
        if self.all_ops:
            space |= {name: every[name] for name in strong}
        return space

    def forward(self, *inputs: Any) -> Any:
        nest, leaves, place = self._image(inputs)
        original = leaves[place]
        height, width = F.get_size(original)
        is_pil = is_pil_image(original)
        image = F.pil_to_tensor(original) if is_pil else original
        shape = list(image.shape)
        batch = image.reshape([1] * max(4 - image.ndim, 0) + shape)
        if not is_pure_tensor(image):
            batch = tv_tensors.wrap(batch, like=image)
        weights_shape = [batch.shape[0]] + [1] * (batch.ndim - 1)
        count = batch.shape[0]
        kept = dirichlet([[self.alpha, self.alpha]] * count)
        shares = dirichlet([[self.alpha] * self.mixture_width] * count)
        shares = shares * kept[:, 1].reshape([count, -1])
        mixed = kept[:, 0].reshape(weights_shape) * batch
        space = self._augmentation_space(height, width)
        for i in range(self.mixture_width):
            augmented = batch
            depth = self.chain_depth if self.chain_depth > 0 else integer(1, 4)
            for _ in range(depth):
                name, (magnitudes, signed) = self._choose(space)
                magnitude = 0.0
                if magnitudes is not None:
                    chosen = float(magnitudes[integer(0, self.severity)])
                    magnitude = self._sign(chosen, signed)
                augmented = self._operate(augmented, name, magnitude)
            mixed = mixed + shares[:, i].reshape(weights_shape) * augmented
        result: Any = mixed.reshape(shape).to(image.dtype)
        if is_pil:
            result = F.to_pil_image(result)
        elif not is_pure_tensor(image):
            result = tv_tensors.wrap(result, like=image)
        leaves[place] = result
        return rebuild(nest, iter(leaves))

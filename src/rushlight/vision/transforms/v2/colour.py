"""The second version's transforms of colour, and those that write over or mix images.

In and out: any nest of images and others; masks, boxes and points stay.  Level 14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import rushlight as rl
import rushlight.nn.functional as nnF
from rushlight import Tensor
from rushlight.vision import tv_tensors
from rushlight.vision.transforms.arguments import factor_range, pair_of_sizes
from rushlight.vision.transforms.draws import chance, dirichlet, integer, uniform
from rushlight.vision.transforms.v2 import functional as F
from rushlight.vision.transforms.v2.functional import is_pure_tensor
from rushlight.vision.transforms.v2.inputs import (
    flatten,
    has_any,
    is_image_like,
    labels_getter_of,
    query_chw,
    query_size,
    rebuild,
)
from rushlight.vision.transforms.v2.transform import RandomApplyTransform, Transform
from rushlight.vision.transforms.warping import check_erasing, draw_erasing


class Grayscale(Transform):
    """Gray, with one or three channels."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.rgb_to_grayscale, inpt, num_output_channels=self.num_output_channels
        )


class RGB(Transform):
    """Gray images with three equal channels."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.grayscale_to_rgb, inpt)


class RandomGrayscale(RandomApplyTransform):
    """Gray, with as many channels as before, with probability `p`."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p=p)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"num_output_channels": query_chw(flat_inputs)[0]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.rgb_to_grayscale, inpt, **params)


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed at random, in random order."""

    def __init__(
        self, brightness: Any = None, contrast: Any = None, saturation: Any = None, hue: Any = None
    ) -> None:
        super().__init__()
        self.brightness = None if brightness is None else factor_range(brightness, "brightness")
        self.contrast = None if contrast is None else factor_range(contrast, "contrast")
        self.saturation = None if saturation is None else factor_range(saturation, "saturation")
        self.hue = (
            None if hue is None
            else factor_range(hue, "hue", center=0, bound=(-0.5, 0.5), clip_first=False)
        )  # fmt: skip

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        order = rl.randperm(4).tolist()
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        return {"order": order, "factors": [None if r is None else uniform(*r) for r in ranges]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        functions = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for number in params["order"]:
            if params["factors"][number] is not None:
                inpt = self._call_kernel(functions[number], inpt, params["factors"][number])
        return inpt


class RandomChannelPermutation(Transform):
    """Channels in random order."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"permutation": rl.randperm(query_chw(flat_inputs)[0]).tolist()}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.permute_channels, inpt, **params)


class RandomPhotometricDistort(Transform):
    """Each of the colour's properties changed with probability `p`, as SSD trains."""

    def __init__(
        self, brightness: tuple[float, float] = (0.875, 1.125),
        contrast: tuple[float, float] = (0.5, 1.5), saturation: tuple[float, float] = (0.5, 1.5),
        hue: tuple[float, float] = (-0.05, 0.05), p: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.brightness = brightness
        self.contrast = contrast
        self.hue = hue
        self.saturation = saturation
        self.p = p

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        channels = query_chw(flat_inputs)[0]
        params: dict[str, Any] = {
            name: uniform(low, high) if chance() < self.p else None
            for name, (low, high) in (
                ("brightness", self.brightness), ("contrast", self.contrast),
                ("saturation", self.saturation), ("hue", self.hue),
            )
        }  # fmt: skip
        params["contrast_before"] = chance() < 0.5
        params["permutation"] = rl.randperm(channels).tolist() if chance() < self.p else None
        return params

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        steps = [
            (F.adjust_brightness, params["brightness"]),
            (F.adjust_contrast, params["contrast"] if params["contrast_before"] else None),
            (F.adjust_saturation, params["saturation"]),
            (F.adjust_hue, params["hue"]),
            (F.adjust_contrast, None if params["contrast_before"] else params["contrast"]),
            (F.permute_channels, params["permutation"]),
        ]
        for function, argument in steps:
            if argument is not None:
                inpt = self._call_kernel(function, inpt, argument)
        return inpt


class RandomEqualize(RandomApplyTransform):
    """Levels made equally frequent with probability `p`."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.equalize, inpt)


class RandomInvert(RandomApplyTransform):
    """The negative with probability `p`."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.invert, inpt)


class RandomAutocontrast(RandomApplyTransform):
    """Channels stretched over the whole range with probability `p`."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.autocontrast, inpt)


class RandomPosterize(RandomApplyTransform):
    """The highest `bits` with probability `p`."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.bits = bits

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.posterize, inpt, bits=self.bits)


class RandomSolarize(RandomApplyTransform):
    """What is at least `threshold` inverted with probability `p`."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.threshold = threshold

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.solarize, inpt, threshold=self.threshold)


class RandomAdjustSharpness(RandomApplyTransform):
    """Sharpness adjusted with probability `p`."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.sharpness_factor = sharpness_factor

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.adjust_sharpness, inpt, sharpness_factor=self.sharpness_factor)


class GaussianBlur(Transform):
    """Blurred by a Gaussian with a random standard deviation."""

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = pair_of_sizes(
            kernel_size, "Kernel size should be a tuple/list of two integers"
        )
        for size in self.kernel_size:
            if size <= 0 or size % 2 == 0:
                raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, (int, float)):
            sigma = (float(sigma), float(sigma))
        self.sigma = [float(s) for s in sigma]
        if len(self.sigma) != 2:
            raise ValueError("sigma should be a single number or a list/tuple with length 2.")
        if not 0.0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(
                f"sigma values should be positive and of the form (min, max). Got {self.sigma}"
            )

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        sigma = uniform(self.sigma[0], self.sigma[1])
        return {"sigma": [sigma, sigma]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.gaussian_blur, inpt, self.kernel_size, **params)


class GaussianNoise(Transform):
    """Normal noise added."""

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        super().__init__()
        self.mean = mean
        self.sigma = sigma
        self.clip = clip

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.gaussian_noise, inpt, mean=self.mean, sigma=self.sigma, clip=self.clip
        )


class RandomErasing(RandomApplyTransform):
    """A random rectangle overwritten, with probability `p`."""

    def __init__(
        self, p: float = 0.5, scale: Any = (0.02, 0.33), ratio: Any = (0.3, 3.3),
        value: Any = 0.0, inplace: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(p=p)
        check_erasing(p, scale, ratio, value)
        self.scale = scale
        self.ratio = ratio
        if isinstance(value, (int, float)):
            self.value: list[float] | None = [float(value)]
        elif isinstance(value, str):
            self.value = None
        else:
            self.value = [float(v) for v in value]
        self.inplace = inplace

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        channels, height, width = query_chw(flat_inputs)
        if self.value is not None and len(self.value) not in (1, channels):
            raise ValueError(
                "If value is a sequence, it should have either a single value or"
                f" {channels} (number of inpt channels)"
            )
        drawn = draw_erasing(channels, height, width, self.scale, self.ratio, self.value)
        return {} if drawn is None else dict(zip("ijhwv", drawn))

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not params:
            return inpt
        return self._call_kernel(F.erase, inpt, **params, inplace=self.inplace)


class JPEG(Transform):
    """The losses of JPEG at a random quality."""

    def __init__(self, quality: int | Sequence[int]) -> None:
        super().__init__()
        pair = [quality, quality] if isinstance(quality, int) else list(quality)
        if len(pair) != 2 or not all(isinstance(q, int) for q in pair):
            raise ValueError("quality must be an integer or a sequence of two integers")
        if not 1 <= pair[0] <= pair[1] <= 100:
            raise ValueError("quality must be an integer from 1 to 100")
        self.quality = pair

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"quality": integer(self.quality[0], self.quality[1] + 1)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.jpeg, inpt, **params)


class _MixBatch(Transform):
    """Base of what mixes a batch with itself, shifted by one; labels become shares."""

    def __init__(
        self, *, alpha: float = 1.0, num_classes: int | None = None, labels_getter: Any = "default"
    ) -> None:
        super().__init__()
        self.alpha = float(alpha)
        self.num_classes = num_classes
        self._labels_getter = labels_getter_of(labels_getter)

    def forward(self, *inputs: Any) -> Any:
        nest = inputs if len(inputs) > 1 else inputs[0]
        leaves = flatten(nest)
        if has_any(leaves, tv_tensors.BoundingBoxes, tv_tensors.KeyPoints, tv_tensors.Mask):
            raise ValueError(
                f"{type(self).__name__}() does not support PIL"
                f" images, bounding boxes, keypoints and masks."
            )
        labels = self._labels_getter(nest)
        if not isinstance(labels, Tensor):
            raise ValueError(f"The labels must be a tensor, but got {type(labels)} instead.")
        if labels.ndim not in (1, 2):
            raise ValueError(
                f"labels should be index based with shape (batch_size,) or probability"
                f" based with shape (batch_size, num_classes), but"
                f" got a tensor of shape {labels.shape} instead."
            )
        if labels.ndim == 1 and self.num_classes is None:
            raise ValueError("num_classes must be passed if the labels are index-based (1D)")
        wanted = self._images_and_labels(leaves, labels)
        params = self.make_params([leaf for leaf, take in zip(leaves, wanted) if take])
        params["labels"] = labels
        moved = [
            self.transform(leaf, params) if take else leaf for leaf, take in zip(leaves, wanted)
        ]
        return rebuild(nest, iter(moved))

    def _images_and_labels(self, leaves: list[Any], labels: Tensor) -> list[bool]:
        others = [leaf for leaf in leaves if leaf is not labels]
        taken = iter(self._wanted(others))
        wanted = [True if leaf is labels else next(taken) for leaf in leaves]
        batch = labels.shape[0]
        for leaf, take in zip(leaves, wanted):
            if take and leaf is not labels:
                axes = 5 if isinstance(leaf, tv_tensors.Video) else 4
                if leaf.ndim != axes:
                    raise ValueError(
                        f"Expected a batched input with {axes} dims,"
                        f" but got {leaf.ndim} dimensions instead."
                    )
                if leaf.shape[0] != batch:
                    raise ValueError(
                        f"The batch size of the image or video does not match the"
                        f" batch size of the labels: {leaf.shape[0]} != {batch}."
                    )
        return wanted

    def _mixed_labels(self, labels: Tensor, share: float) -> Tensor:
        if labels.ndim == 1:
            labels = nnF.one_hot(labels, num_classes=self.num_classes)
        if not labels.is_floating_point():
            labels = labels.float()
        return labels.roll(1, 0).mul(1.0 - share).add(labels.mul(share))

    def _share(self) -> float:
        # A Beta number is the first share of a Dirichlet pair.
        return float(dirichlet([[self.alpha, self.alpha]])[0, 0])


class MixUp(_MixBatch):
    """Images and labels mixed with those of the next sample.  Source: Zhang et al. 2018."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"lam": self._share()}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        share = params["lam"]
        if inpt is params["labels"]:
            return self._mixed_labels(inpt, share)
        output = inpt.roll(1, 0).mul(1.0 - share).add(inpt.mul(share))
        return tv_tensors.wrap(output, like=inpt) if not is_pure_tensor(inpt) else output


class CutMix(_MixBatch):
    """A rectangle taken from the next sample.  Source: Yun et al. 2019."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        share = self._share()
        images = [inpt for inpt in flat_inputs if is_image_like(inpt) and inpt.ndim >= 4]
        height, width = query_size(images)
        x, y = integer(0, width), integer(0, height)
        half = 0.5 * math.sqrt(1.0 - share)
        half_w, half_h = int(half * width), int(half * height)
        x1, y1 = max(x - half_w, 0), max(y - half_h, 0)
        x2, y2 = min(x + half_w, width), min(y + half_h, height)
        area = (x2 - x1) * (y2 - y1)
        return {"box": (x1, y1, x2, y2), "lam_adjusted": float(1.0 - area / (width * height))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if inpt is params["labels"]:
            return self._mixed_labels(inpt, params["lam_adjusted"])
        x1, y1, x2, y2 = params["box"]
        rolled = inpt.roll(1, 0)
        output = inpt.as_subclass(Tensor).clone()
        output[..., y1:y2, x1:x2] = rolled[..., y1:y2, x1:x2]
        return tv_tensors.wrap(output, like=inpt) if not is_pure_tensor(inpt) else output

"""What pretrained networks want done to their images first.

In: PIL images or tensors (..., C, H, W).  Out: float tensors.  Level 14.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import Tensor, nn
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.interpolation import InterpolationMode

__all__ = ["ImageClassification", "ObjectDetection", "SemanticSegmentation"]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ObjectDetection(nn.Module):
    """Float pixels between 0 and 1."""

    def forward(self, img: Any) -> Tensor:
        image = img if isinstance(img, Tensor) else F.pil_to_tensor(img)
        return F.convert_image_dtype(image, rl.float32)


class ImageClassification(nn.Module):
    """Resized, cropped in the middle, normalized."""

    def __init__(
        self, *, crop_size: int, resize_size: int = 256, mean: Any = _MEAN, std: Any = _STD,
        interpolation: Any = InterpolationMode.BILINEAR, antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img: Any) -> Tensor:
        img = F.resize(img, self.resize_size, self.interpolation, antialias=self.antialias)
        img = F.center_crop(img, self.crop_size)
        image = img if isinstance(img, Tensor) else F.pil_to_tensor(img)
        return F.normalize(F.convert_image_dtype(image, rl.float32), self.mean, self.std)

    def __repr__(self) -> str:
        facts = "".join(
            f"\n    {name}={getattr(self, name)}"
            for name in ("crop_size", "resize_size", "mean", "std", "interpolation")
        )
        return f"{type(self).__name__}({facts}\n)"


class SemanticSegmentation(nn.Module):
    """Resized (where a size is given) and normalized."""

    def __init__(
        self, *, resize_size: int | None, mean: Any = _MEAN, std: Any = _STD,
        interpolation: Any = InterpolationMode.BILINEAR, antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.resize_size = None if resize_size is None else [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img: Any) -> Tensor:
        if self.resize_size is not None:
            img = F.resize(img, self.resize_size, self.interpolation, antialias=self.antialias)
        image = img if isinstance(img, Tensor) else F.pil_to_tensor(img)
        return F.normalize(F.convert_image_dtype(image, rl.float32), self.mean, self.std)

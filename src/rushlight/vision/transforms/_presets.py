"""What pretrained networks want done to their images first.

In: PIL images or tensors (..., C, H, W).  Out: float tensors.  Level 14.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import Tensor, nn
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.interpolation import InterpolationMode

__all__ = [
    "ImageClassification", "ObjectDetection", "OpticalFlow", "SemanticSegmentation",
    "VideoClassification",
]  # fmt: skip

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


class VideoClassification(nn.Module):
    """Videos (..., T, C, H, W) resized, cropped in the middle, normalized: (..., C, T, H, W)."""

    def __init__(
        self, *, crop_size: Any, resize_size: Any, mean: Any = (0.43216, 0.394666, 0.37645),
        std: Any = (0.22803, 0.22145, 0.216989), interpolation: Any = InterpolationMode.BILINEAR,
    ) -> None:  # fmt: skip
        super().__init__()
        self.crop_size = list(crop_size)
        self.resize_size = list(resize_size)
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation

    def forward(self, vid: Tensor) -> Tensor:
        single = vid.ndim < 5
        if single:
            vid = vid.unsqueeze(0)
        n, t, c, h, w = vid.shape
        frames = vid.reshape(-1, c, h, w)
        frames = F.resize(frames, self.resize_size, self.interpolation, antialias=False)
        frames = F.convert_image_dtype(F.center_crop(frames, self.crop_size), rl.float32)
        frames = F.normalize(frames, self.mean, self.std)
        videos = frames.reshape(n, t, c, *self.crop_size).permute(0, 2, 1, 3, 4)
        return videos.squeeze(0) if single else videos


class OpticalFlow(nn.Module):
    """Two images as floats between -1 and 1."""

    def forward(self, img1: Any, img2: Any) -> tuple[Tensor, Tensor]:
        first, second = (
            img if isinstance(img, Tensor) else F.pil_to_tensor(img) for img in (img1, img2)
        )
        half = [0.5, 0.5, 0.5]
        return (
            F.normalize(F.convert_image_dtype(first, rl.float32), half, half).contiguous(),
            F.normalize(F.convert_image_dtype(second, rl.float32), half, half).contiguous(),
        )

"""What a detector does to images before and to its results after.

In: images (C, H, W) of any size with values between 0 and 1, and targets.  Out: a batch of
normalized, resized images, and boxes, masks and keypoints in the first sizes.  Level 14.
"""

from __future__ import annotations

import math
from typing import Any

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.vision.models.detection.image_list import ImageList
from rushlight.vision.models.detection.masks import paste_masks_in_image


class GeneralizedRCNNTransform(nn.Module):
    """Normalizes, resizes between `min_size` and `max_size`, and pads to one size.

    min_size: of the shorter side; one of several is drawn in training.
    fixed_size: (width, height) of all images instead.
    """

    def __init__(
        self, min_size: Any, max_size: int, image_mean: list[float], image_std: list[float],
        size_divisible: int = 32, fixed_size: tuple[int, int] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self.min_size = min_size if isinstance(min_size, (list, tuple)) else (min_size,)
        self.max_size = max_size
        self.image_mean = image_mean
        self.image_std = image_std
        self.size_divisible = size_divisible
        self.fixed_size = fixed_size
        self._skip_resize = kwargs.pop("_skip_resize", False)

    def forward(
        self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> tuple[ImageList, list[dict[str, Tensor]] | None]:
        images = list(images)
        copies: list[Any] | None = None if targets is None else [dict(t) for t in targets]
        for i, image in enumerate(images):
            if image.ndim != 3:
                raise ValueError(
                    "images is expected to be a list of 3d tensors of shape [C, H, W], got"
                    f" {tuple(image.shape)}"
                )
            target = None if copies is None else copies[i]
            images[i], target = self.resize(self.normalize(image), target)
            if copies is not None:
                copies[i] = target
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        return ImageList(self.batch_images(images, self.size_divisible), sizes), copies

    def normalize(self, image: Tensor) -> Tensor:
        """The image less the mean, over the deviation.  Raises: TypeError for integers."""
        if not image.is_floating_point():
            raise TypeError(
                "Expected input images to be of floating type (in range [0, 1]), but found type"
                f" {image.dtype} instead"
            )
        mean = rl.tensor(self.image_mean, dtype=image.dtype)[:, None, None]
        std = rl.tensor(self.image_std, dtype=image.dtype)[:, None, None]
        return (image - mean) / std

    def torch_choice(self, k: Any) -> int:
        """One of them at random, by PyTorch's stream."""
        return k[int(rl.empty(1).uniform_(0.0, float(len(k))).item())]

    def resize(
        self, image: Tensor, target: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """An image and its target in the size that the network sees."""
        before = tuple(image.shape[-2:])
        if self.training:
            if self._skip_resize:
                return image, target
            shorter = self.torch_choice(self.min_size)
        else:
            shorter = self.min_size[-1]
        options: dict[str, Any] = {}
        if self.fixed_size is not None:
            options["size"] = [self.fixed_size[1], self.fixed_size[0]]
        else:
            options["scale_factor"] = min(shorter / min(before), self.max_size / max(before))
            options["recompute_scale_factor"] = True
        image = F.interpolate(image[None], mode="bilinear", align_corners=False, **options)[0]
        if target is None:
            return image, None
        if "masks" in target:
            masks = F.interpolate(target["masks"][:, None].float(), **options)
            target["masks"] = masks[:, 0].to(rl.uint8)
        after = tuple(image.shape[-2:])
        target["boxes"] = resize_boxes(target["boxes"], before, after)
        if "keypoints" in target:
            target["keypoints"] = resize_keypoints(target["keypoints"], before, after)
        return image, target

    def batch_images(self, images: list[Tensor], size_divisible: int = 32) -> Tensor:
        """One batch, images at the top left, sides a multiple of `size_divisible`."""
        step = float(size_divisible)
        height = int(math.ceil(max(i.shape[1] for i in images) / step) * step)
        width = int(math.ceil(max(i.shape[2] for i in images) / step) * step)
        padded = [F.pad(i, (0, width - i.shape[2], 0, height - i.shape[1])) for i in images]
        return rl.stack(padded)

    def postprocess(
        self, result: list[dict[str, Tensor]], image_shapes: Any, original_image_sizes: Any
    ) -> list[dict[str, Tensor]]:
        """Results in the images' first sizes; unchanged in training."""
        if self.training:
            return result
        for found, seen, first in zip(result, image_shapes, original_image_sizes):
            boxes = resize_boxes(found["boxes"], seen, first)
            found["boxes"] = boxes
            if "masks" in found:
                found["masks"] = paste_masks_in_image(found["masks"], boxes, first)
            if "keypoints" in found:
                found["keypoints"] = resize_keypoints(found["keypoints"], seen, first)
        return result

    def __repr__(self) -> str:
        inside = f"\n    Normalize(mean={self.image_mean}, std={self.image_std})"
        inside += f"\n    Resize(min_size={self.min_size}, max_size={self.max_size},"
        return f"{type(self).__name__}({inside} mode='bilinear')\n)"


def _ratios(before: Any, after: Any) -> tuple[Tensor, Tensor]:
    """Of heights and widths, in float32 as boxes are."""
    height, width = (
        rl.tensor(float(new)) / rl.tensor(float(old)) for old, new in zip(before, after)
    )
    return height, width


def resize_boxes(boxes: Tensor, original_size: Any, new_size: Any) -> Tensor:
    """Boxes (N, 4) when their image of (height, width) changes its size."""
    down, across = _ratios(original_size, new_size)
    x1, y1, x2, y2 = boxes.unbind(1)
    return rl.stack((x1 * across, y1 * down, x2 * across, y2 * down), 1)


def resize_keypoints(keypoints: Tensor, original_size: Any, new_size: Any) -> Tensor:
    """Keypoints (N, K, 3), x, y and whether visible, when their image changes its size."""
    down, across = _ratios(original_size, new_size)
    return rl.stack((keypoints[..., 0] * across, keypoints[..., 1] * down, keypoints[..., 2]), -1)

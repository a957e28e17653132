"""Pictures made of tensors: grids, boxes, masks, points, flow.

In: tensors (C, H, W).  Out: tensors, or image files.  Level 14.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor
from rushlight.vision.pillow import Image, ImageColor, ImageDraw, ImageFont, require
from rushlight.vision.transforms.conversion import pil_to_tensor, to_pil_image

__all__ = [
    "draw_bounding_boxes", "draw_keypoints", "draw_segmentation_masks", "flow_to_image",
    "make_grid", "save_image",
]  # fmt: skip


@rl.no_grad()
def make_grid(
    tensor: Any, nrow: int = 8, padding: int = 2, normalize: bool = False,
    value_range: tuple[float, float] | None = None, scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:  # fmt: skip
    """Images (N, C, H, W), or a list of them, side by side as one (C, H, W).

    normalize: from `value_range`, or their least and greatest, to 0 … 1; each alone if
    `scale_each`.  Raises: TypeError.
    """
    if isinstance(tensor, (list, tuple)):
        tensor = rl.stack(list(tensor), dim=0)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if tensor.ndim == 2:
        tensor = tensor.unsqueeze(0)
    if tensor.ndim == 3:
        if tensor.shape[0] == 1:
            tensor = rl.cat((tensor, tensor, tensor), 0)
        tensor = tensor.unsqueeze(0)
    if tensor.ndim == 4 and tensor.shape[1] == 1:
        tensor = rl.cat((tensor, tensor, tensor), 1)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError(
                "value_range has to be a tuple (min, max) if specified. min and max are numbers"
            )
        if scale_each:
            tensor = rl.stack([_normalized(image, value_range) for image in tensor])
        else:
            tensor = _normalized(tensor, value_range)
    if tensor.shape[0] == 1:
        return tensor.squeeze(0)
    count, channels, h, w = tensor.shape
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = h + padding, w + padding
    grid = tensor.new_full(
        (channels, height * rows + padding, width * columns + padding), pad_value
    )
    for k in range(count):
        y, x = k // columns * height + padding, k % columns * width + padding
        grid[:, y : y + h, x : x + w] = tensor[k]
    return grid


def _normalized(image: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    low, high = value_range or (float(image.min()), float(image.max()))
    return image.clamp(min=low, max=high).sub(low).div(max(high - low, 1e-5))


@rl.no_grad()
def save_image(tensor: Any, fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """Write one image, or `make_grid` of several, whose pixels are 0 … 1."""
    require("save_image")
    grid = make_grid(tensor, **kwargs)
    pixels = grid.mul(255).add(0.5).clamp(0, 255).permute(1, 2, 0).to(rl.uint8).numpy()
    Image.fromarray(np.ascontiguousarray(pixels)).save(fp, format=format)


def _check_image(image: Any, *, allow_float: bool = True) -> None:
    if not isinstance(image, Tensor):
        raise TypeError(f"The image must be a tensor, got {type(image)}")
    if not (image.dtype == rl.uint8 or (allow_float and image.is_floating_point())):
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.ndim != 3:
        raise ValueError("Pass individual images, not batches")


def _as_bytes(image: Tensor) -> Tensor:
    if image.is_floating_point():
        return image.mul(255.999).to(rl.uint8)
    return image


def _as_before(picture: Tensor, image: Tensor) -> Tensor:
    return picture.to(image.dtype) / 255 if image.is_floating_point() else picture


def _palette(count: int) -> list[tuple[int, int, int]]:
    steps = (2**25 - 1, 2**15 - 1, 2**21 - 1)
    return [tuple((i * step) % 255 for step in steps) for i in range(count)]  # type: ignore[misc]


def _colours(colors: Any, count: int) -> list[Any]:
    if colors is None:
        chosen: list[Any] = list(_palette(count))
    elif isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                f"Number of colors must be equal or larger than the"
                f" number of objects, but got {len(colors)} < {count}."
            )
        chosen = colors
    elif isinstance(colors, (str, tuple)):
        chosen = [colors] * count
    else:
        raise ValueError(
            f"`colors` must be a tuple or a string, or a list thereof, but got {colors}."
        )
    return [ImageColor.getrgb(c) if isinstance(c, str) else c for c in chosen]


@rl.no_grad()
def draw_bounding_boxes(
    image: Tensor, boxes: Tensor, labels: list[str] | None = None, colors: Any = None,
    fill: bool | None = False, width: int = 1, font: str | None = None,
    font_size: int | None = None, label_colors: Any = None, label_background_colors: Any = None,
    fill_labels: bool = False,
) -> Tensor:  # fmt: skip
    """Boxes (N, 4) as (x1, y1, x2, y2) drawn on an image (1 or 3, H, W).

    Raises: TypeError, ValueError.
    """
    _check_image(image)
    if image.shape[0] not in (1, 3):
        raise ValueError("Only grayscale and RGB images are supported")
    if boxes.shape[0] and bool(((boxes[:, 0] > boxes[:, 2]) | (boxes[:, 1] > boxes[:, 3])).any()):
        raise ValueError(
            "Boxes need to be in (xmin, ymin, xmax, ymax) format."
            " Use torchvision.ops.box_convert to convert them"
        )
    count = boxes.shape[0]
    if count == 0:
        warnings.warn("boxes doesn't contain any box. No box was drawn", stacklevel=2)
        return image
    texts = [None] * count if labels is None else labels
    if len(texts) != count:
        raise ValueError(
            f"The number of boxes ({count}) and labels ({len(texts)})"
            f" mismatch. Please specify labels for each box."
        )
    chosen = _colours(colors, count)
    text_colours = _colours(label_colors, count) if label_colors else chosen
    grounds = _colours(label_background_colors, count) if label_background_colors else chosen
    picture = to_pil_image(_as_bytes(image.expand(3, -1, -1) if image.shape[0] == 1 else image))
    draw = ImageDraw.Draw(picture, "RGBA") if fill else ImageDraw.Draw(picture)
    if font is None:
        letters = ImageFont.load_default()
    else:
        letters = ImageFont.truetype(font=font, size=font_size or 10)
    for box, text, colour, text_colour, ground in zip(
        boxes.to(rl.int64).tolist(), texts, chosen, text_colours, grounds
    ):
        draw.rectangle(box, width=width, outline=colour, fill=(*colour, 100) if fill else None)
        if text is not None:
            margin = width + 1
            place = (box[0] + margin, box[1] + margin)
            if fill_labels:
                left, top, right, bottom = draw.textbbox(place, text, font=letters)
                draw.rectangle((left - 4, top - 4, right + 4, bottom + 4), fill=ground)
                text_colour = text_colour if label_colors else "black"
            draw.text(place, text, fill=text_colour, font=letters)
    return _as_before(pil_to_tensor(picture), image)


@rl.no_grad()
def draw_segmentation_masks(
    image: Tensor, masks: Tensor, alpha: float = 0.8, colors: Any = None
) -> Tensor:
    """Boolean masks (N, H, W) laid over an image (3, H, W) with opacity `alpha`.

    Raises: TypeError, ValueError.
    """
    _check_image(image)
    if image.shape[0] != 3:
        raise ValueError("Pass an RGB image. Other Image formats are not supported")
    if masks.ndim == 2:
        masks = masks[None]
    if masks.ndim != 3:
        raise ValueError("masks must be of shape (H, W) or (batch_size, H, W)")
    if masks.dtype != rl.bool:
        raise ValueError(f"The masks must be of dtype bool. Got {masks.dtype}")
    if masks.shape[-2:] != image.shape[-2:]:
        raise ValueError("The image and the masks must have the same height and width")
    count = masks.shape[0]
    chosen = _colours(colors, count)
    if count == 0:
        warnings.warn("masks doesn't contain any mask. No mask was drawn", stacklevel=2)
        return image
    pixels = image.numpy().copy()
    flags = masks.numpy()
    for mask, colour in zip(flags, chosen):
        tint = np.array(colour, dtype=np.float64)
        if image.is_floating_point():
            tint = tint / 255
        pixels[:, mask] = tint[:, None].astype(pixels.dtype)
    pixels[:, flags.sum(0) > 1] = 0  # where masks overlap, as torchvision has it
    out = image * (1 - alpha) + rl.from_numpy(pixels) * alpha
    return out.to(image.dtype)


@rl.no_grad()
def draw_keypoints(
    image: Tensor, keypoints: Tensor, connectivity: list[tuple[int, int]] | None = None,
    colors: Any = None, radius: int = 2, width: int = 3, visibility: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Points (instances, K, 2) drawn on an image (3, H, W), joined by `connectivity`.

    Raises: TypeError, ValueError.
    """
    _check_image(image)
    if image.shape[0] != 3:
        raise ValueError("Pass an RGB image. Other Image formats are not supported")
    if keypoints.ndim != 3:
        raise ValueError("keypoints must be of shape (num_instances, K, 2)")
    seen = (
        np.ones(keypoints.shape[:2], bool)
        if visibility is None
        else visibility.numpy().astype(bool)
    )
    seen = seen.reshape(keypoints.shape[:2])
    picture = to_pil_image(_as_bytes(image))
    draw = ImageDraw.Draw(picture)
    points = keypoints.to(rl.int64).tolist()
    for instance, visible in zip(points, seen):
        for (x, y), shown in zip(instance, visible):
            if shown:
                ellipse = [x - radius, y - radius, x + radius, y + radius]
                draw.ellipse(ellipse, fill=colors, outline=None, width=0)
        for first, second in connectivity or []:
            if visible[first] and visible[second]:
                draw.line((tuple(instance[first]), tuple(instance[second])), width=width)
    return _as_before(pil_to_tensor(picture), image)


# How many steps the colour wheel has from each pure colour to the next.
_WHEEL = (("RY", 15), ("YG", 6), ("GC", 4), ("CB", 11), ("BM", 13), ("MR", 6))
_PURE = {
    "R": (255, 0, 0), "Y": (255, 255, 0), "G": (0, 255, 0), "C": (0, 255, 255), "B": (0, 0, 255),
    "M": (255, 0, 255),
}  # fmt: skip


def _colour_wheel() -> np.ndarray:
    rows = []
    for ends, steps in _WHEEL:
        first, last = np.array(_PURE[ends[0]]), np.array(_PURE[ends[1]])
        for i in range(steps):
            share = np.floor(255 * i / steps)
            up = np.where(last > first, share, 0)
            down = np.where(last < first, share, 0)
            rows.append(first + up - down)
    return np.array(rows, dtype=np.float32)


@rl.no_grad()
def flow_to_image(flow: Tensor) -> Tensor:
    """Optical flow (N, 2, H, W) or (2, H, W) as colours: direction as hue, length as saturation.

    Raises: ValueError.  Source: Baker et al. 2011.
    """
    if flow.dtype != rl.float:
        raise ValueError(f"Flow should be of dtype torch.float, got {flow.dtype}.")
    shape = flow.shape
    if flow.ndim not in (3, 4) or shape[-3] != 2:
        raise ValueError(f"Input flow should have shape (2, H, W) or (N, 2, H, W), got {shape}.")
    values = flow.numpy().reshape(-1, 2, *shape[-2:])
    longest = np.sqrt((values**2).sum(1)).max()
    values = values / (longest + np.finfo(np.float32).eps)
    length = np.sqrt((values**2).sum(1))
    wheel = _colour_wheel()
    place = (
        (np.arctan2(-values[:, 1], -values[:, 0]) / np.float32(np.pi) + 1) / 2 * (len(wheel) - 1)
    )
    low = np.floor(place).astype(np.int64)
    high = (low + 1) % len(wheel)
    share = place - low
    planes = []
    for c in range(3):
        first, second = wheel[low, c] / 255.0, wheel[high, c] / 255.0
        colour = (1 - share) * first + share * second
        planes.append(np.floor(255 * (1 - length * (1 - colour))))
    pixels = rl.from_numpy(np.stack(planes, 1).astype(np.uint8))
    return pixels if flow.ndim == 4 else pixels[0]

"""The second version's transforms of geometry.

In and out: any nest of images, videos, masks, boxes and points; one draw moves them all.
Level 14.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rushlight as rl
from rushlight import Tensor
from rushlight.vision import tv_tensors
from rushlight.vision.ops.boxes import box_iou
from rushlight.vision.transforms._functional_tensor import pad_order
from rushlight.vision.transforms.arguments import angle_range, check_sequence
from rushlight.vision.transforms.draws import integer, logarithms, uniform
from rushlight.vision.transforms.interpolation import InterpolationMode, mode_of
from rushlight.vision.transforms.matrices import perspective_coefficients
from rushlight.vision.transforms.random_geometry import RandomPerspective as _Corners
from rushlight.vision.transforms.random_geometry import draw_resized_crop
from rushlight.vision.transforms.v2 import functional as F
from rushlight.vision.transforms.v2.inputs import (
    get_bounding_boxes,
    has_all,
    has_any,
    is_image_like,
    query_size,
)
from rushlight.vision.transforms.v2.transform import (
    RandomApplyTransform,
    Transform,
    check_fill_argument,
    fill_for,
    fill_table,
    int_pair,
)
from rushlight.vision.transforms.warping import (
    check_affine,
    draw_affine,
    draw_displacement,
    two_floats,
)

BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


class RandomHorizontalFlip(RandomApplyTransform):
    """Left and right exchanged with probability `p`."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.horizontal_flip, inpt)


class RandomVerticalFlip(RandomApplyTransform):
    """Top and bottom exchanged with probability `p`."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.vertical_flip, inpt)


class Resize(Transform):
    """Resize to (height, width), the shorter edge to one number, or the longer to `max_size`."""

    def __init__(
        self, size: Any, interpolation: Any = BILINEAR, max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if size is None:
            if not isinstance(max_size, int):
                raise ValueError(
                    f"max_size must be an integer when size is None, but got {max_size} instead."
                )
        elif isinstance(size, int):
            size = [size]
        elif isinstance(size, Sequence) and len(size) in (1, 2):
            size = list(size)
        else:
            raise ValueError(
                f"size can be an integer, a sequence of one or"
                f" two integers, or None, but got {size} instead."
            )
        self.size = size
        self.interpolation = mode_of(interpolation)
        self.max_size = max_size
        self.antialias = antialias

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.resize, inpt, self.size, interpolation=self.interpolation, max_size=self.max_size,
            antialias=self.antialias,
        )  # fmt: skip


class CenterCrop(Transform):
    """The middle."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = int_pair(size, "Please provide only two dimensions (h, w) for size.")

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.center_crop, inpt, output_size=self.size)


class RandomResizedCrop(Transform):
    """A random part, by area and ratio of sides, resized to `size`."""

    def __init__(
        self, size: Any, scale: Any = (0.08, 1.0), ratio: Any = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = BILINEAR, antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.size = int_pair(size, "Please provide only two dimensions (h, w) for size.")
        check_sequence(scale, "scale", (2,))
        check_sequence(ratio, "ratio", (2,))
        self.scale = scale
        self.ratio = ratio
        logarithms(*ratio)
        self.interpolation = mode_of(interpolation)
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        part = draw_resized_crop(*query_size(flat_inputs), self.scale, self.ratio)
        return dict(zip(("top", "left", "height", "width"), part))

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.resized_crop, inpt, **params, size=self.size, interpolation=self.interpolation,
            antialias=self.antialias,
        )  # fmt: skip


class FiveCrop(Transform):
    """The four corners and the middle, as a tuple."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = int_pair(size, "Please provide only two dimensions (h, w) for size.")

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        if has_any(flat_inputs, tv_tensors.BoundingBoxes, tv_tensors.Mask):
            raise TypeError(
                f"BoundingBoxes'es and Mask's are not supported by {type(self).__name__}()"
            )

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.five_crop, inpt, self.size)


class TenCrop(Transform):
    """`FiveCrop` of the image and of its mirror image, as a tuple."""

    def __init__(self, size: Any, vertical_flip: bool = False) -> None:
        super().__init__()
        self.size = int_pair(size, "Please provide only two dimensions (h, w) for size.")
        self.vertical_flip = vertical_flip

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        if has_any(flat_inputs, tv_tensors.BoundingBoxes, tv_tensors.Mask):
            raise TypeError(
                f"BoundingBoxes'es and Mask's are not supported by {type(self).__name__}()"
            )

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.ten_crop, inpt, self.size, vertical_flip=self.vertical_flip)


def _check_padding(padding: Any, padding_mode: str) -> None:
    if not isinstance(padding, (int, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if isinstance(padding, (tuple, list)) and len(padding) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element"
            f" tuple, not a {len(padding)} element tuple"
        )
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")


class Pad(Transform):
    """Add pixels at the four sides."""

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        _check_padding(padding, padding_mode)
        self.padding = padding if isinstance(padding, int) else list(padding)
        self.fill = check_fill_argument(fill)
        self._fill = fill_table(fill)
        self.padding_mode = padding_mode

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        fill = fill_for(self._fill, type(inpt))
        return self._call_kernel(
            F.pad, inpt, padding=self.padding, fill=fill, padding_mode=self.padding_mode
        )


class RandomZoomOut(RandomApplyTransform):
    """The image somewhere on a larger canvas, with probability `p`."""

    def __init__(
        self, fill: Any = 0, side_range: Sequence[float] = (1.0, 4.0), p: float = 0.5
    ) -> None:
        super().__init__(p=p)
        self.fill = check_fill_argument(fill)
        self._fill = fill_table(fill)
        check_sequence(side_range, "side_range", (2,))
        self.side_range = side_range
        if side_range[0] < 1.0 or side_range[0] > side_range[1]:
            raise ValueError(f"Invalid side range provided {side_range}.")

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        factor = self.side_range[0] + rl.rand(1) * (self.side_range[1] - self.side_range[0])
        canvas_w, canvas_h = int(width * factor), int(height * factor)
        place = rl.rand(2)
        left = int((canvas_w - width) * place[0])
        top = int((canvas_h - height) * place[1])
        return {"padding": [left, top, canvas_w - (left + width), canvas_h - (top + height)]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.pad, inpt, **params, fill=fill_for(self._fill, type(inpt)))


class RandomRotation(Transform):
    """Turned by a random number of `degrees`."""

    def __init__(
        self, degrees: Any, interpolation: Any = NEAREST, expand: bool = False, center: Any = None,
        fill: Any = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.degrees = angle_range(degrees, "degrees")
        self.interpolation = mode_of(interpolation)
        self.expand = expand
        self.fill = check_fill_argument(fill)
        self._fill = fill_table(fill)
        if center is not None:
            check_sequence(center, "center", (2,))
        self.center = center

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"angle": uniform(self.degrees[0], self.degrees[1])}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.rotate, inpt, **params, interpolation=self.interpolation, expand=self.expand,
            center=self.center, fill=fill_for(self._fill, type(inpt)),
        )  # fmt: skip


class RandomAffine(Transform):
    """Turned, shifted, scaled and sheared at random."""

    def __init__(
        self, degrees: Any, translate: Any = None, scale: Any = None, shear: Any = None,
        interpolation: Any = NEAREST, fill: Any = 0, center: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.degrees, shears = check_affine(degrees, translate, scale, shear, center)
        self.translate = translate
        self.scale = scale
        self.shear = shears
        self.interpolation = mode_of(interpolation)
        self.fill = check_fill_argument(fill)
        self._fill = fill_table(fill)
        self.center = center

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        drawn = draw_affine(self.degrees, self.translate, self.scale, self.shear, (width, height))
        return dict(zip(("angle", "translate", "scale", "shear"), drawn))

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.affine, inpt, **params, interpolation=self.interpolation,
            fill=fill_for(self._fill, type(inpt)), center=self.center,
        )  # fmt: skip


class RandomCrop(Transform):
    """A rectangle of `size` at a random place."""

    def __init__(
        self, size: Any, padding: Any = None, pad_if_needed: bool = False, fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:  # fmt: skip
        super().__init__()
        self.size = int_pair(size, "Please provide only two dimensions (h, w) for size.")
        if pad_if_needed or padding is not None:
            if padding is not None:
                _check_padding(padding, padding_mode)
            check_fill_argument(fill)
        self.padding = None if padding is None else pad_order(padding)
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self._fill = fill_table(fill)
        self.padding_mode = padding_mode

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        left = right = top = bottom = 0
        if self.padding is not None:
            left, right, top, bottom = self.padding
            height, width = height + top + bottom, width + left + right
        crop_h, crop_w = self.size
        if self.pad_if_needed:
            more_h, more_w = max(crop_h - height, 0), max(crop_w - width, 0)
            top, bottom, height = top + more_h, bottom + more_h, height + 2 * more_h
            left, right, width = left + more_w, right + more_w, width + 2 * more_w
        if height < crop_h or width < crop_w:
            raise ValueError(
                f"Required crop size {(crop_h, crop_w)} is larger than"
                f" {'padded ' if self.padding is not None else ''}input"
                f" image size {(height, width)}."
            )
        cut_h, cut_w = height > crop_h, width > crop_w
        at_top = integer(0, height - crop_h + 1) if cut_h else 0
        at_left = integer(0, width - crop_w + 1) if cut_w else 0
        return {
            "needs_crop": cut_h or cut_w, "top": at_top, "left": at_left,
            "height": crop_h if cut_h else height, "width": crop_w if cut_w else width,
            "padding": [left, top, right, bottom],
        }  # fmt: skip

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if any(params["padding"]):
            fill = fill_for(self._fill, type(inpt))
            inpt = self._call_kernel(
                F.pad, inpt, padding=params["padding"], fill=fill, padding_mode=self.padding_mode
            )
        if params["needs_crop"]:
            place = {key: params[key] for key in ("top", "left", "height", "width")}
            inpt = self._call_kernel(F.crop, inpt, **place)
        return inpt


class RandomPerspective(RandomApplyTransform):
    """Corners moved inwards, with probability `p`."""

    def __init__(
        self, distortion_scale: float = 0.5, p: float = 0.5, interpolation: Any = BILINEAR,
        fill: Any = 0,
    ) -> None:  # fmt: skip
        super().__init__(p=p)
        if not 0 <= distortion_scale <= 1:
            raise ValueError("Argument distortion_scale value should be between 0 and 1")
        self.distortion_scale = distortion_scale
        self.interpolation = mode_of(interpolation)
        self.fill = fill
        self._fill = fill_table(fill)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        start, end = _Corners.get_params(width, height, self.distortion_scale)
        return {"coefficients": perspective_coefficients(start, end)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.perspective, inpt, startpoints=None, endpoints=None,
            fill=fill_for(self._fill, type(inpt)), interpolation=self.interpolation, **params,
        )  # fmt: skip


class ElasticTransform(Transform):
    """Pixels moved by smoothed noise."""

    def __init__(
        self, alpha: Any = 50.0, sigma: Any = 5.0, interpolation: Any = BILINEAR, fill: Any = 0
    ) -> None:
        super().__init__()
        self.alpha = two_floats(alpha, "alpha")
        self.sigma = two_floats(sigma, "sigma")
        self.interpolation = mode_of(interpolation)
        self.fill = check_fill_argument(fill)
        self._fill = fill_table(fill)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        size = list(query_size(flat_inputs))
        return {"displacement": draw_displacement(self.alpha, self.sigma, size)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.elastic, inpt, **params, fill=fill_for(self._fill, type(inpt)),
            interpolation=self.interpolation,
        )  # fmt: skip


class RandomIoUCrop(Transform):
    """A random part that overlaps some box enough, as SSD trains.  Source: Liu et al. 2016."""

    def __init__(
        self, min_scale: float = 0.3, max_scale: float = 1.0, min_aspect_ratio: float = 0.5,
        max_aspect_ratio: float = 2.0, sampler_options: list[float] | None = None, trials: int = 40,
    ) -> None:  # fmt: skip
        super().__init__()
        self.min_scale = min_scale
        self.max_scale = max_scale
        self.min_aspect_ratio = min_aspect_ratio
        self.max_aspect_ratio = max_aspect_ratio
        self.options = sampler_options or [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]
        self.trials = trials

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        images = any(is_image_like(inpt) for inpt in flat_inputs)
        if not (images and has_all(flat_inputs, tv_tensors.BoundingBoxes)):
            raise TypeError(
                f"{type(self).__name__}() requires input sample to contain tensor or PIL images"
                " and bounding boxes. Sample can also contain masks."
            )

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        boxes = get_bounding_boxes(flat_inputs)
        while True:
            least = self.options[integer(0, len(self.options))]
            if least >= 1.0:  # the image as it is
                return {}
            for _ in range(self.trials):
                found = self._try(height, width, boxes, least)
                if found is not None:
                    return found

    def _try(self, height: int, width: int, boxes: Any, least: float) -> dict[str, Any] | None:
        share = self.min_scale + (self.max_scale - self.min_scale) * rl.rand(2)
        new_w, new_h = int(width * share[0]), int(height * share[1])
        if not self.min_aspect_ratio <= new_w / new_h <= self.max_aspect_ratio:
            return None
        place = rl.rand(2)
        left, top = int((width - new_w) * place[0]), int((height - new_h) * place[1])
        right, bottom = left + new_w, top + new_h
        if left == right or top == bottom:
            return None
        corners = F.convert_bounding_box_format(
            boxes.as_subclass(Tensor), old_format=boxes.format, new_format="XYXY"
        )
        cx = 0.5 * (corners[..., 0] + corners[..., 2])
        cy = 0.5 * (corners[..., 1] + corners[..., 3])
        inside = (left < cx) & (cx < right) & (top < cy) & (cy < bottom)
        if not inside.any():
            return None
        cut = rl.tensor([[left, top, right, bottom]], dtype=corners.dtype)
        if box_iou(corners[inside], cut).max() < least:
            return None
        return {"top": top, "left": left, "height": new_h, "width": new_w, "inside": inside}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not params:
            return inpt
        place = {key: params[key] for key in ("top", "left", "height", "width")}
        output = self._call_kernel(F.crop, inpt, **place)
        if isinstance(output, tv_tensors.BoundingBoxes):
            # Boxes whose centre is cut away become empty; SanitizeBoundingBoxes removes them.
            kept = output.as_subclass(Tensor) * params["inside"][:, None]
            output = tv_tensors.wrap(kept.to(output.dtype), like=output)
        return output


class ScaleJitter(Transform):
    """Resized to a random share of `target_size`.  Source: Ghiasi et al. 2021."""

    def __init__(
        self, target_size: tuple[int, int], scale_range: tuple[float, float] = (0.1, 2.0),
        interpolation: Any = BILINEAR, antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.target_size = target_size
        self.scale_range = scale_range
        self.interpolation = mode_of(interpolation)
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        scale = self.scale_range[0] + rl.rand(1) * (self.scale_range[1] - self.scale_range[0])
        ratio = min(self.target_size[1] / height, self.target_size[0] / width) * scale
        return {"size": (int(height * ratio), int(width * ratio))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.resize, inpt, size=params["size"], interpolation=self.interpolation,
            antialias=self.antialias,
        )  # fmt: skip


class RandomShortestSize(Transform):
    """The shorter edge resized to one of `min_size`, the longer at most to `max_size`."""

    def __init__(
        self, min_size: Any, max_size: int | None = None, interpolation: Any = BILINEAR,
        antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.min_size = [min_size] if isinstance(min_size, int) else list(min_size)
        self.max_size = max_size
        self.interpolation = mode_of(interpolation)
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        ratio = self.min_size[integer(0, len(self.min_size))] / min(height, width)
        if self.max_size is not None:
            ratio = min(ratio, self.max_size / max(height, width))
        return {"size": (int(height * ratio), int(width * ratio))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.resize, inpt, size=params["size"], interpolation=self.interpolation,
            antialias=self.antialias,
        )  # fmt: skip


class RandomResize(Transform):
    """The shorter edge resized to a random number from `min_size` to `max_size - 1`."""

    def __init__(
        self, min_size: int, max_size: int, interpolation: Any = BILINEAR,
        antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.min_size = min_size
        self.max_size = max_size
        self.interpolation = mode_of(interpolation)
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"size": [integer(self.min_size, self.max_size)]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.resize, inpt, params["size"], interpolation=self.interpolation,
            antialias=self.antialias,
        )  # fmt: skip

"""The second version's containers, conversions and the transforms of boxes and labels.

In and out: any nest of images, videos, masks, boxes and others.  Level 14.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor
from rushlight.base.dtypes import DType
from rushlight.nn import Module
from rushlight.vision import tv_tensors
from rushlight.vision.pillow import is_pil_image
from rushlight.vision.transforms.draws import chance
from rushlight.vision.transforms.v2 import functional as F
from rushlight.vision.transforms.v2.functional import is_pure_tensor
from rushlight.vision.transforms.v2.inputs import flatten, has_any, labels_getter_of, rebuild
from rushlight.vision.transforms.v2.transform import Transform


def _lines(transforms: Sequence[Any]) -> str:
    return "\n".join(f"    {transform}" for transform in transforms)


class Compose(Transform):
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        super().__init__()
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence of callables")
        if not transforms:
            raise ValueError("Pass at least one transform")
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        several = len(inputs) > 1
        for transform in self.transforms:
            outputs = transform(*inputs)
            inputs = outputs if several else (outputs,)
        return outputs

    def extra_repr(self) -> str:
        return _lines(self.transforms)


class RandomApply(Transform):
    """All transforms together with probability `p`, or none."""

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        if not isinstance(transforms, (Sequence, Module)):
            raise TypeError(
                "Argument transforms should be a sequence of callables or a `nn.ModuleList`"
            )
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.transforms: Any = transforms
        self.p = p

    def forward(self, *inputs: Any) -> Any:
        several = len(inputs) > 1
        if chance() >= self.p:
            return inputs if several else inputs[0]
        for transform in self.transforms:
            outputs = transform(*inputs)
            inputs = outputs if several else (outputs,)
        return outputs

    def extra_repr(self) -> str:
        return _lines(self.transforms)


class RandomChoice(Transform):
    """One of the transforms, with weights `p`."""

    def __init__(
        self, transforms: Sequence[Callable[..., Any]], p: list[float] | None = None
    ) -> None:
        super().__init__()
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence of callables")
        if p is None:
            p = [1] * len(transforms)
        elif len(p) != len(transforms):
            raise ValueError(
                f"Length of p doesn't match the number of transforms: {len(p)} != {len(transforms)}"
            )
        self.transforms = transforms
        total = sum(p)
        self.p = [share / total for share in p]

    def forward(self, *inputs: Any) -> Any:
        number = int(rl.multinomial(rl.tensor(self.p), 1))
        return self.transforms[number](*inputs)


class RandomOrder(Transform):
    """All transforms in a random order."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        super().__init__()
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence of callables")
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        several = len(inputs) > 1
        for number in rl.randperm(len(self.transforms)).tolist():
            outputs = self.transforms[number](*inputs)
            inputs = outputs if several else (outputs,)
        return outputs


class Identity(Transform):
    """Leaves everything as it is."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return inpt


class Lambda(Transform):
    """A function on the inputs of the given types."""

    _transformed_types = (object,)

    def __init__(self, lambd: Callable[[Any], Any], *types: type) -> None:
        super().__init__()
        self.lambd = lambd
        self.types = types or self._transformed_types

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self.lambd(inpt) if isinstance(inpt, self.types) else inpt

    def extra_repr(self) -> str:
        name = getattr(self.lambd, "__name__", repr(self.lambd))
        return f"{name}, types={[kind.__name__ for kind in self.types]}"


class LinearTransformation(Transform):
    """The flattened image less `mean_vector`, times a square matrix (whitening)."""

    _transformed_types = (is_pure_tensor, tv_tensors.Image, tv_tensors.Video)

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        super().__init__()
        size = tuple(transformation_matrix.shape)
        if size[0] != size[1]:
            raise ValueError(
                f"transformation_matrix should be square. Got {size} rectangular matrix."
            )
        if mean_vector.shape[0] != size[0]:
            raise ValueError(
                f"mean_vector should have the same length {mean_vector.shape[0]} as any one of the"
                f" dimensions of the transformation_matrix [{size}]"
            )
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        if has_any(flat_inputs, is_pil_image):
            raise TypeError(f"{type(self).__name__}() does not support PIL images.")

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        shape = inpt.shape
        count = shape[-3] * shape[-2] * shape[-1]
        if count != self.transformation_matrix.shape[0]:
            raise ValueError(
                "Input tensor and transformation matrix have incompatible shape."
                f" [{shape[-3]} x {shape[-2]} x {shape[-1]}]"
                f" != {self.transformation_matrix.shape[0]}"
            )
        flat = inpt.reshape(-1, count) - self.mean_vector
        output = rl.mm(flat, self.transformation_matrix).reshape(shape)
        return tv_tensors.wrap(output, like=inpt) if not is_pure_tensor(inpt) else output


class Normalize(Transform):
    """`(image - mean) / std`, channel by channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean = list(mean)
        self.std = list(std)
        self.inplace = inplace

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        if has_any(flat_inputs, is_pil_image):
            raise TypeError(f"{type(self).__name__}() does not support PIL images.")

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.normalize, inpt, mean=self.mean, std=self.std, inplace=self.inplace
        )


class ToDtype(Transform):
    """Another dtype: one for images (and videos), or a dict by kind; scaled if `scale`."""

    _transformed_types = (Tensor,)

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        if not isinstance(dtype, (dict, DType)):
            raise ValueError(f"dtype must be a dict or a torch.dtype, got {type(dtype)} instead")
        self.dtype = dtype
        self.scale = scale

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not isinstance(self.dtype, dict):
            # One dtype is for images alone.
            if not is_pure_tensor(inpt) and not isinstance(
                inpt, (tv_tensors.Image, tv_tensors.Video)
            ):
                return inpt
            dtype = self.dtype
        elif type(inpt) in self.dtype:
            dtype = self.dtype[type(inpt)]
        elif "others" in self.dtype:
            dtype = self.dtype["others"]
        else:
            raise ValueError(
                f"No dtype was specified for type {type(inpt)}. If you only need to convert the"
                " dtype of images or videos, you can just pass e.g. dtype=torch.float32. If you"
                ' want to leave the other types, add "others": None'
            )
        if dtype is None:
            return inpt
        return self._call_kernel(F.to_dtype, inpt, dtype=dtype, scale=self.scale)


class ConvertImageDtype(Transform):
    """Images on the scale of another dtype."""

    def __init__(self, dtype: Any = rl.float32) -> None:
        super().__init__()
        self.dtype = dtype

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, (tv_tensors.Mask, tv_tensors.BoundingBoxes, tv_tensors.KeyPoints)):
            return inpt
        return self._call_kernel(F.to_dtype, inpt, dtype=self.dtype, scale=True)


class ToTensor(Transform):
    """A PIL image or array as tensor (C, H, W), bytes divided by 255."""

    _transformed_types = (is_pil_image, np.ndarray)

    def __init__(self) -> None:
        warnings.warn(
            "The transform `ToTensor()` is deprecated and will be removed in a future release."
            " Instead, please use `v2.Compose([v2.ToImage(),"
            " v2.ToDtype(torch.float32, scale=True)])`."
            " Output is equivalent up to float precision.",
            UserWarning,
            stacklevel=2,
        )
        super().__init__()

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.to_tensor(inpt)


class ToImage(Transform):
    """A tensor, array or PIL image as `tv_tensors.Image`."""

    _transformed_types = (is_pure_tensor, is_pil_image, np.ndarray)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.to_image(inpt)


class PILToTensor(Transform):
    """A PIL image as tensor of its own numbers."""

    _transformed_types = (is_pil_image,)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.pil_to_tensor(inpt)


class ToPILImage(Transform):
    """A tensor or array as PIL image."""

    _transformed_types = (is_pure_tensor, tv_tensors.Image, np.ndarray)

    def __init__(self, mode: str | None = None) -> None:
        super().__init__()
        self.mode = mode

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.to_pil_image(inpt, mode=self.mode)


class ToPureTensor(Transform):
    """All kinds of tensors as plain ones."""

    _transformed_types = (tv_tensors.TVTensor,)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return inpt.as_subclass(Tensor)


class UniformTemporalSubsample(Transform):
    """Images of a video, evenly spread."""

    _transformed_types = (is_pure_tensor, tv_tensors.Video)

    def __init__(self, num_samples: int) -> None:
        super().__init__()
        self.num_samples = num_samples

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.uniform_temporal_subsample, inpt, self.num_samples)


class ConvertBoundingBoxFormat(Transform):
    """Boxes in another format."""

    _transformed_types = (tv_tensors.BoundingBoxes,)

    def __init__(self, format: Any) -> None:
        super().__init__()
        self.format = (
            tv_tensors.BoundingBoxFormat[format.upper()] if isinstance(format, str) else format
        )

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.convert_bounding_box_format(inpt, new_format=self.format)


class ClampBoundingBoxes(Transform):
    """Boxes cut at the borders of the image."""

    _transformed_types = (tv_tensors.BoundingBoxes,)

    def __init__(self, clamping_mode: Any = "auto") -> None:
        super().__init__()
        self.clamping_mode = clamping_mode

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.clamp_bounding_boxes(inpt, clamping_mode=self.clamping_mode)


class ClampKeyPoints(Transform):
    """Points moved into the image."""

    _transformed_types = (tv_tensors.KeyPoints,)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.clamp_keypoints(inpt)


class SetClampingMode(Transform):
    """How later transforms clamp the boxes: None, "soft" or "hard"."""

    _transformed_types = (tv_tensors.BoundingBoxes,)

    def __init__(self, clamping_mode: str | None) -> None:
        super().__init__()
        if clamping_mode not in (None, "soft", "hard"):
            raise ValueError(f"clamping_mode must be soft, hard or None, got {clamping_mode}")
        self.clamping_mode = clamping_mode

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return tv_tensors.wrap(
            inpt.as_subclass(Tensor).clone(), like=inpt, clamping_mode=self.clamping_mode
        )


class _Sanitize(Transform):
    """Base of what removes boxes or points with their labels and masks."""

    def __init__(self, labels_getter: Any) -> None:
        super().__init__()
        self.labels_getter = labels_getter
        self._labels_getter = labels_getter_of(labels_getter)

    def _labels(self, nest: Any) -> list[Any]:
        labels = self._labels_getter(nest)
        if labels is None:
            return []
        found = list(labels) if isinstance(labels, (tuple, list)) else [labels]
        for entry in found:
            if not isinstance(entry, Tensor):
                raise ValueError(
                    f"The labels in the input to forward() must be"
                    f" a tensor or None, got {type(entry)} instead."
                )
        return found

    def _filter(self, nest: Any, leaves: list[Any], valid: Tensor, kinds: tuple[type, ...]) -> Any:
        labels = self._labels(nest)
        for entry in labels:
            if entry.shape[0] != valid.shape[0]:
                raise ValueError(
                    f"Number of boxes and labels do not match. Found"
                    f" num_boxes={valid.shape[0]} and num_labels={entry.shape[0]}."
                )
        moved = []
        for leaf in leaves:
            if isinstance(leaf, kinds) or any(leaf is entry for entry in labels):
                kept = leaf.as_subclass(Tensor)[valid]
                moved.append(kept if is_pure_tensor(leaf) else tv_tensors.wrap(kept, like=leaf))
            else:
                moved.append(leaf)
        return rebuild(nest, iter(moved))


class SanitizeBoundingBoxes(_Sanitize):
    """Removes boxes that are too small or reach beyond the image, with their labels and masks."""

    def __init__(
        self, min_size: float = 1.0, min_area: float = 1.0, labels_getter: Any = "default"
    ) -> None:
        super().__init__(labels_getter)
        if min_size < 1:
            raise ValueError(f"min_size must be >= 1, got {min_size}.")
        if min_area < 1:
            raise ValueError(f"min_area must be >= 1, got {min_area}.")
        self.min_size = min_size
        self.min_area = min_area

    def forward(self, *inputs: Any) -> Any:
        nest = inputs if len(inputs) > 1 else inputs[0]
        leaves = flatten(nest)
        boxes = next((leaf for leaf in leaves if isinstance(leaf, tv_tensors.BoundingBoxes)), None)
        if boxes is None:
            raise ValueError("No bounding boxes were found in the sample")
        valid = F.sanitize_bounding_boxes(boxes, min_size=self.min_size, min_area=self.min_area)[1]
        return self._filter(nest, leaves, valid, (tv_tensors.BoundingBoxes, tv_tensors.Mask))


class SanitizeKeyPoints(_Sanitize):
    """Removes points beyond the image, with their labels."""

    def __init__(self, labels_getter: Any = "default") -> None:
        super().__init__(labels_getter)

    def forward(self, *inputs: Any) -> Any:
        nest = inputs if len(inputs) > 1 else inputs[0]
        leaves = flatten(nest)
        points = next((leaf for leaf in leaves if isinstance(leaf, tv_tensors.KeyPoints)), None)
        if points is None:
            raise ValueError("No keypoints were found in the sample")
        return self._filter(nest, leaves, F.sanitize_keypoints(points)[1], (tv_tensors.KeyPoints,))

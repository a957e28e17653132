"""Tensors that know what they show: images, videos, masks, boxes, key points.

The second version of the transforms moves each in its own way.  Operations on one return a plain
tensor; `clone`, `to`, `detach` and writing in place keep the kind.  Level 14.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor
from rushlight.overrides import TorchFunctionMode
from rushlight.tensor.torch_function import disabled_torch_function
from rushlight.vision.pillow import is_pil_image
from rushlight.vision.transforms.conversion import pil_to_tensor

__all__ = [
    "BoundingBoxFormat", "BoundingBoxes", "Image", "KeyPoints", "Mask", "TVTensor", "Video",
    "is_rotated_bounding_format", "set_return_type", "wrap",
]  # fmt: skip


class TVTensor(Tensor):
    """Base of the kinds."""

    # Whoever else watches calls: what is computed of an image is a plain tensor.
    __torch_function__ = disabled_torch_function  # type: ignore[assignment]

    def __new__(
        cls, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool | None = None
    ) -> TVTensor:
        return _made(data, dtype, device, requires_grad).as_subclass(cls)

    @classmethod
    def _wrap_tensor(cls, tensor: Tensor, like: TVTensor) -> TVTensor:
        return tensor.as_subclass(cls)

    def clone(self, *args: Any, **kwargs: Any) -> TVTensor:
        return wrap(Tensor.clone(self, *args, **kwargs), like=self)

    def to(self, *args: Any, **kwargs: Any) -> TVTensor:
        return wrap(Tensor.to(self, *args, **kwargs), like=self)

    def detach(self) -> TVTensor:
        return wrap(Tensor.detach(self), like=self)

    def requires_grad_(self, requires_grad: bool = True) -> TVTensor:
        Tensor.requires_grad_(self, requires_grad)
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> TVTensor:
        copied = self.detach().clone()
        if self.requires_grad:
            copied.requires_grad_(True)
        memo[id(self)] = copied
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        plain = Tensor.detach(self).as_subclass(Tensor)
        return _rebuilt, (type(self), plain, self.requires_grad, dict(self.__dict__))

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        text = repr(self.as_subclass(Tensor))
        inside = text[text.index("(") + 1 : -1]
        return f"{type(self).__name__}({inside}{self._facts()})"

    def _facts(self) -> str:
        return ""


def _rebuilt(kind: type, plain: Tensor, requires_grad: bool, facts: dict[str, Any]) -> TVTensor:
    made = plain.as_subclass(kind)
    made.__dict__.update(facts)
    if requires_grad:
        made.requires_grad_(True)
    return made


def _made(data: Any, dtype: Any, device: Any, requires_grad: bool | None) -> Tensor:
    if requires_grad is None:
        requires_grad = data.requires_grad if isinstance(data, Tensor) else False
    if isinstance(data, Tensor):
        tensor = data.as_subclass(Tensor)
        if dtype is not None or device is not None:
            tensor = tensor.to(device=device or tensor.device, dtype=dtype or tensor.dtype)
        return (
            tensor
            if tensor.requires_grad == requires_grad
            else tensor.requires_grad_(requires_grad)
        )
    if isinstance(data, np.ndarray) and dtype is None:
        return rl.from_numpy(data).requires_grad_(requires_grad)
    return rl.as_tensor(data, dtype=dtype, device=device).requires_grad_(requires_grad)


class Image(TVTensor):
    """An image (..., C, H, W); two axes get a channel.  Raises: ValueError for fewer axes."""

    def __new__(
        cls, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool | None = None
    ) -> Image:
        if is_pil_image(data):
            data = pil_to_tensor(data)
        tensor = _made(data, dtype, device, requires_grad)
        if tensor.ndim < 2:
            raise ValueError(f"Image: needs height and width; got {tensor.ndim} axes")
        return (tensor.unsqueeze(0) if tensor.ndim == 2 else tensor).as_subclass(cls)


class Video(TVTensor):
    """A video (..., T, C, H, W).  Raises: ValueError for fewer axes."""

    def __new__(
        cls, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool | None = None
    ) -> Video:
        tensor = _made(data, dtype, device, requires_grad)
        if tensor.ndim < 4:
            raise ValueError(
                f"Video: needs time, channels, height and width; got {tensor.ndim} axes"
            )
        return tensor.as_subclass(cls)


class Mask(TVTensor):
    """Segmentation or detection masks (..., H, W)."""

    def __new__(
        cls, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool | None = None
    ) -> Mask:
        if is_pil_image(data):
            data = pil_to_tensor(data)
        return _made(data, dtype, device, requires_grad).as_subclass(cls)


class BoundingBoxFormat(Enum):
    """What the numbers of a box are."""

    XYXY = "XYXY"
    XYWH = "XYWH"
    CXCYWH = "CXCYWH"
    XYWHR = "XYWHR"
    CXCYWHR = "CXCYWHR"
    XYXYXYXY = "XYXYXYXY"


def is_rotated_bounding_format(format: BoundingBoxFormat | str) -> bool:
    """Whether boxes of the format may be turned."""
    name = format.value if isinstance(format, BoundingBoxFormat) else format
    return name in ("XYWHR", "CXCYWHR", "XYXYXYXY")


def _format_of(format: BoundingBoxFormat | str) -> BoundingBoxFormat:
    return BoundingBoxFormat[format.upper()] if isinstance(format, str) else format


class BoundingBoxes(TVTensor):
    """Boxes (N, 4), their format, and the (height, width) of the image they lie in.

    Raises: ValueError for other shapes.
    """

    format: BoundingBoxFormat
    canvas_size: tuple[int, int]
    clamping_mode: str | None

    def __new__(
        cls, data: Any, *, format: BoundingBoxFormat | str, canvas_size: Any,
        clamping_mode: str | None = "soft", dtype: Any = None, device: Any = None,
        requires_grad: bool | None = None,
    ) -> BoundingBoxes:  # fmt: skip
        tensor = _made(data, dtype, device, requires_grad)
        return cls._wrap(
            tensor, format=format, canvas_size=canvas_size, clamping_mode=clamping_mode
        )

    @classmethod
    def _wrap(
        cls, tensor: Tensor, *, format: Any, canvas_size: Any, clamping_mode: str | None = "soft",
        check_dims: bool = True,
    ) -> BoundingBoxes:  # fmt: skip
        if clamping_mode not in (None, "soft", "hard"):
            raise ValueError(f"clamping_mode must be None, 'soft' or 'hard', got {clamping_mode!r}")
        if check_dims:
            if tensor.ndim == 1:
                tensor = tensor.unsqueeze(0)
            elif tensor.ndim != 2:
                raise ValueError(f"Expected a 1D or 2D tensor, got {tensor.ndim}D")
        boxes = tensor.as_subclass(cls)
        boxes.format = _format_of(format)
        boxes.canvas_size = tuple(canvas_size)
        boxes.clamping_mode = clamping_mode
        return boxes

    def _facts(self) -> str:
        return (
            f", format={self.format}, canvas_size={self.canvas_size},"
            f" clamping_mode={self.clamping_mode}"
        )


class KeyPoints(TVTensor):
    """Points (..., 2) as x and y, and the (height, width) of the image they lie in."""

    canvas_size: tuple[int, int]

    def __new__(
        cls, data: Any, *, canvas_size: Any, dtype: Any = None, device: Any = None,
        requires_grad: bool | None = None,
    ) -> KeyPoints:  # fmt: skip
        return cls._wrap(_made(data, dtype, device, requires_grad), canvas_size=canvas_size)

    @classmethod
    def _wrap(cls, tensor: Tensor, *, canvas_size: Any, check_dims: bool = True) -> KeyPoints:
        if check_dims:
            if tensor.ndim == 1:
                tensor = tensor.unsqueeze(0)
            if tensor.shape[-1] != 2:
                raise ValueError(f"Expected a tensor of shape (..., 2), not {tuple(tensor.shape)}")
        points = tensor.as_subclass(cls)
        points.canvas_size = tuple(canvas_size)
        return points

    def _facts(self) -> str:
        return f", canvas_size={self.canvas_size}"


def wrap(wrappee: Tensor, *, like: Any, **kwargs: Any) -> Any:
    """`wrappee` as the kind of `like`, with its facts unless they are given."""
    plain = wrappee.as_subclass(Tensor)
    if isinstance(like, BoundingBoxes):
        return type(like)._wrap(
            plain, format=kwargs.get("format", like.format),
            canvas_size=kwargs.get("canvas_size", like.canvas_size),
            clamping_mode=kwargs.get("clamping_mode", like.clamping_mode), check_dims=False,
        )  # fmt: skip
    if isinstance(like, KeyPoints):
        return type(like)._wrap(
            plain, canvas_size=kwargs.get("canvas_size", like.canvas_size), check_dims=False
        )
    return plain.as_subclass(type(like))


class _Kept(TorchFunctionMode):
    """While it is on, what is computed of an image is an image, of boxes boxes, and so on."""

    on = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        like = next((value for value in args if isinstance(value, TVTensor)), None)
        return result if like is None else _alike(result, like)


def _alike(result: Any, like: TVTensor) -> Any:
    if type(result) in (tuple, list):
        return type(result)(_alike(one, like) for one in result)
    return wrap(result, like=like) if type(result) is Tensor else result


_kept = _Kept()


def _keep(on: bool) -> None:
    if on is not _kept.on:
        _kept.on = on
        if on:
            _kept.__enter__()
        else:
            _kept.__exit__(None, None, None)


class _Restoring:
    """What `set_return_type` gives: at the end of a `with` block the former choice is back."""

    def __init__(self, former: bool) -> None:
        self.former = former

    def __enter__(self) -> None:
        """Nothing: the choice is made already."""

    def __exit__(self, *exception: object) -> None:
        _keep(self.former)


def set_return_type(return_type: str) -> Any:
    """Choose what operations on kinds of tensors return: "Tensor", plain ones, or "TVTensor".

    The choice holds from now on in this thread, or for a `with` block.  Raises: ValueError.
    """
    if return_type.lower() not in ("tensor", "tvtensor"):
        raise ValueError(f"return_type must be 'TVTensor' or 'Tensor', got {return_type!r}")
    former = _kept.on
    _keep(return_type.lower() == "tvtensor")
    return _Restoring(former)

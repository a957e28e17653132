"""Which kernel serves which kind of input.

In: a function of this package and the type of an input.  Out: the kernel, which takes the input
first.  Kernels for plain tensors work on images (..., C, H, W).  Level 14.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

from rushlight import Tensor
from rushlight.vision import tv_tensors
from rushlight.vision.pillow import PIL_IMAGE
from rushlight.vision.tv_tensors import BoundingBoxes, Image, KeyPoints, Mask, TVTensor, Video

Kernel = Callable[..., Any]
KERNELS: dict[Kernel, dict[type, Kernel]] = {}


def is_pure_tensor(inpt: Any) -> bool:
    """Whether it is a tensor of no particular kind."""
    return isinstance(inpt, Tensor) and not isinstance(inpt, TVTensor)


def kernel_for(functional: Kernel, kind: type, allow_passthrough: bool = False) -> Kernel:
    """The kernel of a type or of its nearest base.

    Raises: TypeError where there is none, unless such inputs pass through; ValueError for what is
    no function of this package.
    """
    registry = KERNELS.get(functional)
    if registry is None:
        raise ValueError(
            f"No kernel registered for functional {getattr(functional, '__name__', functional)}."
        )
    for base in kind.__mro__:
        if base in registry:
            return registry[base]
        if base is TVTensor:
            break
    if allow_passthrough:
        return _unchanged
    name = getattr(functional, "__name__", str(functional))
    raise TypeError(
        f"Functional F.{name} supports inputs of type {list(registry)}, but got {kind} instead."
    )


def _unchanged(inpt: Any, *args: Any, **kwargs: Any) -> Any:
    return inpt


def wrapped(kernel: Kernel) -> Kernel:
    """The kernel on a kind of tensor whose result is of that kind."""

    @functools.wraps(kernel)
    def call(inpt: Any, *args: Any, **kwargs: Any) -> Any:
        output = kernel(inpt.as_subclass(Tensor), *args, **kwargs)
        if isinstance(output, (tuple, list)):
            return type(output)(tv_tensors.wrap(part, like=inpt) for part in output)
        return tv_tensors.wrap(output, like=inpt)

    return call


def frames(kernel: Kernel) -> Kernel:
    """The kernel of images on tensors with any number of leading axes."""

    @functools.wraps(kernel)
    def call(image: Tensor, *args: Any, **kwargs: Any) -> Any:
        if image.ndim <= 4:
            return kernel(image, *args, **kwargs)
        leading = image.shape[:-3]
        output = kernel(image.reshape(-1, *image.shape[-3:]), *args, **kwargs)
        if isinstance(output, (tuple, list)):
            return type(output)(part.reshape(*leading, *part.shape[-3:]) for part in output)
        return output.reshape(*leading, *output.shape[-3:])

    return call


def dispatcher(
    name: str, doc: str, image: Kernel | None = None, pil: Kernel | None = None,
    video: Kernel | None = None, mask: Kernel | None = None, boxes: Kernel | None = None,
    keypoints: Kernel | None = None, plain: bool = True,
) -> Kernel:  # fmt: skip
    """The public function `name`, which finds its kernel by the type of its first argument.

    boxes, keypoints: take the tensor with its facts, and return such a one.
    plain: whether tensors of no kind are images to it.
    """

    def functional(inpt: Any, *args: Any, **kwargs: Any) -> Any:
        return kernel_for(functional, type(inpt))(inpt, *args, **kwargs)

    functional.__name__ = functional.__qualname__ = name
    functional.__doc__ = doc
    if image is not None:
        functional.__signature__ = inspect.signature(image)  # type: ignore[attr-defined]
    registry: dict[type, Kernel] = {}
    if image is not None:
        if plain:
            registry[Tensor] = image
        registry[Image] = wrapped(image)
        registry[Video] = wrapped(video or image)
    if pil is not None:
        registry.update(dict.fromkeys(PIL_IMAGE, pil))
    if mask is not None:
        registry[Mask] = wrapped(mask)
    if boxes is not None:
        registry[BoundingBoxes] = boxes
    if keypoints is not None:
        registry[KeyPoints] = keypoints
    KERNELS[functional] = registry
    return functional


def register_kernel(functional: Kernel | str, tv_tensor_cls: type) -> Callable[[Kernel], Kernel]:
    """Decorator: the kernel of `functional`, or of the one of this name, for an own kind of tensor.

    Raises: ValueError for other classes, built-in ones, and where one is already registered.
    """
    if not (isinstance(tv_tensor_cls, type) and issubclass(tv_tensor_cls, TVTensor)):
        raise ValueError(
            f"Kernels can only be registered for subclasses of"
            f" torchvision.tv_tensors.TVTensor, but got {tv_tensor_cls}."
        )
    if tv_tensor_cls in (Image, Video, Mask, BoundingBoxes, KeyPoints):
        raise ValueError(f"Kernels cannot be registered for the builtin {tv_tensor_cls}.")
    owner: Any = functional
    if isinstance(functional, str):
        owner = getattr(importlib.import_module(__name__.rpartition(".")[0]), functional, None)
        if owner not in KERNELS:
            raise ValueError(f"Could not find functional with name '{functional}'.")
    registry = KERNELS.setdefault(owner, {})
    if tv_tensor_cls in registry:
        raise ValueError(
            f"Functional {owner.__name__} already has a kernel registered for type {tv_tensor_cls}."
        )

    def attach(kernel: Kernel) -> Kernel:
        registry[tv_tensor_cls] = kernel
        return kernel

    return attach

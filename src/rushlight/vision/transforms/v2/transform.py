"""Base of the second version's transforms: one draw of parameters for all inputs of a sample.

In: any nest of images, videos, masks, boxes and others; out: the same nest, moved.  Level 14.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import rushlight as rl
from rushlight import Tensor
from rushlight.nn import Module
from rushlight.vision import tv_tensors
from rushlight.vision.pillow import is_pil_image
from rushlight.vision.transforms.draws import chance
from rushlight.vision.transforms.v2.functional import is_pure_tensor
from rushlight.vision.transforms.v2.functional.dispatch import kernel_for
from rushlight.vision.transforms.v2.inputs import Check, check_type, flatten, has_any, rebuild

IMAGES: tuple[Check, ...] = (tv_tensors.Image, tv_tensors.Video, is_pure_tensor, is_pil_image)


class Transform(Module):
    """Base class: give `transform`, and `make_params` for what is drawn once for a sample."""

    _transformed_types: tuple[Check, ...] = (is_pure_tensor, tv_tensors.TVTensor, is_pil_image)

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Raises where a sample lacks what the transform needs."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """What is drawn once for all inputs."""
        return {}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One input moved."""
        raise NotImplementedError

    def _call_kernel(
        self, functional: Callable[..., Any], inpt: Any, *args: Any, **kwargs: Any
    ) -> Any:
        return kernel_for(functional, type(inpt), allow_passthrough=True)(inpt, *args, **kwargs)

    def forward(self, *inputs: Any) -> Any:
        nest = inputs if len(inputs) > 1 else inputs[0]
        leaves = flatten(nest)
        self.check_inputs(leaves)
        return self._move(nest, leaves)

    def _move(self, nest: Any, leaves: list[Any]) -> Any:
        wanted = self._wanted(leaves)
        params = self.make_params([leaf for leaf, take in zip(leaves, wanted) if take])
        moved = [
            self.transform(leaf, params) if take else leaf for leaf, take in zip(leaves, wanted)
        ]
        return rebuild(nest, iter(moved))

    def _wanted(self, leaves: list[Any]) -> list[bool]:
        # A plain tensor is an image only where the sample has no image of its own kind, and then
        # only the first one: labels come as plain tensors too.
        look_for_plain = not has_any(leaves, tv_tensors.Image, tv_tensors.Video, is_pil_image)
        wanted = []
        for leaf in leaves:
            take = check_type(leaf, self._transformed_types)
            if take and is_pure_tensor(leaf):
                take, look_for_plain = look_for_plain, False
            wanted.append(take)
        return wanted

    def extra_repr(self) -> str:
        parts = []
        for name, value in self.__dict__.items():
            if name.startswith("_") or name == "training":
                continue
            if isinstance(value, (bool, int, float, str, tuple, list, enum.Enum)):
                parts.append(f"{name}={value}")
        return ", ".join(parts)


class RandomApplyTransform(Transform):
    """Base of what happens with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        super().__init__()
        self.p = p

    def forward(self, *inputs: Any) -> Any:
        nest = inputs if len(inputs) > 1 else inputs[0]
        leaves = flatten(nest)
        self.check_inputs(leaves)
        if chance() >= self.p:
            return nest
        return self._move(nest, leaves)


def fill_table(fill: Any) -> dict[Any, Any]:
    """The fill for each kind: a number or colour for all, or a dict by kind with "others"."""
    if isinstance(fill, dict):
        return {kind: _fill_value(value) for kind, value in fill.items()}
    return {"others": _fill_value(fill)}


def _fill_value(fill: Any) -> Any:
    if fill is None:
        return None
    if not isinstance(fill, (int, float)):
        return [float(value) for value in fill]
    return fill


def check_fill_argument(fill: Any) -> Any:
    """Raises: TypeError for what is no fill."""
    values = fill.values() if isinstance(fill, dict) else [fill]
    for value in values:
        if value is not None and not isinstance(value, (int, float, tuple, list)):
            raise TypeError(
                "Got inappropriate fill arg, only Numbers, tuples, lists and dicts are allowed."
            )
    return fill


def fill_for(table: dict[Any, Any], kind: type) -> Any:
    """The fill of inputs of a type."""
    if kind in table:
        return table[kind]
    return table.get("others")


def int_pair(size: Any, message: str) -> Sequence[int]:
    """(height, width).  Raises: TypeError, ValueError."""
    if not isinstance(size, (int, Sequence)):
        raise TypeError(message)
    if isinstance(size, int):
        return size, size
    if len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    return size


def is_labels(inpt: Any) -> bool:
    """A plain tensor of whole numbers along one axis."""
    return isinstance(inpt, Tensor) and inpt.ndim == 1 and inpt.dtype == rl.int64

"""What PyTorch's own packages share and others take from them.  Level 12.

Source: torch._utils.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from rushlight.ops.joining import cat
from rushlight.serialization.rebuild import rebuild_parameter as _rebuild_parameter
from rushlight.serialization.rebuild import rebuild_tensor_v2 as _rebuild_tensor_v2
from rushlight.tensor.tensor import Tensor

__all__ = ["_rebuild_parameter", "_rebuild_tensor_v2"]


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """All elements of tensors of one dtype, one after the other: (n,)."""
    return cat([tensor.reshape(-1) for tensor in tensors])  # type: ignore[attr-defined]


def _unflatten_dense_tensors(flat: Any, tensors: Sequence[Any]) -> tuple[Tensor, ...]:
    """Pieces of a flat tensor in the shapes of `tensors`; views of it."""
    found = []
    start = 0
    for tensor in tensors:
        size = tensor.numel()
        found.append(flat.narrow(0, start, size).view_as(tensor))
        start += size
    return tuple(found)


def _reorder_tensors_as(tensors: Sequence[Any], ordered_tensors: Sequence[Any]) -> tuple:
    """The same tensors, those of each type in the order in which the others show that type."""
    by_type: dict[str, list[Any]] = {}
    for tensor in tensors:
        by_type.setdefault(tensor.type(), []).append(tensor)
    parts = {kind: iter(found) for kind, found in by_type.items()}
    return tuple(next(parts[tensor.type()]) for tensor in ordered_tensors)


def _import_dotted_name(name: str) -> Any:
    """An object by the names that lead to it from a module's."""
    first, *rest = name.split(".")
    found: Any = importlib.import_module(first)
    for part in rest:
        found = getattr(found, part)
    return found


def _get_available_device_type() -> str | None:
    """The kind of accelerator that is here, or None."""
    package = importlib.import_module("rushlight")
    for kind in ("cuda", "mps", "xpu"):
        if getattr(package, kind).is_available():
            return kind
    return None


def _get_device_module(device_type: str) -> Any:
    """The module of a kind of device.  Raises: RuntimeError for one that has none."""
    package = importlib.import_module("rushlight")
    found = getattr(package, device_type, None)
    if found is None:
        raise RuntimeError(
            f"Device '{device_type}' does not have a corresponding module registered as "
            f"'torch.{device_type}'."
        )
    return found


def _get_all_device_indices() -> list[int]:
    """The numbers of the accelerators that are here."""
    kind = _get_available_device_type()
    return [] if kind is None else list(range(_get_device_module(kind).device_count()))


class ExceptionWrapper:
    """An exception with its traceback as text, which crosses to another process."""

    def __init__(self, exc_info: Any = None, where: str = "in background") -> None:
        found: Any = sys.exc_info() if exc_info is None else exc_info
        self.exc_type: Any = found[0]
        self.exc_msg = "".join(traceback.format_exception(*found))
        self.where = where

    def reraise(self) -> None:
        """Raise one of the same type, whose message is the traceback."""
        message = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            message = _Shown(message)
        try:
            error = self.exc_type(message)
        except Exception:  # its class wants other arguments
            raise RuntimeError(message) from None
        raise error


class _Shown(str):
    """Text that KeyError prints as it is, with its lines."""

    def __repr__(self) -> str:
        return str(self)

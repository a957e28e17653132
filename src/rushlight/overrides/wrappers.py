"""Tensors that are made of others: `Tensor._make_wrapper_subclass`.  Level 12."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.base.device import CPU, resolve_device
from rushlight.base.dtypes import get_default_dtype
from rushlight.base.shapes import contiguous_strides
from rushlight.overrides.dispatch import WrapperNode
from rushlight.tensor.autodiff import require_gradient
from rushlight.tensor.refusing import without_array
from rushlight.tensor.tensor import Tensor
from rushlight.tensor.torch_function import disabled_torch_dispatch


def make_wrapper(
    cls: Any,
    size: Sequence[int],
    *,
    strides: Sequence[int] | None = None,
    storage_offset: int | None = None,
    memory_format: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    dispatch_sizes_strides_policy: str | None = None,
    dispatch_device: bool = False,
    dispatch_layout: bool = False,
    **ignored: Any,
) -> Any:
    """An instance of `cls` with a shape and a dtype and no data; its class answers for it.

    Raises: RuntimeError if the class has no `__torch_dispatch__`.
    """
    if not isinstance(cls, type) or not issubclass(cls, Tensor):
        raise RuntimeError(f"cls must be a type that inherits from Tensor, got {cls!r}")
    if cls.__torch_dispatch__ is disabled_torch_dispatch:  # type: ignore[attr-defined]
        raise RuntimeError(
            f"{cls.__name__} needs a __torch_dispatch__: a tensor without data cannot be computed"
            " with otherwise"
        )
    made = without_array(cls, None)
    shape = tuple(int(n) for n in size)
    place = CPU if device is None else resolve_device(device)
    made._node = WrapperNode(made, shape, dtype or get_default_dtype(), place)
    offset = storage_offset or 0
    wanted = contiguous_strides(shape) if strides is None else tuple(strides)
    plain = not offset and wanted == contiguous_strides(shape)
    made._layout = None if plain else (wanted, offset)
    require_gradient(made, requires_grad)
    return made

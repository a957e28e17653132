"""The names of PyTorch's `torch._C._nn` that programs use.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.base.device import device as Device
from rushlight.base.dtypes import DType
from rushlight.base.formats import memory_format
from rushlight.ops.activation import gelu, softplus
from rushlight.ops.attention import scaled_dot_product_attention
from rushlight.ops.matmul import linear
from rushlight.tensor.tensor import Tensor

__all__ = ["_parse_to", "gelu", "linear", "scaled_dot_product_attention", "softplus"]


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """The arguments of `Tensor.to` as (device, dtype, non_blocking, memory_format).

    Raises: TypeError for what `to` does not take.
    """
    device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
    blocking = [bool(kwargs.pop("non_blocking", False))]
    format_ = kwargs.pop("memory_format", None)
    kwargs.pop("copy", None)
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
        device, dtype = other.device, other.dtype
    elif rest and (rest[0] is None or isinstance(rest[0], (str, int, Device))):
        device = rest.pop(0)
    if rest and (rest[0] is None or isinstance(rest[0], DType)):
        dtype = rest.pop(0) or dtype
    if rest and isinstance(rest[0], bool):
        blocking.append(rest.pop(0))
    if kwargs or any(not isinstance(value, bool) for value in rest):
        raise TypeError(f"to() received an invalid combination of arguments: {args}, {kwargs}")
    if format_ is not None and not isinstance(format_, memory_format):
        raise TypeError(f"to(): memory_format must be torch.memory_format, got {format_!r}")
    return None if device is None else Device(device), dtype, any(blocking), format_

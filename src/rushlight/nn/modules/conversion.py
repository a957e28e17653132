"""Moving and casting the members of a module tree, in place.  Level 12.

A parameter stays the same object, so that optimizers and hooks that refer to it go on working; its
value and its gradient are replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.base import dtypes
from rushlight.base.dtypes import DType
from rushlight.nn.modules.registration import MemberRegistry
from rushlight.nn.parameter import is_lazy
from rushlight.ops.alike import empty_like
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor


class ModuleConversion(MemberRegistry):
    """The part of `Module` that converts parameters and buffers."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Replace every parameter, gradient and buffer by `fn` of it; returns self."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            grad = parameter.grad
            with no_grad():
                parameter.data = fn(parameter)
                if grad is not None:
                    # The old gradient may not fit the new value's dtype: set it afresh.
                    parameter.grad = fn(grad).requires_grad_(grad.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None and is_lazy(buffer):
                buffer.data = fn(buffer)  # stays uninitialized
            elif buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Move and cast parameters and buffers: `to(device)`, `to(dtype)`, `to(tensor)`.

        Only floating-point and complex members are cast; all of them are moved.  A
        `memory_format` is that of members with 4 or 5 axes.
        Raises: TypeError for a dtype that is neither floating point nor complex.
        """
        device, dtype, non_blocking, memory_format = _parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )

        def convert(tensor: Tensor) -> Tensor:
            castable = tensor.is_floating_point() or tensor.is_complex()
            try:
                return tensor.to(
                    device, dtype if castable else None, non_blocking,
                    memory_format=memory_format if tensor.dim() in (4, 5) else None,
                )  # fmt: skip
            except NotImplementedError as error:
                if not tensor.is_meta:
                    raise
                raise NotImplementedError(
                    f"{error} A module leaves the meta device by to_empty(device=...), which gives "
                    "its members memory, and not by to()."
                ) from None

        return self._apply(convert)

    def type(self, dst_type: Any) -> Any:
        """Cast all parameters and buffers, integer ones too."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def float(self) -> Any:
        """Cast floating-point members to float32."""
        return self._cast_floating(dtypes.float32)

    def double(self) -> Any:
        """Cast floating-point members to float64."""
        return self._cast_floating(dtypes.float64)

    def half(self) -> Any:
        """Cast floating-point members to float16."""
        return self._cast_floating(dtypes.float16)

    def bfloat16(self) -> Any:
        """Cast floating-point members to bfloat16."""
        return self._cast_floating(dtypes.bfloat16)

    def _cast_floating(self, dtype: DType) -> Any:
        def convert(tensor: Tensor) -> Tensor:
            return tensor.to(dtype) if tensor.is_floating_point() else tensor

        return self._apply(convert)

    def cpu(self) -> Any:
        """Move all members to the CPU."""
        return self._apply(lambda tensor: tensor.cpu())

    def cuda(self, device: Any = None) -> Any:
        """Move all members to a CUDA device.  Raises: what `Tensor.cuda` raises without one."""
        return self._apply(lambda tensor: tensor.cuda(device))

    def to_empty(self, *, device: Any, recurse: bool = True) -> Any:
        """Move all members to a device without copying their values."""
        return self._apply(lambda tensor: empty_like(tensor, device=device), recurse)

    def share_memory(self) -> Any:
        """Move all members into memory that other processes can share."""
        return self._apply(lambda tensor: tensor.share_memory_())  # type: ignore[attr-defined]


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, DType | None, bool, Any]:
    """(device, dtype, non_blocking, memory_format) from the accepted spellings of `to`."""
    known = {"device", "dtype", "tensor", "non_blocking", "copy", "memory_format"}
    for name in kwargs:
        if name not in known:
            raise TypeError(f"to() got an unexpected keyword argument '{name}'")
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    memory_format = kwargs.get("memory_format")
    like = kwargs.get("tensor")
    non_blocking = kwargs.get("non_blocking", False)
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        like = rest.pop(0)
    elif rest and isinstance(rest[0], DType):
        dtype = rest.pop(0)
    elif rest:
        device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], DType)):
            dtype = rest.pop(0)
    if rest:
        non_blocking = rest.pop(0)
    if (rest and len(rest) > 1) or not isinstance(non_blocking, bool):
        raise TypeError(f"to() received an invalid combination of arguments: {args!r}, {kwargs!r}")
    if like is not None:
        return like.device, like.dtype, non_blocking, memory_format
    return device, dtype, non_blocking, memory_format

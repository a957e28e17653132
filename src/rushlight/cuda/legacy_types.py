"""Constructors of tensors on a CUDA device: `cuda.FloatTensor` and its like.

`isinstance(x, cuda.FloatTensor)` asks for device and dtype.  Storages are not made.  Level 12.
"""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight.cuda._absent import unsupported
from rushlight.engine import cuda
from rushlight.ops.spelling import PUBLIC
from rushlight.tensor.autodiff import type_name
from rushlight.tensor.tensor import Tensor


class _OnDevice(type):
    """Metaclass: calling makes a tensor of the dtype on the current device."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Tensor:
        if not cuda.backends():
            raise TypeError(
                f"type torch.cuda.{cls.__name__} not available: there is no CUDA device here; use "
                f"torch.{cls.__name__}"
            )
        constructor: Any = PUBLIC[cls.__name__]
        made: Tensor = constructor(*args, **kwargs).to("cuda")
        return made

    def __instancecheck__(cls, value: Any) -> bool:
        same = isinstance(value, Tensor) and type_name(value.dtype) == f"torch.{cls.__name__}"
        return same and value.device.type == "cuda"

    def __repr__(cls) -> str:
        return f"<class 'torch.cuda.{cls.__name__}'>"


class _Refused(type):
    """Metaclass: no instance exists, and none can be made."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        unsupported(cls.__name__)

    def __instancecheck__(cls, value: Any) -> bool:
        return False


TENSOR_NAMES = tuple(
    f"{kind}Tensor" for kind in "BFloat16 Bool Byte Char Double Float Half Int Long Short".split()
)
STORAGE_NAMES = tuple(
    f"{kind}Storage"
    for kind in "BFloat16 Bool Byte Char ComplexDouble ComplexFloat Double Float Half Int Long"
    " Short".split()
)
TYPES: dict[str, Any] = {
    name: _OnDevice(name, (), {"__doc__": f"Makes what `torch.{name}` does, on a CUDA device."})
    for name in TENSOR_NAMES
} | {
    name: _Refused(name, (), {"__doc__": f"A {name} on a CUDA device, which cannot be made."})
    for name in STORAGE_NAMES
}

"""The old constructors: Tensor(2, 3), Tensor([1, 2]), FloatTensor, LongTensor, ...  Level 11.

`isinstance(x, FloatTensor)` asks for the dtype, as in PyTorch.
"""

from __future__ import annotations

from rushlight.base.dtypes import ALL_DTYPES, DType, get_default_dtype
from rushlight.ops.creation import empty_array, shape_from, tensor
from rushlight.ops.spelling import PUBLIC, attach_method
from rushlight.tensor.autodiff import type_name
from rushlight.tensor.memory import storage_of
from rushlight.tensor.tensor import Tensor, become, tensor_from_numpy


def _construct(dtype: DType, arguments) -> Tensor:
    """Sizes give unspecified values, a sequence gives its elements."""
    if not arguments:
        return tensor_from_numpy(empty_array((0,), dtype), dtype)
    first = arguments[0]
    if len(arguments) == 1 and isinstance(first, Tensor):
        storage_of(first)
        return first
    if len(arguments) == 1 and not isinstance(first, int):
        if isinstance(first, tuple) and type(first).__name__ == "Size":
            return tensor_from_numpy(empty_array(shape_from(first), dtype), dtype)
        return tensor(first, dtype=dtype)
    return tensor_from_numpy(empty_array(shape_from(arguments), dtype), dtype)


def _new_tensor(cls, *arguments, device=None) -> Tensor:
    """Tensor(*sizes) or Tensor(sequence), of the default floating dtype."""
    made = object.__new__(cls)
    become(made, _construct(get_default_dtype(), arguments))
    return made


@attach_method("new")
def new(self, *arguments, device=None) -> Tensor:
    """A tensor of this one's dtype and device, of sizes or a sequence: the older `new_empty` and
    `new_tensor`.  Source: torch.Tensor.new."""
    return _construct(self.dtype, arguments).to(self.device if device is None else device)


class _TypedConstructor(type):
    """Metaclass of FloatTensor and the like: calling makes a plain Tensor of the dtype."""

    dtype: DType

    def __call__(cls, *arguments, device=None) -> Tensor:
        return _construct(cls.dtype, arguments)

    def __instancecheck__(cls, value) -> bool:
        same = isinstance(value, Tensor) and value._node.dtype is cls.dtype
        return same and value.device.type in ("cpu", "meta")

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


Tensor.__new__ = _new_tensor

for _dtype in ALL_DTYPES:
    if not _dtype.is_complex:
        _name = type_name(_dtype).removeprefix("torch.")
        PUBLIC[_name] = _TypedConstructor(_name, (), {"dtype": _dtype, "__doc__": (
            f"FloatTensor-style constructor of {_dtype} tensors."
        )})  # fmt: skip

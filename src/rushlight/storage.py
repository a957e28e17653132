"""PyTorch's `torch.storage`: the memory of tensors, and its typed names.

`isinstance(s, FloatStorage)` asks a typed storage for its dtype.  Level 12.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import (
    DType,
    bfloat16,
    bool_,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from rushlight.ops.memory import TypedStorage, UntypedStorage

# What `isinstance` asks for where any memory will do.
StorageBase = UntypedStorage

_DTYPES: dict[str, DType] = {
    "BFloat16": bfloat16, "Bool": bool_, "Byte": uint8, "Char": int8, "ComplexDouble": complex128,
    "ComplexFloat": complex64, "Double": float64, "Float": float32, "Half": float16, "Int": int32,
    "Long": int64, "Short": int16,
}  # fmt: skip


class _OfDtype(type):
    """Metaclass of the typed names: an instance is a typed storage of the dtype."""

    dtype: DType

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, TypedStorage) and value.dtype is cls.dtype

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """A typed storage of a number of elements, or of a sequence of them."""
        return TypedStorage(*args, dtype=cls.dtype, **kwargs)


def _named(name: str) -> Any:
    return _OfDtype(f"{name}Storage", (), {"dtype": _DTYPES[name]})


BFloat16Storage = _named("BFloat16")
BoolStorage = _named("Bool")
ByteStorage = _named("Byte")
CharStorage = _named("Char")
ComplexDoubleStorage = _named("ComplexDouble")
ComplexFloatStorage = _named("ComplexFloat")
DoubleStorage = _named("Double")
FloatStorage = _named("Float")
HalfStorage = _named("Half")
IntStorage = _named("Int")
LongStorage = _named("Long")
ShortStorage = _named("Short")
Storage = FloatStorage
_StorageBase = UntypedStorage

__all__ = [
    "Storage", "TypedStorage", "UntypedStorage", *[f"{name}Storage" for name in _DTYPES],
]  # fmt: skip

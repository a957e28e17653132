"""Constructors of tensors on a CUDA device: `cuda.FloatTensor` and its like.

`isinstance(x, cuda.FloatTensor)` is False for every tensor, making one raises.  Level 12.
"""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight.cuda._absent import unsupported


class _OnDevice(type):
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
    name: _OnDevice(name, (), {"__doc__": f"A {name} on a CUDA device, which cannot be made."})
    for name in (*TENSOR_NAMES, *STORAGE_NAMES)
}

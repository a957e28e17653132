"""QuantizedTensor: integers that stand for numbers, by a scale and a zero point.

An element is (code - zero point) * scale, with one scale and zero point for the tensor or one for
each slice along an axis.  The codes are a dense tensor of integers; operations of the tape cannot
read a quantized tensor: its node refuses.  The operations on it stand in `quantized/`.  Level 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.base import formats
from rushlight.base.dtypes import DType
from rushlight.tensor.refusing import RefusingNode, without_array
from rushlight.tensor.tensor import Tensor
from rushlight.tensor.torch_function import DisableTorchFunctionSubclass

# What to do where an operation has no form for them.
_REPAIR = "quantized tensors; use dequantize() before, or work on int_repr()"


class Quantizer:
    """How codes stand for numbers: a float and an int, or tensors of them along an axis."""

    __slots__ = ("scheme", "scale", "zero_point", "axis")

    axis: Any  # an int, or None for the whole tensor

    def __init__(
        self, scheme: formats.qscheme, scale: Any, zero_point: Any, axis: int | None = None
    ) -> None:
        self.scheme = scheme
        self.scale = scale
        self.zero_point = zero_point
        self.axis = axis

    @property
    def is_per_channel(self) -> bool:
        """Whether slices along an axis have scales of their own."""
        return self.axis is not None


class QuantizedTensor(Tensor):
    """A tensor of `quint8`, `qint8` or `qint32`; to programs it is a `Tensor`.

    codes: the integers, of the dtype's integer type.
    quantizer: what they stand for.
    """

    __slots__ = ("codes", "quantizer")

    codes: Tensor
    quantizer: Quantizer

    _prints_as_tensor = True
    # Functions must ask this class as they ask classes of programs.
    _is_asked = True

    def __new__(cls, codes: Tensor, dtype: DType, quantizer: Quantizer) -> QuantizedTensor:
        node = RefusingNode(tuple(codes._node.shape), dtype, "QuantizedCPU", _REPAIR)
        made: QuantizedTensor = without_array(cls, node)
        made.codes = codes
        made.quantizer = quantizer
        return made

    def __init__(self, *args: Any) -> None:
        pass

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        own = FUNCTIONS.get(function.__name__)
        if own is not None:
            return own(*args, **(kwargs or {}))
        with DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

    def with_codes(self, codes: Tensor) -> QuantizedTensor:
        """Other codes that stand for numbers in the same way."""
        return QuantizedTensor(codes, self._node.dtype, self.quantizer)


# What functions, methods and operators do with quantized operands: filled by `quantized/`.
FUNCTIONS: dict[str, Callable[..., Any]] = {}

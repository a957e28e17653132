"""What a row of the sample tables says about one primitive.

tests/samples/<family>.py holds `ROWS`, one Row for each primitive of the family;
tests/test_primitives.py generates all checks from them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

FLOATING = ("float64", "float32", "bfloat16", "float16")
COMPLEX = ("complex128", "complex64")
INTEGER = ("int64", "int32", "int16", "int8", "uint8")
BOOL = ("bool",)
INEXACT = FLOATING + COMPLEX
EVERY = BOOL + INTEGER + INEXACT

# Shapes of the operands: one axis, several, none, none of size, sizes of 1.
UNARY_SHAPES = (((7,),), ((2, 3),), ((),), ((0, 3),), ((2, 1, 3),))
# Equal, broadcast on both sides, a 0-d operand, an empty result, a missing axis.
BINARY_SHAPES = (
    ((2, 3), (2, 3)),
    ((3, 1), (1, 4)),
    ((), (3,)),
    ((0, 3), (1, 3)),
    ((2, 3, 2), (2,)),
)


@dataclass(frozen=True)
class Error:
    """Operands (shape, dtype name) and parameters that must raise `exception` with `message`."""

    operands: tuple
    params: tuple
    exception: type
    message: str


@dataclass(frozen=True)
class Row:
    """Evidence for one primitive.

    primitive: its name.
    torch: function of torch tensors and the parameters with the same meaning.
    shapes: shapes of all operands, one tuple for each case.
    params: parameters, one tuple for each case (all are tried with all shapes), or a function of
        the shapes to such a list.
    dtypes: names; operands share one unless `operands` says otherwise.
    low, high: range of the random values; of the real and imaginary parts for complex.
    operands: function of (random generator, shapes, dtype name, params) to arrays, for operands
        that are not all alike.
    differentiable: positions of operands that carry a gradient, or () for none.
    finite_differences: whether the gradient is also that of the values (not so for conversions,
        whose results have fewer digits than the difference needs).
    second_order: whether gradients are differentiated again.
    seen: function of the results and the parameters to those that programs see and differentiate.
    tolerance: relative, by dtype name; `reason` says why it is wider than the default.
    """

    primitive: str
    torch: Callable
    shapes: tuple = UNARY_SHAPES
    params: object = ((),)
    dtypes: tuple = INEXACT
    low: float = -3.0
    high: float = 3.0
    operands: Callable | None = None
    differentiable: tuple = (0,)
    finite_differences: bool = True
    second_order: bool = True
    seen: Callable = lambda results, *params: results
    tolerance: dict = field(default_factory=dict)
    reason: str = ""
    errors: tuple = ()

    def params_for(self, shapes: tuple) -> list:
        """The parameters to try with these shapes."""
        return list(self.params(shapes) if callable(self.params) else self.params)

    def arrays(self, shapes: tuple, dtype: str, params: tuple = ()) -> list:
        """Random operands; the same ones in each run."""
        seed = zlib.crc32(f"{self.primitive} {shapes} {params}".encode())
        generator = np.random.default_rng(seed)
        if self.operands is not None:
            return self.operands(generator, shapes, dtype, params)
        return [random_array(generator, s, dtype, self.low, self.high) for s in shapes]


def random_array(generator, shape, dtype: str, low: float, high: float) -> np.ndarray:
    """Values between low and high that are multiples of 1/64, so that 16-bit floats hold them.

    bfloat16 has no NumPy type: its values come as float32.
    """
    if dtype == "bool":
        return np.asarray(generator.integers(0, 2, shape)).astype(bool)
    if dtype.startswith(("int", "uint")):
        start = max(int(low), 0) if dtype == "uint8" else int(np.ceil(low))
        stop = max(int(high), start) + 1
        return np.asarray(generator.integers(start, stop, shape)).astype(dtype)
    if dtype.startswith("complex"):
        parts = [random_array(generator, shape, "float64", low, high) for _ in range(2)]
        return np.asarray(parts[0] + 1j * parts[1]).astype(dtype)
    steps = 8 if dtype == "bfloat16" else 64
    values = np.round(np.asarray(generator.uniform(low, high, shape)) * steps) / steps
    # A step away from 0 and the bounds, where functions have their edges.
    inside = np.clip(np.where(values == 0, 1 / steps, values), low + 1 / steps, high - 1 / steps)
    return np.asarray(inside).astype("float32" if dtype == "bfloat16" else dtype)

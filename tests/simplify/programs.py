"""Programs written by hand or drawn at random, and what they compute, by the reference rules."""

from __future__ import annotations

import numpy as np

from rushlight.base.dtypes import DType, dtype_by_name, narrow, widen
from rushlight.reference.executor import compute
from rushlight.tape.program import BUFFER_LEAF, OPERATION, SCALAR_LEAF, Program, Value


class Builder:
    """Collects the values of a program and the arrays of its leaves."""

    def __init__(self) -> None:
        self.values: dict[int, Value] = {}
        self.arrays: dict[int, np.ndarray] = {}

    def leaf(self, array, dtype: str = "float32") -> Value:
        """A buffer leaf."""
        return self._leaf(BUFFER_LEAF, np.asarray(array), dtype)

    def scalar(self, number, dtype: str = "float32") -> Value:
        """A scalar leaf."""
        return self._leaf(SCALAR_LEAF, np.asarray(number), dtype)

    def _leaf(self, source: str, array: np.ndarray, dtype: str) -> Value:
        kind = dtype_by_name(dtype)
        value = Value(len(self.values), source, None, (), (), array.shape, kind, False)
        with np.errstate(all="ignore"):
            self.arrays[value.slot] = narrow(array.astype(kind.compute), kind)
        self.values[value.slot] = value
        return value

    def __call__(self, primitive, *operands: Value, params: tuple = (), live=False) -> Value:
        """An operation."""
        shape, dtype = primitive.result(*operands, *params)
        inputs = tuple(x.slot for x in operands)
        slot = len(self.values)
        value = Value(slot, OPERATION, primitive, params, inputs, shape, dtype, live)
        self.values[slot] = value
        return value

    def program(self, *live: Value) -> Program:
        """The program that keeps these values and those kept already."""
        for value in live:
            value.live = True
        return Program(dict(self.values))


def results(program: Program, arrays: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """The live values, computed one operation after the other."""
    known: dict[int, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for slot, value in program.values.items():
            if value.source == OPERATION:
                known[slot] = compute(value, [known[s] for s in value.inputs])
            else:
                known[slot] = widen(arrays[slot], value.dtype)
        return {v.slot: narrow(known[v.slot], v.dtype) for v in program.order if v.live}


def bits(array: np.ndarray, dtype: DType) -> bytes:
    """The bytes of an array with one NaN for all."""
    wide = widen(array, dtype)
    if dtype.is_inexact:
        wide = np.where(np.isnan(wide), np.nan, wide)
    return np.ascontiguousarray(wide).tobytes()


def assert_same(program: Program, simpler: Program, arrays: dict[int, np.ndarray]) -> None:
    """Both give the same values, to the bit."""
    expected, found = results(program, arrays), results(simpler, arrays)
    assert list(expected) == list(found)
    for slot, array in expected.items():
        dtype = program.values[slot].dtype
        assert bits(array, dtype) == bits(found[slot], dtype), (
            f"%{slot}: {array} became {found[slot]}\n{program}\n\n{simpler}"
        )

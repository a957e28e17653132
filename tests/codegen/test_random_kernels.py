"""Random kernels have the interpreter's bits on every Target: views, masks, casts, reductions."""

import os

import numpy as np
import pytest

from rushlight.loopnest.ir import (
    OPS,
    Accumulator,
    Buffer,
    Cast,
    Const,
    Kernel,
    Let,
    Load,
    Loop,
    Op,
    Param,
    Reduce,
    Store,
    Var,
    call,
    is_defined_on,
    kind_of,
    reduce_lanes,
)
from rushlight.loopnest.pretty import print_kernel
from rushlight.loopnest.scalar import numpy_dtype
from tests.codegen.run_kernel import assert_same_bits
from tests.codegen.test_kernels import EXACT, random_array

DTYPES = ("float32", "float32", "float64", "int32", "int64", "uint8", "bool", "bfloat16")
SEEDS = range(int(os.environ.get("RUSHLIGHT_RANDOM_KERNELS", "60")))
ROWS, COLUMNS = Param("rows"), Param("columns")


class KernelMaker:
    """Builds one kernel over a (rows, columns) space, and the buffers to run it on."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.rows = int(self.rng.integers(0, 6))
        self.columns = int(self.rng.choice([0, 1, 3, 17, 64, 65, 130, 257]))
        self.buffers, self.arrays = [], {}
        self.params, self.values = [ROWS, COLUMNS], {"rows": self.rows, "columns": self.columns}
        self.names = 0

    def fresh(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    def load(self, dtype, column):
        """A read through random strides, or masked, or gathered."""
        name = self.fresh("x")
        step = int(self.rng.choice([0, 1, 1, 1, 2]))
        row_step = int(self.rng.choice([0, step * self.columns, step * self.columns + 3]))
        stride, row_stride = Param(self.fresh("s")), Param(self.fresh("s"))
        self.params += [stride, row_stride]
        self.values.update({stride.name: step, row_stride.name: row_step})
        along = column if step == 1 else column * stride
        index = Var("r") * row_stride + along
        size = row_step * max(self.rows - 1, 0) + step * max(self.columns - 1, 0) + 1
        mask = None
        if self.rng.random() < 0.2:
            mask = call("lt", column, Const(int(self.rng.integers(0, 200)), "int64"))
        if self.rng.random() < 0.15:
            table = self.fresh("t")
            self.buffers.append(Buffer(table, "int64", "in"))
            self.arrays[table] = self.rng.integers(0, 50, size)
            index, size = Load(table, index, "int64"), 50
        self.buffers.append(Buffer(name, dtype, "in"))
        self.arrays[name] = random_array(dtype, size, int(self.rng.integers(1 << 30)))
        return Load(name, index, dtype, mask)

    def expression(self, dtype, depth, column):
        if kind_of(dtype) == "s" or depth == 0 or self.rng.random() < 0.15:
            return self.load(dtype, column)
        draw = self.rng.random()
        if draw < 0.2:
            source = str(self.rng.choice(DTYPES))
            return Cast(self.expression(source, depth - 1, column), dtype)
        if draw < 0.3:
            condition = self.expression("bool", depth - 1, column)
            arms = [self.expression(dtype, depth - 1, column) for _ in range(2)]
            return Op("where", (condition, *arms), dtype)
        return self.operation(dtype, depth, column)

    def operation(self, dtype, depth, column):
        if dtype == "bool" and self.rng.random() < 0.6:
            name = str(self.rng.choice(["lt", "ge", "eq", "ne"]))
            source = str(self.rng.choice(["float32", "int32", "float64"]))
            return call(name, *(self.expression(source, depth - 1, column) for _ in range(2)))
        fitting = [n for n in EXACT if OPS[n][2] == "same" and is_defined_on(n, dtype)]
        name = str(self.rng.choice(fitting))
        return call(name, *(self.expression(dtype, depth - 1, column) for _ in range(OPS[name][0])))

    def output(self, dtype, size):
        name = self.fresh("out")
        self.buffers.append(Buffer(name, dtype, "out"))
        self.arrays[name] = np.zeros(size, numpy_dtype(dtype))
        return name

    def elementwise_body(self):
        column, dtype = Var("i"), str(self.rng.choice(DTYPES))
        value = self.expression(dtype, 3, column)
        out = self.output(dtype, self.rows * self.columns)
        named = Var("value", dtype)
        store = Store(out, Var("r") * COLUMNS + column, named)
        return (Loop("i", COLUMNS, "vector", (Let("value", value), store)),)

    def reduction_body(self):
        dtype = str(self.rng.choice(["float32", "float64", "int64"]))
        op = str(self.rng.choice(["sum", "max", "min", "argmax"]))
        lanes = int(self.rng.choice([1, reduce_lanes(dtype)]))
        value = self.expression(dtype, 2, Var("i"))
        names = ("v", "p") if op == "argmax" else ("v",)
        reduce = Reduce("i", COLUMNS, lanes, (), (Accumulator(names, op, value),))
        stores = [Store(self.output(dtype, self.rows), Var("r"), Var("v", dtype))]
        if len(names) == 2:
            stores.append(Store(self.output("int64", self.rows), Var("r"), Var("p")))
        return (reduce, *stores)

    def kernel(self):
        reducing = self.rng.random() < 0.4
        body = self.reduction_body() if reducing else self.elementwise_body()
        outer = Loop("r", ROWS, "parallel", body)
        return Kernel("random", tuple(self.buffers), tuple(self.params), (outer,))


@pytest.mark.parametrize("seed", SEEDS)
def test_random_kernel_has_the_interpreters_bits(seed):
    maker = KernelMaker(seed)
    kernel = maker.kernel()
    print(print_kernel(kernel))
    assert_same_bits(kernel, maker.arrays, maker.values, extent=maker.rows)

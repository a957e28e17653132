"""A compiled plan that is judged at each run by interpreting its loop nests.

A `JudgedPlan` runs twice: by the interpreter, each value in memory of its own that is full of
rubbish until it is written, and then as a `CompiledPlan` does.  So machine code, arena and launches
have a judge.  The functions of `codegen/math.py`, which the interpreter may round otherwise, are
taken from machine code, one operation a kernel, so that both agree to the bit.  Matrix products
have no nests; they run as machine code in both.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from rushlight.base.dtypes import narrow, widen
from rushlight.base.errors import FlushFailed
from rushlight.base.words import Words
from rushlight.codegen.math import FUNCTIONS
from rushlight.engine import compiled, pipeline, template
from rushlight.engine.compiled import CompiledPlan, NativeRun
from rushlight.engine.kernels import kernel_library
from rushlight.loopnest import scalar
from rushlight.loopnest.interpret import interpret_kernel
from rushlight.loopnest.ir import VECTOR, Buffer, Kernel, Load, Loop, Param, Store, Var, call
from rushlight.loopnest.verify import verify_kernel
from rushlight.reference.executor import DATA_ERRORS, compute, owned
from rushlight.tape.program import BUFFER_LEAF, SCALAR_LEAF
from tests.fuzz.outcome import same_bits

RUBBISH = 0xA5
VERIFIED: set[str] = set()
_SIGNATURE = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
)
# How many plans and nests were interpreted, and products called, since the process began.
COUNTS = {"plans": 0, "nests": 0, "products": 0}


# ---- functions from machine code -----------------------------------------------------------------


@functools.cache
def machine_function(name: str, dtype: str, arity: int) -> tuple:
    """A kernel of one operation over vectors; its library first, which keeps the code loaded."""
    inputs = tuple(Buffer(f"x{i}", dtype, "in") for i in range(arity))
    value = call(name, *[Load(b.name, Var("i"), dtype) for b in inputs])
    loop = Loop("i", Param("n"), VECTOR, (Store("y", Var("i"), value),))
    kernel = Kernel("one", (*inputs, Buffer("y", dtype, "out")), (Param("n"),), (loop,))
    library, symbol = kernel_library(verify_kernel(kernel))
    return library, _SIGNATURE(library[symbol])


def by_machine(name: str) -> Callable[..., np.ndarray]:
    """The interpreter's rule for a function, taken from machine code."""

    def rule(*args: np.ndarray) -> np.ndarray:
        args = [np.array(a, order="C") for a in np.broadcast_arrays(*args)]
        result = np.empty_like(args[0])
        _, function = machine_function(name, args[0].dtype.name, len(args))
        pointers = np.array([a.ctypes.data for a in (*args, result)], np.int64)
        words = np.array([result.size], np.int64)
        function(pointers.ctypes.data, words.ctypes.data, 0, 1)
        return result

    return rule


# ---- plans ---------------------------------------------------------------------------------------


class JudgedPlan(CompiledPlan):
    """nests: id of a native step -> its loop nest; steps without one are matrix products.

    faults: what any plan computed otherwise than the interpreter, for who installed the judge.
    """

    __slots__ = ("nests", "remembered")
    faults: list[str] = []

    def __init__(self, plan, nodes) -> None:
        self.nests: dict[int, object] = {}
        self.remembered: list = []
        make = pipeline.step_of_nest

        def remembered(nest):
            step = make(nest)
            if step.function not in VERIFIED:
                verify_kernel(nest.kernel)
                VERIFIED.add(step.function)
            self.nests[id(step)] = nest
            self.remembered.append(step)  # so that its id stays its own
            return step

        pipeline.step_of_nest = remembered
        try:
            super().__init__(plan, nodes)
        except Exception as error:  # a plan that cannot be made falls back, which hides it
            self.faults.append(f"no plan: {error!r}")
            raise
        finally:
            pipeline.step_of_nest = make

    def run(self, nodes) -> BaseException | None:
        """Execute; live nodes get values, which the interpreter's are compared with."""
        if any(type(nodes[slot].value) is FlushFailed for slot in self.read):
            return super().run(nodes)
        memory = self._interpreted(nodes)
        error = super().run(nodes)
        if memory is not None and error is None:
            for slot in self.plan.live:
                self._compare(slot, memory.shaped(slot), nodes[slot].value)
        return error

    def _compare(self, slot: int, expected, found) -> None:
        if not isinstance(expected, list) and not same_bits(np.asarray(expected), found):
            self.faults.append(f"slot {slot}: {expected!r} against {found!r} in\n{self.schedule}")

    def _interpreted(self, nodes) -> Memory | None:
        """The memory of a run by the interpreter; None where an index leaves its bounds."""
        memory = Memory(self, nodes)
        COUNTS["plans"] += 1
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for part in self.parts:
                if isinstance(part, NativeRun):
                    for step in part.steps:
                        self._interpret(step, memory, nodes)
                elif not self._call_rule(part, memory):
                    return None
        return None if self.flags.any() else memory

    def _interpret(self, step, memory: Memory, nodes) -> None:
        nest = self.nests.get(id(step))
        if nest is None:
            COUNTS["products"] += 1
            addresses = np.zeros(max(step.buffers) + 1, np.int64)
            for slot in step.buffers:
                addresses[slot] = memory.flat(slot).ctypes.data
            NativeRun([step], memory.values).run(Words(addresses), nodes, self)
            return
        COUNTS["nests"] += 1
        buffers = {b.name: memory.flat(s) for b, s in zip(nest.kernel.buffers, nest.buffers)}
        params = {
            param.name: word.value if word.slot is None else widen_scalar(nodes[word.slot])
            for param, word in zip(nest.kernel.params, nest.words)
        }
        interpret_kernel(nest.kernel, buffers, params)

    def _call_rule(self, value, memory: Memory) -> bool:
        """Compute one value by its reference rule; False if that raised."""
        operands = [memory.operand(slot) for slot in value.inputs]
        try:
            result = compute(value, operands)
        except DATA_ERRORS:
            return False
        if not isinstance(result, list):
            result = owned(np.asarray(narrow(result, value.dtype), order="C"), operands)
        memory.arrays[value.slot] = result
        return True


class Memory:
    """The arrays of one run, by slot, made when they are first asked for."""

    def __init__(self, plan: JudgedPlan, nodes) -> None:
        self.values = plan.schedule.program.values
        self.shown_by = plan.schedule.memory
        self.joined = plan.joined
        self.nodes = nodes
        self.arrays: dict[int, object] = dict(plan.constants)

    def shaped(self, slot: int):
        """A slot's array, in the shape and form its dtype is kept in."""
        slot = self.joined.get(slot, slot)
        array = self.arrays.get(slot)
        if array is None and self.shown_by(slot) != slot:  # a reshaped buffer
            return self.shaped(self.shown_by(slot)).reshape(self.values[slot].shape)
        if array is None:
            value = self.values[slot]
            if value.source in (BUFFER_LEAF, SCALAR_LEAF):
                array = np.asarray(self.nodes[slot].value)
            else:
                size = value.numel * value.dtype.itemsize
                array = np.full(size, RUBBISH, np.uint8).view(value.dtype.numpy)
                array = array.reshape(value.shape)
            self.arrays[slot] = array
        return array

    def flat(self, slot: int) -> np.ndarray:
        """The same memory as one axis."""
        array = self.shaped(slot)
        assert array.flags.c_contiguous
        return array.reshape(-1)

    def operand(self, slot: int):
        """What a reference rule takes."""
        array = self.shaped(slot)
        return array if isinstance(array, list) else widen(array, self.values[slot].dtype)


def widen_scalar(node):
    """The number of a scalar leaf; 16-bit floats as what they stand for."""
    return widen(np.asarray(node.value), node.dtype).item()


@contextlib.contextmanager
def judged_plans() -> Iterator[list[str]]:
    """Plans made meanwhile are judged; gives the list of what was found."""
    rules = dict(scalar.RULES)
    scalar.RULES.update({name: by_machine(name) for name in FUNCTIONS})
    compiled.CompiledPlan = JudgedPlan  # type: ignore[misc]
    made, template._template_of = template._template_of, lambda plan, nodes, family: None
    JudgedPlan.faults.clear()
    try:
        yield JudgedPlan.faults
    finally:
        compiled.CompiledPlan = CompiledPlan  # type: ignore[misc]
        template._template_of = made
        scalar.RULES.update(rules)

"""A plan runs its kernels in order on whatever buffers and scalars it is given."""

import numpy as np
import pytest

from rushlight.base.words import Words
from rushlight.codegen.llvm import module_text
from rushlight.loopnest.ir import Buffer, Kernel, Load, Loop, Param, Store, Var, call
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import load_text
from rushlight.runtime.launch import KernelCall, NativePlan, float_word


@pytest.fixture(scope="module")
def scale():
    """out = x * s over the parallel loop's range, one element an iteration."""
    i = Var("i")
    value = call("mul", Load("x", i, "float32"), Param("s", "float32"))
    kernel = Kernel(
        "scale",
        (Buffer("x", "float32", "in"), Buffer("out", "float32", "out")),
        (Param("n"), Param("s", "float32")),
        (Loop("i", Param("n"), "parallel", (Store("out", i, value),)),),
    )
    return load_text(module_text([kernel], host_target()), ["scale"])


def plan_of(scale, n):
    first = KernelCall("scale", scale["scale"], (0, 1), (0, 1), n, 16)
    second = KernelCall("scale", scale["scale"], (1, 2), (0, 2), n, 16)
    return NativePlan([first, second])


def test_plan_follows_new_addresses_and_scalars(scale):
    plan = plan_of(scale, 100)
    for factor in (2.0, 3.0):
        x, y, z = (np.full(100, v, np.float32) for v in (1, 0, 0))
        addresses = Words(np.array([a.ctypes.data for a in (x, y, z)], np.int64))
        words = Words(np.array([100, float_word(factor), float_word(10.0)], np.int64))
        plan.run(addresses, words)
        assert (y == factor).all() and (z == 10 * factor).all()


def test_timed_run_computes_the_same_and_times_each_kernel(scale):
    x, y, z = (np.full(100, v, np.float32) for v in (1, 0, 0))
    addresses = Words(np.array([a.ctypes.data for a in (x, y, z)], np.int64))
    words = Words(np.array([100, float_word(2.0), float_word(5.0)], np.int64))
    times = plan_of(scale, 100).run_timed(addresses, words)
    assert (z == 10).all()
    assert len(times) == 2 and all(end > start for start, end in times)
    assert times[0][1] <= times[1][0]


def test_plan_without_kernels_does_nothing():
    NativePlan([]).run(Words(np.zeros(0, np.int64)), Words(np.zeros(0, np.int64)))

"""The interpreter runs kernels by the IR's words; the verifier refuses what breaks its rules."""

from dataclasses import replace

import numpy as np
import pytest

from rushlight.base.errors import InternalError
from rushlight.loopnest.interpret import interpret_kernel
from rushlight.loopnest.ir import (
    OPS,
    Accumulator,
    Buffer,
    Const,
    Kernel,
    Let,
    Load,
    Loop,
    Param,
    Reduce,
    Scratch,
    Store,
    Var,
    call,
)
from rushlight.loopnest.pretty import print_kernel
from rushlight.loopnest.scalar import RULES, round_to_bfloat16, widen_bfloat16
from rushlight.loopnest.verify import verify_kernel

i = Var("i")
n = Param("n")


def row_sum(lanes):
    return Kernel(
        "row_sum",
        (Buffer("x", "float32", "in"), Buffer("y", "float32", "out")),
        (Param("rows"), n),
        (
            Loop(
                "r",
                Param("rows"),
                "parallel",
                (
                    Reduce(
                        "i",
                        n,
                        lanes,
                        (),
                        (Accumulator(("s",), "sum", Load("x", Var("r") * n + i, "float32")),),
                    ),
                    Store("y", Var("r"), Var("s", "float32")),
                ),
            ),
        ),
    )


def test_every_operation_has_a_meaning():
    assert set(RULES) == set(OPS)


def test_sum_with_lanes_adds_lane_by_lane_then_halves():
    x = np.random.default_rng(0).standard_normal((3, 201)).astype(np.float32)
    y = np.zeros(3, np.float32)
    interpret_kernel(verify_kernel(row_sum(64)), {"x": x.ravel(), "y": y}, {"rows": 3, "n": 201})
    for r in range(3):
        lanes = np.zeros(64, np.float32)
        for k in range(201):
            lanes[k % 64] += x[r, k]
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = lanes[:half] + lanes[half:]
        assert y[r] == lanes[0]


def test_sum_over_empty_range_is_zero():
    y = np.ones(2, np.float32)
    interpret_kernel(row_sum(64), {"x": np.zeros(0, np.float32), "y": y}, {"rows": 2, "n": 0})
    assert (y == 0).all()


def test_argmax_takes_the_first_of_equals_and_prefers_nan():
    kernel = Kernel(
        "argmax",
        (Buffer("x", "float32", "in"), Buffer("y", "int64", "out")),
        (n,),
        (
            Reduce("i", n, 64, (), (Accumulator(("v", "p"), "argmax", Load("x", i, "float32")),)),
            Store("y", Const(0, "int64"), Var("p")),
        ),
    )
    verify_kernel(kernel)
    y = np.zeros(1, np.int64)
    x = np.zeros(200, np.float32)
    x[[70, 150]] = 5
    interpret_kernel(kernel, {"x": x, "y": y}, {"n": 200})
    assert y[0] == 70
    x[[140, 190]] = np.nan
    interpret_kernel(kernel, {"x": x, "y": y}, {"n": 200})
    assert y[0] == 140


def test_printed_kernel_shows_loops_and_exact_constants():
    kernel = Kernel(
        "scale",
        (Buffer("x", "float32", "in"), Buffer("y", "float32", "out")),
        (n,),
        (
            Loop(
                "i",
                n,
                "vector",
                (
                    Let("t", call("mul", Load("x", i, "float32"), Const(0.1, "float32"))),
                    Store("y", i, Var("t", "float32")),
                ),
            ),
        ),
    )
    verify_kernel(kernel)
    assert print_kernel(kernel) == (
        "kernel scale(in x: float32*, out y: float32*, $n: int64):\n"
        "  for i in $n vector:\n"
        "    t: float32 = (x[i] * 0x1.999999999999ap-4:float32)\n"
        "    y[i] = t\n"
    )


def test_index_arithmetic_folds_zero_and_one():
    assert i * 1 + 0 is i
    assert (i * 0) == Const(0, "int64")
    assert Const(3, "int64") * 4 + 1 == Const(13, "int64")


def test_bfloat16_rounds_to_nearest_even():
    x = np.array([1.0, 1.00390625, 1.01171875, np.inf, -np.inf, 3.4e38, 1e-40], np.float32)
    torch = pytest.importorskip("torch")
    expected = torch.from_numpy(x).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    assert (round_to_bfloat16(x) == expected).all()
    assert np.isnan(widen_bfloat16(round_to_bfloat16(np.float32(np.nan))))


def _copy(body, access="out"):
    return Kernel(
        "bad", (Buffer("x", "float32", "in"), Buffer("y", "float32", access)), (n,), tuple(body)
    )


@pytest.mark.parametrize(
    "body, rule",
    [
        ([Store("x", i, Const(0.0, "float32"))], "i is used before it is bound"),
        ([Store("x", n, Const(0.0, "float32"))], "store to input x"),
        ([Store("y", n, Const(0.0, "float64"))], "store of float64 to y"),
        ([Store("y", n, Load("y", n, "float32"))], "load from output y"),
        ([Loop("i", n, "vector", (Loop("j", n, "vector", ()),))], "inside another"),
        ([Loop("i", n, "serial", (Loop("j", n, "parallel", ()),))], "parallel loop stands"),
        ([Reduce("i", n, 3, (), ())], "not a power of two"),
        ([Loop("j", n, "vector", (Reduce("i", n, 64, (), ()),))], "inside a vector loop"),
        ([Let("a", call("exp", n))], "not defined on int64"),
        ([Let("a", n), Let("a", n)], "a is bound twice"),
        ([Loop("i", n, "parallel", ()), Let("a", n)], "statements follow the parallel loop"),
    ],
)
def test_verifier_names_the_broken_rule(body, rule):
    with pytest.raises(InternalError, match=rule):
        verify_kernel(_copy(body))


def test_out_of_range_index_is_an_error():
    kernel = _copy([Loop("i", n, "vector", (Store("y", i, Load("x", i, "float32")),))])
    verify_kernel(kernel)
    with pytest.raises(IndexError, match="index 3 of x, which has 3"):
        interpret_kernel(kernel, {"x": np.zeros(3, "f4"), "y": np.zeros(4, "f4")}, {"n": 4})


def test_scratch_and_buffers_share_no_name():
    scratch = (Scratch("x", "float32", n),)
    kernel = row_sum(1)
    with pytest.raises(InternalError, match="two buffers have one name"):
        verify_kernel(replace(kernel, scratch=scratch))


def test_scratch_is_printed_with_its_extent():
    kernel = replace(row_sum(1), scratch=(Scratch("t", "float32", n),))
    assert "scratch t: float32[$n]" in print_kernel(verify_kernel(kernel))

"""A counter taken apart: its quotients and remainders are carried, and short rows are copied."""

import numpy as np
import pytest

from rushlight.codegen.llvm import module_text
from rushlight.loopnest.interpret import interpret_kernel
from rushlight.loopnest.ir import (
    Accumulator,
    Buffer,
    Kernel,
    Load,
    Loop,
    Param,
    Reduce,
    Store,
    Var,
    call,
)
from tests.codegen.run_kernel import TARGETS, Compiled, assert_same_bits

r, c, k = Var("r"), Var("c"), Var("k")
B, C = Param("b", counts=True), Param("c", counts=True)
WIDTH, STEP, START = Param("width"), Param("step"), Param("start")
IMAGE = Param("image")


def exchange():
    """out[a, b, c, :] = x[c, b, a, :], where a row of x may be read backwards."""
    rest = call("floordiv", r, C)
    a, b, last = call("floordiv", rest, B), call("mod", rest, B), call("mod", r, C)
    source = ((last * B + b) * Param("a") + a) * WIDTH + START + c * STEP
    row = Loop("c", WIDTH, "vector", (Store("out", r * WIDTH + c, Load("x", source, "float32")),))
    buffers = (Buffer("x", "float32", "in"), Buffer("out", "float32", "out"))
    params = (Param("rows"), Param("a"), B, C, WIDTH, STEP, START)
    return Kernel("exchange", buffers, params, (Loop("r", Param("rows"), "parallel", (row,)),))


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sizes", [(2, 3, 4, 9), (3, 1, 5, 2), (1, 4, 1, 40), (2, 2, 2, 131)])
def test_part_of_a_loop_begins_with_the_right_quotients(sizes, backwards):
    a, b, c_, width = sizes
    rows = a * b * c_
    x = np.random.default_rng(0).standard_normal(rows * width).astype(np.float32)
    params = {"rows": rows, "a": a, "b": b, "c": c_, "width": width, "step": 1, "start": 0}
    if backwards:
        params.update(step=-1, start=width - 1)
    expected = {"x": x, "out": np.zeros_like(x)}
    interpret_kernel(exchange(), expected, params)
    for target in TARGETS:
        for brief in (False, True):
            run = Compiled(exchange(), target, brief)
            for cut in (0, 1, rows // 2, rows - 1, rows):
                actual = {"x": x, "out": np.zeros_like(x)}
                run(actual, params, cut, rows)
                run(actual, params, 0, cut)
                assert (actual["out"] == expected["out"]).all(), (target.vector_bytes, brief, cut)


def test_no_turn_divides():
    text = module_text([exchange()], TARGETS[0])
    assert "div" not in text[text.index("phi") :] and "rem" not in text[text.index("phi") :]


def test_a_number_that_may_be_negative_divides_in_each_turn():
    value = call("floordiv", r, Param("s"))
    body = (Loop("r", Param("rows"), "parallel", (Store("out", r, value),)),)
    kernel = Kernel("divided", (Buffer("out", "int64", "out"),), (Param("rows"), Param("s")), body)
    for divisor in (-3, -1, 0, 1, 4):
        expected = {"out": np.zeros(11, np.int64)}
        params = {"rows": 11, "s": divisor}
        interpret_kernel(kernel, expected, params)
        actual = {"out": np.zeros(11, np.int64)}
        Compiled(kernel)(actual, params, 0, 11)
        assert (actual["out"] == expected["out"]).all()


def channel_sums():
    """out[r] = the sum over images k of the sum of a row of x[k, r, :]."""
    place = k * IMAGE + (r * WIDTH + c)
    row = Reduce("c", WIDTH, 64, (), (Accumulator(("row",), "sum", Load("x", place, "float32")),))
    total = Accumulator(("total",), "sum", Var("row", "float32"))
    images = Reduce("k", Param("images"), 1, (row,), (total,))
    body = (images, Store("out", r, Var("total", "float32")))
    buffers = (Buffer("x", "float32", "in"), Buffer("out", "float32", "out"))
    params = (Param("rows"), WIDTH, IMAGE, Param("images"))
    return Kernel("sums", buffers, params, (Loop("r", Param("rows"), "parallel", body),))


@pytest.mark.parametrize("width", [16, 200, 1024])
def test_rows_of_a_sum_ask_for_the_next_ones_and_read_no_others(width):
    images, rows = 3, 4
    x = np.random.default_rng(1).standard_normal(images * rows * width).astype(np.float32)
    params = {"rows": rows, "width": width, "image": rows * width, "images": images}
    buffers = {"x": x, "out": np.zeros(rows, np.float32)}
    assert_same_bits(channel_sums(), buffers, params, rows)
    assert "@llvm.prefetch" in module_text([channel_sums()], TARGETS[0])

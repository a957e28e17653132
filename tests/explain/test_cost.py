"""Counted costs equal the accesses and operations that the interpreter really makes."""

from __future__ import annotations

import pytest

from rushlight.engine.peaks import peaks
from rushlight.loopnest.cost import cost_of
from rushlight.loopnest.ir import (
    PARALLEL,
    SERIAL,
    VECTOR,
    Accumulator,
    Buffer,
    Const,
    Kernel,
    Load,
    Loop,
    Param,
    Reduce,
    Store,
    Var,
    call,
)

PIECE = 8


def in_pieces(piece: int = PIECE) -> Kernel:
    """y[i] = exp(x[i]) + 1 in pieces; the last may be shorter."""
    n, pieces = Param("n"), Param("pieces")
    r, c = Var("r"), Var("c")
    index = r * piece + c
    value = call("add", call("exp", Load("x", index, "float32")), Const(1.0, "float32"))
    extent = call("minimum", Const(piece, "int64"), n - r * piece)
    inner = Loop("c", extent, VECTOR, (Store("y", index, value),))
    loop = Loop("r", pieces, PARALLEL, (inner,))
    buffers = (Buffer("x", "float32", "in"), Buffer("y", "float32", "out"))
    return Kernel("k", buffers, (n, pieces), (loop,))


@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 31])
def test_a_short_last_piece_is_counted_as_short(n: int) -> None:
    cost = cost_of(in_pieces(), {"n": n, "pieces": -(-n // PIECE)})
    assert (cost.operations, cost.read, cost.written) == (2 * n, {"x": n}, {"y": n})
    assert cost.exact


def test_a_reduction_counts_its_body_and_its_additions() -> None:
    rows, columns = Param("rows"), Param("columns")
    r, c = Var("r"), Var("c")
    x = Load("x", r * columns + c, "float32")
    reduce = Reduce("c", columns, 64, (), (Accumulator(("a",), "sum", call("mul", x, x)),))
    store = Store("y", r, Var("a", "float32"))
    loop = Loop("r", rows, PARALLEL, (reduce, store))
    buffers = (Buffer("x", "float32", "in"), Buffer("y", "float32", "out"))
    kernel = Kernel("k", buffers, (rows, columns), (loop,))
    cost = cost_of(kernel, {"rows": 3, "columns": 5})
    # x is loaded twice as the tree stands there twice; integer index arithmetic does not count.
    assert cost.read == {"x": 30} and cost.written == {"y": 3}
    assert cost.operations == 15 + 15
    assert cost.loops == "3 parallel (5 reduce)"


def test_a_loop_whose_extent_lies_in_memory_is_said_to_be_inexact() -> None:
    store = Store("y", Var("i"), Const(1.0, "float32"))
    loop = Loop("i", Load("n", Const(0, "int64"), "int64"), SERIAL, (store,))
    buffers = (Buffer("n", "int64", "in"), Buffer("y", "float32", "out"))
    cost = cost_of(Kernel("k", buffers, (), (loop,)), {})
    assert not cost.exact and cost.written == {"y": 1}


def test_peaks_are_positive_and_bound_what_a_kernel_does() -> None:
    found = peaks()
    assert found.flops > 1e8
    assert all(speed > 1e8 for _, speed in found.bandwidth)
    share, bound = found.share(int(found.flops), 1, 1.0)
    assert bound == "arithmetic" and share == pytest.approx(1.0)
    largest = found.bandwidth[-1][0] * 2
    share, bound = found.share(0, largest, largest / found.bandwidth[-1][1] * 2)
    assert bound == "memory" and share == pytest.approx(0.5)

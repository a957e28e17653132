"""Sorting and searching in machine code, against NumPy's stable sort and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.primitives import ordering
from tests.lowering.executors import compare, fallbacks, run

DTYPES = (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
)  # fmt: skip
# Short rows are ranked, long ones sorted by digits; rows along each axis.
SHAPES = [((), 0), ((1,), 0), ((9,), 0), ((3, 64), 1), ((65, 3), 0), ((2, 300, 3), 1),
          ((40, 200), 1), ((5000,), 0)]  # fmt: skip
SPECIAL = (float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1e-42, -1e-42, 3.4e38)


def operand(shape, dtype: str, few: bool):
    """Random values over the whole range, or few of them with ties and special numbers."""
    rng = np.random.default_rng(len(shape) + few)
    if dtype in ("float32", "float64", "float16", "bfloat16"):
        array = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)
        if few:
            array = rng.choice(np.array(SPECIAL), shape)
        return rl.tensor(array, dtype=rl.float64).to(getattr(rl, dtype))
    if dtype == "bool":
        return rl.tensor(rng.integers(0, 2, shape).astype(bool))
    limits = np.iinfo(dtype)
    low, high = (0, 3) if few else (limits.min, limits.max)
    return rl.tensor(np.asarray(rng.integers(low, high, shape, endpoint=True, dtype=dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("descending", [False, True])
def test_argsort_is_stable(dtype, few, descending) -> None:
    def program():
        return [
            ordering.argsort(operand(shape, dtype, few), axis, descending) if shape else
            rl.argsort(operand(shape, dtype, few)) for shape, axis in SHAPES
        ]  # fmt: skip

    compare(program)


# Few rows so long that each is cut into pieces, which threads share.
LONG = [((40000,), 0), ((3, 33000), 1), ((33001, 2), 0)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64", "int32", "uint8"])
@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("descending", [False, True])
def test_pieces_of_long_rows_keep_the_order(dtype, few, descending) -> None:
    def program():
        return [
            ordering.argsort(operand(shape, dtype, few), axis, descending) for shape, axis in LONG
        ]

    compare(program)


@pytest.mark.parametrize("size", [300, 50000])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_digits_that_do_not_differ_are_left_out(dtype, size) -> None:
    def program():
        places = rl.arange(size)
        columns = [places * 0 + 7, places % 2 << 16, (places % 5 << 24) + (places % 3), -places]
        return [ordering.argsort(c.to(getattr(rl, dtype)), 0, False) for c in columns]

    compare(program)


@pytest.mark.parametrize("shape", [(50, 700), (2, 40000)])
def test_threads_change_no_order(shape) -> None:
    def program():
        return [ordering.argsort(operand(shape, "float32", True), 1, False)]

    before = rl.get_num_threads()
    try:
        found = []
        for threads in (1, 3):
            rl.set_num_threads(threads)
            found.append(run(program, "compiled")[0][0].tobytes())
    finally:
        rl.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8"])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_searchsorted(dtype, right, size) -> None:
    def program():
        rows = rl.sort(operand((3, size), dtype, False)).values
        ties = rl.sort(operand((size,), dtype, True)).values
        wanted = operand((3, 50), dtype, True)
        every = rl.cat([rows, wanted], 1)
        return [
            rl.searchsorted(rows, every, right=right),
            rl.searchsorted(rows[0].contiguous(), every, right=right),
            rl.searchsorted(ties, wanted, right=right),
            rl.bucketize(wanted, ties, right=right),
        ]

    compare(program)


def test_sort_topk_median_and_unique_need_no_reference_rule() -> None:
    def program():
        x = operand((6, 300), "float32", False).requires_grad_()
        values, order = rl.sort(x, 1)
        best, places = rl.topk(x, 5, 1)
        (values.exp().mul(1e-3).sum() + best.sum() + x.median(1).values.sum()).backward()
        return [values.detach(), order, best.detach(), places, x.grad]

    plans = run(program, "compiled")[1]
    assert fallbacks(plans) == []
    compare(program, rtol=1e-5, atol=1e-6)

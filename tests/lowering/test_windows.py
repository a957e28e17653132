"""Pooling in machine code, forward and backward, against the reference rules and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from tests.lowering.executors import compare, fallbacks, run

torch = pytest.importorskip("torch")

# (shape, arguments): windows that overlap, leave gaps, end inside, and reach beyond the borders.
MAXIMA = [
    ((2, 3, 8, 8), {"kernel_size": 2}),
    ((2, 3, 9, 40), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((2, 3, 9, 40), {"kernel_size": (2, 3), "stride": 1}),
    ((2, 3, 9, 11), {"kernel_size": 2, "stride": 3, "ceil_mode": True}),
    ((2, 3, 17, 18), {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2}),
    ((4, 30), {"kernel_size": 5, "stride": 2, "padding": 2}),
    ((2, 3, 4, 5, 6), {"kernel_size": 2, "stride": 2, "padding": 1}),
    ((1, 1, 300, 300), {"kernel_size": 280, "stride": 10, "padding": 9}),
]
AVERAGES = [
    ((2, 3, 8, 8), {"kernel_size": 2}),
    ((2, 3, 9, 40), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((2, 3, 9, 40), {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    ((2, 3, 9, 11), {"kernel_size": 2, "stride": 3, "ceil_mode": True}),
    ((2, 3, 9, 11), {"kernel_size": (4, 2), "stride": (2, 1), "divisor_override": 3}),
    ((4, 30), {"kernel_size": 5, "stride": 2, "padding": 2}),
    ((2, 3, 4, 5, 6), {"kernel_size": 2, "stride": 1}),
]
CASES = [("max", *c) for c in MAXIMA] + [("avg", *c) for c in AVERAGES]


def values_of(shape, ties: bool = False) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.integers(-2, 3, shape).astype(float) if ties else rng.standard_normal(shape)


def pooled(library, kind: str, array, dtype: str, arguments) -> list:
    """[result, gradient, and for maxima their positions]"""
    x = library.tensor(array, dtype=getattr(library, dtype)).requires_grad_()
    rank = max(array.ndim - 2, 1)
    function = getattr(library.nn.functional, f"{kind}_pool{rank}d")
    if kind == "avg":
        y = function(x, **arguments)
        rest = []
    else:
        y, index = function(x, **arguments, return_indices=True)
        rest = [index]
    y.backward(y.detach() * 0.5 + 1)
    return [y.detach(), x.grad, *rest]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("kind", "shape", "arguments"), CASES)
def test_results_and_gradients_are_those_of_torch(kind, shape, arguments, ties, dtype) -> None:
    array = values_of(shape, ties)
    found, plans = run(lambda: pooled(rl, kind, array, dtype, arguments), "compiled")
    assert fallbacks(plans) == []
    expected = pooled(torch, kind, array, dtype, arguments)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("kind", "shape", "arguments"), CASES[:-1])
def test_16_bit_floats(kind, shape, arguments, dtype) -> None:
    array = values_of(shape)
    compare(lambda: pooled(rl, kind, array, dtype, arguments), rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64"])
def test_maxima_of_integers(dtype) -> None:
    lowest = 0 if dtype == "uint8" else -128

    def program():
        x = rl.tensor(np.random.default_rng(1).integers(0, 4, (2, 3, 9, 20)) + lowest)
        x = x.to(getattr(rl, dtype))
        pool = rl.nn.functional.max_pool2d
        return [*pool(x, 3, 2, 1, return_indices=True), pool(x, 2)]

    compare(program)


@pytest.mark.parametrize("special", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(("shape", "arguments"), MAXIMA[:-1])
def test_special_values(shape, arguments, special) -> None:
    array = values_of(shape)
    array.reshape(-1)[::7] = special
    array[0] = special
    compare(lambda: pooled(rl, "max", array, "float32", arguments), rtol=1e-6)
    compare(lambda: pooled(rl, "avg", array, "float32", {"kernel_size": 2}), rtol=1e-6, atol=1e-6)


def test_windows_of_the_lowest_value_have_positions_inside() -> None:
    array = np.full((1, 1, 5, 6), -np.inf)
    arguments = {"kernel_size": 3, "stride": 2, "padding": 1}
    found, _ = run(lambda: pooled(rl, "max", array, "float32", arguments), "compiled")
    expected = pooled(torch, "max", array, "float32", arguments)
    assert np.array_equal(found[2], expected[2].numpy())


@pytest.mark.parametrize(("kind", "shape", "arguments"), CASES)
def test_threads_change_no_bit(kind, shape, arguments) -> None:
    array = values_of(shape)
    before = rl.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            rl.set_num_threads(threads)
            results, _ = run(lambda: pooled(rl, kind, array, "float32", arguments), "compiled")
            found.append([a.tobytes() for a in results])
    finally:
        rl.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    "dtype, special",
    [("float32", -np.inf), ("float32", np.nan), ("float32", 1.0), ("int64", 1.0), ("uint8", 1.0)],
)
def test_the_first_of_equal_maxima_is_found(dtype, special) -> None:
    """Also where nothing is above what the search begins with, and where NaN comes twice."""
    array = np.full((1, 2, 6, 40), special, np.float64)
    array[0, 1, :, ::3] = 2
    x = rl.tensor(array).to(getattr(rl, dtype))

    def program():
        lowest = x * 0 + (np.iinfo(dtype).min if dtype != "float32" else -np.inf)
        pooled = [rl.nn.functional.max_pool2d(v, 3, 2, 1, return_indices=True) for v in (x, lowest)]
        return [*pooled[0], *pooled[1], rl.argmax(x, 2), rl.argmin(x, 2), rl.argmax(x, 1)]

    compare(program)

"""Operations with kernels of their own, against the reference executor."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.primitives import contraction, indexing, movement, reduction
from tests.lowering.executors import compare, run

DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool")
TOLERANCE = {"float32": 2e-6, "float64": 1e-12, "float16": 2e-3, "bfloat16": 2e-2}
MODES = ("set", "add", "multiply", "maximum", "minimum")


def filled(shape, dtype: str = "float32", seed: int = 1):
    values = np.random.default_rng(seed).integers(0, 9, shape)
    return rl.tensor(values).to(getattr(rl, dtype))


def indices(shape, size: int, seed: int = 1):
    return rl.tensor(np.random.default_rng(seed).integers(0, size, shape))


# ---- movement ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concatenate(dtype, axis) -> None:
    def program():
        sizes = [1, 3, 40]
        shapes = [[*(2, 5, 3)[:axis], n, *(2, 5, 3)[axis + 1 :]] for n in sizes]
        return [movement.concatenate([filled(s, dtype, n) for s, n in zip(shapes, sizes)], axis)]

    compare(program)


def test_concatenate_computed_and_long_operands() -> None:
    def program():
        x = filled((20_000,))
        return [movement.concatenate([x * 2, x.reshape(-1), (x + 1)[5:9]], 0)]

    compare(program)


def test_concatenate_with_an_empty_operand() -> None:
    def program():
        return [movement.concatenate([rl.zeros(0, 3), filled((2, 3))], 0)]

    compare(program, native=False)  # the empty operand itself comes from its rule


WINDOWS = [
    ((), (), 3),
    ((5,), (1,), 2),
    ((5,), (-2,), 11),
    ((3, 4), (12, 1), 1),
    ((4, 3), (1, 12), 1),
    ((2, 1, 5), (30, 7, 2), 0),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("size", "strides", "offset"), WINDOWS)
def test_strided_write(dtype, size, strides, offset) -> None:
    def program():
        base, source = filled((60,), dtype), filled(size, dtype, 2)
        return [movement.strided_write(base, source, rl.tensor(offset), size, strides)]

    compare(program)


OVERLAPPING = [
    ((3, 4), (1, 1), 0),
    ((3, 4), (0, 1), 2),
    ((3, 4), (2, 1), 2),
    ((5, 3, 3), (4, 1, 1), 0),
    ((2, 3, 4, 3), (30, 0, 5, 2), 1),
    ((7,), (0,), 3),
    ((4, 5), (3, -1), 20),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("size", "strides", "offset"), WINDOWS + OVERLAPPING)
def test_strided_add(dtype, size, strides, offset) -> None:
    def program():
        source = filled(size, dtype, 2)
        return [movement.strided_add(source, rl.tensor(offset), size, strides, (6, 10))]

    compare(program, rtol=TOLERANCE.get(dtype, 0))


def test_slices_written_and_differentiated() -> None:
    def program():
        x = rl.tensor(np.arange(24.0).reshape(2, 3, 4)).requires_grad_()
        y = x * 0.5
        y[:, 1:, ::2] = y[:, :2, ::2].detach() * 3
        y[0, 0, 0] = 7
        (y.unfold(2, 2, 1).exp() * 0.01).sum().backward()
        return [y, x.grad]

    compare(program, rtol=1e-12)


# ---- indexing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (300,)])
def test_take(dtype, axis, shape) -> None:
    def program():
        x = filled((4, 5, 6), dtype)
        return [indexing.take(x, indices(shape, x.shape[axis]), axis)]

    compare(program)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(4, 5, 6), (2, 1, 3), (1, 1, 1), (3, 9, 2)])
def test_gather_and_scatter(dtype, axis, shape) -> None:
    def program():
        x = filled((4, 9, 6), dtype)
        shape_here = tuple(min(n, m) for n, m in zip(shape, x.shape))
        index = indices(shape_here, x.shape[axis])
        results = [indexing.gather(x, index, axis)]
        source = filled(shape_here, dtype, 5)
        results += [indexing.scatter(x, index, source, axis, mode) for mode in MODES]
        return results

    compare(program, rtol=TOLERANCE.get(dtype, 0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axis"), [((4, 5, 6), 0), ((4, 5, 6), 1), ((4, 5), 1), ((7,), 0)]
)
def test_put(dtype, shape, axis) -> None:
    def program():
        x = filled(shape, dtype)
        index = indices((11,), shape[axis])
        source = filled((*shape[:axis], 11, *shape[axis + 1 :]), dtype, 3)
        return [indexing.put(x, index, source, axis, mode) for mode in MODES]

    compare(program, rtol=TOLERANCE.get(dtype, 0))


def test_many_rows_are_added_in_order() -> None:
    def program():
        rows = filled((3000, 100)) * 0.1
        return [indexing.put(rl.zeros(10, 100), indices((3000,), 10), rows, 0, "add")]

    compare(program, rtol=1e-4)
    bits = {run(program, "compiled")[0][0].tobytes() for _ in range(5)}
    assert len(bits) == 1


def test_indices_of_several_axes() -> None:
    def program():
        x = filled((4, 5, 6))
        i, j = indices((3, 1), 4), indices((2,), 5)
        return [x[i, j], x[:, j, indices((2,), 6)]]

    compare(program)


@pytest.mark.parametrize("wrong", [5, -6, 1 << 40, -(1 << 40)])
def test_an_index_out_of_bounds_raises_with_the_line_and_touches_nothing(wrong) -> None:
    def program():
        x = filled((5, 6))
        index = rl.tensor([0, wrong, 2])
        y = x * 2
        return [y, indexing.take(y, index, 0)]

    for executor in ("reference", "compiled"):
        with pytest.raises(IndexError, match=r"out of bounds.*test_alone"):
            run(program, executor)


def test_an_index_out_of_bounds_in_one_run_does_not_spoil_the_next() -> None:
    def program():
        kept = []
        for numbers in ([0, 1], [0, 9], [1, 2]):
            x = filled((5, 6))
            try:
                taken = indexing.take(x, rl.tensor(numbers), 0)
                taken.numpy()
            except IndexError:
                continue
            kept.append(taken)
        assert len(kept) == 2
        return kept

    compare(program)


def test_embedding_and_cross_entropy_are_native() -> None:
    def program():
        table = (filled((50, 7)) * 0.1).detach().requires_grad_()
        tokens = indices((4, 9), 25) % 25
        hidden = rl.nn.functional.embedding(tokens, table)
        loss = rl.nn.functional.cross_entropy(hidden.reshape(-1, 7), tokens.reshape(-1) % 7)
        loss.backward()
        return [loss, table.grad]

    compare(program, rtol=1e-5, atol=1e-7)


# ---- running results -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), [((5,), 0), ((1,), 0), ((3, 300), 1), ((3, 4, 70), 1),
                                             ((6, 200), 0)])  # fmt: skip
def test_running_results(dtype, shape, axis) -> None:
    def program():
        x = filled(shape, dtype)
        found = [reduction.cummax(x, axis), reduction.cummin(x, axis)]
        if dtype != "bool":
            found.append(reduction.cumsum(x, axis))
            found.append(
                reduction.cumprod(x[..., :6] if axis == 1 and len(shape) == 2 else x, axis)
            )
        return found

    compare(program, rtol=TOLERANCE.get(dtype, 0))


def test_running_results_meet_nan() -> None:
    def program():
        x = rl.tensor([1.0, float("nan"), 3.0, -1.0])
        return [f(x, 0) for f in (reduction.cummax, reduction.cummin, reduction.cumsum)]

    compare(program)


def test_strides_of_the_test_windows_fit() -> None:
    for size, strides, offset in WINDOWS + OVERLAPPING:
        reach = [offset + sum(s * i for s, i in zip(strides, at)) for at in np.ndindex(*size)]
        assert min(reach) >= 0 and max(reach) < 60


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_fills_a_tensor_of_every_dtype(dtype) -> None:
    def program():
        x = rl.zeros(9, 8, dtype=getattr(rl, dtype))
        x.fill_(3)
        y = rl.zeros(5, 7, dtype=getattr(rl, dtype))
        y[1:3, ::2] = 2
        return [x, y]

    compare(program)


INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "bool")
PRODUCTS = [((3, 4), (4, 5)), ((1, 4), (4, 1)), ((2, 1, 3, 70), (5, 70, 40)), ((7, 3, 3), (3, 3))]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(("x", "y"), PRODUCTS)
def test_products_of_integers_and_bools(dtype, x, y) -> None:
    """They wrap around; bools are joined by or."""

    def program():
        first, second = filled(x, dtype), filled(y, dtype, 2)
        results = [contraction.matmul(first, second, False, False)]
        turned = [t.transpose(-1, -2).contiguous() for t in (first, second)]
        results.append(contraction.matmul(turned[0], second, True, False))
        results.append(contraction.matmul(first, turned[1], False, True))
        results.append(contraction.matmul(turned[0], turned[1], True, True))
        return results

    compare(program)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("x", "y"), PRODUCTS)
def test_16_bit_products_are_added_in_float32(dtype, x, y) -> None:
    def program():
        first, second = filled(x, dtype) * 0.1, filled(y, dtype, 2) * 0.1
        views = first.transpose(-1, -2), second.transpose(-1, -2)
        return [first @ second, views[1] @ views[0]]

    compare(program, rtol=TOLERANCE[dtype])

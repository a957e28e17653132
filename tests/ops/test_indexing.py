"""`x[index]`, `x[index] = value`, gathering and scattering, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rushlight
from tests.ops.both import assert_agree, gradients


def cube(t):
    return t.arange(24.0, dtype=t.float64).reshape(2, 3, 4)


INDICES = {
    "int": lambda t: 1,
    "negative int": lambda t: -1,
    "out of range": lambda t: 5,
    "too many": lambda t: (0, 0, 0, 0),
    "slice": lambda t: slice(1, None),
    "slice with step": lambda t: (slice(None), slice(None), slice(None, None, 3)),
    "slice beyond the end": lambda t: slice(1, 100),
    "empty slice": lambda t: slice(2, 1),
    "negative step": lambda t: slice(None, None, -1),
    "slice of tensors": lambda t: slice(t.tensor(0), t.tensor(1)),
    "none": lambda t: None,
    "ellipsis": lambda t: ...,
    "ellipsis and int": lambda t: (..., 1),
    "none between": lambda t: (slice(None), None, 1),
    "empty tuple": lambda t: (),
    "true": lambda t: True,
    "false": lambda t: False,
    "true beside an int": lambda t: (slice(None), True, 0),
    "list": lambda t: [0, 1, 0],
    "empty list": lambda t: [],
    "list of bools": lambda t: [True, False],
    "range": lambda t: range(2),
    "array": lambda t: np.array([1, 0]),
    "numpy int": lambda t: np.int64(1),
    "0-d tensor": lambda t: t.tensor(1),
    "0-d bool tensor": lambda t: t.tensor(True),
    "tensor": lambda t: t.tensor([[0, 1], [1, 1]]),
    "int32 tensor": lambda t: t.tensor([1, 0], dtype=t.int32),
    "float tensor": lambda t: t.tensor([1.0]),
    "tensor out of range": lambda t: t.tensor([0, 2]),
    "two tensors": lambda t: (t.tensor([0, 1]), t.tensor([2, 0])),
    "tensors that broadcast": lambda t: (t.tensor([[0], [1]]), t.tensor([2, 0])),
    "tensors that do not broadcast": lambda t: (t.tensor([0, 1]), t.tensor([2, 0, 1])),
    "tensors apart": lambda t: (t.tensor([0, 1]), slice(None), t.tensor([2, 3])),
    "tensors apart after a slice": lambda t: (slice(0, 1), [1, 2], None, [0, 3]),
    "tensor and int": lambda t: ([0, 1], 1, [2, 3]),
    "mask": lambda t: cube(t) > 10,
    "mask of rows": lambda t: t.tensor([True, False]),
    "mask of two axes": lambda t: t.ones(2, 3, dtype=t.bool),
    "mask of the last axes": lambda t: (0, t.tensor([[True, False, True, False]] * 3)),
    "mask of a wrong size": lambda t: t.tensor([True, False, True]),
    "mask and tensor": lambda t: (t.tensor([True, True]), [0, 2]),
    "string": lambda t: "a",
    "float": lambda t: 1.0,
}


@pytest.mark.parametrize("name", INDICES)
def test_reading_through_an_index_agrees(name):
    assert_agree(lambda t: cube(t)[INDICES[name](t)].clone())


@pytest.mark.parametrize("name", INDICES)
def test_gradients_flow_through_an_index(name):
    def case(t):
        x = cube(t).requires_grad_()
        y = x[INDICES[name](t)]
        if y.numel() == 0:
            return y.shape == ()
        (y * y).sum().backward()
        return x.grad

    assert_agree(case)


VALUES = {
    "number": lambda t, shape: 2.5,
    "int": lambda t, shape: 3,
    "0-d tensor": lambda t, shape: t.tensor(2.5, dtype=t.float64),
    "tensor": lambda t, shape: t.arange(1.0, 1 + np.prod(shape), dtype=t.float64).reshape(shape),
    "tensor that broadcasts": lambda t, shape: t.full(shape[-1:], 7.0, dtype=t.float64),
    "leading ones": lambda t, shape: t.full((1, 1, *shape), 7.0, dtype=t.float64),
    "another dtype": lambda t, shape: t.ones(shape, dtype=t.int64),
    "a wrong shape": lambda t, shape: t.ones(7, 5, dtype=t.float64),
    "complex": lambda t, shape: 1j,
    "list": lambda t, shape: [1.0],
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", INDICES)
def test_assigning_through_an_index_agrees(name, value):
    def case(t):
        x = cube(t)
        index = INDICES[name](t)
        x[index] = VALUES[value](t, tuple(x[index].shape))
        return x.clone()

    assert_agree(case)


def test_assigning_a_float_to_integers_truncates():
    def case(t):
        x = t.zeros(3, dtype=t.int64)
        x[0] = 1.7
        x[[1]] = 2.7
        x[x == 0] = -3.2
        return x

    assert_agree(case)


def test_gradients_of_assignment_reach_both_sides():
    def case(t):
        x = cube(t).requires_grad_()
        v = t.tensor([1.0, 2.0, 3.0], dtype=t.float64).requires_grad_()
        y = x * 2
        y[0, :, 1] = v
        y[[1], 2] = v.sum()
        y[y > 40] = 0.5
        (y * y).sum().backward()
        return x.grad, v.grad

    assert_agree(case)


def test_a_long_index_out_of_range_is_reported_when_read():
    x = rushlight.zeros(3)
    y = x[rushlight.arange(100)]
    with pytest.raises(IndexError, match="out of bounds for dimension 0 with size 3"):
        y.tolist()


item = st.one_of(
    st.integers(-4, 3),
    st.slices(4),
    st.none(),
    st.just(...),
    st.booleans(),
    st.lists(st.integers(-2, 1), max_size=3),
    st.lists(st.booleans(), min_size=2, max_size=3),
)


@settings(max_examples=1000, deadline=None)
@given(st.lists(item, max_size=5), st.booleans())
def test_any_mixed_index_reads_and_writes_as_pytorch(items, write):
    def case(t):
        x = cube(t)
        index = [t.tensor(i, dtype=t.int64) if i == [] else i for i in items]
        if ... in items:  # PyTorch skips axes twice at a second Ellipsis
            first = items.index(...)
            index = [i for k, i in enumerate(index) if items[k] is not ... or k == first]
        index = tuple(index)
        if write:
            x[index] = 9.0
            return x
        return x[index].clone()

    assert_agree(case)


# ---- functions -----------------------------------------------------------------------------------


def matrix(t):
    return t.tensor([[3.0, 1.0, 2.0], [6.0, 5.0, 4.0]], dtype=t.float64)


def places(t):
    return t.tensor([[0, 2, 1], [1, 1, 0]])


CALLS = {
    "gather": lambda t: matrix(t).gather(1, places(t)),
    "gather fewer rows": lambda t: matrix(t).gather(1, places(t)[:1]),
    "gather too large": lambda t: matrix(t).gather(0, t.zeros(2, 4, dtype=t.int64)),
    "scatter": lambda t: matrix(t).scatter(1, t.tensor([[0], [2]]), matrix(t)),
    "scatter a number": lambda t: matrix(t).scatter(0, t.tensor([[1, 0]]), -1.0),
    "scatter multiply": lambda t: matrix(t).scatter(1, places(t), matrix(t), reduce="multiply"),
    "scatter_add": lambda t: matrix(t).scatter_add(1, places(t), matrix(t)),
    "scatter_reduce mean": lambda t: matrix(t).scatter_reduce(1, places(t), matrix(t), "mean"),
    "scatter_reduce amax alone": lambda t: matrix(t).scatter_reduce(
        1, places(t), -matrix(t), "amax", include_self=False
    ),
    "scatter of another dtype": lambda t: matrix(t).scatter(1, places(t), places(t)),
    "index_select": lambda t: matrix(t).index_select(1, t.tensor([2, 0, 2])),
    "index_add": lambda t: matrix(t).index_add(1, t.tensor([0, 0]), matrix(t)[:, :2], alpha=2),
    "index_copy": lambda t: matrix(t).index_copy(0, t.tensor([1]), matrix(t)[:1]),
    "index_fill": lambda t: matrix(t).index_fill(1, t.tensor([0, 2]), -1),
    "index_put": lambda t: matrix(t).index_put(
        (t.tensor([0, 1]), t.tensor([1, 1])), t.zeros(2).double()
    ),
    "index_put accumulates": lambda t: matrix(t).index_put(
        (t.tensor([0, 0]), t.tensor([1, 1])), t.ones(2).double(), accumulate=True
    ),
    "index_reduce": lambda t: matrix(t).index_reduce(0, t.tensor([0, 0]), matrix(t), "prod"),
    "take": lambda t: matrix(t).take(t.tensor([[5, -1], [0, 2]])),
    "put": lambda t: matrix(t).put(t.tensor([0, -1]), t.tensor([9.0, 8.0]).double()),
    "take_along_dim": lambda t: t.take_along_dim(matrix(t), t.tensor([[0], [2]]), 1),
    "masked_fill": lambda t: matrix(t).masked_fill(matrix(t) > 3, float("-inf")),
    "masked_fill by a float mask": lambda t: matrix(t).masked_fill(matrix(t), 1.0),
    "masked_select": lambda t: matrix(t).masked_select(matrix(t) > 3),
    "masked_scatter": lambda t: matrix(t).masked_scatter(matrix(t) > 3, t.arange(6.0).double()),
    "nonzero": lambda t: (matrix(t) > 3).nonzero(),
    "nonzero as tuple": lambda t: t.nonzero(matrix(t) > 3, as_tuple=True),
    "argwhere": lambda t: t.argwhere(matrix(t) > 3),
    "unique": lambda t: t.unique(t.tensor([3, 1, 3, 2]), return_inverse=True, return_counts=True),
    "unique rows": lambda t: t.unique(t.tensor([[2, 1], [1, 1], [2, 1]]), dim=0),
    "unique_consecutive": lambda t: t.unique_consecutive(t.tensor([1, 1, 2, 2, 1])),
    "bincount": lambda t: t.bincount(t.tensor([0, 2, 2]), minlength=4),
    "bincount of negatives": lambda t: t.bincount(t.tensor([0, -2, 2])),
    "histc": lambda t: t.histc(matrix(t), 4, 1, 6),
    "searchsorted": lambda t: t.searchsorted(t.tensor([1, 3, 5]), t.tensor([[3, 0], [5, 9]])),
    "bucketize": lambda t: t.bucketize(t.tensor([3, 6]), t.tensor([1, 3, 5]), right=True),
    "isin": lambda t: t.isin(t.tensor([1, 2, 3]), t.tensor([2, 5])),
    "sort": lambda t: matrix(t).sort(1, descending=True),
    "stable sort": lambda t: t.tensor([1, 0, 1, 0]).sort(stable=True),
    "argsort with nan": lambda t: t.tensor([2.0, float("nan"), 1.0]).argsort(),
    "topk": lambda t: matrix(t).topk(2),
    "smallest": lambda t: matrix(t).topk(1, 0, largest=False),
    "topk of too many": lambda t: matrix(t).topk(4),
    "kthvalue": lambda t: matrix(t).kthvalue(2, keepdim=True),
    "msort": lambda t: matrix(t).msort(),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_functions_of_indices_agree(name):
    assert_agree(CALLS[name])


DIFFERENTIATED = {
    "gather": lambda x, t: x.gather(1, places(t)),
    "scatter_add": lambda x, t: x.scatter_add(1, places(t), x * x),
    "scatter_reduce prod": lambda x, t: x.scatter_reduce(1, places(t), x * x, "prod"),
    "index_select": lambda x, t: x.index_select(1, t.tensor([2, 0, 2])),
    "sort": lambda x, t: x.sort(1).values,
    "topk": lambda x, t: x.topk(2).values,
    "masked_select": lambda x, t: x.masked_select(x > 3),
    "take": lambda x, t: x.take(t.tensor([5, 5, 0])),
    "where": lambda x, t: t.where(x > 3, x, x * x),
}


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_gradients_of_functions_of_indices_agree(name):
    values = [[3.0, 1.0, 2.0], [6.0, 5.0, 4.0]]
    assert_agree(lambda t: gradients(t, lambda x: DIFFERENTIATED[name](x, t), values))


NEGATIVE = {
    "gather": lambda t: matrix(t).gather(1, t.tensor([[-1]])),
    "scatter": lambda t: matrix(t).scatter(1, t.tensor([[-1]]), 2.0),
    "index_select": lambda t: matrix(t).index_select(1, t.tensor([-1])),
    "index_add": lambda t: matrix(t).index_add(0, t.tensor([-1]), matrix(t)[:1]),
    "embedding": lambda t: t.nn.functional.embedding(t.tensor([-1]), matrix(t)),
    "nll_loss": lambda t: t.nn.functional.nll_loss(matrix(t), t.tensor([-1, 0])),
    "take": lambda t: matrix(t).take(t.tensor([-1])),
    "put": lambda t: matrix(t).put(t.tensor([-1]), t.tensor([2.0]).double()),
    "index": lambda t: matrix(t)[t.tensor([-1])],
    "take_along_dim": lambda t: matrix(t).take_along_dim(t.tensor([[-1], [0]]), 1),
    "take_along_dim flat": lambda t: matrix(t).take_along_dim(t.tensor([-1])),
}


@pytest.mark.parametrize("name", NEGATIVE)
def test_negative_positions_are_taken_where_pytorch_takes_them(name):
    def case(t):
        found = NEGATIVE[name](t)
        return found.tolist()

    assert_agree(case)


@pytest.mark.parametrize("like", [True, np.int64(1), np.int32(1)])
def test_a_view_by_an_int_is_no_other_for_what_equals_that_int(like):
    def case(t):
        x = t.arange(24.0, dtype=t.float64).reshape(2, 3, 4)
        found = []
        for index in (like, 1, like):
            views = [x[index], x[:, :index], x.narrow(1, int(index), 1), x[index, :, 0]]
            found += [(v.tolist(), v.stride(), v.storage_offset()) for v in views]
            found.append([type(n).__name__ for v in views for n in (*v.stride(), *v.shape)])
        return found

    assert_agree(case)

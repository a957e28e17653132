"""Reductions of neighbors in groups, and the rows of compressed indices, are PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

CASES = [
    ((6, 2), 0, [2, 0, 3, 1]),
    ((3, 6, 2), 1, [[2, 4, 0], [1, 1, 4], [6, 0, 0]]),
    ((6,), 0, [6]),
]


@pytest.mark.parametrize("shape, axis, lengths", CASES)
@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "prod"])
@pytest.mark.parametrize("initial", [None, 2.0])
def test_groups_and_gradients_are_those_of_pytorch(shape, axis, lengths, reduce, initial):
    values = np.random.RandomState(0).randn(*shape)
    found = []
    for library in (rl, torch):
        x = library.tensor(values, requires_grad=True)
        y = library.segment_reduce(
            x, reduce, lengths=library.tensor(lengths), axis=axis, initial=initial
        )
        library.nan_to_num(y, 0, 0, 0).sum().backward()
        found.append((y.detach().numpy(), x.grad.numpy()))
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs)


def test_offsets_say_the_same_as_lengths():
    x = rl.arange(6.0)
    by_offsets = rl.segment_reduce(x, "sum", offsets=rl.tensor([0, 2, 5, 6]))
    assert by_offsets.tolist() == rl.segment_reduce(x, "sum", lengths=rl.tensor([2, 3, 1])).tolist()


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(RuntimeError, match="sum to 4"):
        rl.segment_reduce(rl.ones(4), "sum", lengths=rl.tensor([2, 3]))
    with pytest.raises(RuntimeError, match="median"):
        rl.segment_reduce(rl.ones(4), "median", lengths=rl.tensor([4]))


def test_rows_of_sparse_indices_are_compressed_and_back():
    rows, columns = [0, 0, 2, 3], [1, 0, 2, 2]
    for library in (rl, torch):
        begins = library._convert_indices_from_coo_to_csr(library.tensor(rows), 5)
        assert begins.tolist() == [0, 2, 2, 3, 4, 4]
        pair = library._convert_indices_from_csr_to_coo(begins, library.tensor(columns))
        assert pair.tolist() == [rows, columns]

"""Products by groups are those of the groups, one by one."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.nn.functional import grouped_mm

torch = pytest.importorskip("torch")


def test_rows_meet_the_matrix_of_their_group_as_in_pytorch_with_gradients() -> None:
    found = []
    for lib in (rl, torch):
        lib.manual_seed(0)
        rows, matrices = lib.randn(10, 16), lib.randn(3, 16, 8)
        rows.requires_grad_()
        matrices.requires_grad_()
        ends = lib.tensor([3, 7, 10], dtype=lib.int32)
        product = lib.nn.functional.grouped_mm(rows, matrices, offs=ends)
        (product * product).sum().backward()
        found.append([product.tolist(), rows.grad.tolist(), matrices.grad.tolist()])
    for mine, theirs in zip(*found):
        assert rl.allclose(rl.tensor(mine), rl.tensor(theirs), atol=1e-5)


def test_each_arrangement_is_the_products_of_its_groups() -> None:
    ends = rl.tensor([2, 2, 5], dtype=rl.int32)
    spans = [(0, 2), (2, 2), (2, 5)]
    a, b = rl.randn(4, 6), rl.randn(6, 3)
    both = grouped_mm(a, b, offs=ends)
    for g, (i, j) in enumerate(spans):
        assert rl.allclose(both[g], a[:, i:j] @ b[i:j], atol=1e-6)
    stacked, wide = rl.randn(3, 4, 6), rl.randn(6, 7)
    columns = grouped_mm(stacked, wide, offs=ends)
    assert columns.shape == (4, 7) and not columns[:, 5:].any()
    assert rl.allclose(columns[:, 2:5], stacked[2] @ wide[:, 2:5], atol=1e-6)
    each = grouped_mm(stacked, rl.ones(3, 6, 2), bias=rl.ones(2), out_dtype=rl.float64)
    assert each.dtype is rl.float64 and rl.allclose(each[1, :, 0], stacked[1].sum(1).double() + 1)


@pytest.mark.parametrize(
    ("shapes", "ends", "message"),
    [
        (((2, 3), (3,)), None, "2 or 3 axes"),
        (((2, 3), (1, 3, 4)), None, "offs is given"),
        (((1, 2, 3), (1, 3, 4)), [1], "offs is given"),
        (((2, 3), (1, 5, 4)), [2], "must match"),
        (((2, 3), (1, 3, 4)), [3], "groups end"),
        (((2, 3), (2, 3, 4)), [2], "groups end"),
    ],
)
def test_what_does_not_fit_says_so(shapes, ends, message) -> None:
    offs = None if ends is None else rl.tensor(ends, dtype=rl.int32)
    with pytest.raises(RuntimeError, match=message):
        grouped_mm(rl.ones(shapes[0]), rl.ones(shapes[1]), offs=offs)

"""Views, splits, joins and rearrangements, against PyTorch: values, strides, gradients, errors."""

from __future__ import annotations

import pytest

import rushlight
from tests.ops.both import assert_agree


def cube(t):
    return t.arange(24.0, dtype=t.float64).reshape(2, 3, 4)


VIEWS = {
    "view": lambda t, x: x.view(4, 6),
    "view infers": lambda t, x: x.view(-1, 8),
    "view of a wrong size": lambda t, x: x.view(5, 5),
    "view of a transposed tensor": lambda t, x: x.transpose(0, 1).view(-1),
    "view that splits a transposed axis": lambda t, x: x.transpose(0, 1).view(3, 2, 2, 2),
    "view_as": lambda t, x: x.view_as(t.zeros(6, 4)),
    "reshape": lambda t, x: x.reshape((3, 8)),
    "reshape of a transposed tensor": lambda t, x: x.mT.reshape(-1),
    "flatten": lambda t, x: x.flatten(1),
    "flatten backwards": lambda t, x: x.flatten(2, 1),
    "unflatten": lambda t, x: x.unflatten(2, (2, -1)),
    "ravel": lambda t, x: x.ravel(),
    "transpose": lambda t, x: x.transpose(0, -1),
    "transpose out of range": lambda t, x: x.transpose(0, 3),
    "permute": lambda t, x: x.permute(2, 0, 1),
    "permute twice the same": lambda t, x: x.permute(2, 2, 1),
    "movedim": lambda t, x: x.movedim((0, 1), (-1, 0)),
    "swapaxes": lambda t, x: t.swapaxes(x, 0, 1),
    "mT": lambda t, x: x.mT,
    "T of a matrix": lambda t, x: x[0].T,
    "t of a cube": lambda t, x: x.t(),
    "adjoint": lambda t, x: x.adjoint(),
    "squeeze": lambda t, x: x[:1].squeeze(),
    "squeeze one": lambda t, x: x[:1, :1].squeeze(1),
    "squeeze several": lambda t, x: x[:1, :1].squeeze((0, 2)),
    "unsqueeze": lambda t, x: x.unsqueeze(-1),
    "unsqueeze out of range": lambda t, x: x.unsqueeze(5),
    "expand": lambda t, x: x[:, :1].expand(-1, 5, 4),
    "expand a new axis": lambda t, x: x.expand(2, 2, 3, 4),
    "expand a large axis": lambda t, x: x.expand(2, 5, 4),
    "expand_as": lambda t, x: x[:1].expand_as(x),
    "broadcast_to": lambda t, x: t.broadcast_to(x[0, 0], (3, 4)),
    "narrow": lambda t, x: x.narrow(1, -2, 2),
    "narrow beyond": lambda t, x: x.narrow(1, 2, 2),
    "select": lambda t, x: x.select(1, -1),
    "select out of range": lambda t, x: x.select(1, 3),
    "diagonal": lambda t, x: x.diagonal(1, 1, 2),
    "diagonal below": lambda t, x: x.diagonal(-1, 0, 1),
    "unfold": lambda t, x: x.unfold(2, 2, 1),
    "unfold too large": lambda t, x: x.unfold(2, 5, 1),
    "as_strided": lambda t, x: x.as_strided((3, 2), (1, 6), 2),
    "as_strided beyond": lambda t, x: x.as_strided((30,), (1,)),
    "split": lambda t, x: x.split(2, 1)[1],
    "split by sizes": lambda t, x: x.split([1, 2], 1)[1],
    "split by wrong sizes": lambda t, x: x.split([1, 1], 1)[1],
    "chunk": lambda t, x: x.chunk(3, 2)[1],
    "tensor_split": lambda t, x: x.tensor_split(3, 2)[0],
    "tensor_split at": lambda t, x: x.tensor_split((1, 3), 2)[1],
    "hsplit": lambda t, x: x.hsplit(3)[0],
    "unbind": lambda t, x: x.unbind(1)[2],
    "iteration": lambda t, x: list(x)[1],
    "atleast_3d": lambda t, x: t.atleast_3d(x[0]),
    "detach": lambda t, x: x.detach(),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_have_pytorchs_values_and_layout(name):
    def case(t):
        y = VIEWS[name](t, cube(t))
        return y, y.stride(), y.storage_offset()

    assert_agree(case)


def same_values(name):
    """Views whose elements can be told to lie in the tensor's memory."""
    return name not in ("reshape of a transposed tensor",)


@pytest.mark.parametrize("name", [name for name in VIEWS if same_values(name)])
def test_a_write_to_a_view_is_seen_by_its_tensor(name):
    def case(t):
        x = cube(t)
        y = VIEWS[name](t, x)
        y.zero_()
        return x

    assert_agree(case)


@pytest.mark.parametrize("name", [name for name in VIEWS if name != "detach"])
def test_gradients_flow_through_views(name):
    def case(t):
        x = cube(t).requires_grad_()
        y = VIEWS[name](t, x)
        (y * y).sum().backward()
        return x.grad

    assert_agree(case)


def pair(t):
    return t.tensor([[1.0, 2.0], [3.0, 4.0]]), t.tensor([[5, 6]])


COPIES = {
    "cat": lambda t, x, y: t.cat([x, y]),
    "cat of columns": lambda t, x, y: t.cat((x, x), dim=-1),
    "cat of nothing": lambda t, x, y: t.cat([]),
    "cat with an empty vector": lambda t, x, y: t.cat([x, t.zeros(0)]),
    "cat of wrong sizes": lambda t, x, y: t.cat([x, t.zeros(2, 3)]),
    "cat of 0-d tensors": lambda t, x, y: t.cat([t.tensor(1.0), t.tensor(2.0)]),
    "stack": lambda t, x, y: t.stack([x, x + 1], -1),
    "stack of different shapes": lambda t, x, y: t.stack([x, y]),
    "hstack": lambda t, x, y: t.hstack([x[0], x[1]]),
    "vstack": lambda t, x, y: t.vstack([x, y]),
    "dstack": lambda t, x, y: t.dstack([x, x]),
    "column_stack": lambda t, x, y: t.column_stack([x, x[0]]),
    "block_diag": lambda t, x, y: t.block_diag(x, y, t.tensor(7)),
    "repeat": lambda t, x, y: x.repeat(2, 1, 3),
    "repeat zero times": lambda t, x, y: x.repeat(0, 1),
    "repeat fewer axes": lambda t, x, y: x.repeat(2),
    "tile": lambda t, x, y: x.tile(3),
    "repeat_interleave": lambda t, x, y: x.repeat_interleave(2, 1),
    "repeat_interleave by counts": lambda t, x, y: x.repeat_interleave(t.tensor([2, 0]), 0),
    "flip": lambda t, x, y: x.flip(0, 1),
    "roll": lambda t, x, y: x.roll((1, -1), (0, 1)),
    "roll flat": lambda t, x, y: x.roll(3),
    "rot90": lambda t, x, y: t.rot90(x, 3),
    "meshgrid": lambda t, x, y: (
        t.meshgrid(x[0], y[0], indexing="xy")
        if x.dtype == y.dtype
        else t.meshgrid(x[0], x[1], indexing="xy")
    ),
    "cartesian_prod": lambda t, x, y: t.cartesian_prod(x[0], x[1]),
    "combinations": lambda t, x, y: t.combinations(x.ravel(), 3),
    "kron": lambda t, x, y: t.kron(x, y),
    "diag of a matrix": lambda t, x, y: t.diag(x),
    "diag of a vector": lambda t, x, y: t.diag(x[0], 1),
    "diag_embed": lambda t, x, y: t.diag_embed(x, -1),
    "diagflat": lambda t, x, y: t.diagflat(x),
    "trace": lambda t, x, y: x.trace(),
    "select_scatter": lambda t, x, y: x.select_scatter(y[0].float(), 0, 1),
    "slice_scatter": lambda t, x, y: x.slice_scatter(y.float(), 0, 1),
    "diagonal_scatter": lambda t, x, y: x.diagonal_scatter(y[0].float()),
    "tril_indices": lambda t, x, y: t.tril_indices(3, 4, 1),
    "broadcast_tensors": lambda t, x, y: t.broadcast_tensors(x, y),
    "broadcast_shapes": lambda t, x, y: tuple(t.broadcast_shapes((2, 1), (3,))),
}


@pytest.mark.parametrize("name", COPIES)
def test_joins_and_rearrangements_agree(name):
    assert_agree(lambda t: COPIES[name](t, *pair(t)))


@pytest.mark.parametrize(
    "name", [n for n in COPIES if n not in ("tril_indices", "broadcast_shapes")]
)
def test_gradients_flow_through_joins_and_rearrangements(name):
    def case(t):
        x, y = pair(t)
        x.requires_grad_()
        found = COPIES[name](t, x, y)
        parts = found if isinstance(found, (tuple, list)) else [found]
        sum((part * part).sum() for part in parts).backward()
        return x.grad

    assert_agree(case)


def test_memory_viewed_as_another_dtype_is_shared():
    def case(t):
        x = t.tensor([[1.0, 2.0], [3.0, 4.0]])
        bits = x.view(t.int32)
        bits[0, 1] = 0
        x[1, 0] = 0.5
        return x, bits, x.view(t.uint8).shape == (2, 8), x.view(t.float64).shape == (2, 1)

    assert_agree(case)


def test_shape_changes_in_place_keep_sharing_memory():
    def case(t):
        x = t.arange(6.0).reshape(2, 3).clone()
        row = x[0]
        x.t_()
        x[0, 1] = 50.0
        row[2] = 70.0
        x.unsqueeze_(0)
        x.squeeze_()
        return x, row, x.stride()

    assert_agree(case)


def test_resizing_keeps_the_elements_that_remain():
    def case(t):
        x = t.arange(6.0)
        x.resize_(2, 2)
        return x

    assert_agree(case)


def test_a_slice_of_another_offset_is_the_same_recorded_program():
    data = rushlight.arange(100.0)
    rushlight.synchronize()
    for start in (0, 10, 20):
        before = rushlight.stats()["operations_missed"]
        (data[start : start + 10] * 2).sum().item()
    assert rushlight.stats()["operations_missed"] == before

"""Backward of what cuts a tensor: one node for all pieces, and their cotangents joined."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from rushlight.autograd.gradcheck import gradcheck, gradgradcheck
from rushlight.tape.tape import current_tape
from tests.ops.both import assert_agree

CUTS = {
    "split": lambda x: x.split(2, 1),
    "split from the end": lambda x: x.split(3, -1),
    "split with sizes": lambda x: x.split((1, 0, 4), 1),
    "chunk": lambda x: x.chunk(3, 0),
    "one chunk": lambda x: x.chunk(1, 1),
    "tensor_split": lambda x: x.tensor_split(2, 1),
    "unbind": lambda x: x.unbind(0),
    "unbind inside": lambda x: x.unbind(1),
    "iteration": list,
    "of a transposed tensor": lambda x: x.mT.split(2, 1),
}
USES = {
    "all": lambda pieces: pieces,
    "the first": lambda pieces: pieces[:1],
    "the last": lambda pieces: pieces[-1:],
    "every other": lambda pieces: pieces[::2],
    "one twice": lambda pieces: [*pieces, pieces[0]],
}
VALUES = np.random.default_rng(0).standard_normal((4, 5, 2))


def _loss(pieces) -> rushlight.Tensor:
    return sum((piece.sin() * (i + 1.5)).sum() for i, piece in enumerate(pieces))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("cut", CUTS)
def test_the_gradient_is_pytorchs(cut: str, use: str) -> None:
    def case(t):
        x = t.tensor(VALUES, requires_grad=True)
        _loss(USES[use](CUTS[cut](x * 1))).backward()
        return x.grad

    assert_agree(case)


@pytest.mark.parametrize("cut", CUTS)
def test_pieces_share_one_node(cut: str) -> None:
    x = rushlight.tensor(VALUES, requires_grad=True)
    pieces = CUTS[cut](x)
    assert len({id(piece.grad_fn) for piece in pieces}) == 1
    if cut != "of a transposed tensor":
        assert [node.variable for node, _ in pieces[0].grad_fn.next_functions] == [x]


@pytest.mark.parametrize("cut", ["split", "unbind", "split with sizes"])
def test_the_bits_are_those_of_slices(cut: str) -> None:
    """Zeros that are added change nothing, and so do those that are not."""
    slices = {
        "split": lambda x: [x[:, :2], x[:, 2:4], x[:, 4:]],
        "unbind": lambda x: [x[0], x[1], x[2], x[3]],
        "split with sizes": lambda x: [x[:, :1], x[:, 1:1], x[:, 1:]],
    }
    found = []
    for function in (CUTS[cut], slices[cut]):
        x = rushlight.tensor(VALUES, dtype=rushlight.float32, requires_grad=True)
        _loss(function(x)).backward()
        found.append(x.grad)
    assert found[0].equal(found[1])


def test_backward_joins_the_cotangents_and_adds_no_zeros() -> None:
    x = rushlight.tensor(VALUES, requires_grad=True)
    _loss(x.split(2, 1)).backward()
    recorded = [getattr(node.step.primitive, "name", None) for node in current_tape().nodes]
    assert "strided_add" not in recorded
    assert recorded.count("concatenate") == 1


def test_one_piece_is_placed_among_zeros() -> None:
    """Not joined with them: they would be written and read first."""
    x = rushlight.tensor(VALUES, requires_grad=True)
    _loss(x.split(1, 1)[1:3]).backward()
    recorded = [getattr(node.step.primitive, "name", None) for node in current_tape().nodes]
    assert recorded.count("strided_add") == 1


@pytest.mark.parametrize("cut", ["split", "unbind", "split with sizes"])
def test_it_can_be_differentiated_again(cut: str) -> None:
    x = rushlight.tensor(VALUES[:, :, 0].copy(), requires_grad=True)

    def function(x):
        first, *_, last = CUTS[cut](x)
        return first.sum() ** 2 * last.sin().sum()

    assert gradcheck(function, (x,))
    assert gradgradcheck(function, (x,))


def test_the_backward_of_a_step_is_replayed() -> None:
    """The node is part of the backward's key although it stands on no tape."""

    def step(x):
        x.grad = None
        (_loss(x.chunk(5, 1)[1:4])).backward()
        return x.grad.clone()

    x = rushlight.tensor(VALUES, requires_grad=True)
    gradients = [step(x).tolist() for _ in range(3)]
    before = rushlight.stats()["blocks_replayed"]
    gradients.append(step(x).tolist())
    assert rushlight.stats()["blocks_replayed"] == before + 1
    assert all(gradient == gradients[0] for gradient in gradients)


def test_hooks_and_retained_gradients_of_pieces() -> None:
    def case(t):
        x = t.tensor(VALUES, requires_grad=True)
        first, second, third = x.split(2, 1)
        seen = []
        second.register_hook(lambda g: seen.append(g.sum()) or g * 2)
        third.retain_grad()
        _loss((first, second, third)).backward()
        return x.grad, seen, third.grad, second.grad_fn.name()

    assert_agree(case)


def test_a_piece_that_is_written_to() -> None:
    x = rushlight.tensor(VALUES, requires_grad=True)
    whole = x * 1
    first, second = whole.split((2, 3), 1)
    first.mul_(3.0)
    (whole.sin().sum() + second.sum()).backward()
    expected = 3 * np.cos(3 * VALUES)
    expected[:, 2:] = np.cos(VALUES[:, 2:]) + 1
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)

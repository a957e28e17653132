"""The pseudo-inverse of matrices of lower rank: its gradient came out as NaN, or wrong.

It was that of a singular value decomposition, whose vectors have none where values are equal, and
those that vanish are.
"""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from rushlight.autograd.gradcheck import gradcheck, gradgradcheck
from tests.ops.both import assert_agree, gradients

# Rows, columns, rank, batch.
SHAPES = [
    (3, 3, 2, ()), (50, 3, 2, ()), (3, 50, 2, ()), (50, 50, 1, ()), (4, 3, 2, (2,)), (3, 3, 3, ()),
    (2, 4, 2, ()),
]  # fmt: skip


def _factors(rows: int, columns: int, rank: int, batch: tuple, seed: int = 0) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.standard_normal((*batch, n, rank)) for n in (rows, columns)]


@pytest.mark.parametrize("rows, columns, rank, batch", SHAPES)
def test_it_is_pytorchs(rows, columns, rank, batch) -> None:
    factors = _factors(rows, columns, rank, batch)

    def case(t):
        return gradients(t, lambda a, b: t.linalg.pinv(a @ b.mT), *factors)

    assert_agree(case, rtol=1e-7)


def test_it_is_pytorchs_for_complex_matrices() -> None:
    (a, b), (c, d) = _factors(4, 3, 2, ()), _factors(4, 3, 2, (), seed=1)

    def case(t):
        x = t.tensor(a + 1j * c, requires_grad=True)
        y = t.tensor(b + 1j * d, requires_grad=True)
        found = t.linalg.pinv(x @ y.mH)
        (found * t.linspace(0.5, 1.5, 12, dtype=t.float64).reshape(3, 4)).abs().sum().backward()
        return [x.grad.resolve_conj(), y.grad.resolve_conj()]

    assert_agree(case, rtol=1e-8)


@pytest.mark.parametrize("sign", [1, -1])
def test_it_is_pytorchs_for_symmetric_matrices(sign) -> None:
    (a,) = _factors(4, 4, 2, ())[:1]

    def case(t):
        return gradients(t, lambda x: t.linalg.pinv(sign * (x @ x.mT), hermitian=True), a)

    assert_agree(case, rtol=1e-8)


def test_no_rank_leaves_no_gradient() -> None:
    assert_agree(lambda t: gradients(t, t.linalg.pinv, np.zeros((3, 2))))


def test_it_can_be_differentiated_again() -> None:
    a, b = (rushlight.tensor(x, requires_grad=True) for x in _factors(4, 3, 2, ()))

    def function(x, y):
        return rushlight.linalg.pinv(x @ y.mT)

    assert gradcheck(function, (a, b))
    assert gradgradcheck(function, (a, b))


def test_the_values_are_the_same_with_a_gradient_and_without() -> None:
    a, b = (rushlight.tensor(x) for x in _factors(5, 4, 2, ()))
    plain = rushlight.linalg.pinv(a @ b.mT)
    followed = rushlight.linalg.pinv((a @ b.mT).requires_grad_())
    assert plain.equal(followed.detach())

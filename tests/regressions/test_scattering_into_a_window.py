"""`as_strided_scatter`: its gradient, and windows that name an element twice."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.autograd.gradcheck import gradcheck
from tests.ops.both import assert_agree

WINDOWS = {
    "rows": ((2, 2), (3, 1), 0),
    "columns, later": ((2, 2), (1, 3), 1),
    "nothing": ((0, 2), (1, 1), 0),
    "one element": ((), (), 8),
}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_the_gradient_is_that_of_the_values(window) -> None:
    """PyTorch's own gradient of the first operand is not, as its `gradcheck` says: there the
    elements of the window get the cotangent and the kept ones none."""
    base = rl.randn(3, 3, dtype=rl.float64, requires_grad=True)
    source = rl.randn(window[0], dtype=rl.float64, requires_grad=True)
    assert gradcheck(lambda x, y: rl.as_strided_scatter(x, y, *window), (base, source))


def test_kept_elements_pass_their_cotangent_on_and_replaced_ones_do_not() -> None:
    base = rl.zeros(4, requires_grad=True)
    rl.as_strided_scatter(base, rl.ones(2), (2,), (1,), 1).backward(rl.tensor([1.0, 2.0, 3.0, 4.0]))
    assert base.grad.tolist() == [1.0, 0.0, 0.0, 4.0]


def test_a_window_that_repeats_an_element_is_refused() -> None:
    """It could not be compiled: which of the elements stays is nobody's to say."""
    assert_agree(lambda t: t.as_strided_scatter(t.zeros(4), t.ones(2, 2), (2, 2), (0, 1), 1))
    assert_agree(lambda t: t.as_strided_scatter(t.zeros(4), t.ones(0, 2), (0, 2), (0, 0), 1))

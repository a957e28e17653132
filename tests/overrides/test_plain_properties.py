"""The gradient of an instance of a subclass is a plain tensor, whatever machine code replaced."""

from __future__ import annotations

import rushlight
from rushlight.tensor.tensor import Tensor


class Own(rushlight.Tensor):
    """A subclass that is asked."""


def test_a_gradient_stays_a_plain_tensor():
    x = rushlight.ones(3).as_subclass(Own).requires_grad_()
    (x * x).sum().backward()
    assert type(x.grad) is rushlight.Tensor
    assert type(x * 2) is Own


def test_a_getter_that_was_replaced_is_the_same_getter():
    x = rushlight.ones(3).as_subclass(Own).requires_grad_()
    (x * x).sum().backward()
    own = vars(Tensor)["grad"]
    replaced = property(own.fget)  # as machine code takes the place of a class's members
    found = Own.__torch_function__(replaced.__get__, (Own,), (x,))
    assert type(found) is rushlight.Tensor

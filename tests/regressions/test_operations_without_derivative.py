"""Backward through `//` and `heaviside` gave zeros, or none; PyTorch refuses them."""

from __future__ import annotations

import pytest

import rushlight
from tests.ops.both import assert_agree, torch

OPERATIONS = {
    "//": lambda t, x, y: x // y,
    "// of numbers": lambda t, x, y: x // 2,
    "a number //": lambda t, x, y: 7.0 // x,
    "//=": lambda t, x, y: (x * 1).__ifloordiv__(y),
    "floor_divide of two dtypes": lambda t, x, y: t.floor_divide(x, y.detach().long()),
    "floor_divide_": lambda t, x, y: (x * 1).floor_divide_(y),
    "only the divisor": lambda t, x, y: x.detach() // y,
    "heaviside": lambda t, x, y: t.heaviside(x, y),
    "heaviside of values": lambda t, x, y: t.heaviside(x.detach(), y),
    "heaviside_": lambda t, x, y: (x * 1).heaviside_(y),
}


def _operands(t):
    return [t.tensor(v, requires_grad=True) for v in ([5.0, -3.0], [2.0, 2.0])]


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_result_needs_a_gradient_and_shows_that_it_has_none(name: str) -> None:
    def case(t):
        result = OPERATIONS[name](t, *_operands(t))
        return result, result.requires_grad, result.grad_fn.name(), repr(result)

    assert_agree(case)


@pytest.mark.parametrize("name", OPERATIONS)
def test_backward_raises(name: str) -> None:
    messages = []
    for t in (rushlight, torch):
        x, y = _operands(t)
        with pytest.raises(RuntimeError) as caught:
            (OPERATIONS[name](t, x, y) + x).sum().backward()
        # PyTorch's in-place forms have a name of their own.
        messages.append(str(caught.value).replace("_ is not", " is not"))
    assert messages[0] == messages[1]


def test_what_backward_does_not_pass_is_not_refused() -> None:
    def case(t):
        x, y = _operands(t)
        z = x // 2
        total = (z + y).sum()
        with t.no_grad():
            plain = x // 2
        return (
            t.autograd.grad(total, [y], retain_graph=True), t.autograd.grad(total, [z]),
            plain.requires_grad, (x.long() // 2).requires_grad,
        )  # fmt: skip

    assert_agree(case)


def test_a_loop_is_refused_each_time() -> None:
    """The second backward would be a replay of the first."""
    x, y = _operands(rushlight)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="derivative for aten::floor_divide is not implem"):
            (x // y).sum().backward()
        assert x.grad is None


@pytest.mark.parametrize("mode", ["floor", "trunc"])
def test_a_rounded_quotient_still_has_zeros(mode: str) -> None:
    def case(t):
        x, y = _operands(t)
        t.div(x, y, rounding_mode=mode).sum().backward()
        return x.grad, y.grad

    assert_agree(case)

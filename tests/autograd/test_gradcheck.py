"""gradcheck and gradgradcheck accept right gradients and refuse wrong ones."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.autograd import gradcheck, gradgradcheck
from rushlight.autograd.gradcheck import GradcheckError


def doubles(*shape):
    return rl.randn(*shape, dtype=rl.float64, requires_grad=True)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * x * x,
        lambda x: x.exp().sum(),
        lambda x: (x * 2, x.sin()),
        lambda x: x.t(),
    ],
)
def test_right_gradients_pass(function):
    x = doubles(2, 3)
    assert gradcheck(function, (x,))
    assert gradgradcheck(function, (x,))


def test_several_inputs_and_constants():
    x, y = doubles(3), doubles(3)
    assert gradcheck(lambda x, k, y: x * k * y, (x, 2.0, y))
    assert gradgradcheck(lambda x, k, y: x * k * y, (x, 2.0, y))


def test_complex_functions():
    z = rl.randn(3, dtype=rl.complex128, requires_grad=True)
    assert gradcheck(lambda z: z * z, (z,))
    assert gradcheck(lambda z: z.exp(), (z,))
    assert gradgradcheck(lambda z: z * z, (z,))


class _Wrong(rl.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 3 * ctx.saved_tensors[0]


def test_wrong_gradients_are_refused():
    x = doubles(2)
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0 with respect to"):
        gradcheck(_Wrong.apply, (x,))
    assert gradcheck(_Wrong.apply, (x,), raise_exception=False) is False


class _WrongTwice(rl.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2 * ctx.saved_tensors[0].detach()


def test_wrong_second_gradients_are_refused():
    x = doubles(2)
    assert gradcheck(_WrongTwice.apply, (x,))
    with pytest.raises(GradcheckError):
        gradgradcheck(_WrongTwice.apply, (x,))


def test_inputs_that_need_no_gradient_are_an_error():
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda x: x, (rl.ones(2),))


def test_single_precision_is_warned_of():
    x = rl.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="not a double precision floating point"):
        gradcheck(lambda x: x * 2, (x,), atol=1e-1, rtol=1e-1, eps=1e-2)

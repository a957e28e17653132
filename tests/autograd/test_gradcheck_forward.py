"""gradcheck finds wrong forward derivatives, and says yes to right ones."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as rl

OPTIONS = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}


def inputs() -> tuple:
    rl.manual_seed(0)
    return tuple(rl.randn(2, 2, dtype=rl.float64, requires_grad=True) for _ in range(2))


def test_right_derivatives_pass() -> None:
    assert rl.autograd.gradcheck(lambda a, b: (a @ b, (a * b).sin()), inputs(), **OPTIONS)
    x = rl.randn(3, dtype=rl.complex128, requires_grad=True)
    assert rl.autograd.gradcheck(lambda a: a.abs() * a, (x,), **OPTIONS)
    assert rl.autograd.gradgradcheck(
        lambda a, b: (a * b).tanh(), inputs(), check_fwd_over_rev=True, check_batched_grad=True
    )


class Wrong(rl.autograd.Function):
    @staticmethod
    def forward(x: Any) -> Any:
        return x * 2

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2

    @staticmethod
    def jvp(ctx: Any, t: Any) -> Any:
        return t * 3


def test_a_wrong_forward_derivative_is_found() -> None:
    x = inputs()[:1]
    assert rl.autograd.gradcheck(Wrong.apply, x)
    with pytest.raises(RuntimeError, match="forward mode mismatch"):
        rl.autograd.gradcheck(Wrong.apply, x, check_forward_ad=True)
    assert not rl.autograd.gradcheck(Wrong.apply, x, check_forward_ad=True, raise_exception=False)

"""autograd.Function under transforms: jvp, vmap and rules that are made."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as rl

from .matching import numbers, same

X, Y = numbers(3, 4), numbers(3, 4, seed=1)


def cube(t: Any) -> Any:
    """x**3 * y, with derivatives that tell that they were used: twice the true ones."""

    class Cube(t.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any, y: Any) -> Any:
            return x**3 * y

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, y = ctx.saved_tensors
            return g * 6 * x**2 * y, g * 2 * x**3

        @staticmethod
        def jvp(ctx: Any, tx: Any, ty: Any) -> Any:
            x, y = ctx.saved_tensors
            return tx * 6 * x**2 * y + ty * 2 * x**3

    return Cube


def by_hand(t: Any) -> Any:
    """Twice its argument, whose rule for batches says five times."""

    class ByHand(t.autograd.Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return x * 2

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
            pass

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3

        @staticmethod
        def vmap(info: Any, in_dims: tuple, x: Any) -> Any:
            assert (info.batch_size, info.randomness, in_dims) == (3, "error", (0,))
            return (x * 5).T, 1

    return ByHand


CALLS = {
    "vmap": lambda t, x, y: t.vmap(cube(t).apply, in_dims=(0, None))(x, y[0]),
    "jvp": lambda t, x, y: t.func.jvp(cube(t).apply, (x, y), (y, x)),
    "hessian": lambda t, x, y: t.func.hessian(lambda a: cube(t).apply(a, a).sum())(x[0]),
    "jacobians": lambda t, x, y: [
        jacobian(cube(t).apply, argnums=(0, 1))(x[0], y[0])
        for jacobian in (t.func.jacrev, t.func.jacfwd)
    ],
    "vmap of grad": lambda t, x, y: t.vmap(
        t.func.grad(lambda a, b: cube(t).apply(a, b).sum(), argnums=(0, 1)), in_dims=(0, None)
    )(x, y[0]),
    "grad of vmap": lambda t, x, y: t.func.grad(
        lambda a, b: t.vmap(cube(t).apply, in_dims=(0, None))(a, b).sum(), argnums=(0, 1)
    )(x, y[0]),
    "vmap of jvp": lambda t, x, y: t.vmap(lambda a, v: t.func.jvp(cube(t).apply, (a, v), (v, a)))(
        x, y
    ),
    "jvp of vmap": lambda t, x, y: t.func.jvp(t.vmap(cube(t).apply), (x, y), (y, x)),
    "a rule by hand": lambda t, x, y: (
        t.vmap(by_hand(t).apply)(x),
        t.vmap(t.func.grad(lambda a: by_hand(t).apply(a).sum()))(x),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_custom_functions_are_pytorchs(name: str) -> None:
    same(CALLS[name], X, Y)


def test_a_function_without_a_rule_says_what_to_write() -> None:
    class Plain(rl.autograd.Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return x * 2

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
            pass

    x = rl.from_numpy(X.copy())
    with pytest.raises(RuntimeError, match="generate_vmap_rule"):
        rl.vmap(Plain.apply)(x)
    with pytest.raises(NotImplementedError, match="jvp"):
        rl.func.jvp(Plain.apply, (x,), (x,))

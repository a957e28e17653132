"""Derivatives by torch.func: PyTorch's numbers, and mathematics'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as rl

from .matching import flat, numbers, same, torch

X, Y = numbers(4), numbers(4, seed=1)
M = numbers(3, 4, seed=2)


def curved(t: Any, x: Any, y: Any) -> Any:
    return (x.sin() * y**2).sum() + (x.outer(y).cumsum(0) ** 2).sum()


def several(t: Any, x: Any, y: Any) -> Any:
    return {"a": x * y.sum(), "b": (t.stack([x, y]).prod(0), x.norm())}


CALLS = {
    "grad": lambda t, x, y: t.func.grad(lambda a, b: curved(t, a, b), argnums=(0, 1))(x, y),
    "grad of grad": lambda t, x, y: t.func.grad(
        lambda a: t.func.grad(lambda b: curved(t, b, a))(a).sum()
    )(x),
    "grad_and_value": lambda t, x, y: t.func.grad_and_value(
        lambda a: (curved(t, a["p"], y), a), has_aux=True
    )({"p": x}),
    "vjp": lambda t, x, y: t.func.vjp(lambda a, b: several(t, a, b), x, y)[1](
        {"a": y, "b": (x, y.sum())}
    ),
    "jvp": lambda t, x, y: t.func.jvp(lambda a, b: several(t, a, b), (x, y), (y, x)),
    "jvp of jvp": lambda t, x, y: t.func.jvp(
        lambda a: t.func.jvp(lambda b: curved(t, a * b, y), (a,), (y,))[1], (x,), (y,)
    ),
    "jacrev": lambda t, x, y: t.func.jacrev(lambda a, b: several(t, a, b), argnums=(0, 1))(x, y),
    "jacrev in chunks": lambda t, x, y: t.func.jacrev(lambda a: a.exp() * y, chunk_size=3)(x),
    "jacfwd": lambda t, x, y: t.func.jacfwd(lambda a, b: several(t, a, b), argnums=(0, 1))(x, y),
    "hessian": lambda t, x, y: t.func.hessian(lambda a, b: curved(t, a, b), argnums=(0, 1))(x, y),
    "vmap of grad": lambda t, x, y: t.vmap(t.func.grad(lambda a: curved(t, a, y)))(
        t.stack([x, y])
    ),
    "grad of vmap": lambda t, x, y: t.func.grad(
        lambda a: t.vmap(lambda b: curved(t, a, b))(t.stack([x, y])).sum()
    )(x),
    "grad of vmap of grad": lambda t, x, y: t.func.grad(
        lambda a: t.vmap(t.func.grad(lambda b: curved(t, a * b, b)))(t.stack([x, y])).sum()
    )(x),
    "jvp of vmap of grad": lambda t, x, y: t.func.jvp(
        lambda a: t.vmap(t.func.grad(lambda b: curved(t, a * b, b)))(t.stack([x, y])), (x,), (y,)
    ),
    "vmap of jvp": lambda t, x, y: t.vmap(
        lambda v: t.func.jvp(lambda a: several(t, a, y), (x,), (v,))[1]
    )(t.stack([x, y])),
    "third derivatives": lambda t, x, y: t.func.jacfwd(
        t.func.jacrev(t.func.grad(lambda a: (a**4).sum() + a.prod()))
    )(x),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_derivatives_are_pytorchs(name: str) -> None:
    same(CALLS[name], X, Y)


def test_linearize_is_jvp_without_running_the_function_again() -> None:
    calls = []

    def function(a: Any) -> Any:
        calls.append(a)
        return several(rl, a, a.sin())

    x, y = rl.from_numpy(X.copy()), rl.from_numpy(Y.copy())
    out, push = rl.func.linearize(function, x)
    found = [flat(push(v)) for v in (y, 2 * y)]
    assert len(calls) == 1
    for scale, tangent in zip((1, 2), found):
        wanted = rl.func.jvp(function, (x,), (scale * y,))
        for a, b in zip([*flat(out), *tangent], [*flat(wanted[0]), *flat(wanted[1])]):
            assert a == b if isinstance(a, str) else np.allclose(a, b, rtol=1e-12)


def test_a_hessian_is_the_formula() -> None:
    """Of log(sum(exp(Ax))): A' (diag(p) - p p') A."""
    a = numbers(5, 4)
    x = numbers(4)
    p = np.exp(a @ x) / np.exp(a @ x).sum()
    wanted = a.T @ (np.diag(p) - np.outer(p, p)) @ a
    matrix = rl.from_numpy(a.copy())
    found = rl.func.hessian(lambda v: (matrix @ v).logsumexp(0))(rl.from_numpy(x.copy()))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda t, x: t.linalg.cholesky(x @ x.T + t.eye(3, dtype=t.float64)),
        lambda t, x: t.linalg.svdvals(x),
        lambda t, x: t.linalg.qr(x.T)[1],
        lambda t, x: t.linalg.solve(x @ x.T + t.eye(3, dtype=t.float64), x),
        lambda t, x: x.cumprod(1),
        lambda t, x: t.zeros(3, 4, dtype=t.float64).scatter_reduce(0, x.argsort(0), x, "amax"),
        lambda t, x: t.nn.functional.conv1d(x[None], x[:, None, :2], groups=3),
        lambda t, x: t.fft.rfft(x).abs(),
        lambda t, x: t.linalg.pinv(x),
        lambda t, x: t.frexp(x).mantissa,
    ],
)
def test_jvp_agrees_with_differences_and_with_pytorch(function: Any) -> None:
    direction = numbers(3, 4, seed=5)
    same(lambda t, x, v: t.func.jvp(lambda a: function(t, a), (x,), (v,)), M, direction, atol=1e-9)
    step = 1e-6
    ends = [function(rl, rl.from_numpy(M + s * direction)).numpy() for s in (step, -step)]
    found = rl.func.jvp(
        lambda a: function(rl, a), (rl.from_numpy(M.copy()),), (rl.from_numpy(direction),)
    )[1]
    np.testing.assert_allclose(found.numpy(), (ends[0] - ends[1]) / (2 * step), atol=1e-6)


def test_a_captured_parameter_keeps_its_graph() -> None:
    def run(t: Any, x: Any, y: Any) -> Any:
        w = y.clone().requires_grad_()
        slope = t.func.grad(lambda a: (w * a * a).sum())(x)
        assert slope.requires_grad
        slope.sum().backward()
        with t.no_grad():
            assert not t.func.grad(lambda a: (w * a * a).sum())(x).requires_grad
        assert not t.func.grad(lambda a: (a * a).sum())(x).requires_grad
        return slope, w.grad

    same(run, X, Y)


def test_no_grad_and_detach_inside_a_mapped_function_cut_outer_derivatives() -> None:
    def run(t: Any, m: Any) -> Any:
        def function(row: Any) -> Any:
            with t.no_grad():
                target = row * row
            return (target * row).sum() + (row.detach() * row).sum()

        return t.func.grad(lambda a: t.vmap(function)(a).sum())(m)

    same(run, M)


@pytest.mark.parametrize(
    "function",
    [
        lambda t, x: t.func.grad(lambda a: a)(x),
        lambda t, x: t.func.grad(lambda a: 3)(x),
        lambda t, x: t.func.grad(lambda a: (a.sum(), 1))(x),
        lambda t, x: t.func.grad(lambda a: a.sum(), has_aux=True)(x),
        lambda t, x: t.func.grad(lambda a: a.sum(), argnums=1)(x),
        lambda t, x: t.func.grad(lambda a: a.sum(), argnums=())(x),
        lambda t, x: t.func.grad(lambda a: a.sum())(x.long()),
        lambda t, x: t.func.vjp(lambda a: a, 3),
        lambda t, x: t.func.vjp(lambda a: [], x),
        lambda t, x: t.func.vjp(lambda a: (a, a), x)[1](x),
        lambda t, x: t.func.vjp(lambda a: a, x)[1](x[:2]),
        lambda t, x: t.func.jvp(lambda a: a, (x,), x),
        lambda t, x: t.func.jvp(lambda a: a, (x,), (x[:2],)),
        lambda t, x: t.func.jvp(lambda a: 3, (x,), (x,)),
        lambda t, x: t.func.jvp(lambda a: a, (), ()),
        lambda t, x: t.func.functionalize(lambda a: a, remove="all"),
        lambda t, x: t.func.stack_module_state([]),
        lambda t, x: t.func.stack_module_state([t.nn.Linear(1, 1), t.nn.ReLU()]),
    ],
)
def test_wrong_calls_are_pytorchs_errors(function: Any) -> None:
    kinds = []
    for module in (rl, torch):
        with pytest.raises(Exception) as caught:
            function(module, module.from_numpy(X.copy()))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


# ---- autograd.functional -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"strategy": "forward-mode"}])
def test_vectorized_jacobians_equal_the_loop(options: dict) -> None:
    def run(t: Any, x: Any, y: Any, **chosen: Any) -> Any:
        jacobian = t.autograd.functional.jacobian
        return jacobian(lambda a, b: (a * b, a.sum(), b.exp()), (x, y), **chosen)

    same(lambda t, x, y: flat(run(t, x, y, vectorize=True, **options)), X, Y)
    x, y = rl.from_numpy(X.copy()), rl.from_numpy(Y.copy())
    for a, b in zip(flat(run(rl, x, y)), flat(run(rl, x, y, vectorize=True, **options))):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("outer", ["reverse-mode", "forward-mode"])
def test_vectorized_hessians_are_pytorchs(outer: str) -> None:
    same(
        lambda t, x, y: t.autograd.functional.hessian(
            lambda a, b: curved(t, a, b), (x, y), vectorize=True, outer_jacobian_strategy=outer
        ),
        X,
        Y,
    )


def test_gradients_of_a_batch_of_cotangents_take_one_walk() -> None:
    def run(t: Any, x: Any, v: Any) -> Any:
        x = x.requires_grad_()
        (found,) = t.autograd.grad(x.sin(), x, v, is_grads_batched=True, create_graph=True)
        return found, t.autograd.grad(found.sum(), x)

    same(run, X, numbers(3, 4))

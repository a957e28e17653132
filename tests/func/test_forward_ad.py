"""Dual numbers: tangents follow every way that values take."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as rl

from .matching import numbers, same, torch

X, V = numbers(3, 4), numbers(3, 4, seed=1)


def pair(t: Any, tensor: Any) -> Any:
    unpacked = t.autograd.forward_ad.unpack_dual(tensor)
    return unpacked.primal.clone(), unpacked.tangent


def run(function: Any) -> Any:
    def on(t: Any, x: Any, v: Any) -> Any:
        forward = t.autograd.forward_ad
        with forward.dual_level():
            return function(t, forward.make_dual(x, v), x)

    return on


def written(t: Any, dual: Any, x: Any) -> Any:
    y = t.zeros(3, 4, dtype=t.float64)
    y[1] = dual[0] * 2
    y[:, 2].mul_(3)
    y.add_(dual)
    return pair(t, y)


def looked_into(t: Any, dual: Any, x: Any) -> Any:
    return dual.sum().item(), pair(t, dual * 2), pair(t, dual.detach())[1] is None


def differentiated_backward(t: Any, dual: Any, x: Any) -> Any:
    w = t.ones(4, dtype=t.float64, requires_grad=True)
    loss = (dual * w * w).sum()
    (slope,) = t.autograd.grad(loss, w, create_graph=True)
    return pair(t, loss), pair(t, slope)


@pytest.mark.parametrize("function", [written, looked_into, differentiated_backward])
def test_tangents_are_pytorchs(function: Any) -> None:
    same(run(function), X, V)


def test_tangents_end_with_their_level() -> None:
    x, v = rl.from_numpy(X.copy()), rl.from_numpy(V.copy())
    forward = rl.autograd.forward_ad
    with forward.dual_level():
        dual = forward.make_dual(x, v)
        assert forward.unpack_dual(dual).tangent is not None
        assert forward.unpack_dual(x).tangent is None
    assert forward.unpack_dual(dual).tangent is None
    with forward.dual_level():
        assert forward.unpack_dual(dual * 2).tangent is None


@pytest.mark.parametrize(
    "function",
    [
        lambda t, x, forward: forward.make_dual(x, x),
        lambda t, x, forward: forward.exit_dual_level(),
        lambda t, x, forward: inside(t, lambda: forward.enter_dual_level()),
        lambda t, x, forward: inside(t, lambda: forward.make_dual(x, x[0])),
        lambda t, x, forward: inside(t, lambda: forward.make_dual(x.long(), x.long())),
        lambda t, x, forward: inside(t, lambda: forward.make_dual(forward.make_dual(x, x), x)),
    ],
)
def test_wrong_use_is_pytorchs_error(function: Any) -> None:
    kinds = []
    for module in (rl, torch):
        with pytest.raises(Exception) as caught:
            function(module, module.from_numpy(X.copy()), module.autograd.forward_ad)
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


def inside(t: Any, call: Any) -> Any:
    with t.autograd.forward_ad.dual_level():
        return call()


def test_a_training_step_runs_inside_a_level() -> None:
    def step(t: Any, x: Any, v: Any) -> Any:
        t.manual_seed(0)
        model = t.nn.Linear(4, 2).double()
        optimizer = t.optim.Adam(model.parameters(), lr=0.1)
        with t.autograd.forward_ad.dual_level():
            for _ in range(2):
                optimizer.zero_grad()
                model(x).pow(2).sum().backward()
                optimizer.step()
        optimizer.zero_grad()
        model(x).pow(2).sum().backward()
        optimizer.step()
        return [p.detach() for p in model.parameters()]

    same(step, X, V, rtol=1e-7)

"""Hooks on saved tensors and on several gradients do what PyTorch's do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")


def _logging(log: list) -> tuple[Callable, Callable]:
    def pack(x):
        log.append(("pack", tuple(x.shape), x.requires_grad, x.is_leaf))
        return (x.detach().numpy().copy(), x.dtype)

    def unpack(kept):
        array, _ = kept
        log.append(("unpack", array.shape))
        return log[0][1](array)

    return pack, unpack


def _products(lib: Any, hooks: Any) -> Any:
    a = lib.full((5,), 3.0, requires_grad=True)
    b = lib.full((5,), 2.0, requires_grad=True) * 2
    with hooks():
        y = a * b
    return a, y.sum()


def _exponential_twice(lib: Any, hooks: Any) -> Any:
    a = lib.full((5,), 0.5, requires_grad=True)
    with hooks():
        y = a.exp()
    (first,) = lib.autograd.grad(y.sum(), a, create_graph=True)
    return a, (first * first).sum()


def _own_function(lib: Any, hooks: Any) -> Any:
    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * x
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return 2 * x * g + 0 * y

    a = lib.full((3,), 1.5, requires_grad=True)
    with hooks():
        y = Square.apply(a)
    return a, y.sum()


def _matrices(lib: Any, hooks: Any) -> Any:
    a = lib.arange(6.0).reshape(2, 3).requires_grad_()
    w = lib.arange(12.0).reshape(3, 4).requires_grad_()
    with hooks():
        y = lib.nn.functional.linear(a, w.t()).tanh()
    return a, y.sum()


# A matrix may be saved as its transpose here, and a function's result before it has a history.
@pytest.mark.parametrize("program", [_products, _exponential_twice, _own_function, _matrices])
def test_what_hooks_see_and_give_back(program: Callable) -> None:
    seen = []
    for lib in (rushlight, torch):
        log: list = [("lib", lib.from_numpy)]
        pack, unpack = _logging(log)
        a, loss = program(
            lib, lambda p=pack, u=unpack, g=lib: g.autograd.graph.saved_tensors_hooks(p, u)
        )
        loss.backward()
        seen.append((sorted(log[1:], key=str), a.grad.tolist()))
    np.testing.assert_allclose(seen[0][1], seen[1][1], rtol=1e-6)
    assert program in (_matrices, _own_function) or seen[0][0] == seen[1][0]
    assert len(seen[0][0]) == len(seen[1][0])


def test_backward_computes_with_what_unpack_gives() -> None:
    for lib in (rushlight, torch):
        graph = lib.autograd.graph
        a = lib.ones(4, requires_grad=True)
        with (
            graph.saved_tensors_hooks(lambda x: x, lambda x: x),
            graph.saved_tensors_hooks(lambda x: x * 4, lambda x: x * 4),
        ):
            y = a * a
        y.sum().backward()
        assert a.grad.tolist() == [32.0] * 4
        with graph.saved_tensors_hooks(lambda x: x, lambda x: 3):
            y = a * a
        with pytest.raises(TypeError, match="unpack_hook expected to be a Tensor"):
            y.sum().backward()
        with (
            graph.saved_tensors_hooks(lambda x: x.detach().add_(1), lambda x: x),
            pytest.raises(RuntimeError, match="modifying its input in place"),
        ):
            a * a


def test_a_model_trains_alike_with_hooks() -> None:
    def curve(hooked: bool) -> list[float]:
        rushlight.manual_seed(0)
        nn = rushlight.nn
        model = nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 1))
        optimizer = rushlight.optim.SGD(model.parameters(), lr=0.1)
        x = rushlight.randn(16, 3)
        losses = []
        for _ in range(4):
            optimizer.zero_grad()
            if hooked:
                with rushlight.autograd.graph.saved_tensors_hooks(
                    lambda x: x.detach().numpy().copy(), rushlight.from_numpy
                ):
                    loss = model(x).pow(2).mean()
            else:
                loss = model(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    assert curve(True) == curve(False)


def test_hooks_can_be_forbidden() -> None:
    for lib in (rushlight, torch):
        graph = lib.autograd.graph
        hooks = graph.saved_tensors_hooks(lambda x: x, lambda x: x)
        forbidden = graph.disable_saved_tensors_hooks("not here")
        with forbidden, pytest.raises(RuntimeError, match="not here"), hooks:
            pass
        forbidden = graph.disable_saved_tensors_hooks("not now")
        with hooks, pytest.raises(RuntimeError, match="not now"), forbidden:
            pass
        with hooks:
            pass


@pytest.mark.parametrize("shared", [False, True])
def test_saved_tensors_may_be_written_to(shared: bool) -> None:
    for lib in (rushlight, torch):
        memory = np.full(3, 2.0, dtype=np.float32)
        other = lib.from_numpy(memory) if shared else lib.full((3,), 2.0)
        a = lib.ones(3, requires_grad=True)
        with lib.autograd.graph.allow_mutation_on_saved_tensors():
            b = a.clone()
            loss = (b**2 * other).sum()
            b.sin_()
            other.zero_()
            loss.backward()
            assert a.grad.tolist() == [4.0] * 3
            late = (a * a).sum()
            again = lib.autograd.graph.allow_mutation_on_saved_tensors()
            with pytest.raises(RuntimeError, match="cannot be nested"), again:
                pass
        with pytest.raises(AssertionError, match="Trying to backward outside"):
            late.backward()


def test_hooks_on_several_gradients() -> None:
    seen = []
    for lib in (rushlight, torch):
        log: list = []
        a = lib.ones(2, 3, requires_grad=True)
        b = lib.ones(2, 3, requires_grad=True)
        c, d = a * b, a * b
        hook = lib.autograd.graph.register_multi_grad_hook(
            (a, b, c, d), lambda found, log=log: log.append([g is not None for g in found])
        )
        c.sum().backward(retain_graph=True)
        c.sum().backward(inputs=(a,), retain_graph=True)
        (c + d).sum().backward(retain_graph=True)
        hook.remove()
        c.sum().backward(retain_graph=True)
        lib.autograd.graph.register_multi_grad_hook(
            (a, b, c), lambda g, log=log: log.append(tuple(g.shape)), mode="any"
        )
        c.sum().backward(retain_graph=True)
        c.sum().backward()
        with pytest.raises(ValueError, match="mode"):
            lib.autograd.graph.register_multi_grad_hook((a,), print, mode="some")
        seen.append(log)
    assert seen[0] == seen[1] and len(seen[0]) == 5


def test_a_raised_version_is_noticed() -> None:
    for lib in (rushlight, torch):
        a = lib.ones(2, requires_grad=True)
        b = a.clone()
        loss = (b * b).sum()
        before = b._version
        lib.autograd.graph.increment_version(b)
        assert b._version == before + 1
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()

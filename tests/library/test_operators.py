"""Operators that a program registers: schema, kernels, derivative, and their place in ops."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from rushlight import Tensor, library


def _scaled_sine(name: str) -> library.CustomOpDef:
    @library.custom_op(name, mutates_args=())
    def scaled_sine(x: Tensor, scale: float, shift: float = 0.0) -> Tensor:
        return (x * scale + shift).sin()

    return scaled_sine


def test_a_function_becomes_an_operator_of_its_namespace() -> None:
    op = _scaled_sine("t_own::sine")
    x = rushlight.arange(3.0)
    expected = np.sin(np.arange(3.0) * 2)
    for call in (op, rushlight.ops.t_own.sine, rushlight.ops.t_own.sine.default):
        np.testing.assert_allclose(call(x, 2.0).numpy(), expected, rtol=1e-6)
    assert hasattr(rushlight.ops.t_own, "sine") and not hasattr(rushlight.ops.t_own, "cosine")
    for wrong in (lambda: op(x), lambda: op(x, 1.0, 2.0, 3.0), lambda: op(3, 1.0)):
        with pytest.raises(RuntimeError, match="sine"):
            wrong()


def test_the_schema_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")

    def make(kind):
        def f(x, n, flag=True, xs=None, *, name="a"):
            return x

        f.__annotations__ = {
            "x": kind, "n": int, "flag": bool, "xs": "object", "name": str, "return": kind,
        }  # fmt: skip
        f.__annotations__["xs"] = kind | None
        return f

    ours = library.infer_schema(make(Tensor), mutates_args={"x"})
    assert ours == torch.library.infer_schema(make(torch.Tensor), mutates_args={"x"})


def test_a_derivative_is_used_and_its_absence_is_said() -> None:
    op = _scaled_sine("t_own::with_derivative")
    x = rushlight.arange(3.0).requires_grad_()
    with pytest.raises(RuntimeError, match="no autograd formula"):
        op(x, 2.0).sum().backward()

    def setup(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.scale = inputs[1]

    def backward(ctx, grad):
        (saved,) = ctx.saved_tensors
        return grad * (saved * ctx.scale).cos() * ctx.scale, None, None

    op.register_autograd(backward, setup_context=setup)
    op(x, 2.0).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.cos(2 * np.arange(3.0)), rtol=1e-5)


def test_lists_of_tensors_have_lists_of_gradients() -> None:
    @library.custom_op("t_own::total", mutates_args=())
    def total(xs: list[Tensor], weight: float) -> Tensor:
        return sum(xs[1:], xs[0]) * weight

    def backward(ctx, grad):
        return [grad * ctx.weight] * ctx.count, None

    def setup(ctx, inputs, output):
        ctx.count, ctx.weight = len(inputs[0]), inputs[1]

    total.register_autograd(backward, setup_context=setup)
    xs = [rushlight.ones(2, requires_grad=True) for _ in range(3)]
    total(xs, 2.0).sum().backward()
    assert [x.grad.tolist() for x in xs] == [[2.0, 2.0]] * 3


def test_a_library_defines_and_implements() -> None:
    own = library.Library("t_lib", "DEF")
    assert own.define("twice(Tensor x) -> Tensor") == "twice"
    own.impl("twice", lambda x: x * 2, "CPU")
    library.define("t_lib::times", "(Tensor x, int n=3) -> Tensor", lib=own)
    library.impl("t_lib::times", "cpu", lambda x, n: x * n, lib=own)
    x = rushlight.ones(1)
    space = rushlight.ops.t_lib
    assert [float(f) for f in (space.twice(x), space.times(x), space.times(x, n=5))] == [2, 3, 5]
    with pytest.raises(RuntimeError, match="does not exist"):
        own.impl("thrice", lambda x: x, "CPU")
    own._destroy()
    assert not hasattr(space, "twice")


def test_what_writes_says_so() -> None:
    @library.custom_op("t_own::grow", mutates_args={"x"})
    def grow(x: Tensor, y: Tensor) -> None:
        x.add_(y)

    x = rushlight.ones(2)
    before = x._version
    grow(x, rushlight.ones(2))
    assert x.tolist() == [2.0, 2.0] and x._version > before
    assert library.opcheck(grow, (rushlight.ones(1), rushlight.ones(1)))["test_schema"] == "SUCCESS"


def test_pytorchs_own_operators_are_found() -> None:
    assert rushlight.ops.aten.add(rushlight.ones(1), 1).tolist() == [2.0]
    assert not hasattr(rushlight.ops.aten, "no_such_operator")
    with pytest.raises(NotImplementedError, match="public function"):
        rushlight.ops.aten._log_softmax_backward_data.default(rushlight.ones(1))
    from rushlight.ops import polynomials

    assert hasattr(polynomials, "chebyshev_polynomial_t")


@pytest.mark.parametrize("name", ["add", "mul", "div", "sub", "maximum"])
def test_lists_of_tensors(name: str) -> None:
    xs = [rushlight.arange(3.0) + 1, rushlight.ones(2, 2)]
    ys = [rushlight.ones(3) * 2, rushlight.ones(2, 2) * 3]
    found = getattr(rushlight, f"_foreach_{name}")(xs, ys)
    assert all(bool((a == getattr(rushlight, name)(x, y)).all()) for a, x, y in zip(found, xs, ys))
    getattr(rushlight, f"_foreach_{name}_")(xs, 2)
    with pytest.raises(RuntimeError, match="same number"):
        getattr(rushlight, f"_foreach_{name}")(xs, ys[:1])


def test_all_of_pytorchs_list_functions_are_there() -> None:
    torch = pytest.importorskip("torch")
    names = [name for name in dir(torch) if name.startswith("_foreach_")]
    assert [name for name in names if not hasattr(rushlight, name)] == []

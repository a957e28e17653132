"""vmap applies a function to each member of a batch, as PyTorch's does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as rl

from .matching import numbers, same, torch

X, Y, M = numbers(3, 4), numbers(3, 4, seed=1), numbers(3, 4, 5, seed=2)

# PyTorch warns of operations whose members it takes one by one.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")

FUNCTIONS = {
    "elementwise": lambda t, x, y, m: (x.sin() + y * 2 + x.sum(), m * x[:, None]),
    "reductions": lambda t, x, y, m: (m.sum(0), m.mean(), m.amax(1), m.argmin(0), m.cumsum(1)),
    "views": lambda t, x, y, m: (m.T[1:], m.reshape(-1)[::2], m.flip(0), x.expand(2, 4), m[:, 1]),
    "joining": lambda t, x, y, m: (t.cat([x, y]), t.stack([x, y], 1), m.split(2, 1)[1]),
    "products": lambda t, x, y, m: (
        x @ m, m.T @ x, x @ y, t.outer(x, y), t.einsum("i,ij->j", x, m),
    ),
    "indices of members": lambda t, x, y, m: (
        x[y.argsort()], m.gather(0, m.argsort(0)),
        t.zeros(4, dtype=t.float64).scatter(0, y.argsort(), x),
        m.index_select(1, t.tensor([0, 3])), x.sort().values, t.where(x > 0, x, y),
    ),
    "factorisations": lambda t, x, y, m: (
        t.linalg.solve(m.T @ m + t.eye(5, dtype=t.float64), m.T @ x),
        t.linalg.cholesky(m @ m.T + t.eye(4, dtype=t.float64)), t.linalg.det(m[:, :4]),
        t.fft.fft(x).abs(), t.linalg.svdvals(m),
    ),
    "layers": lambda t, x, y, m: (
        t.softmax(m, 1), t.nn.functional.layer_norm(x, (4,)), t.nn.functional.gelu(x),
        t.nn.functional.conv1d(m[None], m[:, None, :3], padding=1, groups=4),
        t.nn.functional.max_pool1d(m[None], 2),
    ),
    "writing to a copy": lambda t, x, y, m: x.clone().mul_(y).add_(1),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_gives_pytorchs_results(name: str) -> None:
    function = FUNCTIONS[name]
    same(lambda t, *xs: t.vmap(lambda *ms: function(t, *ms))(*xs), X, Y, M)


@pytest.mark.parametrize(
    "mapped", [(0, None, 0), (None, 0, None), (0, None, None), (None, None, 0)]
)
def test_vmap_shares_what_is_not_mapped(mapped: tuple) -> None:
    arrays = [a if d == 0 else a[0] for a, d in zip((X, Y, M), mapped)]
    for name in ("products", "indices of members", "layers", "joining"):
        function = FUNCTIONS[name]
        same(lambda t, *xs, f=function: t.vmap(lambda *ms: f(t, *ms), in_dims=mapped)(*xs), *arrays)


def test_vmap_takes_and_gives_any_axis_and_any_tree() -> None:
    def run(t: Any, x: Any, m: Any) -> Any:
        def function(tree: Any, z: Any) -> Any:
            return {"a": tree["x"] * z.sum(), "b": (z, [tree["x"]])}

        return t.vmap(function, in_dims=({"x": 1}, -1), out_dims={"a": 1, "b": (2, [0])})(
            {"x": x}, m
        )

    same(run, numbers(4, 3), numbers(2, 5, 3))


def test_operations_that_read_run_once_for_each_member() -> None:
    def run(t: Any, x: Any) -> Any:
        places = (x * 3).long().abs()
        return t.vmap(
            lambda a, b: (
                t.bincount(b, minlength=4), t.histc(a, 3, -1, 1), t.frexp(a), a.mode(),
                t.isin(b, b[:2]), t.searchsorted(a.sort().values, a),
                t.special.hermite_polynomial_h(a, b), a.masked_scatter(b > 0, a.flip(0)),
            )
        )(x, places)  # fmt: skip

    same(run, X)


def test_vmaps_nest_and_chunks_change_nothing() -> None:
    def outer(t: Any, x: Any, y: Any) -> Any:
        inner = t.vmap(lambda a, b: (a * b).sum(), in_dims=(0, None))
        return t.vmap(inner, in_dims=(None, 0), out_dims=1)(x, y)

    same(outer, X, Y)
    whole = rl.vmap(lambda a: a.cumsum(0), out_dims=1)(rl.from_numpy(X.copy()))
    parts = rl.vmap(lambda a: a.cumsum(0), out_dims=1, chunk_size=2)(rl.from_numpy(X.copy()))
    assert np.array_equal(whole.numpy(), parts.numpy())


@pytest.mark.parametrize(
    "function",
    [
        lambda t, x: t.vmap(lambda a: a.item())(x[:, 0]),
        lambda t, x: t.vmap(lambda a: a if a.sum() > 0 else -a)(x),
        lambda t, x: t.vmap(lambda a: a.nonzero())(x),
        lambda t, x: t.vmap(lambda a: a[a > 0])(x),
        lambda t, x: t.vmap(lambda a: t.zeros(4, dtype=t.float64).add_(a))(x),
        lambda t, x: t.vmap(lambda a: t.randn(2))(x),
        lambda t, x: t.vmap(lambda a: a.requires_grad_())(x),
        lambda t, x: t.vmap(lambda a: 3)(x),
        lambda t, x: t.vmap(lambda a: a, out_dims=None)(x),
        lambda t, x: t.vmap(lambda a: a, out_dims=(0, 1))(x),
        lambda t, x: t.vmap(lambda a: a, in_dims=5)(x),
        lambda t, x: t.vmap(lambda a: a, in_dims=(0, 0))(x),
        lambda t, x: t.vmap(lambda a: a, in_dims=None)(x),
        lambda t, x: t.vmap(lambda a: a)(3),
        lambda t, x: t.vmap(lambda: 3)(),
        lambda t, x: t.vmap(lambda a, b: a)(x, x[0]),
        lambda t, x: t.vmap(lambda a: a, randomness="some")(x),
        lambda t, x: t.vmap(lambda a: a, chunk_size=0)(x),
    ],
)
def test_what_cannot_be_mapped_is_pytorchs_error(function: Any) -> None:
    kinds = []
    for module in (rl, torch):
        with pytest.raises(Exception) as caught:
            function(module, module.from_numpy(X.copy()))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


def test_a_failed_call_leaves_no_transform_behind() -> None:
    x = rl.from_numpy(X.copy())
    with pytest.raises(ZeroDivisionError):
        rl.vmap(lambda a: 1 / 0)(x)
    assert rl.vmap(lambda a: a + 1)(x).shape == (3, 4)
    assert float((x + 1)[0, 0]) == X[0, 0] + 1


def test_a_member_that_escapes_is_refused_afterwards() -> None:
    kept = []
    rl.vmap(lambda a: kept.append(a) or a)(rl.from_numpy(X.copy()))
    with pytest.raises(RuntimeError, match="after the vmap had ended"):
        rl.vmap(lambda a: a + kept[0])(rl.from_numpy(X.copy()))


def test_writing_to_a_member_writes_to_the_batch() -> None:
    def run(t: Any, x: Any) -> Any:
        x = x.clone()
        found = t.vmap(lambda a: a.mul_(2).sum(), in_dims=1)(x)
        return found, x

    same(run, X)


# ---- random numbers ------------------------------------------------------------------------------

DRAWS = {
    "randn": lambda t, a: t.randn(3) + a.sum(),
    "rand of a shared shape": lambda t, a: t.rand_like(a),
    "dropout": lambda t, a: t.nn.functional.dropout(a, 0.3),
    "alpha dropout": lambda t, a: t.nn.functional.alpha_dropout(a, 0.3, True),
    "randperm": lambda t, a: t.randperm(5),
    "normal_": lambda t, a: a.clone().normal_(),
}


@pytest.mark.parametrize("mode", ["different", "same"])
@pytest.mark.parametrize("name", DRAWS)
def test_random_numbers_are_pytorchs(name: str, mode: str) -> None:
    if name == "normal_" and mode == "same":
        pytest.skip("PyTorch refuses it")

    def run(t: Any, x: Any) -> Any:
        t.manual_seed(3)
        return t.vmap(lambda a: DRAWS[name](t, a), randomness=mode)(x)

    same(run, X)


@pytest.mark.parametrize(
    "draw",
    [
        lambda t, a: t.bernoulli(a),
        lambda t, a: t.multinomial(a, 2),
        lambda t, a: t.poisson(a),
        lambda t, a: t.normal(a, 1.0),
    ],
)
def test_parameters_of_distributions_may_differ_by_member(draw: Any) -> None:
    def run(t: Any, x: Any) -> Any:
        t.manual_seed(3)
        return t.vmap(lambda a: draw(t, a), randomness="different")(x)

    same(run, np.abs(X))


def test_questions_about_all_members_do_not_stop_a_map() -> None:
    def run(t: Any, m: Any) -> Any:
        def function(a: Any) -> Any:
            square = a.T @ a
            return t.linalg.matrix_exp(square), a.abs().quantile(a[0, :2].abs(), dim=1)

        return t.vmap(function)(m)

    same(run, M, rtol=1e-8)

"""What people use torch.func for: per-sample gradients, MAML, ensembles.  Same numbers by seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as rl

from .matching import numbers, same


def cnn(t: Any) -> Any:
    return t.nn.Sequential(
        t.nn.Conv2d(1, 3, 3), t.nn.ReLU(), t.nn.MaxPool2d(2), t.nn.GroupNorm(3, 3),
        t.nn.Conv2d(3, 4, 2, groups=1), t.nn.Tanh(), t.nn.Flatten(), t.nn.Linear(16, 5),
    )  # fmt: skip


def per_sample(t: Any, images: Any, labels: Any) -> Any:
    t.manual_seed(0)
    model = cnn(t).double()
    params = {k: v.detach() for k, v in model.named_parameters()}

    def loss(params: Any, image: Any, label: Any) -> Any:
        out = t.func.functional_call(model, params, (image[None],))
        return t.nn.functional.cross_entropy(out, label[None])

    return t.vmap(t.func.grad(loss), in_dims=(None, 0, 0))(params, images, labels)


def test_gradients_of_each_sample_of_a_cnn() -> None:
    images = numbers(6, 1, 8, 8)
    labels = np.arange(6) % 5
    same(per_sample, images, labels)
    # They are those of a loop, and their mean is the gradient of the mean loss.
    found = per_sample(rl, rl.from_numpy(images), rl.from_numpy(labels))
    rl.manual_seed(0)
    model = cnn(rl).double()
    rl.nn.functional.cross_entropy(model(rl.from_numpy(images)), rl.from_numpy(labels)).backward()
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(
            found[name].mean(0).numpy(), parameter.grad.numpy(), rtol=1e-9, atol=1e-12
        )


def test_maml_differentiates_through_inner_steps() -> None:
    def run(t: Any, xs: Any, ys: Any) -> Any:
        t.manual_seed(0)
        model = t.nn.Sequential(t.nn.Linear(2, 8), t.nn.Tanh(), t.nn.Linear(8, 1)).double()
        params = {k: v.detach() for k, v in model.named_parameters()}

        def loss(params: Any, x: Any, y: Any) -> Any:
            return (t.func.functional_call(model, params, (x,)) - y).pow(2).mean()

        def task(params: Any, x: Any, y: Any) -> Any:
            for _ in range(2):
                slopes = t.func.grad(loss)(params, x[:4], y[:4])
                params = {k: params[k] - 0.1 * slopes[k] for k in params}
            return loss(params, x[4:], y[4:])

        def outer(params: Any) -> Any:
            return t.vmap(task, in_dims=(None, 0, 0))(params, xs, ys).mean()

        return t.func.grad_and_value(outer)(params)

    same(run, numbers(3, 8, 2), numbers(3, 8, 1, seed=1), rtol=1e-8)


def test_an_ensemble_runs_and_trains_as_one_model() -> None:
    def run(t: Any, x: Any, y: Any) -> Any:
        t.manual_seed(0)
        models = [
            t.nn.Sequential(t.nn.Linear(4, 6), t.nn.BatchNorm1d(6), t.nn.Linear(6, 2)).double()
            for _ in range(3)
        ]
        for model in models:
            model.eval()
        params, buffers = t.func.stack_module_state(models)

        def call(params: Any, buffers: Any, x: Any) -> Any:
            return t.func.functional_call(models[0], (params, buffers), (x,))

        out = t.vmap(call, in_dims=(0, 0, None))(params, buffers, x)
        (out - y).pow(2).sum().backward()
        return out, {k: v.grad for k, v in params.items()}

    same(run, numbers(5, 4), numbers(5, 2))


def test_a_hessian_vector_product_of_a_network_in_both_orders() -> None:
    def run(t: Any, x: Any, v: Any) -> Any:
        t.manual_seed(0)
        model = t.nn.Sequential(t.nn.Linear(4, 5), t.nn.GELU(), t.nn.Linear(5, 1)).double()

        def f(a: Any) -> Any:
            return model(a).pow(2).sum()

        forward_over_reverse = t.func.jvp(t.func.grad(f), (x,), (v,))[1]
        _, pull = t.func.vjp(t.func.grad(f), x)
        return forward_over_reverse, pull(v)[0]

    same(run, numbers(3, 4), numbers(3, 4, seed=1))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_layers_can_be_transformed(kind: str) -> None:
    def run(t: Any, x: Any, v: Any) -> Any:
        t.manual_seed(0)
        model = getattr(t.nn, kind)(3, 4, batch_first=True).double()
        params = {k: v.detach() for k, v in model.named_parameters()}

        def loss(params: Any, row: Any) -> Any:
            return t.func.functional_call(model, params, (row[None],))[0].pow(2).sum()

        # PyTorch's own layers take no transforms on a CPU; its gradients, sample by sample.
        if t is rl:
            slopes = t.vmap(t.func.grad(loss), in_dims=(None, 0))(params, x)
            pushed = t.func.jvp(lambda a: loss(params, a), (x[0],), (v[0],))[1]
            second = t.func.grad(
                lambda a: t.vmap(t.func.grad(lambda r: loss(params, r)))(a).pow(2).sum()
            )(x)
            return [slopes[k] for k in sorted(slopes)], pushed, second
        leaves = {k: v.detach().requires_grad_() for k, v in params.items()}
        rows = [t.autograd.grad(loss(leaves, r), list(leaves.values())) for r in x]
        named = {k: t.stack([row[i] for row in rows]) for i, k in enumerate(leaves)}
        (slope,) = t.autograd.functional.jacobian(lambda a: loss(params, a), (x[0],))
        x = x.clone().requires_grad_()
        (first,) = t.autograd.grad(sum(loss(params, r) for r in x), x, create_graph=True)
        (second,) = t.autograd.grad(first.pow(2).sum(), x)
        return [named[k] for k in sorted(named)], (slope * v[0]).sum(), second

    same(run, numbers(3, 5, 3), numbers(3, 5, 3, seed=1), rtol=1e-8)


def test_the_third_step_of_a_loop_of_transforms_is_known() -> None:
    model = rl.nn.Linear(4, 3)
    params = {k: v.detach() for k, v in model.named_parameters()}

    def loss(params: Any, x: Any) -> Any:
        return rl.func.functional_call(model, params, (x,)).pow(2).sum()

    step = rl.vmap(rl.func.grad(loss), in_dims=(None, 0))
    for _ in range(3):
        slopes = step(params, rl.randn(8, 4))
        params = {k: params[k] - 0.01 * slopes[k].mean(0) for k in params}
        rl.synchronize()
    before = rl.stats()["operations_missed"]
    slopes = step(params, rl.randn(8, 4))
    params = {k: params[k] - 0.01 * slopes[k].mean(0) for k in params}
    rl.synchronize()
    assert rl.stats()["operations_missed"] == before


@pytest.mark.parametrize(
    ("pattern", "sizes"),
    [
        ("a b c -> c (a b)", {}),
        ("a b (c d) -> (d a) b c", {"c": 2}),
        ("... c -> c ...", {}),
        ("a ... -> (...) a", {}),
        ("a b c -> a 1 b c", {}),
    ],
)
def test_rearrange_is_pytorchs(pattern: str, sizes: dict) -> None:
    same(lambda t, x: t.func.rearrange(x, pattern, **sizes), numbers(2, 3, 4))


def test_a_pattern_that_does_not_fit_is_refused() -> None:
    x = rl.zeros(2, 3)
    for pattern in ("a b -> a", "a b c -> a b c", "a (b c) -> a b c", "a b", "a (b -> a b"):
        with pytest.raises(ValueError, match="rearrange"):
            rl.func.rearrange(x, pattern)

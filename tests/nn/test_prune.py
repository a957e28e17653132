"""Pruning and orthogonal parametrizations give PyTorch's masks, values and gradients."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import rushlight

WEIGHT = np.random.default_rng(3).uniform(-1, 1, (4, 3)).astype(np.float32)
METHODS = {
    "l1": lambda p, m: p.l1_unstructured(m, "weight", 0.4),
    "l1 count": lambda p, m: p.l1_unstructured(m, "weight", 3),
    "random": lambda p, m: p.random_unstructured(m, "weight", 0.5),
    "ln": lambda p, m: p.ln_structured(m, "weight", 0.5, n=2, dim=0),
    "ln inf": lambda p, m: p.ln_structured(m, "weight", 1, n=float("inf"), dim=1),
    "random structured": lambda p, m: p.random_structured(m, "weight", 1, dim=1),
    "identity": lambda p, m: p.identity(m, "weight"),
    "twice": lambda p, m: [
        p.l1_unstructured(m, "weight", 0.3), p.ln_structured(m, "weight", 1, n=1, dim=0),
    ],
    "global": lambda p, m: p.global_unstructured(
        [(m, "weight"), (m, "bias")], p.L1Unstructured, amount=0.5
    ),
}  # fmt: skip


def _layer(library: Any) -> Any:
    layer = library.nn.Linear(3, 4)
    with library.no_grad():
        layer.weight.copy_(library.tensor(WEIGHT))
        layer.bias.copy_(library.tensor(WEIGHT[:, 0]))
    return layer


@pytest.mark.parametrize("name", METHODS)
def test_pruning_keeps_what_pytorch_keeps(name: str) -> None:
    found = []
    for library in (rushlight, pytest.importorskip("torch")):
        prune = importlib.import_module(f"{library.__name__}.nn.utils.prune")
        library.manual_seed(2)
        layer = _layer(library)
        METHODS[name](prune, layer)
        layer(library.ones(2, 3)).sum().backward()
        state = {k: v.detach().numpy() for k, v in layer.state_dict().items()}
        gradients = {k: v.grad.numpy() for k, v in layer.named_parameters()}
        pruned = prune.is_pruned(layer)
        prune.remove(layer, "weight")
        found.append((pruned, state, gradients, layer.weight.detach().numpy()))
    assert found[0][0] == found[1][0]
    for mine, theirs in zip(found[0][1:3], found[1][1:3]):
        assert list(mine) == list(theirs)
        for key in mine:
            np.testing.assert_allclose(mine[key], theirs[key], rtol=1e-6)
    np.testing.assert_allclose(found[0][3], found[1][3])


def test_pruning_refuses_what_pytorch_refuses() -> None:
    prune, layer = rushlight.nn.utils.prune, _layer(rushlight)
    with pytest.raises(ValueError, match=r"range \[0, 1\]"):
        prune.l1_unstructured(layer, "weight", 2.5)
    with pytest.raises(ValueError, match="smaller than the number"):
        prune.l1_unstructured(layer, "weight", 100)
    with pytest.raises(ValueError, match="multidimensional"):
        prune.ln_structured(layer, "bias", 1, 1, 0)
    with pytest.raises(ValueError, match="has to be pruned"):
        prune.remove(layer, "weight")
    assert list(layer.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("shape", [(4, 4), (4, 3), (3, 4)])
@pytest.mark.parametrize("mapping", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("base", [True, False])
def test_orthogonal_weights_stay_orthogonal_as_pytorchs(shape, mapping: str, base: bool) -> None:
    found = []
    for library in (rushlight, pytest.importorskip("torch")):
        library.manual_seed(0)
        layer = library.nn.Linear(*shape, bias=False)
        library.nn.utils.parametrizations.orthogonal(
            layer, orthogonal_map=mapping, use_trivialization=base
        )
        (layer.weight * library.arange(float(shape[0]))).sum().backward()
        gradient = layer.parametrizations.weight.original.grad
        found.append((layer.weight.detach().numpy(), gradient.numpy(), list(layer.state_dict())))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=2e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-4)
    assert found[0][2] == found[1][2]
    q = found[0][0] if found[0][0].shape[0] >= found[0][0].shape[1] else found[0][0].T
    np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-5)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_reflectors_are_applied_as_by_pytorch(left: bool, transpose: bool) -> None:
    torch = pytest.importorskip("torch")
    other = np.random.default_rng(1).normal(size=(4, 4))
    results = []
    for library in (rushlight, torch):
        a, tau = library.geqrf(library.tensor(WEIGHT).double())
        results.append(
            (a.numpy(), tau.numpy(),
             library.ormqr(a, tau, library.tensor(other), left, transpose).numpy(),
             library.orgqr(a, tau).numpy())
        )  # fmt: skip
    for mine, theirs in zip(*results):
        np.testing.assert_allclose(mine, theirs, atol=1e-10)

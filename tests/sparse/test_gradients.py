"""Gradients through sparse tensors, sparse gradients, and the optimizers that take them."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:Sparse (CSR|invariant)", "ignore:Sparse .* tensor")

PLACES = [[0, 1, 1, 3], [2, 0, 2, 1]]


def _sparse(lib: ModuleType) -> Any:
    values = lib.tensor([3.0, 4.0, 5.0, -2.0])
    return lib.sparse_coo_tensor(PLACES, values, (4, 3), requires_grad=True, is_coalesced=True)


def _dense(lib: ModuleType) -> Any:
    return (lib.arange(6.0).reshape(3, 2) / 5).requires_grad_()


PROGRAMS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "mm": lambda t, s, w: t.sparse.mm(s, w).pow(2).sum(),
    "matmul": lambda t, s, w: (s @ w).sin().sum(),
    "addmm": lambda t, s, w: t.sparse.addmm(w[:1].expand(4, 2), s, w, alpha=2).pow(2).sum(),
    "dense first": lambda t, s, w: (w.t() @ s.t()).pow(2).sum(),
    "sum": lambda t, s, w: t.sparse.sum(s * s) + w.sum(),
    "along": lambda t, s, w: t.sparse.sum(s * 3, 1).to_dense().pow(2).sum() + w.sum(),
    "to_dense": lambda t, s, w: (s.to_dense() @ w).exp().sum(),
    "softmax": lambda t, s, w: t.sparse.mm(t.sparse.softmax(s, 1), w).pow(2).sum(),
    "log_softmax": lambda t, s, w: t.sparse.mm(t.sparse.log_softmax(s, 0), w).pow(2).sum(),
    "sparse by sparse": lambda t, s, w: t.sparse.sum(t.sparse.mm(s, s.t())) + w.sum(),
    "transposed": lambda t, s, w: (s.t() @ t.ones(4, 2) * w).sum(),
    "dense plus": lambda t, s, w: (t.add(t.ones(4, 3), s) @ w).pow(2).sum(),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_of_both_operands(name: str) -> None:
    found = []
    for lib in (rushlight, torch):
        s, w = _sparse(lib), _dense(lib)
        PROGRAMS[name](lib, s, w).backward()
        # PyTorch's gradient is dense, or fills places outside of the pattern, for some operations.
        assert s.grad.shape == s.shape and (lib is torch or s.grad.is_sparse)
        grad = s.grad.to_dense()
        mask = lib.zeros(4, 3)
        mask[PLACES[0], PLACES[1]] = 1
        found.append(((grad * mask).tolist(), w.grad.tolist()))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5, atol=1e-6)


def test_gradients_reach_what_a_sparse_tensor_is_made_of() -> None:
    found = []
    for lib in (rushlight, torch):
        values = lib.tensor([1.0, 2.0, 3.0], requires_grad=True)
        dense = lib.tensor([[0.0, 2.0], [3.0, 0.0]], requires_grad=True)
        s = lib.sparse_coo_tensor([[0, 1, 0], [1, 0, 1]], values, (2, 2))
        loss = (s.to_dense() ** 2).sum() + (dense.to_sparse() * 3).coalesce().values().pow(2).sum()
        loss.backward()
        found.append((values.grad.tolist(), dense.grad.tolist()))
    assert found[0] == found[1]


def test_autograd_grad_of_a_sparse_operand() -> None:
    for lib in (rushlight, torch):
        s, w = _sparse(lib), _dense(lib)
        gs, gw = lib.autograd.grad(lib.sparse.mm(s, w).sum(), (s, w))
        assert gs.is_sparse and not gw.is_sparse
        assert gw.sum().item() == pytest.approx(20.0)


def _embedding(lib: ModuleType, **options: Any) -> tuple[Any, Any]:
    lib.manual_seed(0)
    table = lib.nn.Embedding(7, 3, sparse=True, **options)
    return table, lib.tensor([[1, 4, 1], [6, 0, 4]])


@pytest.mark.parametrize("padding", [None, 4])
def test_embeddings_have_sparse_gradients(padding: int | None) -> None:
    texts = []
    for lib in (rushlight, torch):
        table, words = _embedding(lib, padding_idx=padding)
        (table(words) * lib.arange(18.0).reshape(2, 3, 3)).sum().backward()
        first = repr(table.weight.grad)
        table(words[:1]).sum().backward()
        texts.append((first, repr(table.weight.grad.coalesce())))
        table.weight.grad.zero_()
        assert table.weight.grad._nnz() == 0
    assert texts[0] == texts[1]


def test_a_dense_use_of_the_table_makes_the_gradient_dense() -> None:
    found = []
    for lib in (rushlight, torch):
        table, words = _embedding(lib)
        (table(words).sum() + (table.weight**2).sum()).backward()
        assert not table.weight.grad.is_sparse
        table(words).sum().backward()
        found.append(table.weight.grad.tolist())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bags_have_sparse_gradients(mode: str) -> None:
    found = []
    for lib in (rushlight, torch):
        lib.manual_seed(0)
        bag = lib.nn.EmbeddingBag(7, 3, mode=mode, sparse=True)
        out = bag(lib.tensor([1, 4, 1, 6]), lib.tensor([0, 3]))
        (out * lib.arange(6.0).reshape(2, 3)).sum().backward()
        assert bag.weight.grad.is_sparse
        found.append(bag.weight.grad.to_dense().tolist())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


OPTIMIZERS: dict[str, Callable[[Any, Any], Any]] = {
    "SGD": lambda t, p: t.optim.SGD(p, lr=0.1),
    "momentum": lambda t, p: t.optim.SGD(p, lr=0.1, momentum=0.9),
    "nesterov": lambda t, p: t.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, maximize=True),
    "Adagrad": lambda t, p: t.optim.Adagrad(p, lr=0.1, lr_decay=0.01),
    "SparseAdam": lambda t, p: t.optim.SparseAdam(p, lr=0.05),
    "maximize": lambda t, p: t.optim.SparseAdam(p, lr=0.05, betas=(0.8, 0.9), maximize=True),
}


def _trained(lib: ModuleType, make: Callable, steps: int, saved: bytes | None = None) -> tuple:
    table, words = _embedding(lib)
    optimizer = make(lib, table.parameters())
    if saved is not None:
        state = lib.load(io.BytesIO(saved), weights_only=False)
        table.load_state_dict(state["table"])
        optimizer.load_state_dict(state["optimizer"])
    for step in range(steps):
        optimizer.zero_grad()
        table(words[step % 2 :]).pow(2).sum().backward()
        optimizer.step()
    buffer = io.BytesIO()
    lib.save({"table": table.state_dict(), "optimizer": optimizer.state_dict()}, buffer)
    return table.weight.detach().tolist(), buffer.getvalue()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_take_sparse_gradients(name: str) -> None:
    ours, saved = _trained(rushlight, OPTIMIZERS[name], 5)
    theirs, _ = _trained(torch, OPTIMIZERS[name], 5)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    resumed, _ = _trained(rushlight, OPTIMIZERS[name], 2, saved)
    expected, _ = _trained(torch, OPTIMIZERS[name], 2, saved)
    np.testing.assert_allclose(resumed, expected, rtol=1e-5, atol=1e-6)


def test_optimizers_that_take_none_say_so() -> None:
    for lib in (rushlight, torch):
        table, words = _embedding(lib)
        table(words).sum().backward()
        for kind in ("Adam", "RMSprop", "Adadelta"):
            with pytest.raises(RuntimeError, match="does not support sparse gradients"):
                getattr(lib.optim, kind)(table.parameters()).step()
        dense = lib.nn.Linear(2, 2)
        dense(lib.ones(1, 2)).sum().backward()
        with pytest.raises(RuntimeError, match="does not support dense gradients"):
            lib.optim.SparseAdam(dense.parameters()).step()
        with pytest.raises(ValueError, match="learning rate"):
            lib.optim.SparseAdam(dense.parameters(), lr=-1)


def test_a_graph_network_trains_as_in_pytorch() -> None:
    curves = []
    for lib in (rushlight, torch):
        lib.manual_seed(3)
        generator = np.random.default_rng(0)
        edges = generator.integers(0, 30, (2, 90))
        weights = lib.full((90,), 0.3)
        adjacency = lib.sparse_coo_tensor(lib.tensor(edges), weights, (30, 30)).coalesce()
        features = lib.tensor(generator.normal(size=(30, 8)).astype(np.float32))
        labels = lib.tensor(generator.integers(0, 3, 30))
        first, second = lib.nn.Linear(8, 16), lib.nn.Linear(16, 3)
        optimizer = lib.optim.Adam([*first.parameters(), *second.parameters()], lr=0.02)
        losses = []
        for _ in range(6):
            optimizer.zero_grad()
            hidden = lib.relu(lib.sparse.mm(adjacency, first(features)))
            loss = lib.nn.functional.cross_entropy(lib.sparse.mm(adjacency, second(hidden)), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        curves.append(losses)
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)

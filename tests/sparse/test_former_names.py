"""Former names of sparse tensors and their products, which programs on graphs use."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings(
    "ignore:Sparse (CSR|invariant)", "ignore:torch.sparse.SparseTensor"
)

PLACES = [[0, 1, 2, 0], [1, 2, 0, 2]]


def _parts(lib: ModuleType) -> dict[str, Any]:
    places, values = lib.tensor(PLACES), lib.tensor([1.0, 2, 3, 4])
    return {
        "t": lib,
        "i": places,
        "v": values,
        "S": lib.sparse_coo_tensor(places, values, (4, 3)),
        "Q": lib.sparse_coo_tensor(places, values, (3, 3)),
        "D": lib.arange(6.0).reshape(3, 2),
        "W": lib.arange(9.0).reshape(3, 3),
    }


def _result(lib: ModuleType, source: str) -> Any:
    found = eval(source, _parts(lib))
    if not isinstance(found, lib.Tensor):
        return found
    layout, dtype = str(found.layout), str(found.dtype)
    dense = found if found.layout is lib.strided else found.to_dense()
    sparse_axes = None if found.layout is lib.strided else found.sparse_dim()
    return layout, dtype, sparse_axes, dense.tolist()


@pytest.mark.parametrize(
    "source",
    [
        "t.spmm(S, D)",
        "t.spmm(S.to_sparse_csr(), D)",
        "t.spmm(W, D)",
        "t.dsmm(S, D)",
        "t.hspmm(S, D)",
        "t.hsmm(S, D)",
        "t.smm(S, D)",
        "S.smm(D)",
        "t.sspaddmm(Q, Q, W, beta=2, alpha=0.5)",
        "t.saddmm(Q, Q, W)",
        "Q.sspaddmm(Q, W)",
        "t.sparse.FloatTensor(i, v)",
        "t.sparse.FloatTensor(i, v, t.Size([4, 3]))",
        "t.sparse.FloatTensor(i, v, [4, 3], device='cpu')",
        "t.sparse.FloatTensor(i, v.long())",
        "t.sparse.LongTensor(i, v.long(), (4, 3))",
        "t.sparse.DoubleTensor(2, 3)",
        "t.sparse.HalfTensor(t.Size([2, 3]))",
        "tuple(t.sparse.FloatTensor().shape)",
        "isinstance(S, t.sparse.FloatTensor)",
        "isinstance(S.double(), t.sparse.FloatTensor)",
        "isinstance(W, t.sparse.FloatTensor)",
        "isinstance(S.to_sparse_csr(), t.sparse.FloatTensor)",
        "S.double().type()",
        "S.type(t.sparse.DoubleTensor)",
        "repr(t.sparse.FloatTensor)",
    ],
)
def test_a_former_name_does_what_it_does_in_pytorch(source: str) -> None:
    assert _result(rushlight, source) == _result(torch, source)


@pytest.mark.parametrize(
    "source",
    [
        "t.smm(S, t.ones(2, 2))",
        "t.hspmm(S, t.ones(2, 2))",
        "t.smm(W, D)",
        "t.sparse.FloatTensor(i.float(), v)",
        "t.sparse.FloatTensor([[0], [1]], [1.0])",
        "t.sparse.FloatTensor(v)",
    ],
)
def test_what_pytorch_refuses_is_refused_by_the_same_kind_of_error(source: str) -> None:
    with pytest.raises(Exception) as theirs:
        eval(source, _parts(torch))
    with pytest.raises(theirs.type):
        eval(source, _parts(rushlight))


@pytest.mark.parametrize("name", ["spmm", "dsmm"])
def test_a_graph_convolution_in_former_names_learns_what_it_learns_in_pytorch(name: str) -> None:
    """Values of the adjacency matrix and the weights both get gradients."""
    found = []
    for lib in (rushlight, torch):
        values = lib.tensor([0.5, 1.0, 2.0, 1.5], requires_grad=True)
        weights = (lib.arange(6.0).reshape(3, 2) / 7).requires_grad_()
        adjacency = lib.sparse.FloatTensor(lib.tensor(PLACES), values, lib.Size([3, 3]))
        features = lib.eye(3) + 0.1
        hidden = lib.relu(getattr(lib, name)(adjacency, lib.mm(features, weights)))
        hidden.square().sum().backward()
        found.append([values.grad.tolist(), weights.grad.tolist()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)

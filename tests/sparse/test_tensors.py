"""Sparse tensors: values, text, layouts and errors beside PyTorch's."""

from __future__ import annotations

import copy
import io
import pickle
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:Sparse (CSR|invariant)", "ignore:Sparse .* tensor")


def _names(lib: ModuleType) -> dict[str, Any]:
    generator = np.random.default_rng(7)
    places = np.array([[0, 1, 1, 0, 3], [2, 0, 2, 2, 1]])
    named = {
        "t": lib,
        "F": lib.nn.functional,
        "S": lib.sparse_coo_tensor(lib.tensor(places), lib.tensor([3.0, 4, 5, 1, -2]), (4, 3)),
        "D": lib.arange(12.0).reshape(4, 3),
        "W": lib.tensor(generator.random((3, 2)).astype(np.float32)),
        "v": lib.tensor([1.0, 2, 3]),
        "i": lib.tensor(places),
        "H": lib.sparse_coo_tensor([[2, 0, 2]], lib.arange(6.0).reshape(3, 2), (3, 2)),
        "K": lib.sparse_coo_tensor([[0, 1], [1, 0], [1, 1]], [1, 2], (2, 2, 2)),
        "Q": lib.arange(4).reshape(2, 2).to_sparse(),
    }
    named["C"] = named["S"].coalesce()
    named["R"] = named["S"].to_sparse_csr()
    named["X"] = named["D"].to_sparse_csc()
    return named


# Printed alike, to the character.
TEXTS = """
S | C | R | X | H | K | Q | H.coalesce() | S.double() | S.int() | R.to(t.float64) | S * 0.5 | 2 * C | S / 2
D + S | S + S | C + C | C + C.neg() | S - S | D - S | R + R | R * 2 | D + R | S * S | C * C | S * D | D * S | t.mul(D, C)
R * R | t.add(D, S, alpha=2) | C.add(C, alpha=3) | S.neg() | -C | C.abs() | t.sqrt(C.abs()) | S.abs() | F.relu(S) | t.sin(C) | C.neg().trunc()
S.pow(2) | C ** 2 | S.sign() | t.isnan(S) | C.floor() | S.clone() | S.detach() | S.t() | C.T | S.mT | X.t() | R.t() | R.transpose(0, 1)
K.transpose(0, 2) | K.permute(2, 0, 1) | S.unsqueeze(0) | S.unsqueeze(-1) | S[0] | S[0, 2] | C[-1] | R[1] | K[0] | K[:, 1] | H[2]
S.select(1, 2) | S.index_select(1, t.tensor([2, 0, 2])) | C.index_select(0, t.tensor([3, 0])) | t.cat([S, S]) | t.cat([S, C], 1) | t.stack([C, C]) | t.cat([H, H], 1)
S @ W | R @ W | X.t() @ D | D.t() @ S | t.mm(S, W) | S @ v | t.mv(R, v) | t.matmul(S, W) | S.t() @ S | t.addmm(t.ones(4, 2), S, W) | t.addmm(t.ones(4, 2), S, W, beta=2, alpha=3)
t.sparse.mm(S, W) | t.sparse.mm(C.t(), C) | t.sparse.addmm(t.ones(4, 2), S, W, alpha=2) | t.sparse.mm(R, W, "mean") | t.sparse.mm(R, W, "amax") | t.sparse.mm(R, W, "amin")
t.sparse.sampled_addmm(R, t.ones(4, 2), W.t(), beta=2, alpha=3)
S.sum() | R.sum() | t.sum(S, 0) | S.sum(1) | t.sparse.sum(S) | t.sparse.sum(K, [0, 2]) | t.sparse.sum(H, 1) | t.sparse.sum(H, [0, 1]) | t.sparse.sum(Q) | S.norm() | S.any()
t.sparse.softmax(S, 1) | t.sparse.softmax(S, 0) | t.sparse.log_softmax(C, 0) | t.sparse.softmax(H.float(), 1) | t.sparse.softmax(K.float(), 1)
S.to_dense() | R.to_dense() | X.to_dense() | H.to_dense() | K.to_dense() | S.to_sparse() | R.to_sparse() | S.to_sparse_csc() | X.to_sparse_csr() | D.to_sparse() | D.to_sparse(1) | D.to_dense()
D.sparse_mask(C) | S.to_dense().to_sparse_csr() | t.zeros_like(S) | t.zeros(2, 3, layout=t.sparse_coo) | t.zeros(2, 3, layout=t.sparse_csr) | S.clone().zero_()
t.sparse_coo_tensor((2, 3)) | t.sparse_coo_tensor(i, [1., 2., 3., 4., 5.]) | t.sparse_coo_tensor([[0, 1]], t.ones(2, 2), (3, 2), dtype=t.float64) | t.sparse_coo_tensor(t.zeros(1, 0, dtype=t.long), t.zeros(0, 3))
t.sparse_coo_tensor(i, t.ones(5), requires_grad=True) | t.sparse_csr_tensor([0, 1, 3], [1, 0, 2], [1., 2., 3.]) | t.sparse_csc_tensor([0, 1, 3], [1, 0, 2], [1, 2, 3], (4, 2))
t.sparse_compressed_tensor([0, 1, 3], [1, 0, 2], [1., 2., 3.], layout=t.sparse_csr) | t.sparse.spdiags(t.arange(6.).reshape(2, 3), t.tensor([0, -1]), (3, 4)) | t.sparse.spdiags(t.ones(3), t.tensor([1]), (3, 3), layout=t.sparse_csr)
t.sparse_coo_tensor(t.arange(60).reshape(2, 30), t.linspace(0, 1, 30)) | C.indices() | C.values() | R.crow_indices() | R.col_indices() | X.ccol_indices() | X.row_indices() | S._indices() | S._values()
S._nnz() | S.is_coalesced() | C.is_coalesced() | (C * 2).is_coalesced() | (C + C).is_coalesced() | C.t().is_coalesced() | S.sum(0).is_coalesced() | S.is_sparse | R.is_sparse | R.is_sparse_csr | R.layout | S.layout | X.layout
H.sparse_dim() | H.dense_dim() | S.numel() | len(S) | S.shape | S.size(0) | S.dtype | S.device | S.dim() | S.stride() | S.is_contiguous() | S.requires_grad | D.layout | S.T.shape | R.sum(1, keepdim=True).shape
S.clone().add_(C).coalesce() | S.clone().mul_(2) | D.clone().add_(S) | C.clone().neg_() | S.clone().copy_(C) | C.clone().sqrt_() | type(S.to_dense()).__name__ | S.type() | S.t().contiguous().shape if False else 0
"""  # noqa: E501


@pytest.mark.parametrize(
    "expression", [x.strip() for x in TEXTS.replace("\n", "|").split("|") if x.strip()]
)
def test_prints_as_in_pytorch(expression: str) -> None:
    ours, theirs = (repr(eval(expression, _names(lib))) for lib in (rushlight, torch))
    assert ours == theirs


ERRORS = """
S + D | S - D | S / D | S.indices() | S.values() | R.indices() | D.indices() | D.coalesce() | D.is_coalesced() | D.values() | D.crow_indices() | D._nnz() | S.exp()
S == S | S > 0 | S.max() | S.view(12) | S.reshape(12) | S.numpy() | S.tolist() | S.item() | t.mm(S, S) | t.cat([S, D]) | S.data_ptr() | C.t().sin_() | R.sum(1) | H.transpose(0, 1) | S[9]
t.sparse_coo_tensor(i, t.ones(3), (4, 3)) | t.sparse_coo_tensor(i, t.ones(5), (4, 3, 2)) | t.sparse_coo_tensor(i, t.ones(5), (3, 3), check_invariants=True) | t.sparse_coo_tensor(i - 1, t.ones(5), (4, 3), check_invariants=True)
t.sparse_coo_tensor(i[0], t.ones(5)) | t.sparse_csr_tensor([0, 1, 4], [1, 0, 2], [1., 2., 3.], check_invariants=True) | t.sparse_csr_tensor([0, 2, 3], [1, 0, 2], [1., 2., 3.], check_invariants=True)
S.copy_(D) | S.sparse_mask(K) | t.sparse.mm(R, W, "median") | t.softmax(S, 1) | S.unsqueeze(5)
"""  # noqa: E501


@pytest.mark.parametrize(
    "expression", [x.strip() for x in ERRORS.replace("\n", "|").split("|") if x.strip()]
)
def test_raises_as_in_pytorch(expression: str) -> None:
    kinds = []
    for lib in (rushlight, torch):
        with pytest.raises(Exception) as raised:
            eval(expression, _names(lib))
        kinds.append(raised.type)
    assert kinds[0] is kinds[1]


def test_invariants_are_checked_where_asked() -> None:
    for lib in (rushlight, torch):
        checks = lib.sparse.check_sparse_tensor_invariants
        assert not checks.is_enabled()
        with checks(), pytest.raises(RuntimeError, match="found index"):
            assert checks.is_enabled()
            lib.sparse_coo_tensor([[0, 5]], [1.0, 2.0], (2,))
        checks.enable()
        assert checks.is_enabled()
        checks.disable()
        lib.sparse_coo_tensor([[0, 5]], [1.0, 2.0], (2,))


@pytest.mark.parametrize("name", ["S", "C", "R", "X", "H", "Q"])
def test_files_go_both_ways(name: str) -> None:
    ours, theirs = _names(rushlight)[name], _names(torch)[name]
    buffer = io.BytesIO()
    rushlight.save({"x": ours}, buffer)
    buffer.seek(0)
    assert repr(torch.load(buffer)["x"]) == repr(theirs)
    buffer.seek(0)
    assert repr(rushlight.load(buffer)["x"]) == repr(theirs)
    other = io.BytesIO()
    torch.save([theirs], other)
    other.seek(0)
    assert repr(rushlight.load(other)[0]) == repr(theirs)
    assert repr(pickle.loads(pickle.dumps(ours))) == repr(copy.deepcopy(ours)) == repr(theirs)


def test_files_with_places_outside_are_refused() -> None:
    wrong = rushlight.sparse_coo_tensor([[0, 9]], [1.0, 2.0], (2,))
    buffer = io.BytesIO()
    rushlight.save(wrong, buffer)
    buffer.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="do not fit"):
        rushlight.load(buffer)


def test_dtypes_follow_promotion() -> None:
    for lib in (rushlight, torch):
        s = lib.sparse_coo_tensor([[0, 1]], lib.tensor([1, 2], dtype=lib.int32), (3,))
        assert (s + s.to(lib.float64)).dtype is lib.float64
        assert (s * 1.5).dtype is lib.float32
        assert (lib.ones(3, dtype=lib.float64) + s).dtype is lib.float64
        assert (s / 2).dtype is lib.float32

"""Matrices of blocks hold, give and compute what PyTorch's do."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

MATRIX = np.zeros((4, 6), dtype=np.float32)
MATRIX[0, 1], MATRIX[1, 0], MATRIX[2, 5], MATRIX[3, 2] = 1.0, 2.0, 3.0, 4.0

# PyTorch says that its own are in beta.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Sparse (BSR|BSC|CSR|CSC) tensor support"),
    pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled"),
]


def of(m, layout="bsr", size=(2, 3)):
    return getattr(m.tensor(MATRIX), f"to_sparse_{layout}")(size)


def parts(x):
    names = ("crow_indices", "col_indices")
    if "bsc" in str(x.layout):
        names = ("ccol_indices", "row_indices")
    return [str(x.layout)[-3:], list(x.shape), x._nnz(),
            *[getattr(x, name)().tolist() for name in names], x.values().tolist()]  # fmt: skip


CASES = {
    "by rows": lambda m: parts(of(m)),
    "by columns": lambda m: parts(of(m, "bsc")),
    "to_sparse": lambda m: parts(m.tensor(MATRIX).to_sparse(layout=m.sparse_bsr, blocksize=(2, 2))),
    "dense again": lambda m: [of(m).to_dense().tolist(), of(m, "bsc").to_dense().tolist()],
    "transposed": lambda m: [parts(of(m).t()), parts(of(m, "bsc").transpose(0, 1))],
    "transposed to dense": lambda m: of(m).t().to_dense().tolist(),
    "times a matrix": lambda m: (of(m, size=(2, 2)) @ m.arange(12.0).view(6, 2)).tolist(),
    "times a vector": lambda m: (of(m, size=(2, 2)) @ m.arange(6.0)).tolist(),
    "shown": lambda m: repr(of(m)),
    "shown by columns": lambda m: repr(of(m, "bsc")),
    "made": lambda m: parts(
        m.sparse_bsr_tensor([0, 1, 2], [1, 0], m.arange(12.0).view(2, 2, 3), (4, 6))
    ),
    "made by columns": lambda m: parts(
        m.sparse_bsc_tensor([0, 1, 2], [1, 0], m.arange(12.0).view(2, 2, 3), (4, 6))
    ),
    "made by a layout": lambda m: parts(
        m.sparse_compressed_tensor(
            [0, 1], [1], m.ones(1, 2, 2), (2, 4), layout=m.sparse_bsr
        )
    ),
    "facts": lambda m: [of(m).dim(), of(m).is_sparse, str(of(m).dtype)[-7:], of(m).numel()],
    "other dtypes": lambda m: parts(of(m).to(m.float64)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_is_as_in_pytorch(name: str) -> None:
    mine, theirs = CASES[name](rl), CASES[name](torch)
    assert str(mine).replace("rushlight", "torch") == str(theirs)


def test_what_has_no_rule_for_blocks_takes_them_apart() -> None:
    x = of(rl)
    assert (x + x).to_dense().tolist() == (2 * MATRIX).tolist()
    assert x.to_sparse_csr().to_dense().tolist() == MATRIX.tolist()
    assert x.to_sparse_bsc((4, 2)).to_dense().tolist() == MATRIX.tolist()
    assert rl.sparse.mm(x, rl.eye(6)).tolist() == MATRIX.tolist()
    assert pickle.loads(pickle.dumps(x)).to_dense().tolist() == MATRIX.tolist()
    with pytest.raises(NotImplementedError, match="not written to"):
        x.mul_(2)


def test_gradients_reach_the_matrix_and_the_blocks() -> None:
    found = []
    for m in (rl, torch):
        values = m.arange(12.0).view(2, 2, 3).clone().requires_grad_()
        made = m.sparse_bsr_tensor([0, 1, 2], [1, 0], values, (4, 6))
        (made.to_dense() * m.arange(24.0).view(4, 6)).sum().backward()
        found.append(values.grad.tolist())
    assert found[0] == found[1]
    dense = rl.tensor(MATRIX, requires_grad=True)
    (dense.to_sparse_bsr((2, 3)) @ rl.ones(6, 1)).sum().backward()
    assert dense.grad.tolist() == [[1.0] * 3 + [0.0] * 3] * 2 + [[1.0] * 6] * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rl.ones(4, 6).to_sparse_bsr((3, 3)), "blocksize has two sizes that divide"),
        (lambda: rl.ones(4).to_sparse_bsr((2, 2)), "expected a matrix"),
        (lambda: rl.sparse_bsr_tensor([0, 1], [0], rl.ones(1, 2)), "values three"),
        (lambda: rl.sparse_bsr_tensor([0, 1], [0, 1], rl.ones(1, 2, 2)), "differ"),
        (lambda: rl.sparse_bsr_tensor([0, 1], [0], rl.ones(1, 2, 2), (3, 2)), "do not divide"),
        (lambda: rl.sparse_bsr_tensor([0, 1], [0], rl.ones(1, 2, 2), (4, 2)), "3 entries"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        make()

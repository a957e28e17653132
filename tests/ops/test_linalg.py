"""`rushlight.linalg` against PyTorch: values, gradients, errors."""

from __future__ import annotations

import pytest

import rushlight
from tests.ops.both import assert_agree, gradients

SQUARE = [[4.0, 1.0, -2.0], [0.5, 3.0, 1.0], [-1.0, 2.0, 5.0]]
TALL = [[1.0, 2.0], [-3.0, 0.5], [2.0, -1.0]]
SIDE = [[1.0, -1.0], [2.0, 0.5], [0.0, 3.0]]


def definite(a):
    """A positive definite matrix from any square one."""
    return a @ a.mT + 2 * a.new_ones(a.shape[-1]).diag()


FUNCTIONS = {
    "inv": lambda L, a: L.inv(a),
    "det": lambda L, a: L.det(a),
    "slogdet": lambda L, a: L.slogdet(a)[1],
    "solve": lambda L, a: L.solve(a, a.mT),
    "solve from the right": lambda L, a: L.solve(a, a.mT * 2, left=False),
    "cholesky": lambda L, a: L.cholesky(definite(a)),
    "upper cholesky": lambda L, a: L.cholesky(definite(a), upper=True),
    "eigenvalues": lambda L, a: L.eigvalsh(definite(a)),
    "singular values": lambda L, a: L.svdvals(a),
    "pinv": lambda L, a: L.pinv(a),
    "matrix power": lambda L, a: L.matrix_power(a, 5),
    "inverse power": lambda L, a: L.matrix_power(a, -2),
    "exponential": lambda L, a: L.matrix_exp(a / 3),
    "frobenius": lambda L, a: L.matrix_norm(a),
    "nuclear": lambda L, a: L.matrix_norm(a, "nuc"),
    "spectral": lambda L, a: L.matrix_norm(a, 2),
    "columns": lambda L, a: L.matrix_norm(a, 1),
    "rows": lambda L, a: L.norm(a, -float("inf")),
    "condition": lambda L, a: L.cond(a),
    "triangular": lambda L, a: L.solve_triangular(a, a.mT, upper=False),
    "unit triangular": lambda L, a: L.solve_triangular(a, a, upper=True, unitriangular=True),
    "r of qr": lambda L, a: L.qr(a)[1].abs(),
    "lu": lambda L, a: L.lu(a)[1] + L.lu(a)[2],
    "multi_dot": lambda L, a: L.multi_dot([a, a.mT, a]),
    "cross": lambda L, a: L.cross(a, a.mT),
    "vecdot": lambda L, a: L.vecdot(a, a.mT),
    "tensorinv": lambda L, a: L.tensorinv(a.reshape(3, 3, 1), ind=1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_matrices_and_their_slopes_agree_with_torch(name: str) -> None:
    assert_agree(lambda t: gradients(t, lambda a: FUNCTIONS[name](t.linalg, a), SQUARE), rtol=1e-8)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_batches_are_those_of_each_matrix(name: str) -> None:
    matrices = [SQUARE, [[2.0, 0.0, 1.0], [1.0, 3.0, 0.0], [0.5, -1.0, 4.0]]]
    if name in ("multi_dot", "rows", "tensorinv"):
        pytest.skip("takes one matrix")
    whole = FUNCTIONS[name](rushlight.linalg, rushlight.tensor(matrices, dtype=rushlight.float64))
    for index, matrix in enumerate(matrices):
        one = FUNCTIONS[name](rushlight.linalg, rushlight.tensor(matrix, dtype=rushlight.float64))
        assert rushlight.allclose(whole[index], one, rtol=1e-9, atol=1e-9)


CASES = {
    "lstsq": lambda t: t.linalg.lstsq(t.tensor(TALL), t.tensor(SIDE)).solution,
    "rank": lambda t: t.linalg.matrix_rank(t.tensor([[1.0, 2.0], [2.0, 4.0]])),
    "eigenvalues": lambda t: t.linalg.eigvals(t.tensor([[0.0, 1.0], [-1.0, 0.0]])).abs(),
    "vander": lambda t: t.linalg.vander(t.tensor([2.0, 3.0]), N=4),
    "cholesky_solve": lambda t: t.cholesky_solve(
        t.tensor(SIDE), t.linalg.cholesky(definite(t.tensor(SQUARE)))
    ),
    "lu_solve": lambda t: t.linalg.lu_solve(*t.linalg.lu_factor(t.tensor(SQUARE)), t.tensor(SIDE)),
    "inv_ex": lambda t: t.linalg.inv_ex(t.tensor(SQUARE)).info,
    "info of a singular matrix": lambda t: t.linalg.solve_ex(t.zeros(2, 2), t.ones(2)).info,
    "not square": lambda t: t.linalg.inv(t.tensor(TALL)),
    "integers": lambda t: t.linalg.det(t.tensor([[1, 2], [3, 4]])),
    "a vector": lambda t: t.linalg.qr(t.ones(3)),
    "singular": lambda t: t.linalg.inv(t.zeros(2, 2)).sum().item(),
    "not definite": lambda t: t.linalg.cholesky(-t.ones(1, 1)).item(),
    "unknown norm": lambda t: t.linalg.matrix_norm(t.ones(2, 2), 3),
    "empty": lambda t: (t.linalg.det(t.zeros(0, 0)), t.linalg.inv(t.zeros(2, 0, 0))),
}


@pytest.mark.parametrize("name", CASES)
def test_calls_agree_with_torch(name: str) -> None:
    assert_agree(CASES[name], rtol=1e-4)


def test_a_singular_matrix_is_reported_with_the_line_that_used_it() -> None:
    x = rushlight.linalg.inv(rushlight.zeros(2, 2))
    with pytest.raises(rushlight.linalg.LinAlgError, match=r"singular.*test_linalg\.py"):
        x.sum().item()


@pytest.mark.parametrize("full", [True, False])
def test_singular_vectors_rebuild_the_matrix(full: bool) -> None:
    a = rushlight.tensor(TALL, dtype=rushlight.float64)
    u, values, vh = rushlight.linalg.svd(a, full_matrices=full)
    assert rushlight.allclose((u[:, :2] * values) @ vh, a)

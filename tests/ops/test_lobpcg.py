"""Extreme eigenvalues that are found by multiplications are those of the whole decomposition."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl


def _matrix(size: int, seed: int = 0) -> np.ndarray:
    half = np.random.RandomState(seed).randn(size, size)
    return half @ half.T / size + np.diag(np.linspace(0, 5, size))


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype, near", [("float64", 1e-7), ("float32", 2e-3)])
def test_values_and_vectors_satisfy_the_equation(largest, dtype, near):
    rl.manual_seed(0)
    matrix = _matrix(30).astype(dtype)
    values, vectors = rl.lobpcg(rl.tensor(matrix), k=3, largest=largest)
    expected = np.linalg.eigvalsh(matrix)
    expected = expected[::-1][:3] if largest else expected[:3]
    np.testing.assert_allclose(values.numpy(), expected, rtol=near, atol=near)
    found = matrix @ vectors.numpy() - vectors.numpy() * values.numpy()
    assert np.abs(found).max() < 10 * near


def test_values_are_pytorchs_from_the_same_beginning():
    torch = pytest.importorskip("torch")
    matrix, begin = _matrix(24), np.random.RandomState(1).randn(24, 2)
    metric = np.diag(np.linspace(1, 2, 24))
    for options in ({}, {"B": metric}):
        ours = rl.lobpcg(
            rl.tensor(matrix), X=rl.tensor(begin), **{k: rl.tensor(v) for k, v in options.items()}
        )[0]
        theirs = torch.lobpcg(
            torch.tensor(matrix), X=torch.tensor(begin),
            **{k: torch.tensor(v) for k, v in options.items()},
        )[0]  # fmt: skip
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def test_batches_and_sparse_matrices():
    rl.manual_seed(0)
    matrices = np.stack([_matrix(12, seed) for seed in range(2)])
    values, vectors = rl.lobpcg(rl.tensor(matrices), k=2)
    assert vectors.shape == (2, 12, 2)
    np.testing.assert_allclose(values[:, 0].numpy(), np.linalg.eigvalsh(matrices)[:, -1], rtol=1e-6)
    sparse = rl.tensor(matrices[0]).to_sparse()
    np.testing.assert_allclose(rl.lobpcg(sparse, k=2)[0].numpy(), values[0].numpy(), rtol=1e-6)


def test_gradients_are_those_of_the_decomposition():
    matrix = rl.tensor(_matrix(12), requires_grad=True)
    values, vectors = rl.lobpcg(matrix, k=2)
    values.sum().backward()
    expected = (vectors @ vectors.mT).detach()
    assert rl.allclose(matrix.grad, expected, atol=1e-8)


def test_a_matrix_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="3 x"):
        rl.lobpcg(rl.eye(5), k=2)

"""Sampling at the places of a grid, and affine grids, equal PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

MODES = [
    (mode, padding)
    for mode in ("bilinear", "nearest", "bicubic")
    for padding in ("zeros", "border", "reflection")
]


def sampled(library: Any, x: np.ndarray, grid: np.ndarray, **keywords: Any) -> list[np.ndarray]:
    """Values, and gradients of input and grid."""
    input = library.from_numpy(x.copy()).requires_grad_()
    places = library.from_numpy(grid.copy()).requires_grad_()
    values = library.nn.functional.grid_sample(input, places, **keywords)
    (values * values).sum().backward()
    # Where nothing depends on the places smoothly there is no gradient; PyTorch gives zeros.
    slope = np.zeros(grid.shape) if places.grad is None else places.grad.numpy()
    return [values.detach().numpy(), input.grad.numpy(), slope]


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("mode", "padding_mode"), MODES)
@pytest.mark.parametrize("rank", [2, 3])
def test_samples_and_gradients_equal_torch(
    rank: int, mode: str, padding_mode: str, align_corners: bool
) -> None:
    if mode == "bicubic" and rank == 3:
        pytest.skip("bicubic takes images only")
    draw = np.random.default_rng(0)
    x = draw.normal(size=(2, 3, 4, 5, 3)[: 2 + rank])
    grid = draw.uniform(-1.6, 1.6, size=(2, 3, 2, 4)[: 1 + rank] + (rank,))
    keywords = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    ours, theirs = (sampled(library, x, grid, **keywords) for library in (rl, torch))
    for found, expected in zip(ours, theirs):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 3, 3, 4, 5), (1, 1, 1, 4)])
@pytest.mark.filterwarnings("ignore:.*affine_grid behavior has changed.*")
def test_affine_grids_equal_torch(size: tuple[int, ...], align_corners: bool) -> None:
    rank = len(size) - 2
    theta = np.random.default_rng(1).normal(size=(size[0], rank, rank + 1))
    found, expected = (
        library.nn.functional.affine_grid(library.from_numpy(theta), size, align_corners)
        for library in (rl, torch)
    )
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-15)


def test_unknown_modes_and_misfits_are_refused() -> None:
    x, grid = rl.zeros(1, 1, 2, 2), rl.zeros(1, 2, 2, 2)
    sample = rl.nn.functional.grid_sample
    with pytest.raises(ValueError, match=r"expected mode to be 'bilinear'"):
        sample(x, grid, "cubic")
    with pytest.raises(RuntimeError, match=r"to have same dtype"):
        sample(x, grid.double(), align_corners=False)
    with pytest.raises(RuntimeError, match=r"size 2 in last dimension"):
        sample(x, rl.zeros(1, 2, 2, 3), align_corners=False)
    with pytest.warns(UserWarning, match=r"Default grid_sample and affine_grid behavior"):
        sample(x, grid)
    with pytest.raises(ValueError, match=r"Expected a batch of 2D affine matrices"):
        rl.nn.functional.affine_grid(rl.zeros(1, 3, 3), (1, 1, 2, 2), False)

"""Fractional max pooling takes the windows that PyTorch takes, given or drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")


def run(library: Any, function: str, x: np.ndarray, **keywords: Any) -> list[np.ndarray]:
    """Values, places and the gradient of the sum of squares."""
    input = library.from_numpy(x.copy()).requires_grad_()
    pool = getattr(library.nn.functional, function)
    values, places = pool(input, 2, return_indices=True, **keywords)
    (values * values).sum().backward()
    return [values.detach().numpy(), places.numpy(), input.grad.numpy()]


@pytest.mark.parametrize(
    ("function", "shape", "keywords"),
    [
        ("fractional_max_pool2d", (2, 3, 8, 7), {"output_size": (4, 3)}),
        ("fractional_max_pool2d", (3, 8, 7), {"output_ratio": (0.6, 0.5)}),
        ("fractional_max_pool2d", (2, 3, 8, 7), {"output_size": 1}),
        ("fractional_max_pool3d", (2, 3, 6, 8, 7), {"output_ratio": (0.5, 0.6, 0.7)}),
    ],
)
def test_values_places_and_gradients_equal_torch(
    function: str, shape: tuple, keywords: Any
) -> None:
    x = np.random.default_rng(1).normal(size=shape)
    rl.manual_seed(3)
    torch.manual_seed(3)
    for found, expected in zip(
        run(rl, function, x, **keywords), run(torch, function, x, **keywords)
    ):
        np.testing.assert_array_equal(found, expected)


def test_sizes_are_needed_and_must_fit() -> None:
    x = rl.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match="requires specifying either an output_size"):
        rl.nn.functional.fractional_max_pool2d(x, 2)
    with pytest.raises(RuntimeError, match="need an input of at least 5, got 4"):
        rl.nn.functional.fractional_max_pool2d(x, 2, output_size=4)

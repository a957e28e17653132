"""Convolutions of single channels, in any size, and the gradients of their weights."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.base.config import config

# batch, channels, height, width, kernel, stride, padding, dilation, outputs for each channel
SIZES = [
    (2, 6, 9, 11, 3, 1, 1, 1, 1), (2, 70, 16, 16, 3, 2, 1, 1, 1), (3, 33, 8, 8, 5, 1, 2, 1, 2),
    (1, 5, 12, 7, 3, 1, 2, 2, 1), (2, 64, 7, 3, 3, 2, 1, 1, 1), (2, 6, 19, 21, 5, 2, 0, 1, 1),
    (2, 6, 19, 70, 7, 2, 3, 1, 1), (1, 4, 30, 30, 11, 1, 3, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients_are_pytorchs(sizes, monkeypatch) -> None:
    monkeypatch.setattr(config, "executor", "compiled")
    batch, channels, height, width, kernel, stride, padding, dilation, outputs = sizes
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, channels, height, width)).astype(np.float32)
    w = rng.standard_normal((channels * outputs, 1, kernel, kernel)).astype(np.float32)
    found, seed = [], None
    fallbacks = rl.stats()["fallbacks"]
    for library, functional in ((torch, torch.nn.functional), (rl, F)):
        a = library.tensor(x, requires_grad=True)
        b = library.tensor(w, requires_grad=True)
        result = functional.conv2d(a, b, None, stride, padding, dilation, channels)
        if seed is None:
            seed = rng.standard_normal(tuple(result.shape)).astype(np.float32)
        result.backward(library.tensor(seed))
        found.append([t.detach().numpy() for t in (result, a.grad, b.grad)])
    for theirs, ours in zip(*found):
        np.testing.assert_allclose(ours, theirs, rtol=3e-4, atol=3e-4)
    assert rl.stats()["fallbacks"] == fallbacks

"""Running one function on rushlight and on PyTorch, and comparing what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")


def flat(value: Any) -> list:
    """Tensors of a nested result as arrays, with keys and numbers in between."""
    if isinstance(value, dict):
        return [item for key in sorted(value) for item in (key, *flat(value[key]))]
    if isinstance(value, (tuple, list)):
        return [item for part in value for item in flat(part)]
    if hasattr(value, "detach"):
        return [value.detach().numpy()]
    return [value]


def same(function: Any, *arrays: Any, rtol: float = 1e-9, atol: float = 1e-12) -> None:
    """`function(module, *tensors)` gives the same on both."""
    found = []
    for module in (rl, torch):
        tensors = [module.from_numpy(np.array(a)) for a in arrays]
        found.append(flat(function(module, *tensors)))
    ours, theirs = found
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        if isinstance(b, np.ndarray):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
        else:
            assert a == (pytest.approx(b) if isinstance(b, float) else b)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Double-precision numbers between -1 and 1."""
    return np.random.default_rng(seed).uniform(-1, 1, shape)

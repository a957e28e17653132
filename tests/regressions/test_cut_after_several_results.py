"""A tape may be cut right after an operation of several results that was computed before."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.base.config import config


def test_a_cut_after_a_repeated_factorisation_keeps_its_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(config, "node_cap", 9)
    values = np.random.default_rng(2).uniform(-1, 1, (3, 4))
    for _ in range(2):
        x = rl.from_numpy(values.copy()) * 1.0
        first = rl.linalg.svd(x, full_matrices=False)
        second = rl.linalg.svd(x, full_matrices=False)
        rl.synchronize()
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(first, second))

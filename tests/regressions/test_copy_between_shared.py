"""Copying between tensors whose memory NumPy shares."""

from __future__ import annotations

import numpy as np

import rushlight as rl


def test_memory_shared_with_numpy_takes_a_tensor_that_numpy_shares() -> None:
    source = np.arange(3.0)
    target = rl.zeros(3, dtype=rl.float64)
    seen = target.numpy()
    target.copy_(rl.from_numpy(source))
    assert seen.tolist() == [0.0, 1.0, 2.0]

"""Windows are rounded at the steps where PyTorch rounds them."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("length", [1, 2, 7, 64, 400])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "bartlett"])
def test_a_window_is_within_a_rounding_of_the_cosine(name, dtype, length, periodic):
    mine, theirs = [
        getattr(lib, f"{name}_window")(length, periodic, dtype=getattr(lib, dtype)).numpy()
        for lib in (rushlight, torch)
    ]
    # Of values up to 1: the cosine's last bit, not each step's.
    assert np.abs(mine - theirs).max() <= np.finfo(dtype).eps
    if name == "bartlett":
        np.testing.assert_array_equal(mine, theirs)


def test_blackmans_ends_are_what_float32_makes_of_the_sum():
    assert rushlight.blackman_window(4)[0].item() == torch.blackman_window(4)[0].item()

"""Single numbers beside arrays of one and beside PyTorch: the same bits, the same stream."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.rng import single
from rushlight.rng.continuous import uniform
from rushlight.rng.discrete import integers
from rushlight.rng.mt19937 import MersenneTwister

BOUNDS = [
    (0.0, 1.0),
    (0.08, 1.0),
    (-0.2876821, 0.2876821),
    (0.5, 0.5),
    (-3.0, 1e6),
    (1.0, 1.0000001),
]


@pytest.mark.parametrize("bounds", BOUNDS)
def test_a_uniform_number_has_the_bits_of_an_array_of_one(bounds):
    alone, array = MersenneTwister(5), MersenneTwister(5)
    for _ in range(700):
        assert single.uniform(alone, *bounds) == float(uniform(array, 1, "float32", *bounds)[0])
    np.testing.assert_array_equal(alone.state_bytes(), array.state_bytes())


def test_a_number_is_rounded_once():
    """97 * 257 * 673 = 2**24 + 1: in double precision the low bound is lost and a tie remains."""

    class Engine:
        def word(self) -> int:
            return 97 * 257

    assert single.uniform(Engine(), 2.0**-60, 673.0) == 1 + 2.0**-23


@pytest.mark.parametrize("bounds", [(0, 1), (-7, 40), (3, 3 + (1 << 28)), (-(1 << 40), 1 << 40)])
def test_a_whole_number_is_that_of_an_array_of_one(bounds):
    alone, array = MersenneTwister(9), MersenneTwister(9)
    for _ in range(700):
        assert single.integer(alone, *bounds) == int(integers(array, 1, "int64", *bounds)[0])
    np.testing.assert_array_equal(alone.state_bytes(), array.state_bytes())


def test_exponentials_are_the_nearest_float32():
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).uniform(-1.2, 1.2, 2000).astype("float32")
    theirs = torch.exp(torch.from_numpy(values)).numpy()
    ours = np.array([single.exponential(float(v)) for v in values], "float32")
    assert (ours == theirs).mean() > 0.97
    assert np.abs(ours.view("int32") - theirs.view("int32")).max() <= 1

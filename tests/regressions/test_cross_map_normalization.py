"""`CrossMapLRN2d` gave the values of `LocalResponseNorm`, which PyTorch's class does not."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.autograd.gradcheck import gradcheck
from tests.ops.both import assert_agree


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
def test_the_values_are_pytorchs(size: int, channels: int) -> None:
    """Windows of an even size too, and those that reach beyond the channels."""
    x = np.random.default_rng(0).standard_normal((2, channels, 2, 3))
    assert_agree(lambda t: t.nn.CrossMapLRN2d(size, alpha=0.5, beta=0.6, k=2)(t.tensor(x)))


def test_only_images_are_taken() -> None:
    assert_agree(lambda t: t.nn.CrossMapLRN2d(3)(t.ones(2, 3, 4)))


@pytest.mark.parametrize("size", [3, 4])
def test_the_gradient_is_that_of_the_values(size: int) -> None:
    """PyTorch's is not, by its `gradcheck`: it sums over a window one channel off."""
    x = rl.randn(1, 6, 2, 1, dtype=rl.float64, requires_grad=True)
    assert gradcheck(rl.nn.CrossMapLRN2d(size, alpha=0.5), (x,))

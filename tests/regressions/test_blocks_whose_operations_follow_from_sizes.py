"""The derivative of a running product takes as many rounds as its length has digits: of other
lengths it is another program, and what was recorded for one says nothing of the next."""

import numpy as np
import pytest

import rushlight as rl
from rushlight.base.config import config


@pytest.mark.parametrize("lengths", [(4, 9, 17, 3, 9, 33), (2, 3, 4, 5, 6, 7, 8, 9, 4)])
def test_the_derivative_of_cumprod_at_many_lengths(lengths, monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    for length in lengths:
        numbers = np.linspace(0.5, 1.5, length, dtype=np.float32)
        x = rl.tensor(numbers, requires_grad=True)
        x.cumprod(0).sum().backward()
        products = np.cumprod(numbers.astype(np.float64))
        wanted = [products[place:].sum() / n for place, n in enumerate(numbers)]
        np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-5)

"""Methods that write in place are functions of the top level where PyTorch has them there."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.ops.functions import FUNCTIONS_OF_METHODS


def test_each_is_one_of_pytorchs():
    torch = pytest.importorskip("torch")
    assert all(callable(getattr(torch, name)) for name in FUNCTIONS_OF_METHODS)
    assert all(callable(getattr(rl, name)) for name in FUNCTIONS_OF_METHODS)


def test_they_write_to_their_argument():
    x = rl.tensor([-2.0, 3.0])
    assert rl.clamp_(x, min=0) is x and x.tolist() == [0, 3]
    assert rl.fill_(x, 4.0) is x and rl.sqrt_(x) is x and x.tolist() == [2, 2]

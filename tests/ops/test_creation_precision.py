"""Python numbers keep their precision on the way to a given dtype."""

from __future__ import annotations

import pytest

import rushlight


@pytest.mark.parametrize("data", [0.1, [0.1, 0.2], [[0.1], [1]]])
def test_a_float64_tensor_holds_python_floats_exactly(data):
    made = rushlight.tensor(data, dtype=rushlight.float64)
    assert made.tolist() == data


def test_a_complex128_tensor_holds_python_numbers_exactly():
    assert rushlight.tensor([0.1 + 0.2j], dtype=rushlight.complex128).tolist() == [0.1 + 0.2j]


def test_large_integers_reach_float64_unharmed():
    assert rushlight.tensor([2**40 + 1, 0.5], dtype=rushlight.float64)[0].item() == 2**40 + 1

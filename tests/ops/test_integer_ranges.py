"""Ranges and filled tensors in every integer and 16-bit dtype, rising and falling: PyTorch's."""

from __future__ import annotations

import math

import pytest

from tests.ops.both import assert_agree

INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]
DTYPES = [*INTEGERS, "float16", "bfloat16"]
LINES = [
    (254, 2, 10), (2, 254, 10), (255, 0, 256), (10, 0, 4), (-10, 10, 7), (10, -10, 7), (0, 1, 5),
    (5, 5, 3), (0, 100, 1), (0, 100, 0), (127, -128, 11), (1.5, 9.7, 5), (9.7, 1.5, 5),
    (1000, 0, 7), (3, 7, 100), (0, 2**40, 5),
]  # fmt: skip
STEPS = [
    (10, 0, -3), (254, 2, -28), (0, 1, 0.1), (1, 0, -0.1), (0.5, 5.5), (0, 2.5), (5, -5, -2.5),
    (0.3, 3.1, 0.7), (0, 300, 100), (200, -60, -40), (1, 1), (0, 2049, 1), (0, 5, 0), (0, -1),
]  # fmt: skip
NUMBERS = [0, -1, 255, 256, -128, 300, 1.5, -1.5, 70000, 1e30, 2**40, math.inf, math.nan, True]


@pytest.mark.parametrize("dtype", DTYPES)
def test_linspace_is_pytorchs(dtype):
    for line in LINES:
        if dtype.startswith(("f", "b")) and line[0] < 0 < line[1]:
            continue  # PyTorch's middle is not 0
        if dtype.startswith(("f", "b")) and line[1] < 0 < line[0]:
            continue
        assert_agree(lambda t, line=line: t.linspace(*line, dtype=getattr(t, dtype)))
    assert_agree(lambda t: t.linspace(254, 2, 10, out=t.zeros(10, dtype=getattr(t, dtype))))


@pytest.mark.parametrize("dtype", DTYPES)
def test_logspace_is_pytorchs(dtype):
    for line in [(0, 3, 4), (3, 0, 4), (0, 7, 8, 2), (7, 0, 8, 2), (0, 4, 5, -2.0), (1, 5, 5, 0.5)]:
        assert_agree(lambda t, line=line: t.logspace(*line, dtype=getattr(t, dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_arange_is_pytorchs(dtype):
    for steps in STEPS:
        assert_agree(lambda t, steps=steps: t.arange(*steps, dtype=getattr(t, dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_does_not_fit_is_refused_as_in_pytorch(number, dtype):
    assert_agree(lambda t: t.full((2,), number, dtype=getattr(t, dtype)))
    assert_agree(lambda t: t.full_like(t.zeros(2, dtype=getattr(t, dtype)), number))
    assert_agree(lambda t: t.zeros(2, dtype=getattr(t, dtype)).new_full((2,), number))
    assert_agree(lambda t: t.zeros(2, dtype=getattr(t, dtype)).fill_(number))
    assert_agree(lambda t: t.tensor([number, 0], dtype=getattr(t, dtype)))

    def assigned(t):
        x = t.zeros(2, dtype=getattr(t, dtype))
        x[0] = number
        return x

    assert_agree(assigned)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_vander_of_integers_is_int64(dtype):
    assert_agree(lambda t: t.vander(t.tensor([1, 2, 9], dtype=getattr(t, dtype))))

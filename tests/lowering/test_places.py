"""Where kernels find the elements of what they read."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from tests.lowering.executors import compare, run


@pytest.mark.parametrize("shape", [(1, 8), (8, 1), (1, 1, 8), (2, 1, 4), (1, 8, 1)])
def test_a_strided_window_among_axes_of_size_one(shape) -> None:
    def program():
        x = rl.tensor(np.arange(40.0).reshape(40))
        window = x.as_strided(shape, tuple(range(3, 3 + len(shape))), 2)
        return [window + 1, (window * 2).transpose(0, 1) * 3]

    compare(program)


def test_a_number_written_to_a_zero_dimensional_tensor_has_memory_of_its_own() -> None:
    def program():
        rate = rl.tensor(0.01)
        x = rl.ones(3)
        kept = []
        for step in range(6):
            if step == 3:
                rate.fill_(0.1)
            x = x - rate * 2
            kept.append(rl.tensor(x.numpy().copy()))
        return kept

    compare(program)
    assert run(program, "compiled")[1]


def test_one_element_in_several_axes_moves_to_itself() -> None:
    def program():
        x = rl.tensor([[2.0]])
        return [rl.where((x != 0).T, x * 3, 1.0).T + x, x.T.exp().T * x]

    compare(program, rtol=5e-7)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("source", ["float32", "float64", "bfloat16"])
def test_floats_beyond_an_integer_type_wrap_around(dtype, source) -> None:
    def program():
        numbers = [300.7, -300.7, 3e9, -3e9, 1e30, -1e30, float("nan"), float("inf"), 0.5]
        return [rl.tensor(numbers).to(getattr(rl, source)).to(getattr(rl, dtype))]

    compare(program)

"""Numbers that entered before are those that would be made anew: type, sign of zero, rounding."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from rushlight.base.dtypes import narrow
from rushlight.tensor import tensor as tensors
from rushlight.tensor.tensor import scalar_node

NUMBERS = [1, 1.0, True, 0, 0.0, -0.0, False, 2.5, -3, 1 << 40, 0.1, 1e-45, 3e38]
# In another order, equal keys of other types come first.
ORDERS = [NUMBERS, NUMBERS[::-1]]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [rushlight.float32, rushlight.float64, rushlight.int64])
def test_a_known_number_is_what_narrowing_gives(dtype, order, monkeypatch) -> None:
    monkeypatch.setitem(tensors._known_numbers, dtype, {})
    for number in [*order, *order]:
        found, wanted = np.asarray(scalar_node(number, dtype).value), narrow(number, dtype)
        assert (found.dtype, found.shape) == (np.asarray(wanted).dtype, ())
        assert found.tobytes() == np.asarray(wanted).tobytes(), number


def test_only_so_many_numbers_are_known(monkeypatch) -> None:
    monkeypatch.setitem(tensors._known_numbers, rushlight.float32, {})
    x = rushlight.ones(1)
    for number in range(1, 3000):
        assert (x * (number + 0.5)).item() == number + 0.5
    assert len(tensors._known_numbers[rushlight.float32]) == tensors._MOST_NUMBERS

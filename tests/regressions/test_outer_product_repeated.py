"""An outer product repeated along a new axis: the inner loop has more axes than its operands."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl


@pytest.mark.parametrize("shape", [(3, 1, 5, 5), (3, 5, 5), (1, 3, 1, 5, 5), (2, 1, 1, 5, 5)])
def test_an_outer_product_repeated_along_a_new_axis_is_itself(shape: tuple[int, ...]) -> None:
    # An axis of size 1 before the inner ones: three axes make the inner loop, the product has two.
    a = rl.arange(1.0, 6.0)
    a = a / a.sum()
    found = ((a[:, None] * a[None, :]).expand(shape) * 2.0).numpy()
    b = np.arange(1.0, 6.0) / 15
    assert np.allclose(found, np.broadcast_to(2 * np.outer(b, b), shape))

"""A float outside of an integer's range becomes what the same float becomes by itself."""

import numpy as np
import pytest

import rushlight as rl

EDGES = [0.0, -0.0, 1.5, -1.5, 2.0**31, -(2.0**31) - 256, 2.0**62, 2.0**63, -(2.0**63), -(2.0**64),
         np.inf, -np.inf, np.nan, 255.75, -3.0, 1e-40, 3e38]  # fmt: skip


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "int8", "uint8"])
@pytest.mark.parametrize("source", [np.float32, np.float64])
def test_a_vector_of_floats_is_converted_as_each_of_them(source, dtype):
    given = np.array(EDGES * 5, source)
    together = rl.tensor(given).to(getattr(rl, dtype)).numpy()
    alone = [rl.tensor(x).to(getattr(rl, dtype)).item() for x in given[: len(EDGES)]]
    np.testing.assert_array_equal(together, np.array(alone * 5, together.dtype))
    inside = np.isfinite(given) & (np.abs(given) < 2.0**63)
    whole = given[inside].astype(np.int64).astype(together.dtype)
    np.testing.assert_array_equal(together[inside], whole)

"""Sigmoid and tanh of recurrent gates are as exact as those of other kernels."""

import numpy as np
import pytest

from rushlight.codegen.gates import gate_sigmoid, gate_tanh
from rushlight.codegen.math import FUNCTIONS, MAX_ULP
from tests.codegen.run_kernel import TARGETS
from tests.codegen.test_math_accuracy import WIDE, float32_grid, run, ulp_error

GATES = {"sigmoid": gate_sigmoid, "tanh": gate_tanh}


def inputs(dtype):
    """Numbers of every size; in float64 fewer than float32 has."""
    if dtype == "float32":
        return float32_grid(5003)
    sizes = 10.0 ** np.random.default_rng(3).uniform(-30, 3, 4000)
    return np.concatenate([sizes, -sizes, np.linspace(-40, 40, 4001)])


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: str(t.vector_bytes))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(GATES))
def test_gate_is_within_the_error_of_its_function(name, dtype, target, monkeypatch):
    monkeypatch.setitem(FUNCTIONS, name, GATES[name])
    x = inputs(dtype)
    actual = run(name, dtype, target, x)
    with np.errstate(all="ignore"):
        wide = np.longdouble if dtype == "float64" else np.float64
        expected = WIDE[name](x.astype(wide))
    # A sigmoid stays where it is normal.
    most = {"float32": 87, "float64": 708}[dtype]
    tail = (x < -most) & (name == "sigmoid")
    assert (actual[tail] < 2 * np.finfo(dtype).tiny).all() and (actual[tail] > 0).all()
    worst = ulp_error(actual[~tail], expected[~tail], np.dtype(dtype)).max()
    assert worst <= MAX_ULP[name][dtype == "float64"]


@pytest.mark.parametrize("name", sorted(GATES))
def test_gate_of_nan_and_infinity(name, monkeypatch):
    monkeypatch.setitem(FUNCTIONS, name, GATES[name])
    x = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    found = run(name, "float32", TARGETS[0], x)
    ends = {"sigmoid": [1, 0, 0.5], "tanh": [1, -1, 0]}[name]
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], ends, atol=1e-37)

"""`polygamma` took one round of the whole array for each unit below 0: hours for -1e9.

Known values decide here, since PyTorch's float32 results have two to seven correct digits, and its
`trigamma` ten in float64.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import rushlight as rl
from tests.ops.both import assert_agree

ZETA_3 = 1.2020569031595942
EULER = 0.5772156649015329
KNOWN = [
    (0, 1.0, -EULER), (0, 0.5, -EULER - 2 * math.log(2)), (0, -0.5, 2 - EULER - 2 * math.log(2)),
    (1, 1.0, math.pi**2 / 6), (1, 0.5, math.pi**2 / 2), (1, -0.5, math.pi**2 / 2 + 4),
    (1, -1.5, math.pi**2 / 2 + 4 + 4 / 9), (2, 1.0, -2 * ZETA_3), (2, 0.5, -14 * ZETA_3),
    (2, -0.5, -14 * ZETA_3 + 16), (3, 1.0, math.pi**4 / 15), (3, 0.5, math.pi**4),
    (3, -0.5, math.pi**4 + 96), (4, 0.5, -24 * 31 * 1.03692775514337),
    (4, -0.5, -24 * 31 * 1.03692775514337 + 24 * 32),
]  # fmt: skip


@pytest.mark.parametrize("order, x, expected", KNOWN)
def test_known_values(order: int, x: float, expected: float) -> None:
    assert rl.polygamma(order, rl.tensor(x, dtype=rl.float64)).item() == pytest.approx(
        expected, rel=1e-13
    )


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_a_float32_result_is_the_rounded_float64_one(order: int) -> None:
    x = rl.linspace(-20.03, 30.0, 1001)
    ours = rl.polygamma(order, x)
    changed = x.clone().polygamma_(order)
    assert ours.equal(changed)
    assert ours.equal(rl.polygamma(order, x.double()).float())


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_far_below_zero_only_the_distance_to_a_pole_matters(order: int) -> None:
    """The limit of psi_n(x) as x = -k - 1/2 goes down: psi_n(1 - x) vanishes."""
    far = rl.polygamma(order, rl.tensor([-1e9 - 0.5, -1e12 - 0.5], dtype=rl.float64))
    limit = {1: math.pi**2, 2: 0.0, 3: 2 * math.pi**4, 4: 0.0}[order]
    np.testing.assert_allclose(far.numpy(), limit, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("order", [5, 10, 20, 60])
def test_high_orders_are_pytorchs(order: int) -> None:
    x = [-0.3, -2.75, -7.4, -0.25]
    scale = float(math.factorial(order))
    assert_agree(lambda t: t.polygamma(order, t.tensor(x, dtype=t.float64)) / scale, rtol=1e-11)


@pytest.mark.parametrize("order", [2, 10, 20, 60])
def test_halfway_between_two_poles_an_even_order_is_symmetric(order: int) -> None:
    """psi_n(-7.5) = psi_n(8.5): the cotangent is 0, of which high orders would make much."""
    below, above = rl.polygamma(order, rl.tensor([-7.5, 8.5], dtype=rl.float64)).tolist()
    assert below == above


@pytest.mark.parametrize("order", [1, 2, 3])
def test_poles_and_ends(order: int) -> None:
    x = rl.tensor([0.0, -1.0, -1e30, math.inf, -math.inf, math.nan], dtype=rl.float64)
    pole = math.inf if order % 2 else -math.inf
    expected = [pole, pole, pole, 0.0, math.nan, math.nan]
    np.testing.assert_array_equal(rl.polygamma(order, x).numpy(), expected)

"""Integer power, greatest common divisors and neighboring floats against the reference rules."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import rushlight as rl
from rushlight.primitives import elementwise
from tests.lowering.executors import compare

SIGNED = ("int64", "int32", "int16", "int8")


def pairs(dtype: str, highest: int | None = None) -> list:
    """All pairs of edges and small numbers, and random ones."""
    limits = np.iinfo(dtype)
    edges = {limits.min, limits.min + 1, limits.max, limits.max - 1, *range(13)}
    edges |= {-n for n in range(1, 8) if limits.min < 0}
    first, second = np.array(list(itertools.product(sorted(edges), repeat=2)), dtype=dtype).T
    rng = np.random.default_rng(2)
    more = rng.integers(limits.min, limits.max, (2, 1000), dtype=dtype, endpoint=True)
    both = [np.concatenate([first, more[0]]), np.concatenate([second, more[1]])]
    if highest is not None:
        both[1] = np.minimum(both[1], highest).astype(dtype)
    return [rl.tensor(np.ascontiguousarray(a)) for a in both]


@pytest.mark.parametrize("dtype", [*SIGNED, "uint8"])
def test_power_wraps_around_and_truncates_reciprocals(dtype) -> None:
    compare(lambda: [elementwise.power(*pairs(dtype)), pairs(dtype)[0] ** 3])


@pytest.mark.parametrize("dtype", [*SIGNED, "uint8"])
def test_greatest_common_divisor(dtype) -> None:
    compare(lambda: [elementwise.gcd(*pairs(dtype)), rl.lcm(*pairs(dtype))])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_next_float(dtype) -> None:
    smallest = np.finfo(dtype).smallest_subnormal
    numbers = [0.0, -0.0, 1.0, -1.0, 1.5, smallest, -smallest, np.inf, -np.inf, np.nan,
               np.finfo(dtype).max, np.finfo(dtype).tiny, -np.finfo(dtype).tiny]  # fmt: skip
    first, second = np.array(list(itertools.product(numbers, repeat=2)), dtype).T

    def program():
        x, y = (rl.tensor(np.ascontiguousarray(a)) for a in (first, second))
        found = elementwise.nextafter(x, y)
        return [found, rl.signbit(found)]

    compare(program)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_gamma_functions(dtype) -> None:
    x = np.concatenate([np.linspace(-5.3, 12, 500), [0.0, -0.0, -1, -3, np.inf, -np.inf, np.nan]])

    def program():
        given = rl.tensor(x).to(getattr(rl, dtype))
        return [rl.lgamma(given), rl.digamma(given)]

    tolerance = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}[dtype]
    compare(program, rtol=tolerance, atol=tolerance)

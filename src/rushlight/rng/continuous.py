"""Uniform, exponential, Cauchy and log-normal numbers (level 1).

In: a generator, a count, a dtype name and the distribution's numbers. Out: a flat array.
Invariant: everything but the narrow uniforms is computed in double precision with the C library's
functions and cast once at the end, as PyTorch does.
"""

from __future__ import annotations

import math

import numpy as np

from rushlight.rng import machine, rounding
from rushlight.rng.mt19937 import MersenneTwister
from rushlight.rng.normal import libm, standard_pairs


def uniform(
    generator: MersenneTwister, count: int, dtype: str, low: float = 0.0, high: float = 1.0
) -> np.ndarray:
    """`count` numbers of `dtype`, uniform in [low, high).  Source: at::uniform_ on CPU."""
    # The half types compute with the bounds in float32 and round once at the end.
    bound_dtype = "float64" if dtype == "float64" else "float32"
    low = rounding.round_number(low, bound_dtype)
    high = rounding.round_number(high, bound_dtype)
    span = rounding.round_number(high - low, bound_dtype)
    if dtype in ("float32", "float64") and (low, high) != (0.0, 1.0) and machine.is_worth(count):
        return _between_by_machine(generator, count, dtype, low, span, high)
    if dtype == "float64":
        values = generator.doubles(count)
        if (low, high) == (0.0, 1.0):
            return values
        values = rounding.fused_multiply_add_f64(values, span, low)
    else:
        values = generator.floats(count)
        if (low, high) == (0.0, 1.0) and dtype == "float32":
            return values
        values = rounding.fused_multiply_add_f32(values, np.float32(span), np.float32(low))
        values = rounding.round_to(values, dtype)
    return _excluding_upper_bound(values, low, high, dtype)


def _between_by_machine(generator, count, dtype, low, span, high) -> np.ndarray:
    if dtype == "float64":
        words = generator.words(2 * count)
        target = words.view(np.float64)
        return machine.run("doubles_between", words, target, count, low, span, high)
    words = generator.words(count)
    return machine.run("floats_between", words, words.view(np.float32), count, low, span, high)


def _excluding_upper_bound(values: np.ndarray, low: float, high: float, dtype: str) -> np.ndarray:
    """Rounding can reach `high`, which is outside the interval; `low` takes its place."""
    bounds = rounding.round_to(np.asarray([low, high]), dtype)
    values[values == bounds[1]] = bounds[0]
    return values


def exponential(
    generator: MersenneTwister, count: int, dtype: str, rate: float = 1.0
) -> np.ndarray:
    """`count` exponential numbers with `rate`.  Source: at::exponential_ on CPU."""
    values = (-1.0 / rate) * libm("log1p", -generator.doubles(count))
    return rounding.round_to(values, dtype)


def cauchy(
    generator: MersenneTwister, count: int, dtype: str, median: float = 0.0, sigma: float = 1.0
) -> np.ndarray:
    """`count` Cauchy numbers.  Source: at::cauchy_ on CPU."""
    tangents = libm("tan", math.pi * (generator.doubles(count) - 0.5))
    return rounding.round_to(rounding.fused_multiply_add_f64(tangents, sigma, median), dtype)


def log_normal(
    generator: MersenneTwister, count: int, dtype: str, mean: float = 1.0, std: float = 2.0
) -> np.ndarray:
    """exp of normal numbers, by pairs whatever the count.  Source: at::log_normal_ on CPU."""
    normals = rounding.fused_multiply_add_f64(standard_pairs(generator, count), std, mean)
    return rounding.round_to(libm("exp", normals), dtype)

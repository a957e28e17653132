"""Sampling of categories by weight (level 1).

In: a generator, a matrix of weights (rows of categories), a number of samples. Out: int64 indices.
Invariant: without replacement all samples of a row come from one exponential race; with
replacement each sample is one double looked up in the running sum. Equal scores (seen only with
the half types, or with more samples than positive weights) come in index order; PyTorch's order
among them is unspecified.
"""

from __future__ import annotations

import numpy as np

from rushlight.rng import rounding
from rushlight.rng.continuous import exponential
from rushlight.rng.mt19937 import MersenneTwister


def multinomial(
    generator: MersenneTwister,
    weights: np.ndarray,
    dtype: str,
    samples: int,
    replacement: bool = False,
) -> np.ndarray:
    """Indices of sampled categories.  Shapes: (rows, n) -> (rows, samples).

    Raises: RuntimeError if a weight is negative or not finite, or a row sums to zero.
    Source: torch.multinomial on CPU.
    """
    values = rounding.from_bfloat16_bits(weights) if dtype == "bfloat16" else weights
    if values.size and not (np.all(values >= 0) and np.all(np.isfinite(values))):
        raise RuntimeError(
            "multinomial: probability tensor contains either `inf`, `nan` or element < 0"
        )
    if np.any(values.sum(axis=1) == 0):
        raise RuntimeError(
            "multinomial: invalid multinomial distribution (sum of probabilities <= 0)"
        )
    if replacement and samples > 1:
        return _with_replacement(generator, values, samples)
    return _by_exponential_race(generator, values, dtype, samples)


def _by_exponential_race(
    generator: MersenneTwister, values: np.ndarray, dtype: str, samples: int
) -> np.ndarray:
    """Category i arrives at time E_i / w_i; the first `samples` arrivals are the result."""
    times = exponential(generator, values.size, dtype).reshape(values.shape)
    if dtype == "bfloat16":
        times = rounding.from_bfloat16_bits(times)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scores = values / times
    if dtype == "bfloat16":
        scores = rounding.from_bfloat16_bits(rounding.to_bfloat16_bits(scores))
    if samples == 1:
        return scores.argmax(axis=1, keepdims=True)
    return np.argsort(-scores, axis=1, kind="stable")[:, :samples]


def _with_replacement(generator: MersenneTwister, values: np.ndarray, samples: int) -> np.ndarray:
    wide = np.float64 if values.dtype == np.float64 else np.float32
    drawn = np.empty((len(values), samples), np.int64)
    for row, weights in enumerate(values):
        running = np.add.accumulate(weights, dtype=wide)
        running /= running[-1]
        running[-1] = 1.0
        uniforms = generator.doubles(samples)
        drawn[row] = np.searchsorted(running.astype(np.float64), uniforms, side="left")
    return drawn

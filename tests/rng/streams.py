"""A PyTorch generator and ours side by side, and bit-exact comparison."""

from __future__ import annotations

import numpy as np
import torch

from rushlight.rng.mt19937 import MersenneTwister

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
SEEDS = (0, 42, -1, 2**40 + 3)
SIZES = (0, 1, 5, 15, 16, 17, 31, 32, 33, 100, 1000, 100_003)

_PATTERNS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def pair(seed: int) -> tuple[torch.Generator, MersenneTwister]:
    return torch.Generator().manual_seed(seed), MersenneTwister(seed)


def empty(count: int, dtype: str) -> torch.Tensor:
    return torch.empty(count, dtype=getattr(torch, dtype))


def bits_of_torch(values: torch.Tensor) -> np.ndarray:
    return values.contiguous().view(_PATTERNS[values.element_size()]).numpy()


def assert_same_bits(expected: torch.Tensor, got: np.ndarray) -> None:
    patterns = bits_of_torch(expected)
    np.testing.assert_array_equal(np.ascontiguousarray(got).view(patterns.dtype), patterns)


def assert_same_state(theirs: torch.Generator, ours: MersenneTwister) -> None:
    np.testing.assert_array_equal(ours.state_bytes(), theirs.get_state().numpy())

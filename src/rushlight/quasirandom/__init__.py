"""Sobol sequences: points that fill a cube more evenly than random ones.  Level 12.

In: a dimension, and a seed if they are to be scrambled.  Out: the points that PyTorch gives.
Source: torch.quasirandom; Antonov and Saleev 1979 for the order of the points.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.dtypes import float32, float64, int64
from rushlight.ops.creation import get_default_dtype
from rushlight.ops.generator import Generator
from rushlight.ops.random import randint
from rushlight.quasirandom.direction_numbers import BITS, MOST_DIMENSIONS, directions, scrambled
from rushlight.tensor.interop import read_array
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

__all__ = ["SobolEngine"]

_FLOATS = {np.float32: float32, np.float64: float64}


class SobolEngine:
    """A sequence of points in the unit cube of `dimension` dimensions.

    scramble: mix the bits at random, which keeps the evenness; by `seed`, or by the default
        generator.
    Raises: ValueError for dimensions beyond 1 to 21201.
    """

    MAXBIT = BITS
    MAXDIM = MOST_DIMENSIONS

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(
                f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}]"
            )
        self.seed, self.scramble, self.dimension = seed, scramble, dimension
        state = directions(dimension)
        shift = np.zeros(dimension, dtype=np.int64)
        if scramble:
            state, shift = self._mixed(state)
        self.sobolstate = tensor_from_numpy(np.ascontiguousarray(state), int64)
        self.shift = tensor_from_numpy(shift, int64)
        self._state, self._start = state, shift
        self.reset()

    def _mixed(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        generator = None
        if self.seed is not None:
            generator = Generator()
            generator.manual_seed(self.seed)
        bits = read_array(randint(2, (self.dimension, BITS), generator=generator))
        shift = (bits << np.arange(BITS)).sum(-1)
        shape = (self.dimension, BITS, BITS)
        matrices = read_array(randint(2, shape, generator=generator))
        return scrambled(state, np.tril(matrices)), shift

    @property
    def quasi(self) -> Tensor:
        """The last point, times 2 to the number of bits: int64 (dimension,)."""
        return tensor_from_numpy(self._last.copy(), int64)

    def reset(self) -> SobolEngine:
        """Begin again with the first point."""
        self._last = self._start.copy()
        self.num_generated = 0
        return self

    def _go(self, count: int) -> np.ndarray:
        """The next points in Gray code's order, as integers: (count, dimension)."""
        indices = np.arange(self._steps, self._steps + count)
        # The place of the lowest 0 of each index: of the lowest 1 of the next one.
        after = indices + 1
        places = np.log2((after & -after).astype(np.float64)).astype(np.int64)
        points = np.bitwise_xor.accumulate(
            np.concatenate([self._last[None], self._state[:, places].T]), axis=0
        )
        self._last = points[-1].copy()
        return points[1:]

    @property
    def _steps(self) -> int:
        # The first point takes no step.
        return max(self.num_generated - 1, 0)

    def draw(self, n: int = 1, out: Any = None, dtype: Any = None) -> Tensor:
        """The next points: (n, dimension), of `dtype` or the default one."""
        dtype = get_default_dtype() if dtype is None else dtype
        if self.num_generated == 0:
            first = self._last[None].copy()
            points = np.concatenate([first, self._go(n - 1)])
        else:
            points = self._go(n)
        self.num_generated += n
        # PyTorch rounds the integer to the dtype before it divides.
        compute: Any = np.float64 if dtype.itemsize == 8 else np.float32
        values = tensor_from_numpy(
            np.ascontiguousarray(points.astype(compute) * compute(2.0**-BITS)),
            _FLOATS[compute],
        ).to(dtype)  # type: ignore[attr-defined]
        if out is None:
            return values
        out.resize_(values.shape).copy_(values)
        return out

    def draw_base2(self, m: int, out: Any = None, dtype: Any = None) -> Tensor:
        """The next 2**m points, which must end at a power of two in all.

        Raises: ValueError where they do not.
        """
        n = 2**m
        total = self.num_generated + n
        if total & (total - 1) != 0:
            raise ValueError(
                "The balance properties of Sobol' points require n to be a power of 2. "
                f"{self.num_generated} points have been previously generated, then: "
                f"n={self.num_generated}+2**{m}={total}. If you still want to do this, please use "
                "'SobolEngine.draw()' instead."
            )
        return self.draw(n=n, out=out, dtype=dtype)

    def fast_forward(self, n: int) -> SobolEngine:
        """Leave out the next n points."""
        self._go(n - 1 if self.num_generated == 0 else n)
        self.num_generated += n
        return self

    def __repr__(self) -> str:
        words = [f"dimension={self.dimension}"]
        if self.scramble:
            words.append("scramble=True")
        if self.seed is not None:
            words.append(f"seed={self.seed}")
        return f"{type(self).__name__}({', '.join(words)})"

"""Random numbers that a device computes where they are read.

In: the stream of a device (`rng/philox.py`) and a distribution's numbers.  Out: a `Recorded` draw,
which becomes operations on the tape: the primitive `philox`, with seed, calls and threads as
numbers beside the program, and arithmetic on its words, all fused with whatever reads them.  The
part of the stream that a draw takes is reserved when it is recorded.  The values are those of
`rng/philox.py`, bit for bit but for logarithm, sine and cosine.  Level 11.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rushlight.base.dtypes import DType, bool_, float32, float64, int64
from rushlight.primitives import elementwise as p
from rushlight.primitives.movement import permute, reshape
from rushlight.primitives.source import iota
from rushlight.rng.layout import fill_axes, is_contiguous
from rushlight.rng.philox import WIDE_RANGE, Philox, as_int64
from rushlight.tape.tape import local
from rushlight.tensor.apply import apply_number, apply_source
from rushlight.tensor.tensor import Tensor, scalar_node, wrap

# 2**-32 and half of it, 2**-53 and half of it: words as numbers in (0, 1], never 0.
_NARROW_STEP, _WIDE_STEP = 2.0**-32, 2.0**-53


class Words:
    """The words of one draw, by element: `index` counts elements in the order of drawing."""

    __slots__ = ("_operands", "each", "run")

    def __init__(self, index: Tensor, numbers: tuple[Tensor, ...], each: int, run: int) -> None:
        self._operands = (index, *numbers)
        self.each = each
        self.run = run

    def word(self, which: str | int) -> Tensor:
        """A word of each element's call, uint32; `which` as in `rng/philox.py: WORDS`."""
        return p.philox(*self._operands, self.each, self.run, which)

    def below(self, span: int) -> Tensor:
        """An integer below `span` for each element, int64; of all 64 bits if it is 2**64."""
        index = self._operands[0]
        limit = index._scalar(as_int64(span % (1 << 64)))
        return p.philox_below(*self._operands, limit, self.each)

    def uniform(self, first: str | int = "own", second: str | int | None = None) -> Tensor:
        """Numbers in (0, 1]: float32 of one word, or float64 of two."""
        if second is None:
            x = p.cast(self.word(first), float32)
            return _scaled(x, _NARROW_STEP)
        low, high = (p.cast(self.word(which), int64) for which in (first, second))
        joined = p.bitwise_xor(low, apply_number(p.shift_left, high, 21))
        return _scaled(p.cast(joined, float64), _WIDE_STEP)

    def is_odd(self) -> Tensor:
        """Whether an element is the second of the pair that normal numbers come in."""
        bit = 1 if self.each == 4 else 2
        return p.cast(apply_number(p.bitwise_and, p.cast(self.word("number"), int64), bit), bool_)


def _scaled(words: Tensor, step: float) -> Tensor:
    return apply_number(p.add, apply_number(p.mul, words, step), step / 2)


class Recorded:
    """A draw from a device's stream that has not been made yet.

    each, run: how it is shared out, as in `rng/philox.py: place_of`.  values: function of its
    words and the real dtype to numbers of that dtype.  once: whether a thread calls only once.
    """

    __slots__ = ("each", "engine", "once", "run", "values")

    def __init__(
        self,
        engine: Philox,
        values: Callable[[Words, DType], Tensor],
        each: int = 4,
        run: int = 1,
        once: bool = False,
    ) -> None:
        self.engine = engine
        self.values = values
        self.each = each
        self.run = run
        self.once = once

    def tensor(
        self, shape: tuple[int, ...], strides: tuple[int, ...] | None, dtype: DType
    ) -> Tensor:
        """Record the draw: a tensor of this shape, filled in the order of `strides`.

        Complex numbers are pairs of real ones, the real part first.
        """
        parts = 2 if dtype.is_complex else 1
        numbers = self._reserved(parts * math.prod(shape))
        index = numbered(shape, strides)
        if parts == 1:
            return self.values(Words(index, numbers, self.each, self.run), dtype)
        first = apply_number(p.mul, index, 2)
        pair = [
            self.values(Words(place, numbers, self.each, self.run), dtype.to_real())
            for place in (first, apply_number(p.add, first, 1))
        ]
        return p.make_complex(*pair)

    def _reserved(self, count: int) -> tuple[Tensor, ...]:
        """Seed, calls before, and threads, for the next `count` numbers of the stream."""
        engine = self.engine
        before = engine.offset
        if self.once:
            call, threads = engine.reserve_one_call(count)
        else:
            call, threads = engine.reserve(count, self.each)
        # Not Python's integers: those are kept for the next time, and these never come again.
        seed, first, sharing = (
            scalar_node(np.int64(x), int64) for x in (as_int64(engine.seed), call, threads)
        )
        recorder = local.tape.recorder
        if recorder is not None:
            recorder.reserved(engine, before, seed, first)
        return wrap(seed), wrap(first), wrap(sharing)


def numbered(shape: tuple[int, ...], strides: tuple[int, ...] | None) -> Tensor:
    """The number of each element in the order of `strides` (None: row-major), int64."""
    index = apply_source(iota, (math.prod(shape),))
    if strides is None or is_contiguous(shape, strides):
        return index if shape == index._node.shape else reshape(index, shape)
    axes = fill_axes(shape, strides)
    ordered = reshape(index, tuple([shape[axis] for axis in axes]))
    return permute(ordered, tuple(np.argsort(axes).tolist()))


# ---- distributions -----------------------------------------------------------------------------


def _each(dtype: DType) -> int:
    """Numbers that one call of a thread gives: doubles take two words."""
    return 2 if dtype.to_real() is float64 else 4


def _uniform_words(words: Words, dtype: DType) -> Tensor:
    return words.uniform("first", "second") if dtype is float64 else words.uniform()


def uniform(engine: Philox, dtype: DType, low: float, high: float) -> Recorded:
    """Numbers uniform in [low, high).  Source: at::uniform_ on CUDA."""

    def values(words: Words, real: DType) -> Tensor:
        x = _uniform_words(words, real)
        compute = x._node.dtype
        span = float(compute.numpy.type(compute.numpy.type(high) - compute.numpy.type(low)))
        if low != 0.0:
            # One rounding, as a fused operation: products of two float32 are exact in float64.
            x = apply_number(p.mul, x if compute is float64 else p.cast(x, float64), span)
            x = apply_number(p.add, x, low)
        elif span != 1.0:
            x = apply_number(p.mul, x, span)
        for step in (compute, real):
            x = x if x._node.dtype is step else p.cast(x, step)
        # The upper end is drawn and the lower one is not: they change places.
        return p.where(apply_number(p.eq, x, high), x._scalar(low), x)

    return Recorded(engine, values, _each(dtype))


def normal(engine: Philox, dtype: DType, mean: float, std: float) -> Recorded:
    """Normal numbers by the method of Box and Muller.  Source: at::normal_ on CUDA."""

    def values(words: Words, real: DType) -> Tensor:
        if real is float64:
            first, second = words.uniform(0, 1), words.uniform(2, 3)
        else:
            first, second = words.uniform("first"), words.uniform("second")
        radius = p.sqrt(apply_number(p.mul, p.log(first), -2.0))
        angle = apply_number(p.mul, second, 2 * math.pi)
        z = p.mul(radius, p.where(words.is_odd(), p.cos(angle), p.sin(angle)))
        if std != 1.0:
            z = apply_number(p.mul, z, std)
        if mean != 0.0:
            z = apply_number(p.add, z, mean)
        return z if z._node.dtype is real else p.cast(z, real)

    return Recorded(engine, values, _each(dtype))


def log_normal(engine: Philox, dtype: DType, mean: float, std: float) -> Recorded:
    """The exponential function of normal numbers.  Source: at::log_normal_ on CUDA."""
    drawn = normal(engine, dtype, mean, std)

    def values(words: Words, real: DType) -> Tensor:
        compute = _compute(real)
        x = p.exp(drawn.values(words, compute))
        return x if real is compute else p.cast(x, real)

    return Recorded(engine, values, _each(dtype))


def exponential(engine: Philox, dtype: DType, rate: float) -> Recorded:
    """Exponential numbers, none of them zero.  Source: at::exponential_ on CUDA."""

    def logarithms(x: Tensor) -> Tensor:
        # Of 1 and what rounds to it the logarithm would be 0, which the distribution lacks.
        least = float(np.finfo(x._node.dtype.numpy).eps) / 2
        near = apply_number(p.ge, x, 1.0 - least)
        scaled = _quotient(x._node.dtype, -1.0, rate)
        return apply_number(p.mul, p.where(near, x._scalar(-least), p.log(x)), scaled)

    return _transformed(engine, dtype, logarithms)


def cauchy(engine: Philox, dtype: DType, median: float, sigma: float) -> Recorded:
    """Cauchy numbers, by the tangent.  Source: at::cauchy_ on CUDA."""

    def tangents(x: Tensor) -> Tensor:
        if x._node.dtype is float32:
            # Near its poles the tangent of a float32 is anything: PyTorch stays off them.
            least = float(np.finfo(np.float32).eps)
            x = p.minimum(p.maximum(x, x._scalar(least)), x._scalar(1.0 - least))
        angle = apply_number(p.mul, apply_number(p.add, x, -0.5), math.pi)
        return apply_number(p.add, apply_number(p.mul, p.tan(angle), sigma), median)

    return _transformed(engine, dtype, tangents)


def geometric(engine: Philox, dtype: DType, chance: float) -> Recorded:
    """Numbers of trials up to the first success.  Source: at::geometric_ on CUDA."""

    def trials(x: Tensor) -> Tensor:
        number = x._node.dtype.numpy.type
        each = x._scalar(float(np.log1p(-number(chance))))
        return p.ceil(p.div(p.log(x), each))

    return _transformed(engine, dtype, trials)


def _transformed(engine: Philox, dtype: DType, function: Callable[[Tensor], Tensor]) -> Recorded:
    """A function of uniform numbers in (0, 1], computed in float32 or float64, rounded once."""

    def values(words: Words, real: DType) -> Tensor:
        x = function(_uniform_words(words, real))
        return x if x._node.dtype is real else p.cast(x, real)

    return Recorded(engine, values, _each(dtype))


def _compute(real: DType) -> DType:
    return float64 if real is float64 else float32


def _quotient(dtype: DType, x: float, y: float) -> float:
    number = dtype.numpy.type
    return float(number(x) / number(y))


def integers(engine: Philox, low: int, span: int, wide: bool | None = None) -> Recorded:
    """Integers in [low, low + span), of one word or, if `wide` (None: as the span needs), of two.

    Source: at::random_ on CUDA.
    """

    def values(words: Words, real: DType) -> Tensor:
        x = words.below(span)
        if low != 0 and span < 1 << 64:
            x = apply_number(p.add, x, as_int64(low))
        return x if real is int64 else p.cast(x, real)

    wide = span >= WIDE_RANGE if wide is None else wide
    return Recorded(engine, values, 2 if wide else 4)


def coins(engine: Philox, dtype: DType, chance: float) -> Recorded:
    """One with a probability, else zero.  Source: at::bernoulli_ on CUDA."""

    def values(words: Words, real: DType) -> Tensor:
        kept = apply_number(p.lt, _uniform_words(words, dtype), chance)
        return kept if real is bool_ else p.cast(kept, real)

    return Recorded(engine, values, _each(dtype))


def kept(engine: Philox, chance: float, run: int, wide: bool) -> Recorded:
    """Which elements a dropout keeps, as bool.  Source: at::native_dropout on CUDA.

    run: neighbors that a thread takes together; wide: whether the probability is a double.
    """

    def values(words: Words, real: DType) -> Tensor:
        x = words.uniform()
        return apply_number(p.lt, p.cast(x, float64) if wide else x, chance)

    return Recorded(engine, values, run=run)


def coin_for_each(
    engine: Philox, chances: Tensor, shape: tuple[int, ...], strides: tuple[int, ...], dtype: DType
) -> Tensor:
    """One with the probability of each element, else zero, as `dtype`.

    Source: at::bernoulli_(tensor) on CUDA, where four neighbors are one thread's.
    """
    compute = float64 if dtype is float64 else float32

    def values(words: Words, real: DType) -> Tensor:
        x = words.uniform()
        drawn = x if compute is float32 else p.cast(x, float64)
        wide = chances if chances.dtype is compute else p.cast(chances, compute)
        return p.cast(p.le(drawn, wide), real)

    return Recorded(engine, values, run=4, once=True).tensor(shape, strides, dtype)

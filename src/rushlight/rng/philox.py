"""Philox4x32-10, the counter-based generator of PyTorch's devices (level 1).

In: a seed, an offset, the size of the device.  Out: flat arrays.  A draw is shared out among
threads as PyTorch's kernels do it: 256 in a block, as many blocks as fill the device or fewer, four
numbers at each call of a thread; then the offset goes on by what one thread used.  So uniform
numbers, integers and coins are PyTorch's on a device of the same size; normal ones agree up to the
rounding of logarithm and sine.  Other distributions take words of the same stream in order.
Source: Salmon et al. 2011; ATen/native/cuda/DistributionTemplates.h; curand_philox4x32_x.h.
"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from rushlight.rng import rounding

BLOCK = 256
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_SEED_LIMIT = 1 << 64
_STATE_BYTES = 16
# PyTorch's seed before anybody chose one.
DEFAULT_SEED = 67280421310721
# Up to this span integers take one word each, beyond it two.
WIDE_RANGE = 1 << 28


def philox(seed: int | np.ndarray, counters: np.ndarray, threads: np.ndarray) -> np.ndarray:
    """Four words for each (counter, thread), all uint64: an array (n, 4) of uint32."""
    words = [counters & _LOW, counters >> _SHIFT, threads & _LOW, threads >> _SHIFT]
    seeds = np.asarray(seed, np.uint64)
    keys = [seeds & _LOW, seeds >> _SHIFT]
    multipliers = [np.uint64(factor) for factor in MULTIPLIERS]
    for turn in range(ROUNDS):
        key = [(k + np.uint64(turn * w)) & _LOW for k, w in zip(keys, WEYL)]
        first, second = words[0] * multipliers[0], words[2] * multipliers[1]
        words = [
            (second >> _SHIFT) ^ words[1] ^ key[0],
            second & _LOW,
            (first >> _SHIFT) ^ words[3] ^ key[1],
            first & _LOW,
        ]
    return np.stack([w.astype(np.uint32) for w in np.broadcast_arrays(*words)], -1)


def as_int64(number: int) -> int:
    """A number of 64 bits without a sign as one with a sign."""
    return number - _SEED_LIMIT if number >= _SEED_LIMIT >> 1 else number


#: Which word of a call an element takes: its own, the first or second of the pair that holds it,
#: one of the four by number, or, instead of a word, the number of its own.
WORDS = ("own", "first", "second", 0, 1, 2, 3, "number")


def place_of(
    index: Any, call: Any, threads: Any, each: int, run: int, word: str | int
) -> tuple[Any, Any, Any]:
    """(thread, its call, number of the word) for elements with these numbers, uint64.

    each: numbers that one call gives a thread, 4, or 2 of two words.  run: neighbors that a thread
    takes together; 1 as in at::uniform_, where the numbers of a call lie `threads` elements apart;
    2, 4 or 8 as in the kernel of dropout.
    """
    number = np.uint64
    turn, thread = index // (threads * number(run)), index // number(run) % threads
    if run == 1:
        call, own = call + turn // number(each), turn % number(each) * number(4 // each)
    else:
        within = index % number(run)
        call = call + turn * number(max(run // 4, 1)) + within // number(4)
        own = within % number(4)
    return thread, call, _chosen(own, word)


def _chosen(own: Any, word: str | int) -> Any:
    if word == "first":
        return own & np.uint64(2)
    if word == "second":
        return own | np.uint64(1)
    return own if isinstance(word, str) else np.full_like(own, word)


def words_at(
    index: np.ndarray, seed: Any, call: Any, threads: Any, each: int, run: int, word: str | int
) -> np.ndarray:
    """The word of each element as uint32; see `place_of`.  All arrays are int64 and broadcast."""
    index, seed, call, threads = np.broadcast_arrays(
        *[np.asarray(x, np.int64).view(np.uint64) for x in (index, seed, call, threads)]
    )
    thread, call, number = place_of(index, call, np.maximum(threads, 1), each, run, word)
    if word == "number":
        return number.astype(np.uint32)
    words = philox(seed, call, thread)
    return np.take_along_axis(words, number[..., None].astype(np.int64), -1)[..., 0]


def integers_at(
    index: np.ndarray, seed: Any, call: Any, threads: Any, span: Any, each: int
) -> np.ndarray:
    """Integers below `span` (0: all there are) as int64, of one word each or, `each` 2, of two."""
    found = [
        words_at(index, seed, call, threads, each, 1, word).astype(np.uint64)
        for word in (("own",) if each == 4 else ("first", "second"))
    ]
    joined = found[0] if each == 4 else found[0] << _SHIFT | found[1]
    spans = np.asarray(span, np.int64).view(np.uint64)
    return np.where(spans == 0, joined, joined % np.maximum(spans, 1)).view(np.int64)


class Philox:
    """One stream.  multiprocessors, threads: of the device, and that each of them holds."""

    spare_normal: float | None = None

    def __init__(self, multiprocessors: int, threads: int, seed: int = DEFAULT_SEED) -> None:
        self.most_blocks = multiprocessors * (threads // BLOCK)
        self.offset = 0
        self._seed = seed

    # ---- the state -----------------------------------------------------------------------------

    @property
    def seed(self) -> int:
        """The seed as given, modulo 2**64."""
        return self._seed

    def reseed(self, seed: int) -> None:
        """Start the stream of a seed."""
        if not -(_SEED_LIMIT >> 1) <= seed < _SEED_LIMIT:
            raise ValueError(f"manual_seed: Overflow when unpacking long long: {seed}")
        self._seed = seed % _SEED_LIMIT
        self.offset = 0

    def reseed_from_system(self) -> int:
        """Seed from the operating system's entropy; returns the seed."""
        seed = secrets.randbits(53)
        self.reseed(seed)
        return seed

    def state_bytes(self) -> np.ndarray:
        """Seed and offset, in PyTorch's layout."""
        return np.array([self._seed, self.offset], np.uint64).view(np.uint8)

    def restore(self, state: np.ndarray) -> None:
        """Continue from a state.  Raises: RuntimeError if it is none."""
        if state.size not in (_STATE_BYTES, _STATE_BYTES // 2):
            raise RuntimeError("RNG state is wrong size")
        words = np.ascontiguousarray(state).view(np.uint64)
        self._seed = int(words[0])
        self.offset = int(words[1]) if words.size > 1 else 0

    def copy(self) -> Philox:
        """A second stream that continues from the same point."""
        made = Philox(1, BLOCK, self._seed)
        made.most_blocks, made.offset = self.most_blocks, self.offset
        return made

    # ---- numbers as PyTorch's kernels draw them --------------------------------------------------

    def _threads(self, count: int) -> int:
        return BLOCK * min(self.most_blocks, max(1, -(-count // BLOCK)))

    def reserve(self, count: int, each: int = 4) -> tuple[int, int]:
        """(calls of a thread so far, threads) for a draw of `count` numbers; the stream goes on.

        each: numbers that one call of a thread gives.
        """
        threads = self._threads(count)
        call = self.offset // 4
        self.offset += 4 * -(-count // (threads * each))
        return call, threads

    def reserve_one_call(self, count: int) -> tuple[int, int]:
        """The same where each thread draws once, four numbers for four neighbors.

        Source: at::bernoulli_(tensor) on CUDA, which takes ten numbers of the stream, rounded up.
        """
        call = self.offset // 4
        self.offset += 12
        return call, max(1, -(-count // 4))

    def _shared_out(self, count: int, each: int = 4) -> np.ndarray:
        """Words of the calls that `count` numbers take, (numbers, 4 // each): the first `count` are
        wanted.  each: numbers of one call of a thread."""
        threads = self._threads(count)
        rounds = -(-count // (threads * each))
        start, _ = self.reserve(count, each)
        thread = np.arange(threads, dtype=np.uint64)
        found = np.empty((rounds, each, threads, 4 // each), np.uint32)
        for turn in range(rounds):
            counter = np.full(threads, start + turn, np.uint64)
            words = philox(self._seed, counter, thread)
            found[turn] = words.reshape(threads, each, 4 // each).transpose(1, 0, 2)
        return found.reshape(-1, 4 // each)

    def _uniforms(self, count: int, wide: bool) -> np.ndarray:
        """Numbers in (0, 1], of which the first `count` are wanted."""
        if not wide:
            words = self._shared_out(count)[:, 0].astype(np.float32)
            return words * np.float32(2.0**-32) + np.float32(2.0**-33)
        pairs = self._shared_out(count, 2).astype(np.uint64)
        joined = pairs[:, 0] ^ (pairs[:, 1] << np.uint64(21))
        return joined.astype(np.float64) * 2.0**-53 + 2.0**-54

    def uniform(self, count: int, dtype: str, low: float, high: float) -> np.ndarray:
        """Numbers of `dtype`, uniform in [low, high).  Source: at::uniform_ on CUDA."""
        wide = dtype == "float64"
        compute = np.float64 if wide else np.float32
        span = float(compute(compute(high) - compute(low)))
        values = (self._uniforms(count, wide)[:count].astype(np.float64) * span + low).astype(
            compute
        )
        values = rounding.round_to(values, dtype)
        ends = rounding.round_to(np.asarray([low, high], compute), dtype)
        values[values == ends[1]] = ends[0]
        return values

    def normal(self, count: int, dtype: str, mean: float, std: float) -> np.ndarray:
        """Normal numbers of `dtype`, by Box and Muller's method.  Source: at::normal_ on CUDA."""
        wide = dtype == "float64"
        # Two neighbors of one thread make a pair, which the grid takes apart.
        uniforms = self._uniforms(count, wide)
        calls = uniforms.reshape(-1, 2, self._threads(count))
        compute = uniforms.dtype.type
        radius = np.sqrt(compute(-2.0) * np.log(calls[:, 0]))
        angle = calls[:, 1] * compute(2 * np.pi)
        values = np.stack([radius * np.sin(angle), radius * np.cos(angle)], 1)
        values = values.reshape(-1)[:count] * compute(std) + compute(mean)
        return rounding.round_to(values, dtype)

    def integers(
        self, count: int, dtype: str, low: int, high: int, wide: bool | None = None
    ) -> np.ndarray:
        """Integers in [low, high) as `dtype`, of one word each or, if `wide`, of two; None: as the
        span needs.  Source: at::random_ on CUDA."""
        span = high - low
        if span >= WIDE_RANGE if wide is None else wide:
            pairs = self._shared_out(count, 2)[:count].astype(np.uint64)
            words = (pairs[:, 0] << _SHIFT) | pairs[:, 1]
            if span < 1 << 64:
                words = words % np.uint64(span)
        else:
            words = self._shared_out(count)[:count, 0].astype(np.uint64) % np.uint64(span)
        values = words.view(np.int64) + np.int64(low) if span < 1 << 64 else words.view(np.int64)
        if dtype == "uint64":
            return values.view(np.uint64)
        return rounding.round_to(values, dtype)

    def coins(self, count: int, probability: float, wide: bool = False) -> np.ndarray:
        """True with a probability; wide: for float64.  Source: at::bernoulli_ on CUDA."""
        drawn = self._uniforms(count, wide)[:count]
        return drawn < drawn.dtype.type(probability)

    def kept(self, count: int, probability: float, run: int, wide: bool) -> np.ndarray:
        """Which elements a dropout keeps.  run: neighbors that a thread takes together, 1, 2, 4
        or 8; wide: for float64.  Source: at::native_dropout on CUDA."""
        if run == 1:
            drawn = self._uniforms(count, False)[:count]
        else:
            call, threads = self.reserve(count)
            index = np.arange(count)
            words = words_at(index, as_int64(self._seed), call, threads, 4, run, "own")
            drawn = words.astype(np.float32) * np.float32(2.0**-32) + np.float32(2.0**-33)
        return drawn < (np.float64 if wide else np.float32)(probability)

    # ---- words in order, for every other distribution --------------------------------------------

    def words(self, count: int) -> np.ndarray:
        """The next `count` words of the first thread's stream."""
        calls = -(-count // 4)
        counters = np.arange(calls, dtype=np.uint64) + np.uint64(self.offset // 4)
        self.offset += 4 * calls
        return philox(self._seed, counters, np.zeros(calls, np.uint64)).reshape(-1)[:count]

    def pairs(self, count: int) -> np.ndarray:
        """The next `count` pairs of words as they lie in memory."""
        return self.words(2 * count).view(np.uint64)

    def long_words(self, count: int) -> np.ndarray:
        """The next `count` words of 64 bits."""
        return self.pairs(count)

    def doubles(self, count: int) -> np.ndarray:
        """Numbers in [0, 1) with 53 bits."""
        return (self.pairs(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def floats(self, count: int) -> np.ndarray:
        """Numbers in [0, 1) with 24 bits."""
        return (self.words(count) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)

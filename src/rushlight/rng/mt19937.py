"""The engine: MT19937 words, the seed, and the spare normal (level 1).

In: a 64-bit seed or a saved state. Out: 32-bit words, and doubles built from two of them.
Invariants: only the low 32 bits of the seed reach the generator, as in PyTorch; `state_bytes` is
PyTorch's layout of 5056 bytes, so states can be carried over in both directions.
"""

from __future__ import annotations

import ctypes
import functools
import secrets

import numpy as np

from rushlight.base.forks import lock_known_to_forks
from rushlight.rng import machine

#: The seed of a new generator, and of no other: chosen by PyTorch, kept for equal streams.
DEFAULT_SEED = 67280421310721

#: Words in one block of the recurrence.
BLOCK_WORDS = 624

#: PyTorch's saved state; the older layout lacks the two float fields at the end.
STATE_DTYPE = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),
        ("seeded", "<i4"),
        ("next", "<u8"),
        ("words", "<u8", (BLOCK_WORDS,)),
        ("normal_x", "<f8"),
        ("normal_y", "<f8"),
        ("normal_rho", "<f8"),
        ("normal_is_valid", "<i4"),
        ("padding", "<i4"),
        ("float_spare", "<f4"),
        ("float_is_valid", "<i4"),
    ]
)
STATE_BYTES = STATE_DTYPE.itemsize
LEGACY_STATE_BYTES = STATE_BYTES - 8

# From here on machine code makes whole blocks; NumPy makes the ends.
_MACHINE_WORDS = 2 * BLOCK_WORDS

# Words are drawn in several steps; two threads must not be given the same ones.  Forks wait for it,
# since NumPy's own locks, which are taken inside, are not made anew in the child.
_draw_lock = lock_known_to_forks("draws")

_WORD_LIMIT = 1 << 32
_SEED_LIMIT = 1 << 64


class MersenneTwister:
    """A stream of 32-bit words with PyTorch's seeding, state layout and cached spare normal.

    Source: at::CPUGeneratorImpl; the words are those of NumPy's RandomState with the same seed.
    """

    __slots__ = ("_bits", "_float_spare", "_fresh", "_memory", "_seed", "_words", "spare_normal")

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self._bits = np.random.MT19937(0)
        self._words = np.random.RandomState(self._bits)
        self._memory: np.ndarray | None = None
        #: The second value of the last small-path normal pair, or None.
        self.spare_normal: float | None = None
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Start the stream of `seed` (any 64-bit integer, negative ones in two's complement)."""
        if not -(_SEED_LIMIT >> 1) <= seed < _SEED_LIMIT:
            raise ValueError(
                f"manual_seed: Overflow when unpacking long long; the seed must lie in "
                f"[-2**63, 2**64), got {seed}"
            )
        with _draw_lock:
            self._seed = seed % _SEED_LIMIT
            self._words.seed(self._seed % _WORD_LIMIT)
            self._fresh = True
            self.spare_normal = None
            self._float_spare: float | None = None

    def reseed_from_system(self) -> int:
        """Seed from the operating system's entropy and return the seed (53 bits, as PyTorch's)."""
        seed = secrets.randbits(53)
        self.reseed(seed)
        return seed

    @property
    def seed(self) -> int:
        """The seed as given, modulo 2**64."""
        return self._seed

    def words(self, count: int) -> np.ndarray:
        """The next `count` words as a uint32 array."""
        with _draw_lock:
            if count:
                self._fresh = False
            if count >= _MACHINE_WORDS and machine.is_worth(count):
                memory = self._shared_memory()
                if memory is not None:
                    return self._words_by_machine(count, memory)
            return self._words.randint(0, _WORD_LIMIT, count, np.uint32)

    def word(self) -> int:
        """The next word as a Python number."""
        with _draw_lock:
            self._fresh = False
            return self._bits.random_raw()

    def _words_by_machine(self, count: int, memory: np.ndarray) -> np.ndarray:
        """The rest of this block and the start of the last by NumPy, whole blocks between."""
        start = BLOCK_WORDS - int(memory[BLOCK_WORDS])
        blocks, rest = divmod(count - start, BLOCK_WORDS)
        stop = count - rest
        drawn = np.empty(count, np.uint32)
        # This leaves the generator at the end of a block, where it also is after whole blocks.
        drawn[:start] = self._words.randint(0, _WORD_LIMIT, start, np.uint32)
        machine.run("words", memory, drawn[start:], blocks)
        drawn[stop:] = self._words.randint(0, _WORD_LIMIT, rest, np.uint32)
        return drawn

    def _shared_memory(self) -> np.ndarray | None:
        """NumPy's own block of words and the place in it; None if they are elsewhere."""
        if self._memory is None and _shows_its_state():
            self._memory = _state_memory(self._bits)
        return self._memory

    def pairs(self, count: int) -> np.ndarray:
        """The next `count` pairs of words as they lie in memory, the first one first."""
        return self.words(2 * count).view(np.uint64)

    def long_words(self, count: int) -> np.ndarray:
        """The next `count` 64-bit words as uint64; the first word drawn is the high half."""
        pairs = self.words(2 * count).reshape(count, 2).astype(np.uint64)
        return (pairs[:, 0] << np.uint64(32)) | pairs[:, 1]

    def doubles(self, count: int) -> np.ndarray:
        """`count` doubles on the grid of 2**-53 in [0, 1), two words each."""
        words = self.words(2 * count)
        if machine.is_worth(count):
            return machine.run("doubles", words, words.view(np.float64), count)
        pairs = words.reshape(count, 2)
        # 53 bits = the low 21 of the first word above all 32 of the second; exact in a double.
        values = (pairs[:, 0] & np.uint32(0x1FFFFF)).astype(np.float64)
        values *= 2.0**32
        values += pairs[:, 1]
        values *= 2.0**-53
        return values

    def floats(self, count: int) -> np.ndarray:
        """`count` float32 values on the grid of 2**-24 in [0, 1), one word each (its low bits)."""
        words = self.words(count)
        if machine.is_worth(count):
            return machine.run("floats", words, words.view(np.float32), count)
        values = (words & np.uint32(0xFFFFFF)).astype(np.float32)
        values *= np.float32(2.0**-24)
        return values

    def state_bytes(self) -> np.ndarray:
        """The state in PyTorch's layout, a fresh uint8 array of 5056 bytes."""
        position, words = self._position_and_words()
        record = np.zeros((), STATE_DTYPE)
        record["seed"] = self._seed
        record["left"] = 1 if self._fresh else BLOCK_WORDS + 1 - position
        record["seeded"] = 1
        record["next"] = 0 if self._fresh else position
        record["words"] = words
        if self.spare_normal is not None:
            record["normal_y"] = self.spare_normal
            record["normal_is_valid"] = 1
        if self._float_spare is not None:
            record["float_spare"] = self._float_spare
            record["float_is_valid"] = 1
        return np.frombuffer(record.tobytes(), np.uint8).copy()

    def restore(self, state: np.ndarray) -> None:
        """Continue from `state`, the bytes of `state_bytes` or of PyTorch's get_state.

        Raises: RuntimeError if the size is wrong or the content is not a state.
        """
        data = np.ascontiguousarray(state, np.uint8).tobytes()
        if len(data) not in (STATE_BYTES, LEGACY_STATE_BYTES):
            raise RuntimeError(
                f"set_state: Expected a CPUGeneratorImplState of size {STATE_BYTES} but found the "
                f"input RNG state size to be {len(data)}; pass what get_state returned"
            )
        record = np.frombuffer(data.ljust(STATE_BYTES, b"\0"), STATE_DTYPE)[0]
        left = int(record["left"])
        position = int(record["next"])
        if not (record["seeded"] == 1 and 0 < left <= BLOCK_WORDS and position <= BLOCK_WORDS):
            raise RuntimeError(
                f"set_state: Invalid mt19937 state (seeded {int(record['seeded'])}, left {left}, "
                f"next {position}); pass what get_state returned"
            )
        self._seed = int(record["seed"])
        self._fresh = left == 1 and position == 0
        # `left` decides when PyTorch computes the next block, so it gives the position.
        words = record["words"].astype(np.uint32)
        with _draw_lock:
            self._words.set_state(("MT19937", words, BLOCK_WORDS + 1 - left, 0, 0.0))
        self.spare_normal = None
        if record["normal_is_valid"]:
            self.spare_normal = float(record["normal_y"])
        self._float_spare = None
        if record["float_is_valid"]:
            self._float_spare = float(record["float_spare"])

    def copy(self) -> MersenneTwister:
        """A second generator that continues from the same point of the stream."""
        other = MersenneTwister()
        other.restore(self.state_bytes())
        return other

    def _position_and_words(self) -> tuple[int, np.ndarray]:
        state = self._words.get_state(legacy=False)["state"]
        return int(state["pos"]), state["key"]


def _state_memory(bits: np.random.MT19937) -> np.ndarray:
    """The 624 words of a bit generator and the place in them, as uint32; no copy."""
    words = (ctypes.c_uint32 * (BLOCK_WORDS + 1)).from_address(bits.ctypes.state_address)
    return np.ctypeslib.as_array(words)


@functools.cache
def _shows_its_state() -> bool:
    """Whether this NumPy keeps the words and the place where `_state_memory` looks for them."""
    bits = np.random.MT19937(1)
    for count in (0, 1, BLOCK_WORDS):
        bits.random_raw(count)
        state = bits.state["state"]
        memory = _state_memory(bits)
        if memory[BLOCK_WORDS] != state["pos"] or (memory[:BLOCK_WORDS] != state["key"]).any():
            return False
    return True

"""A plan in machine form: tables that one native call walks, filled from slots at each run.

A KernelCall names its buffers and scalars by slot.  Buffers, scalars and threads may change from
run to run; which kernels run, in what order and over what extents may not.  A NativePlan is not
reentrant: whoever runs it holds the lock of the engine.  Level 8.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rushlight.base.hot import hot
from rushlight.base.words import Words, gather
from rushlight.runtime.pool_text import STEP_WORDS
from rushlight.runtime.threads import WorkerPool, pool

# Where in the row of a call its function, its extent and its grain stand.
FUNCTION_WORD, EXTENT_WORD, GRAIN_WORD = 0, 3, 4
# And the addresses of its buffers' pointers and of its words.
POINTERS_WORD, WORDS_WORD = 1, 2


@dataclass(frozen=True)
class KernelCall:
    """One kernel of a plan.

    ``function`` is its address; ``buffers`` are slots of the plan's addresses, ``words`` slots of
    its parameter words; ``extent`` is that of the parallel loop (1 without one), and ``grain`` the
    least part of it worth handing to another thread.
    """

    name: str
    function: int
    buffers: tuple[int, ...]
    words: tuple[int, ...]
    extent: int
    grain: int


def float_word(value: float) -> int:
    """The parameter word of a floating scalar."""
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


@hot
class NativePlan:
    """Kernel calls in order, ready to run on any addresses and words.

    words: where the parameter words always come from, in the order of the calls, instead of an
    array given at each run.  rows: of each call what machine code reads of it, at *_WORD.
    """

    __slots__ = (
        "calls", "_workers", "_buffer_count", "_word_count", "_buffer_slots", "_word_slots",
        "_pointers", "_resident", "_words", "rows", "_steps_address",
    )  # fmt: skip

    def __init__(
        self,
        calls: Sequence[KernelCall],
        workers: WorkerPool = pool,
        words: Words | None = None,
    ) -> None:
        self.calls = tuple(calls)
        self._workers = workers
        buffers = [s for c in calls for s in c.buffers]
        word_slots = [s for c in calls for s in c.words]
        self._buffer_count, self._word_count = len(buffers), len(word_slots)
        self._buffer_slots = Words(np.array(buffers or [0], np.int64))
        self._word_slots = Words(np.array(word_slots or [0], np.int64))
        self._pointers = Words(np.zeros(max(1, len(buffers)), np.int64))
        self._resident = words is not None
        self._words = Words(np.zeros(max(1, len(word_slots)), np.int64)) if words is None else words
        self.rows = np.zeros((max(1, len(calls)), STEP_WORDS), np.int64)
        self._steps_address = self.rows.ctypes.data
        pointer, word = self._pointers.address, self._words.address
        for row, call in zip(self.rows, self.calls):
            row[:] = call.function, pointer, word, call.extent, call.grain
            pointer += 8 * len(call.buffers)
            word += 8 * len(call.words)

    def copy(self, words: Words) -> NativePlan:
        """The same calls with the rows as they are now, over words of their own."""
        made = NativePlan.__new__(NativePlan)
        made.calls, made._workers = self.calls, self._workers
        made._buffer_count, made._word_count = self._buffer_count, self._word_count
        made._buffer_slots, made._word_slots = self._buffer_slots, self._word_slots
        made._resident, made._words = self._resident, words
        made._pointers = Words(self._pointers.array.copy())
        made.rows = self.rows.copy()
        made.rows[:, POINTERS_WORD] += made._pointers.address - self._pointers.address
        made.rows[:, WORDS_WORD] += words.address - self._words.address
        made._steps_address = made.rows.ctypes.data
        return made

    def own_words(self) -> int:
        """How many words a copy takes, apart from those given."""
        return self.rows.size + len(self._pointers.array)

    @hot
    def _fill(self, addresses: Words, words: Words | None) -> None:
        gather(self._pointers, addresses, self._buffer_slots, self._buffer_count)
        if not self._resident:
            assert words is not None
            gather(self._words, words, self._word_slots, self._word_count)

    @hot
    def run(self, addresses: Words, words: Words | None = None) -> None:
        """Runs all kernels; ``addresses`` and ``words`` are indexed by slot."""
        self._fill(addresses, words)
        self._workers.run_steps(self._steps_address, len(self.calls))

    def run_timed(self, addresses: Words, words: Words | None = None) -> list[tuple[float, float]]:
        """As run, one kernel at a time; gives when each began and ended, for reports."""
        self._fill(addresses, words)
        self._workers.start()  # at the first launch this compiles: that is no kernel's time
        times = []
        for position in range(len(self.calls)):
            start = time.perf_counter()
            self._workers.run_steps(self._steps_address + position * 8 * STEP_WORDS, 1)
            times.append((start, time.perf_counter()))
        return times

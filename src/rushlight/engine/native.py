"""Stretches of a plan that are one native call, and the memory of the values they leave behind.

Replaying a small plan is mostly this file, so it keeps what does not change between runs.
Level 9.
"""

from __future__ import annotations

import numpy as np

from rushlight.base.dtypes import widen
from rushlight.base.hot import hot
from rushlight.base.observe import KERNEL, tell, watchers
from rushlight.base.references import first_unshared
from rushlight.base.shapes import numel
from rushlight.base.stats import stats
from rushlight.base.words import Words, put_float, put_integer
from rushlight.engine.arena import POOL
from rushlight.engine.steps import NativeStep
from rushlight.runtime.launch import KernelCall, NativePlan


def _signed_word(value) -> int:
    """The bits of an unsigned number as a signed word: machine code knows no larger integers."""
    return int(np.asarray(value, np.uint64).view(np.int64))


@hot
class NativeRun:
    """Consecutive native steps: a `NativePlan` and the numbers it takes."""

    __slots__ = ("native", "words", "steps", "_scalars", "_sixteen", "_unsigned")

    def __init__(self, steps: list[NativeStep], values) -> None:
        """values: the program's values by slot."""
        # Code stays loaded while its library is referred to, and the steps refer to it.
        self.steps = steps
        words: list[int] = []
        # Of each number its places among the words, by (slot, whether they are floating); and those
        # of 16-bit floats and of uint64.
        scalars: dict[tuple[int, bool], list[int]] = {}
        self._sixteen: list[tuple[int, int]] = []
        self._unsigned: list[tuple[int, int]] = []
        calls = []
        for step in steps:
            places = tuple(range(len(words), len(words) + len(step.words)))
            for number, slot, floating in step.words:
                if slot is not None:
                    if floating and values[slot].dtype.itemsize == 2:
                        self._sixteen.append((len(words), slot))
                    elif values[slot].dtype.name == "uint64":
                        self._unsigned.append((len(words), slot))
                    else:
                        scalars.setdefault((slot, floating), []).append(len(words))
                words.append(number)
            address = step.library[step.function]
            buffers = tuple(step.buffers)
            call = KernelCall(step.function, address, buffers, places, step.extent, step.grain)
            calls.append(call)
        self._scalars = [(*key, tuple(places)) for key, places in scalars.items()]
        self.words = Words(np.array(words or [0], np.int64))
        self.native = NativePlan(calls, words=self.words)

    @hot
    def run(self, addresses: Words, nodes, plan) -> None:
        """Fill in the numbers, and call the machine code once.

        While somebody watches, each kernel is called and timed alone; plan: what they are told.
        """
        words = self.words
        for slot, floating, places in self._scalars:
            if floating:
                number = float(nodes[slot].value)
                for place in places:
                    put_float(words, place, number)
            else:
                whole = int(nodes[slot].value)
                for place in places:
                    put_integer(words, place, whole)
        for place, slot in self._sixteen:
            put_float(words, place, widen(np.asarray(nodes[slot].value), nodes[slot].dtype))
        for place, slot in self._unsigned:
            put_integer(words, place, _signed_word(nodes[slot].value))
        stats.kernel_launches += len(self.steps)
        if not watchers:
            self.native.run(addresses)
            return
        for step, (start, end) in zip(self.steps, self.native.run_timed(addresses)):
            tell(KERNEL, step.function, start, (plan, step), end)


@hot
class Output:
    """Memory for one value that a plan leaves behind, at each of its runs.

    A small array that nobody looks at any more is used again: reference counts say so.  Larger ones
    come from the pool of all plans.
    """

    __slots__ = ("slot", "shape", "dtype", "_spares", "_addresses", "_keeps")

    # Bytes of the largest array kept for reuse, and how many are kept: the value of the last run
    # is still held while the next is computed.
    LARGEST_SPARE = 4096
    MOST_SPARES = 2

    def __init__(self, slot: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.slot = slot
        self.shape = shape
        self.dtype = dtype
        self._spares: list[np.ndarray] = []
        self._addresses: list[int] = []
        self._keeps = dtype.itemsize * int(np.prod(shape, dtype=np.int64)) <= self.LARGEST_SPARE

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Give arrays of another shape from now on."""
        if shape != self.shape:
            self.shape = shape
            self._spares, self._addresses = [], []
            self._keeps = self.dtype.itemsize * numel(shape) <= self.LARGEST_SPARE

    @hot
    def array(self) -> tuple[np.ndarray, int]:
        """(memory with unspecified content, its address)."""
        place = first_unshared(self._spares)
        if place >= 0:
            return self._spares[place], self._addresses[place]
        if not self._keeps:
            array = POOL.array(self.shape, self.dtype)
            return array, array.__array_interface__["data"][0]
        array = np.empty(self.shape, self.dtype)
        address = array.__array_interface__["data"][0]
        if len(self._spares) < self.MOST_SPARES:
            self._spares.append(array)
            self._addresses.append(address)
        return array, address

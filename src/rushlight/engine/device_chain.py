"""A plan's launches as one graph of the driver: a copy of words and one launch run all of it.

In: the steps of a plan that was run before.  Out: what runs them again on other addresses and
numbers, which lie in a table that each kernel reads its arguments from.  Level 9.
"""

from __future__ import annotations

from sys import is_finalizing
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from rushlight.engine.device_step import DeviceStep
from rushlight.runtime.device_streams import where_it_works

# A graph costs a copy and a launch; and its making, which a plan that runs once would not repay.
FEWEST_STEPS = 3


class _Graph:
    """The driver's object, of one stream: its table is written in that stream's order."""

    def __init__(self, backend: Any, launches: list) -> None:
        self.backend = backend
        self.stream = backend.stream
        self.made = backend.driver.chain(backend.index, launches, self.stream.handle)

    def __del__(self) -> None:
        if not is_finalizing():
            with where_it_works:
                self.backend.driver.free_chain(self.backend.index, self.made, self.stream.handle)


class Chain:
    """Steps that follow each other, none of them on the host."""

    def __init__(self, steps: list[DeviceStep], backend: Any) -> None:
        self.steps = steps
        self.backend = backend
        self.launches: list[tuple[Any, int, int]] = []
        self.slots: list[int] = []
        places: list[int] = []
        words: list[int] = []
        # (slot, whether it is floating) of scalar leaves, and where their numbers go.
        self.numbers: dict[tuple[int, bool], list[int]] = {}
        # (place of the first address, step) of those with memory of their own for a while.
        self.scratch: list[tuple[int, DeviceStep]] = []
        for step in steps:
            start = len(words)
            places += [start + place for place in step.places]
            self.slots += step.buffers
            if step.scratch:
                self.scratch.append((start + len(step.buffers), step))
            for place, slot, floating in step.varying:
                self.numbers.setdefault((slot, floating), []).append(start + place)
            words += step.table
            self.launches.append((step.entry, step.blocks, len(step.table)))
        self.words = np.array(words, np.int64)
        self.places = np.array(places, np.int64)
        self.graphs: WeakKeyDictionary[Any, _Graph] = WeakKeyDictionary()

    def run(self, run: Any) -> None:
        """All steps on the memory and the numbers of one execution (`device_plan._Run`)."""
        backend = self.backend
        stream = backend.stream
        graph = self.graphs.get(stream)
        if graph is None:
            graph = self.graphs[stream] = _Graph(backend, self.launches)
        table = self.words.copy()
        memory = run.memory
        table[self.places] = [memory[slot].address for slot in self.slots]
        for (slot, floating), places in self.numbers.items():
            table[places] = run.number(slot, floating)
        held = []
        for place, step in self.scratch:
            first = place + len(step.scratch)
            end = first + len(step.table) - step.pointers
            blocks = run.scratch(step, table[first:end].tolist())
            table[place:first] = [block.address for block in blocks]
            held.append(blocks)
        backend.driver.run_chain(backend.index, graph.made, table, stream.handle)

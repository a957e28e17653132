"""Image: what machine code reads of a template once the numbers of one instance are in place.

Sizes that come again, such as the lengths of sequences that are generated one after the other, then
cost nothing but saying which image counts.  Level 9.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.words import Words
from rushlight.engine.arena import ARENA
from rushlight.engine.native import NativeRun, Output


class Surface:
    """The parts of a template that differ from sizes to sizes, as machine code reads them.

    addresses: by slot.  parts: (native run, its words, its calls).  outputs: memory of results.
    """

    __slots__ = ("addresses", "parts", "outputs")

    def __init__(self, template: Any) -> None:
        self.addresses: Words = template.addresses
        self.parts: list[tuple[NativeRun, Words, Any]] = [
            (part, part.words, part.native) for part, *_ in template.fills
        ]
        self.outputs: list[Output] = template.outputs

    def show(self, template: Any) -> None:
        """Let the template run with these."""
        template.addresses = self.addresses
        template.outputs = self.outputs
        for part, words, native in self.parts:
            part.words = words
            part.native = native


class Image(Surface):
    """A surface of its own, for one instance.

    version, threads: of the template, and how many there were; else it is out of date.
    libraries: of the products' code, which stays loaded while somebody refers to it.
    offsets: in the arena, of its slots; workspace: the products'.  base: of the arena.
    """

    __slots__ = (
        "version", "threads", "libraries", "offsets", "workspace", "arena_bytes", "base",
    )  # fmt: skip

    def __init__(self, template: Any, offsets: np.ndarray, workspace: int) -> None:
        self.version = template.version
        self.threads = template.threads
        self.libraries = [varying.calls for varying in template.products]
        self.addresses = Words(template.addresses.array.copy())
        self.parts = []
        for part, *_ in template.fills:
            words = Words(part.words.array.copy())
            self.parts.append((part, words, part.native.copy(words)))
        varying = {id(output) for output, _ in template.varying_outputs}
        self.outputs = [
            Output(output.slot, output.shape, output.dtype) if id(output) in varying else output
            for output in template.outputs
        ]
        self.offsets = offsets
        self.workspace = workspace
        self.arena_bytes = template.arena_bytes
        self.base = template.base

    def show(self, template: Any) -> None:
        """Let the template run with what was there once."""
        base = ARENA.at_least(self.arena_bytes)
        if base != self.base:
            self.base = -1  # an interrupt may end this midway
            self.addresses.array[template.arena_slots] = self.offsets + base
            if template.workspace is not None:
                self.addresses.integers[template.workspace] = base + self.workspace
            self.base = base
        super().show(template)
        template.arena_bytes = self.arena_bytes
        template.base = base

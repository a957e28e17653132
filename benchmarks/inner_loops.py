"""Kernels with too short inner loops: ``python -m benchmarks.inner_loops [WORKLOADS]``.

A loop over fewer elements than a vector holds takes as long for each of its runs as one over a
whole vector.  Where a kernel goes over many elements that lie densely in memory, some order of its
loops has a longer one inside: a short one is a mistake of the schedule or of a lowering.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator

from benchmarks.catalogue import WORKLOADS

# Lanes of a 256-bit vector of floats; and iterations from which on a kernel counts.
SHORTEST, MANY = 8, 1 << 13


def inner_loops(loops: str, around: int = 1) -> Iterator[tuple[int, int]]:
    """(extent, iterations of it and all loops around it) of each loop that runs over vectors.

    loops: as a kernel's cost tells them, "64 parallel (16 reduce (1024 reduce))".  What stands
    inside of a vector loop is done for each of its vectors; a loop in order has no vectors.
    """
    for text in _parts(loops):
        found = re.match(r"(\d+) (\w+)(?: \((.*)\))?$", text)
        if found is None:  # machine-specific code
            return
        extent, kind, inside = int(found[1]), found[2], found[3]
        if kind != "vector" and inside:
            yield from inner_loops(inside, around * extent)
        elif kind == "parallel":
            yield 1, around * extent
        elif kind != "serial":
            yield extent, around * extent


def _parts(loops: str) -> list[str]:
    """Loops one after the other."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(loops):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(loops[start:place].strip())
            start = place + 1
    return [*parts, loops[start:].strip()]


def too_short(step: Callable[[], object]) -> list[str]:
    """The kernels of one step with an inner loop that is too short, as their names and loops."""
    from rushlight.base.observe import KERNEL, watchers
    from rushlight.engine.describe import facts_of

    kernels = []

    def note(event) -> None:
        if event.kind == KERNEL:
            kernels.append(facts_of(*event.detail))

    watchers.append(note)
    try:
        step()
    finally:
        watchers.remove(note)
    return [
        f"{kernel.name}: {kernel.loops}"
        for kernel in kernels
        if any(n < SHORTEST and work >= MANY for n, work in inner_loops(kernel.loops))
    ]


def main(names: list[str]) -> int:
    """Print what is found in a step of each workload; the exit code says whether there is any."""
    torch = importlib.import_module("rushlight")
    functional = importlib.import_module("rushlight.nn.functional")
    found = 0
    for name in names or list(WORKLOADS):
        job = WORKLOADS[name](torch, functional)
        job.step()
        for text in dict.fromkeys(too_short(job.step)):
            print(f"{name}: {text}", flush=True)
            found += 1
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

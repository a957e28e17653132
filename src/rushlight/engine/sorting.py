"""Sorts as native steps.  Level 9."""

from __future__ import annotations

from dataclasses import replace

from rushlight.codegen.sorting import PARAMS, SortSpec, sort_text
from rushlight.engine.kernels import library_of_text
from rushlight.engine.steps import NativeStep
from rushlight.lowering.ordering import Sort
from rushlight.runtime.host import host_target

# Elements that one thread sorts at least: some tens of microseconds.
_SMALLEST_SHARE = 1 << 12


def sort_step(sort: Sort) -> NativeStep:
    """The step of one sort."""
    target = host_target()
    order = "descending" if sort.descending else "ascending"
    spec = SortSpec("", sort.dtype, sort.descending)
    spec = replace(spec, name=f"sort_{sort.dtype}_{order}")
    library = library_of_text(repr(spec), [spec.name], lambda: sort_text(spec, target))
    buffers = [sort.x, sort.order, sort.keys, sort.positions]
    numbers = {"rows": sort.rows, "groups": sort.groups, "size": sort.size, "inner": sort.inner}
    words: list[tuple[int, int | None, bool]] = [(numbers[p], None, False) for p in PARAMS]
    grain = max(1, _SMALLEST_SHARE * sort.groups // (sort.rows * sort.size))
    return NativeStep(library, spec.name, buffers, set(buffers[1:]), words, sort.groups, grain)

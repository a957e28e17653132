"""Sorts as native steps.  Level 9."""

from __future__ import annotations

from dataclasses import replace

from rushlight.base.dtypes import int64
from rushlight.base.symbolic import largest
from rushlight.codegen.sorting import (
    DIGIT_BITS,
    HALF_BITS,
    PARAMS,
    TABLE_WORDS,
    SortSpec,
    digits_of,
    function_names,
    sort_text,
)
from rushlight.engine.kernels import library_of_text
from rushlight.engine.steps import NativeStep
from rushlight.lowering.ordering import Sort
from rushlight.runtime.host import host_target
from rushlight.tape.program import Program

# Elements that one thread sorts at least: some tens of microseconds.
_SMALLEST_SHARE = 1 << 12


def sort_steps(sort: Sort, program: Program) -> list[NativeStep]:
    """The steps of one sort."""
    target = host_target()
    order = "descending" if sort.descending else "ascending"
    spec = SortSpec("", sort.dtype, sort.descending, sort.pieces > 1)
    name = f"sort_{sort.dtype}_{order}" + "_cut" * spec.cut
    spec = replace(spec, name=name)
    names = function_names(spec)
    library = library_of_text(repr(spec), names, lambda: sort_text(spec, target))
    tables = (sort.groups, sort.pieces, TABLE_WORDS) if spec.cut else (1,)
    shapes = ((sort.groups, 2, sort.size), tables)
    memory = [program.new_value(shape, int64).slot for shape in shapes]
    buffers = [sort.x, sort.order, *memory]
    numbers = {
        "rows": sort.rows, "groups": sort.groups, "size": sort.size, "inner": sort.inner,
        "pieces": sort.pieces,
    }  # fmt: skip
    # Groups of whole rows, or pieces of rows.
    extent = sort.groups * sort.pieces
    grain = largest([1, _SMALLEST_SHARE * extent // (sort.rows * sort.size)])

    def step(function: str, shift: int) -> NativeStep:
        values = {**numbers, "digit": shift}
        words: list[tuple[int, int | None, bool]] = [(values[p], None, False) for p in PARAMS]
        return NativeStep(library, function, buffers, set(buffers[1:]), words, extent, grain)

    if not spec.cut:
        return [step(spec.name, 0)]
    keys, count, move, *upper = names
    steps = [step(keys, 0)]
    for shift in range(0, DIGIT_BITS * digits_of(sort.dtype), DIGIT_BITS):
        if shift == HALF_BITS:
            steps += [step(name, shift) for name in upper]
        steps += [step(count, shift), step(move, shift)]
    return steps

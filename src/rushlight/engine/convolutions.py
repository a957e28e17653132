"""Products with matrices of windows as native steps: cores, tables, arguments.  Level 9."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rushlight.base.dtypes import int64
from rushlight.base.target import Target
from rushlight.codegen.convolution import (
    FULL,
    NARROW,
    PARAMS,
    PARTIAL,
    ConvolutionSpec,
    TileSet,
    choose_tiles,
    convolution_text,
    needed_edges,
    needed_rows,
)
from rushlight.codegen.gemm_choices import choose_core_rows
from rushlight.engine.kernels import is_loaded, library_of_text
from rushlight.engine.steps import NativeStep
from rushlight.lowering.convolution import TRANSPOSED, Windows
from rushlight.runtime.host import host_target
from rushlight.tape.program import Program

# Multiply-adds that one thread takes at least, as of matrix products.
_SMALLEST_SHARE = 1 << 18


def windows_buffers(windows: Windows, program: Program, constants: dict) -> list[int]:
    """Slots of the operands, the result and the tables, which are added to `constants`."""
    tables: list[Any] = [windows.lines]
    if windows.form == TRANSPOSED:
        tables += [windows.blocks, [(c,) for c in windows.chunks]]
    buffers = [windows.a, windows.x, windows.c]
    for table in tables:
        array = np.array(table, np.int64).reshape(-1)
        value = program.new_value(array.shape, int64)
        constants[value.slot] = array
        buffers.append(value.slot)
    return buffers


def _code_of(windows: Windows, target: Target) -> tuple[ConvolutionSpec, TileSet]:
    """The code that serves such windows, and its tiles."""
    words = dict(windows.words)
    m, n = words["m"], words["n"]
    # Columns that come from the batch may be few in one step and many in the next.
    columns = 1 << 30 if windows.loose else n
    tiles = choose_tiles(m, columns, windows.dtype, choose_core_rows(m, target), target)
    edges = (FULL, NARROW, PARTIAL) if windows.loose else needed_edges(n, tiles)
    spec = ConvolutionSpec(
        "convolution", windows.dtype, windows.form, needed_rows(m, tiles), tiles.vectors, edges,
        windows.axes, windows.step,
    )  # fmt: skip
    rows = "_".join(map(str, spec.rows))
    name = f"convolution_{spec.dtype}_{spec.form}_{rows}x{spec.vectors}"
    return replace(spec, name=name), tiles


def windows_step(
    windows: Windows, program: Program, constants: dict, loose: bool = False
) -> NativeStep:
    """The step of one product; its tables are added to `constants`.

    loose: by code for any number of columns, unless code for these few is there already: a short
    last batch then compiles nothing.
    """
    target = host_target()
    spec, tiles = _code_of(windows, target)
    if loose and not is_loaded(repr(spec)):
        spec, tiles = _code_of(replace(windows, loose=True), target)
    name = spec.name
    library = library_of_text(repr(spec), [name], lambda: convolution_text(spec, target))
    words = dict(windows.words)
    m, n, k = words["m"], words["n"], words["k"]
    words["panels"] = -(-n // tiles.columns)
    buffers = windows_buffers(windows, program, constants)
    arguments: list[tuple[int, int | None, bool]] = [(words[p], None, False) for p in PARAMS]
    tasks = windows.batches * words["groups"] * words["panels"]
    # Chunks share one sum.
    products = words["groups"] * (1 if windows.form == TRANSPOSED else windows.batches)
    grain = max(1, _SMALLEST_SHARE * tasks // max(1, products * m * n * k))
    sizes = (products, m, n, k)
    return NativeStep(library, name, buffers, {windows.c}, arguments, tasks, grain, sizes)

"""Matrix products as native steps: which GEMM, its tiles, its arguments.  Level 9."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rushlight.base.dtypes import dtype_by_name, int64
from rushlight.base.target import Target
from rushlight.codegen.gemm import (
    ALIASED_ROWS,
    B_ANY,
    COPIED_STEPS,
    DIRECT_ROWS,
    GATHER_ROWS,
    PACKED,
    GemmSpec,
    choose_b_mode,
    choose_blocks,
    choose_copies_a,
    choose_core_rows,
    choose_edge,
    function_names,
    gemm_text,
)
from rushlight.codegen.row_product import (
    ALONG_K,
    ALONG_ROWS,
    RowProductSpec,
    choose_row_tile,
    row_product_text,
)
from rushlight.engine.kernels import is_loaded, library_of_text
from rushlight.engine.steps import NativeStep
from rushlight.lowering.matmul import Product
from rushlight.runtime.host import host_target
from rushlight.runtime.threads import get_num_threads
from rushlight.tape.program import Program

_PACK_GRAIN = 4
# Multiply-adds that one thread takes at least: about five microseconds of work, several times what
# handing out a share costs.
_SMALLEST_SHARE = 1 << 18
# Rows whose multiplications take as long as reading what they are multiplied by.
_ROWS_OF_READING = 8
# Tiles of a product of one row: enough for a dozen threads, and each long enough to read well.
_ROW_TILES = 48
# Up to here the code that serves every shape loses at most half a microsecond to the code for one,
# which takes up to 200 ms to compile, and every few shapes need another.
_FEW_MULTIPLICATIONS = 1 << 13


def _spec_of(product: Product, target: Target) -> GemmSpec:
    """The fastest code for the sizes; where that had to be compiled, what serves nearly as well."""
    best = _spec_for(product, product.m, target)
    if is_loaded(repr(best)):
        return best
    work = len(product.offsets) * product.m * product.n * product.k
    if work <= _FEW_MULTIPLICATIONS:
        return _named(GemmSpec("", product.dtype, B_ANY, GATHER_ROWS))
    # The last batch of an epoch is short: it takes the code of the others, half as fast at worst.
    for rows in (DIRECT_ROWS, DIRECT_ROWS + 1, ALIASED_ROWS):
        longer = _spec_for(product, rows, target)
        if 1 < product.m <= rows and is_loaded(repr(longer)):
            return longer
    longer = _spec_for(replace(product, k=COPIED_STEPS), product.m, target)
    return longer if product.k < COPIED_STEPS and is_loaded(repr(longer)) else best


def _spec_for(product: Product, m: int, target: Target) -> GemmSpec:
    """The fastest code for such a product of m rows."""
    dtype = product.dtype
    mode = choose_b_mode(m, product.k, *product.b_strides, dtype, target)
    rows = choose_core_rows(m, target)
    edge = choose_edge(product.n, dtype, rows, mode, target)
    copies = choose_copies_a(m, product.n, product.k, *product.a_strides, mode)
    return _named(GemmSpec("", dtype, mode, rows, edge, copies))


def _named(spec: GemmSpec) -> GemmSpec:
    name = f"gemm_{spec.dtype}_{spec.b_mode}_{spec.core_rows}_{spec.edge}" + "_t" * spec.copies_a
    return replace(spec, name=name)


def product_steps(product: Product, program: Program, constants: dict) -> list[NativeStep]:
    """The steps of one product; its table of batch offsets is added to `constants`."""
    if product.is_vector:
        return [_row_step(product, program, constants)]
    target = host_target()
    m, n, k = product.m, product.n, product.k
    spec = _spec_of(product, target)
    mode = spec.b_mode
    library = library_of_text(repr(spec), function_names(spec), lambda: gemm_text(spec, target))
    batches = len(product.offsets)
    # Few rows are bound by reading B.
    work = batches * max(m, _ROWS_OF_READING) * n * k
    threads = min(get_num_threads(), max(1, work // _SMALLEST_SHARE))
    blocks = choose_blocks(m, n, k, batches, spec, target, threads)
    offsets = _offsets_of(product, program, constants)
    workspace = program.new_value((blocks.workspace + 1,), dtype_by_name(product.dtype))
    buffers = [product.a, product.b, product.c, offsets, workspace.slot]
    words = [
        m, n, k, *product.a_strides, *product.b_strides, n,
        blocks.tile_m, blocks.tile_n, blocks.tiles_m, blocks.tiles_n,
    ]  # fmt: skip
    arguments: list[tuple[int, int | None, bool]] = [(word, None, False) for word in words]
    written = {product.c, workspace.slot}
    steps = []
    if mode in PACKED:
        steps.append(
            NativeStep(
                library,
                spec.name + "_pack",
                buffers,
                {workspace.slot},
                arguments,
                batches * blocks.panels,
                max(_PACK_GRAIN, _SMALLEST_SHARE // (k * 64)),
                (batches, m, n, k),
            )
        )
    tiles = batches * blocks.tiles_m * blocks.tiles_n
    grain = max(1, _SMALLEST_SHARE * tiles // work)
    sizes = (batches, m, n, k)
    steps.append(NativeStep(library, spec.name, buffers, written, arguments, tiles, grain, sizes))
    return steps


def _offsets_of(product: Product, program: Program, constants: dict) -> int:
    """The slot of the table of batch offsets."""
    offsets = program.new_value((3 * len(product.offsets),), int64)
    constants[offsets.slot] = np.array(product.offsets, np.int64).reshape(-1)
    return offsets.slot


def _row_step(product: Product, program: Program, constants: dict) -> NativeStep:
    """The step of a product that is one row, or one column, which is the row of its transpose."""
    target = host_target()
    sizes = (len(product.offsets), product.m, product.n, product.k)
    if product.m != 1:
        product = product.transposed()
    n, k, batches = product.n, product.k, len(product.offsets)
    reading = ALONG_K if product.b_strides[0] == 1 else ALONG_ROWS
    name = f"row_product_{product.stored or product.dtype}_{reading}"
    spec = RowProductSpec(name, product.dtype, reading, product.stored)
    library = library_of_text(repr(spec), [spec.name], lambda: row_product_text(spec, target))
    work = batches * n * k * _ROWS_OF_READING
    tile = choose_row_tile(n, min(_ROW_TILES, work // _SMALLEST_SHARE) // batches, spec, target)
    tiles = -(-n // tile)
    words = [n, k, *product.b_strides, tile, tiles]
    buffers = [product.a, product.b, product.c, _offsets_of(product, program, constants)]
    extent = batches * tiles
    return NativeStep(
        library,
        spec.name,
        buffers,
        {product.c},
        [(word, None, False) for word in words],
        extent,
        max(1, _SMALLEST_SHARE * extent // work),
        sizes,
    )

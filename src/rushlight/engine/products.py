"""Matrix products as native steps: which GEMM, its tiles, its arguments.  Level 9."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from rushlight.base.dtypes import dtype_by_name, int64
from rushlight.codegen.byte_rows import byte_rows_spec, byte_rows_text, lines_at_once
from rushlight.codegen.gemm import PACKED, PARAMS, GemmSpec
from rushlight.codegen.gemm_choices import choose_blocks
from rushlight.codegen.row_product import (
    ALONG_K,
    ALONG_ROWS,
    RowProductSpec,
    choose_row_tile,
    row_product_text,
)
from rushlight.engine.kernels import library_of_text
from rushlight.engine.product_code import library_of, spec_for
from rushlight.engine.steps import NativeStep
from rushlight.lowering.matmul import Product
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import Library
from rushlight.runtime.pool_text import NO_STEP
from rushlight.runtime.threads import get_num_threads, pool
from rushlight.tape.program import Program

_PACK_GRAIN = 4
# Multiply-adds that one thread takes at least: about five microseconds of work, several times what
# handing out a share costs.
_SMALLEST_SHARE = 1 << 18
# Rows whose multiplications take as long as reading what they are multiplied by.
_ROWS_OF_READING = 8
# Tiles of a product of one row: enough for a dozen threads, and each long enough to read well.
_ROW_TILES = 48


class ProductCall(NamedTuple):
    """One call of machine code: what of a NativeStep depends on the product's sizes."""

    library: Library
    function: str
    words: list[int]
    extent: int
    grain: int


class ProductCalls(NamedTuple):
    """The calls of one product, and how many elements of workspace they need, 0 for none."""

    calls: list[ProductCall]
    workspace: int


def product_calls(product: Product, spec: GemmSpec | None = None) -> ProductCalls:
    """What computes a product of these sizes; spec: by which code, else by the best."""
    if product.is_few_bytes:
        # Where the number of rows varies, other numbers need memory.
        return ProductCalls([_bytes_call(product)], 1)
    if product.is_vector:
        return ProductCalls([_row_call(product)], 0)
    target = host_target()
    m, n, k, batches = product.m, product.n, product.k, product.batches
    if spec is None:
        spec = spec_for(product, target)
    library = library_of(spec, target)
    # Few rows are bound by reading B.
    work = batches * max(m, _ROWS_OF_READING) * n * k
    threads = min(get_num_threads(), max(1, work // _SMALLEST_SHARE))
    blocks = choose_blocks(m, n, k, batches, spec, target, threads)
    words = [
        m, n, k, *product.a_strides, *product.b_strides, n,
        blocks.tile_m, blocks.tile_n, blocks.tiles_m, blocks.tiles_n, blocks.group,
    ]  # fmt: skip
    calls = []
    if spec.b_mode in PACKED:
        grain = max(_PACK_GRAIN, _SMALLEST_SHARE // (k * 64))
        name = spec.name + "_pack"
        calls.append(ProductCall(library, name, words, batches * blocks.panels, grain))
    tiles = batches * blocks.tiles_m * blocks.tiles_n
    grain = max(1, _SMALLEST_SHARE * tiles // work)
    calls.append(ProductCall(library, spec.name, words, tiles, grain))
    return ProductCalls(calls, blocks.workspace + 1)


@functools.cache
def _row_spec(dtype: str, reading: str, stored: str) -> tuple[RowProductSpec, str]:
    """The code for such a product, and its identity."""
    spec = RowProductSpec(f"row_product_{stored or dtype}_{reading}", dtype, reading, stored)
    return spec, repr(spec)


def _row_call(product: Product) -> ProductCall:
    """Of a product that is one row, or one column, which is the row of its transpose."""
    target = host_target()
    if product.m != 1:
        product = product.transposed()
    n, k, batches = product.n, product.k, product.batches
    reading = ALONG_K if product.b_strides[0] == 1 else ALONG_ROWS
    spec, identity = _row_spec(product.dtype, reading, product.stored)
    library = library_of_text(identity, [spec.name], lambda: row_product_text(spec, target))
    work = batches * n * k * _ROWS_OF_READING
    tile = choose_row_tile(n, min(_ROW_TILES, work // _SMALLEST_SHARE) // batches, spec, target)
    tiles = -(-n // tile)
    words = [n, k, *product.b_strides, tile, tiles]
    extent = batches * tiles
    grain = max(1, _SMALLEST_SHARE * extent // work)
    return ProductCall(library, spec.name, words, extent, grain)


def _bytes_call(product: Product) -> ProductCall:
    """Of a product of few rows of bytes; it has as many words as one of more rows."""
    target, spec = host_target(), byte_rows_spec(product.m)
    library = library_of_text(repr(spec), [spec.name], lambda: byte_rows_text(spec, target))
    m, n, k, batches = product.m, product.n, product.k, product.batches
    work = batches * n * k * max(m, _ROWS_OF_READING)
    lines = lines_at_once(spec, target)
    pieces = max(1, min(_ROW_TILES, work // _SMALLEST_SHARE) // batches)
    tile = max(1, -(-n // (pieces * lines))) * lines
    tiles = -(-n // tile)
    words = [m, n, k, product.a_strides[0], product.b_strides[1], tile, tiles]
    words += [0] * (len(PARAMS) - len(words))
    extent = batches * tiles
    return ProductCall(library, spec.name, words, extent, max(1, _SMALLEST_SHARE * extent // work))


def with_place_to_pack(calls: list[ProductCall]) -> list[ProductCall]:
    """As many calls whether the product packs or not: a call that does nothing stands for packing,
    so that products of other sizes, which may pack, fit the same steps."""
    if len(calls) > 1:
        return calls
    return [ProductCall(pool.code(), NO_STEP, calls[0].words, 1, 1), *calls]


def product_steps(
    product: Product, program: Program, constants: dict, alike: bool = False
) -> list[NativeStep]:
    """The steps of one product; its table of batch offsets is added to `constants`.

    alike: as many steps as products of other sizes have.
    """
    made = product_calls(product)
    table = program.new_value((3 * product.batches,), int64)
    constants[table.slot] = offsets_of(product)
    workspace = None
    if made.workspace:
        workspace = program.new_value((made.workspace,), dtype_by_name(product.dtype)).slot
    calls = with_place_to_pack(made.calls) if alike and not product.is_vector else made.calls
    return steps_of_calls(product, calls, table.slot, workspace)


def steps_of_calls(
    product: Product, calls: list[ProductCall], table: int, workspace: int | None
) -> list[NativeStep]:
    """The steps of calls; table, workspace: slots of the batch offsets and of packed panels."""
    first, second = product.a, product.b
    if product.is_vector and product.m != 1:
        first, second = second, first
    buffers = [first, second, product.c, table]
    if workspace is not None:
        buffers.append(workspace)
    sizes = (product.batches, product.m, product.n, product.k)
    steps = []
    for call in calls:
        written = set(buffers[4:])
        if call is calls[-1]:
            written.add(product.c)
        words: list = [(word, None, False) for word in call.words]
        step = NativeStep(
            call.library, call.function, buffers, written, words, call.extent, call.grain, sizes
        )
        steps.append(step)
    return steps


def offsets_of(product: Product) -> np.ndarray:
    """Where A, B and C of each batch begin: three words for each, of rows or columns too."""
    if len(product.batch) == 1:
        (steps,) = product.batch_steps
        if product.is_vector and product.m != 1:
            steps = (steps[1], steps[0], steps[2])
        return np.multiply.outer(np.arange(product.batch[0]), steps).reshape(-1)
    offsets = np.zeros((*product.batch, 3), np.int64)
    for axis, (size, steps) in enumerate(zip(product.batch, product.batch_steps)):
        along = np.multiply.outer(np.arange(size), np.array(steps, np.int64))
        offsets += along.reshape((size, *(1,) * (len(product.batch) - axis - 1), 3))
    table = offsets.reshape(-1, 3)
    if product.is_vector and product.m != 1:
        table = table[:, [1, 0, 2]]
    return np.ascontiguousarray(table).reshape(-1)

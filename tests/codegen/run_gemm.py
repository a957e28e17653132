"""Runs a GEMM on NumPy matrices of any strides, and the reference with the same additions."""

import ctypes
import functools

import numpy as np

from rushlight.codegen.gemm import PACKED, GemmSpec, function_names, gemm_text
from rushlight.codegen.gemm_choices import (
    choose_a_mode,
    choose_b_mode,
    choose_blocks,
    choose_core_rows,
    choose_edge,
)
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import load_text
from rushlight.runtime.threads import pool

HOST = host_target()
# What a GEMM writes, where that is not what it reads.
RESULTS = {"uint8": np.int32}


@functools.cache
def library_of(spec, target):
    return load_text(gemm_text(spec, target), function_names(spec), target)


def prepare(a, b, target=HOST, threads=1, mode=None, rows=None, out=None,
            a_mode=None, dtype=None):  # fmt: skip
    """A callable that computes a @ b of three-dimensional arrays into its attribute ``c``.

    dtype: of the GEMM; that of ``a`` unless it has none of NumPy's.
    """
    dtype = dtype or a.dtype.name
    batches = np.broadcast_shapes(a.shape[:1], b.shape[:1])[0]
    (m, k), n, size = a.shape[1:], b.shape[2], a.itemsize
    c = out
    if c is None:
        c = np.full(
            (batches, m, n), np.nan if a.dtype.kind == "f" else 77, RESULTS.get(dtype, a.dtype)
        )
    strides = [x.strides[i] // size for x in (a, b) for i in (1, 2)]
    strides.append(c.strides[1] // c.itemsize)
    mode = mode or choose_b_mode(m, k, strides[2], strides[3], dtype, target)
    rows = rows or choose_core_rows(m, target)
    a_mode = a_mode or choose_a_mode(m, n, k, *strides[:2], dtype, mode, target)
    edge = choose_edge(n, dtype, rows, mode, target)
    spec = GemmSpec("gemm", dtype, mode, rows, edge, a_mode)
    library = library_of(spec, target)
    blocks = choose_blocks(m, n, k, batches, spec, target, threads)
    workspace = np.empty(blocks.workspace + 1, a.dtype)
    steps_of = [0 if x.shape[0] == 1 else x.strides[0] // x.itemsize for x in (a, b, c)]
    offsets = np.array([[i * s for s in steps_of] for i in range(batches)], np.int64).ravel()
    pointed = [a, b, c, offsets, workspace]
    pointers = (ctypes.c_void_p * len(pointed))(*[x.ctypes.data for x in pointed])
    tiles = [blocks.tile_m, blocks.tile_n, blocks.tiles_m, blocks.tiles_n, blocks.group]
    numbers = [m, n, k, *strides, *tiles]
    arguments = np.array(numbers, np.int64)
    common = [ctypes.addressof(pointers), arguments.ctypes.data]
    steps = []
    if mode in PACKED:
        steps.append([library["gemm_pack"], *common, batches * blocks.panels, blocks.pack_grain])
    steps.append(
        [library["gemm"], *common, batches * blocks.tiles_m * blocks.tiles_n, blocks.grain]
    )
    table = np.array(steps, np.int64)

    def go():
        pool.run_steps(table.ctypes.data, len(steps))
        return c

    go.kept = (pointed, pointers, arguments, table, library)
    go.c, go.modes, go.blocks = c, (a_mode, mode), blocks
    return go

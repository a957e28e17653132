"""Matrix products as launches on a device.  Level 9."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.dtypes import int64
from rushlight.base.precision import precision
from rushlight.codegen import grid_warpgroup as warpgroup
from rushlight.codegen.grid import GridKernel
from rushlight.codegen.grid_product import GridProduct, GridRow, product_kernel, row_kernel
from rushlight.codegen.grid_tensor import (
    COLUMNS,
    MANY_COLUMNS,
    ROWS,
    TENSOR_CORES,
    GridTensorProduct,
    tensor_product_kernel,
)
from rushlight.codegen.grid_tile import SQUARE, TILE
from rushlight.codegen.grid_warpgroup import GridGroupProduct
from rushlight.engine.device_step import DeviceStep
from rushlight.engine.device_trust import warpgroups_multiply
from rushlight.engine.products import offsets_of
from rushlight.lowering.matmul import Product
from rushlight.lowering.scalars import HALF
from rushlight.tape.program import Program

Spec = GridProduct | GridRow | GridTensorProduct | GridGroupProduct


def product_launch(product: Product, program: Program, constants: dict, backend: Any) -> DeviceStep:
    """The launch of one product; its table of batch offsets is added to `constants`."""
    table = program.new_value((3 * product.batches,), int64)
    constants[table.slot] = offsets_of(product)
    first, second = product.a, product.b
    spec: Spec
    if product.is_vector:
        if product.m != 1:
            product = product.transposed()
            first, second = second, first
        spec = GridRow(product.dtype, product.b_strides[0] == 1, product.stored)
        words = [product.n, product.k, *product.b_strides]
        extent = product.batches * product.n
    else:
        along = (product.a_strides[1] == 1, product.b_strides[0] == 1)
        rows, columns = TILE, TILE
        strides = [*product.a_strides, *product.b_strides]
        if by_warpgroups(product, constants[table.slot], backend):
            spec = GridGroupProduct(product.dtype, product.unrounded)
            rows, columns = warpgroup.ROWS, warpgroup.COLUMNS
            strides = [product.a_strides[0], product.b_strides[1]]
        elif on_tensor_cores(product.dtype, backend):
            whole = _whole_pieces(product, constants[table.slot])
            many = all(whole) and _fills(product, MANY_COLUMNS, backend)
            rows, columns = ROWS, MANY_COLUMNS if many else COLUMNS
            spec = GridTensorProduct(product.dtype, *along, *whole, columns, product.unrounded)
        else:
            square = SQUARE
            if product.dtype == "float32" and _fills(product, 2 * TILE, backend):
                square, rows, columns = 2 * SQUARE, 2 * TILE, 2 * TILE
            spec = GridProduct(product.dtype, *along, square)
        tiles_m, tiles_n = -(-product.m // rows), -(-product.n // columns)
        words = [product.m, product.n, product.k, *strides, tiles_m, tiles_n]
        extent = product.batches * tiles_m * tiles_n
    kernel, function = backend.loaded(spec.name, lambda: _kernel_of(spec))
    return DeviceStep(
        kernel, function, [first, second, product.c, table.slot], {product.c},
        [(word, None, False) for word in words], extent,
        sizes=(product.batches, product.m, product.n, product.k),
    )  # fmt: skip


def _whole_pieces(product: Product, offsets: np.ndarray) -> tuple[bool, bool]:
    """Whether the lines of A, and of B, lie in whole pieces of 16 bytes, along k or not."""
    piece = 16 // (2 if product.dtype in HALF else 4)
    found = []
    for matrix, count, strides in (
        (0, product.m, product.a_strides), (1, product.n, product.b_strides[::-1]),
    ):  # fmt: skip
        apart, along_k = strides
        extents = (product.k, apart) if along_k == 1 else (count, along_k)
        lines = along_k == 1 or apart == 1
        found.append(lines and not any(n % piece for n in (*extents, *offsets[matrix::3])))
    return found[0], found[1]


def _fills(product: Product, tile: int, backend: Any) -> bool:
    """Whether tiles of this edge keep all multiprocessors busy."""
    tiles = product.batches * -(-product.m // tile) * -(-product.n // tile)
    return tiles >= backend.facts.multiprocessors


def on_tensor_cores(dtype: str, backend: Any) -> bool:
    """Whether products of two matrices of a dtype go to tensor cores on a device."""
    if backend.facts.capability < TENSOR_CORES:
        return False
    return dtype in HALF or (dtype == "float32" and precision.tf32)


def by_warpgroups(product: Product, offsets: np.ndarray, backend: Any) -> bool:
    """Whether Hopper's warpgroups multiply: 16 bits, both operands along k in whole pieces of 16
    bytes wherever they begin, and enough rows and columns to fill a good part of a tile."""
    if backend.facts.capability[0] != warpgroup.HOPPER[0] or product.dtype not in HALF:
        return False
    along = product.a_strides[1] == 1 and product.b_strides[0] == 1
    whole = np.array([product.k, product.a_strides[0], product.b_strides[1], *offsets])
    enough = min(product.m, product.n) >= warpgroup.GROUP_ROWS
    fits = along and enough and not (whole % warpgroup.PIECE).any()
    return fits and warpgroups_multiply(product.dtype, backend)


def _kernel_of(spec: Spec) -> GridKernel:
    if isinstance(spec, GridGroupProduct):
        return warpgroup.group_product_kernel(spec)
    if isinstance(spec, GridTensorProduct):
        return tensor_product_kernel(spec)
    return product_kernel(spec) if isinstance(spec, GridProduct) else row_kernel(spec)

"""Matrix products as launches on a device.  Level 9."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import int64
from rushlight.codegen.grid import GridKernel
from rushlight.codegen.grid_product import (
    TILE,
    GridProduct,
    GridRow,
    product_kernel,
    row_kernel,
)
from rushlight.engine.device_step import DeviceStep
from rushlight.engine.products import offsets_of
from rushlight.lowering.matmul import Product
from rushlight.tape.program import Program


def product_launch(product: Product, program: Program, constants: dict, backend: Any) -> DeviceStep:
    """The launch of one product; its table of batch offsets is added to `constants`."""
    table = program.new_value((3 * product.batches,), int64)
    constants[table.slot] = offsets_of(product)
    first, second = product.a, product.b
    spec: GridProduct | GridRow
    if product.is_vector:
        if product.m != 1:
            product = product.transposed()
            first, second = second, first
        spec = GridRow(product.dtype, product.b_strides[0] == 1, product.stored)
        words = [product.n, product.k, *product.b_strides]
        extent = product.batches * product.n
    else:
        spec = GridProduct(product.dtype, product.a_strides[1] == 1, product.b_strides[0] == 1)
        tiles_m, tiles_n = -(-product.m // TILE), -(-product.n // TILE)
        words = [
            product.m, product.n, product.k, *product.a_strides, *product.b_strides, tiles_m,
            tiles_n,
        ]  # fmt: skip
        extent = product.batches * tiles_m * tiles_n
    kernel, function = backend.loaded(spec.name, lambda: _kernel_of(spec))
    return DeviceStep(
        kernel, function, spec.name, [first, second, product.c, table.slot], {product.c},
        [(word, None, False) for word in words], extent, (), (),
    )  # fmt: skip


def _kernel_of(spec: GridProduct | GridRow) -> GridKernel:
    return product_kernel(spec) if isinstance(spec, GridProduct) else row_kernel(spec)

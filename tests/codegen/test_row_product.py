"""Products of one row: right for any size, and one order of additions however B lies."""

import ctypes

import numpy as np
import pytest

import rushlight as rl
from rushlight.base.config import config
from rushlight.base.target import neon_target
from rushlight.codegen.row_product import (
    ALONG_K,
    ALONG_ROWS,
    PARTIALS,
    RowProductSpec,
    choose_row_tile,
    columns_at_once,
    row_product_text,
)
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import compile_text, load_text
from rushlight.runtime.threads import pool
from tests.codegen.run_kernel import TARGETS

# k below, at and beyond whole groups of partial sums; n of one column, edges, and whole blocks.
SIZES = [(1, 1), (7, 5), (8, 16), (13, 37), (64, 300), (100, 7), (0, 3), (257, 520)]


def row_product(x, matrix, reading, target, pieces=1):
    """x @ matrix of batches, with the matrix stored as `reading` wants it."""
    batches, k, n = matrix.shape
    stored = matrix.transpose(0, 2, 1) if reading == ALONG_K else matrix
    stored = np.ascontiguousarray(stored)
    strides = (1, k) if reading == ALONG_K else (n, 1)
    spec = RowProductSpec("row_product", x.dtype.name, reading)
    library = load_text(row_product_text(spec, target), [spec.name], target)
    tile = choose_row_tile(n, pieces, spec, target)
    tiles = -(-n // tile)
    c = np.full((batches, n), np.nan, x.dtype)
    offsets = np.array([[i * k, i * k * n, i * n] for i in range(batches)], np.int64)
    pointers = (ctypes.c_void_p * 4)(*[v.ctypes.data for v in (x, stored, c, offsets)])
    words = np.array([n, k, *strides, tile, tiles], np.int64)
    step = [library[spec.name], ctypes.addressof(pointers), words.ctypes.data, batches * tiles, 1]
    table = np.array([step], np.int64)
    pool.run_steps(table.ctypes.data, 1)
    return c


def contracted(x, matrix):
    """The contract in extended precision: one rounding a step, partial sums added in halves."""
    k, n = matrix.shape
    sums = np.zeros((PARTIALS, n), x.dtype)
    for step in range(k):
        exact = x[step].astype(np.longdouble) * matrix[step].astype(np.longdouble)
        sums[step % PARTIALS] = (exact + sums[step % PARTIALS]).astype(x.dtype)
    while len(sums) > 1:
        half = len(sums) // 2
        sums = sums[:half] + sums[half:]
    return sums[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_all_machines_layouts_and_tiles_give_the_same_bits(size, dtype):
    k, n = size
    rng = np.random.default_rng(k)
    x = rng.standard_normal((2, k)).astype(dtype)
    matrix = rng.standard_normal((2, k, n)).astype(dtype)
    exact = np.einsum("bk,bkn->bn", x.astype(np.float64), matrix)
    found = [
        row_product(x, matrix, reading, target, pieces)
        for target in TARGETS
        for reading in (ALONG_K, ALONG_ROWS)
        for pieces in (1, 5)
    ]
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found[0], exact, rtol=tolerance, atol=tolerance)
    for other in found[1:]:
        assert other.tobytes() == found[0].tobytes()


def test_additions_happen_in_the_stated_order():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 203)).astype(np.float32)
    matrix = rng.standard_normal((1, 203, 50)).astype(np.float32)
    expected = contracted(x[0], matrix[0])
    for reading in (ALONG_K, ALONG_ROWS):
        assert (row_product(x, matrix, reading, host_target())[0] == expected).all()


def test_infinity_and_nan_stay_in_their_columns():
    x, matrix = np.ones((1, 11), np.float32), np.ones((1, 11, 40), np.float32)
    matrix[0, 10, 39], matrix[0, 8, 3] = np.nan, np.inf
    for target in TARGETS:
        for reading in (ALONG_K, ALONG_ROWS):
            c = row_product(x, matrix, reading, target)[0]
            assert np.isnan(c[39]) and np.isinf(c[3])
            assert np.isfinite(np.delete(c, [3, 39])).all()


@pytest.mark.parametrize("reading", [ALONG_K, ALONG_ROWS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_neon_code_compiles(dtype, reading):
    target = neon_target()
    spec = RowProductSpec("row_product", dtype, reading)
    assert columns_at_once(spec, target) > 0
    assert len(compile_text(row_product_text(spec, target), target)) > 0


# A way to see a (60, 90) matrix, and a vector of as many elements as it then has rows or columns.
VIEWS = {
    "contiguous": lambda m: m,
    "transposed": lambda m: m.t(),
    "sliced": lambda m: m[5:50, 7:],
    "stepped": lambda m: m[::2, ::3],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dense", [True, False])
def test_a_vector_on_either_side_of_a_view(view, dense):
    rng = np.random.default_rng(2)
    array = rng.standard_normal((60, 90)).astype(np.float32)
    seen = VIEWS[view](rl.tensor(array))
    rows, columns = seen.shape

    def vector(size):
        whole = rl.tensor(rng.standard_normal((size, 3)).astype(np.float32))
        return whole[:, 0].contiguous() if dense else whole[:, 1]

    left, right = vector(rows), vector(columns)
    np.testing.assert_allclose(
        (left @ seen).numpy(), left.numpy() @ seen.numpy(), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        (seen @ right).numpy(), seen.numpy() @ right.numpy(), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("shape", [(37, 70), (600, 300), (8, 16)])
def test_a_matrix_of_16_bit_floats_is_widened_as_it_is_read(shape, transposed, dtype):
    rng = np.random.default_rng(4)
    k, n = shape
    stored = rng.standard_normal((n, k) if transposed else (k, n)).astype(np.float32)
    matrix = rl.tensor(stored).to(getattr(rl, dtype))
    matrix = matrix.t() if transposed else matrix
    row = rl.tensor(rng.standard_normal((1, k)).astype(np.float32)).to(getattr(rl, dtype))
    column = rl.tensor(rng.standard_normal((n, 1)).astype(np.float32)).to(getattr(rl, dtype))
    for x, y in ((row, matrix), (matrix, column)):
        expected = (x.float() @ y.float()).to(getattr(rl, dtype))
        assert (x @ y == expected).all().item()


@pytest.mark.parametrize("stored", ["bfloat16", "float16"])
@pytest.mark.parametrize("reading", [ALONG_K, ALONG_ROWS])
def test_widening_code_compiles_elsewhere(reading, stored):
    for target in (*TARGETS, neon_target()):
        spec = RowProductSpec("row_product", "float32", reading, stored)
        assert len(compile_text(row_product_text(spec, target), target)) > 0


def test_a_column_is_the_row_that_it_is_transposed(monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    rng = np.random.default_rng(3)
    matrix = rl.tensor(rng.standard_normal((70, 40)).astype(np.float32))
    vector = rl.tensor(rng.standard_normal((40, 1)).astype(np.float32))
    column, row = matrix @ vector, vector.t() @ matrix.t()
    assert (column.t() == row).all().item()

"""Matrix products are right for any shape and stride, and have one order of additions."""

import numpy as np
import pytest

from rushlight.base.target import neon_target
from rushlight.codegen.gemm import GemmSpec, choose_b_mode, choose_blocks, gemm_text
from rushlight.codegen.microkernel import K_BLOCK
from rushlight.loopnest.ir import Buffer, Load, Op, Param, Var, call
from rushlight.runtime.jit import compile_text
from rushlight.runtime.threads import get_num_threads, set_num_threads
from tests.codegen.run_gemm import HOST, prepare
from tests.codegen.run_kernel import TARGETS

SHAPES = [(1, 1, 1), (5, 7, 9), (12, 32, 32), (13, 600, 33), (64, 200, 100), (3, 1100, 40),
          (2, 9, 300), (101, 530, 70), (7, 0, 5), (0, 4, 4), (4, 4, 0), (25, 3, 513),
          (19, 40, 64), (8, 40, 96)]  # fmt: skip


def random_matrix(rng, rows, columns, dtype, batch=1):
    return rng.standard_normal((batch, rows, columns)).astype(dtype)


def fused_sum(a, b):
    """The contract of codegen/microkernel.py in extended precision: one rounding a step."""
    (m, k), n = a.shape, b.shape[1]
    total = np.zeros((m, n), np.float32)
    for k0 in range(0, k, K_BLOCK):
        block = np.zeros((m, n), np.float32)
        for p in range(k0, min(k, k0 + K_BLOCK)):
            exact = a[:, p, None].astype(np.longdouble) * b[None, p].astype(np.longdouble)
            block = (exact + block).astype(np.float32)
        total = block if k0 == 0 else total + block
    return total


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_product_equals_numpy(shape, dtype):
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = random_matrix(rng, m, k, dtype), random_matrix(rng, k, n, dtype)
    transposed = np.ascontiguousarray(b.transpose(0, 2, 1)).transpose(0, 2, 1)
    expected = a.astype(np.float64) @ b
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    results = []
    for target in TARGETS:
        for right, mode in ((b, "direct"), (b, "rows"), (transposed, "columns"),
                            (transposed, "lines"), (b, "any"), (transposed, "any")):  # fmt: skip
            c = prepare(a, right, target, mode=mode)()
            np.testing.assert_allclose(c, expected, rtol=tolerance, atol=tolerance)
            results.append(c)
    for other in results[1:]:
        assert (other == results[0]).all()


def test_additions_happen_in_the_stated_order():
    rng = np.random.default_rng(3)
    a, b = random_matrix(rng, 5, 1200, "float32"), random_matrix(rng, 1200, 37, "float32")
    expected = fused_sum(a[0], b[0])
    for target in TARGETS:
        assert (prepare(a, b, target)()[0] == expected).all()


def test_threads_and_cores_do_not_change_a_bit():
    rng = np.random.default_rng(4)
    a, b = random_matrix(rng, 70, 700, "float32"), random_matrix(rng, 700, 90, "float32")
    expected = prepare(a, b)()
    before = get_num_threads()
    try:
        for threads in (2, 3):
            set_num_threads(threads)
            assert (prepare(a, b, threads=threads)() == expected).all()
    finally:
        set_num_threads(before)
    for rows in (1, 2, 4, 8):
        assert (prepare(a, b, rows=rows)() == expected).all()


@pytest.mark.parametrize("view", ["transposed", "strided", "sliced"])
def test_a_may_have_any_strides(view):
    rng = np.random.default_rng(5)
    base = rng.standard_normal((1, 90, 120)).astype(np.float32)
    a = {
        "transposed": base.transpose(0, 2, 1),
        "strided": base[:, ::2, ::3],
        "sliced": base[:, 5:50, 7:100],
    }[view]
    b = random_matrix(rng, a.shape[2], 50, "float32")
    expected = prepare(np.ascontiguousarray(a), b)()
    assert (prepare(a, b)() == expected).all()


@pytest.mark.parametrize(("m", "k", "n"), [(101, 1100, 130), (5, 3, 7), (48, 512, 64)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copying_a_transposed_a_changes_no_bit(m, k, n, dtype):
    rng = np.random.default_rng(5)
    a = random_matrix(rng, k, m, dtype).transpose(0, 2, 1)
    b = random_matrix(rng, k, n, dtype)
    expected = prepare(a, b)()
    for target in TARGETS:
        for mode in ("direct", "rows"):
            found = prepare(a, b, target, mode=mode, copies=True, threads=2)()
            assert (found == expected).all()


def test_rows_beyond_the_output_are_untouched():
    rng = np.random.default_rng(6)
    a, b = random_matrix(rng, 13, 20, "float32"), random_matrix(rng, 20, 17, "float32")
    frame = np.full((1, 15, 40), 9, np.float32)
    for target in TARGETS:
        frame[:] = 9
        prepare(a, b, target, out=frame[:, 1:14, 3:20])()
        inside = frame[:, 1:14, 3:20].copy()
        frame[:, 1:14, 3:20] = 9
        assert (frame == 9).all()
        np.testing.assert_allclose(inside, a @ b, rtol=1e-4, atol=1e-4)


def test_batches_broadcast_through_their_offsets():
    rng = np.random.default_rng(7)
    a = random_matrix(rng, 9, 30, "float32", 6)
    for b in (random_matrix(rng, 30, 20, "float32", 6), random_matrix(rng, 30, 20, "float32", 1)):
        for mode in ("direct", "rows"):
            actual = prepare(a, b, mode=mode, threads=2)()
            np.testing.assert_allclose(actual, a @ b, rtol=1e-4, atol=1e-4)


def test_infinity_and_nan_stay_in_their_rows_and_columns():
    a, b = np.ones((1, 20, 40), np.float32), np.ones((1, 40, 50), np.float32)
    a[0, 3, 5], b[0, 7, 11] = np.inf, np.nan
    for target in TARGETS:
        c = prepare(a, b, target)()[0]
        assert np.isnan(c[:, 11]).all()
        assert np.isinf(np.delete(c[3], 11)).all()
        assert np.isfinite(np.delete(np.delete(c, 3, 0), 11, 1)).all()


def test_epilogue_adds_bias_and_applies_relu_before_the_store():
    rng = np.random.default_rng(8)
    a, b = random_matrix(rng, 30, 600, "float32"), random_matrix(rng, 600, 50, "float32")
    bias = rng.standard_normal(50).astype(np.float32)
    residual = rng.standard_normal((30, 50)).astype(np.float32)
    acc, column, row = Var("acc", "float32"), Var("column"), Var("row")
    value = call("add", acc, Load("bias", column, "float32"))
    value = Op("mul", (value, Param("scale", "float32")), "float32")
    value = call("maximum", value, Op("sub", (value, value), "float32"))
    value = call("add", value, Load("residual", row * 50 + column, "float32"))
    buffers = (Buffer("bias", "float32", "in"), Buffer("residual", "float32", "in"))
    epilogue = (value, buffers, (bias, residual), (Param("scale", "float32"),), (0.5,))
    product = prepare(a, b)()[0]
    expected = np.maximum((product + bias) * np.float32(0.5), 0) + residual
    for target in TARGETS:
        for threads in (1, 2):
            actual = prepare(a, b, target, threads=threads, epilogue=epilogue)()[0]
            assert (actual == expected).all()


def test_b_with_no_unit_stride_is_refused():
    with pytest.raises(RuntimeError, match="B has strides 2 and 80, and neither is 1"):
        choose_b_mode(64, 40, 2, 80, "float32", HOST)


@pytest.mark.parametrize("mode", ["direct", "rows", "columns", "lines", "any"])
def test_neon_code_compiles(mode):
    target = neon_target()
    assert len(compile_text(gemm_text(GemmSpec("gemm", "float32", mode, 8), target), target)) > 0


def test_small_products_stay_on_one_thread_and_large_ones_are_shared_out():
    spec = GemmSpec("gemm", "float32", "direct", 12)
    small = choose_blocks(32, 16, 10, 1, spec, HOST, 8)
    assert small.tiles_m * small.tiles_n <= small.grain
    large = choose_blocks(512, 512, 512, 1, spec, HOST, 2)
    assert large.tiles_m * large.tiles_n >= 8 and large.grain == 1

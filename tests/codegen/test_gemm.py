"""Matrix products are right for any shape and stride, and have one order of additions."""

import numpy as np
import pytest

from rushlight.base.target import Target, neon_target
from rushlight.codegen.gemm import GemmSpec, gemm_text
from rushlight.codegen.gemm_choices import choose_a_mode, choose_b_mode, choose_blocks
from rushlight.codegen.microkernel import K_BLOCK
from rushlight.runtime.jit import assembly_of, compile_text
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
        for mode in ("direct", "rows", "local_rows"):
            found = prepare(a, b, target, mode=mode, a_mode="columns", threads=2)()
            assert (found == expected).all()


def random_view(rng, rows, columns, dtype):
    """A matrix in one of the orders and distances that a program makes."""
    order = rng.choice(["rows", "columns", "sliced", "turned slice"])
    more_rows, more_columns = rows + int(rng.integers(0, 9)), columns + int(rng.integers(0, 9))
    if order in ("columns", "turned slice"):
        more_rows, more_columns = more_columns, more_rows
    base = rng.standard_normal((1, more_rows, more_columns)).astype(dtype)
    if order in ("columns", "turned slice"):
        base = base.transpose(0, 2, 1)
    return base[:, :rows, :columns]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_packed_the_bits_are_the_same(seed):
    rng = np.random.default_rng(seed)
    m, k, n = (int(2 ** rng.uniform(1, top)) for top in (8, 10.5, 8))
    dtype = ("float32", "float64")[seed % 2]
    a, b = random_view(rng, m, k, dtype), random_view(rng, k, n, dtype)
    a_modes = ["direct"] + ["lines"] * (a.strides[2] == a.itemsize)
    a_modes += ["columns"] * (a.strides[1] == a.itemsize)
    b_modes = ["direct", "rows", "local_rows"] if b.strides[2] == b.itemsize else []
    b_modes += ["columns", "local_columns", "lines"] if b.strides[1] == b.itemsize else []
    expected = prepare(a, b)()
    tolerance = 1e-3 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(expected, a.astype(np.float64) @ b, rtol=tolerance, atol=tolerance)
    for target in TARGETS:
        for a_mode in a_modes:
            mode = str(rng.choice(b_modes))
            found = prepare(a, b, target, mode=mode, a_mode=a_mode, threads=2)()
            assert (found == expected).all(), (m, k, n, a_mode, mode)


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


def test_b_with_no_unit_stride_is_refused():
    with pytest.raises(RuntimeError, match="B has strides 2 and 80, and neither is 1"):
        choose_b_mode(64, 40, 2, 80, "float32", HOST)


@pytest.mark.parametrize("mode", ["direct", "rows", "columns", "lines", "any", "local_rows"])
def test_neon_code_compiles(mode):
    target = neon_target()
    assert len(compile_text(gemm_text(GemmSpec("gemm", "float32", mode, 8), target), target)) > 0


def machine(name):
    """An x86 machine by its vector unit and caches; code for it is generated, not run."""
    wide = name == "AVX-512"
    features = ("+avx2", "+fma", *(("+avx512f", "+avx512vl", "+avx512bw", "+avx512dq") * wide))
    return Target(
        "x86_64-unknown-linux-gnu", "skylake-avx512" if wide else "znver3", features,
        64 if wide else 32, 32 if wide else 16, wide, (48 if wide else 32) << 10,
        (2048 if wide else 512) << 10, 32 << 20, 64, 2,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["AVX-512", "AVX2"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loop_over_packed_operands_is_multiply_adds_and_loads_alone(name, dtype):
    target = machine(name)
    spec = GemmSpec("gemm", dtype, "rows", 12, "none", "lines")
    assembly = assembly_of(gemm_text(spec, target), target)
    lines = [line.split("#")[0].split() for line in assembly.splitlines()]
    register = "zmm" if name == "AVX-512" else "ymm"
    loops, body = [], []
    for words in lines:
        if words and words[0].endswith(":"):
            body = []
        elif words and words[0].startswith("j"):
            loops.append(body)
            body = []
        elif words:
            body.append(words)
    hottest = max(loops, key=lambda body: sum(w[0].startswith("vfmadd") for w in body))
    rows, unrolled = (12 if name == "AVX-512" else 6), 4
    count = {"vfmadd": 2 * rows, "vbroadcast": rows, "vmov": 2}
    for prefix, each in count.items():
        assert sum(w[0].startswith(prefix) for w in hottest) <= each * unrolled, prefix
    assert sum(w[0].startswith("vfmadd") for w in hottest) == 2 * rows * unrolled
    assert len(hottest) <= unrolled * (3 * rows + 2) + 4
    assert not any("sp)" in word for words in hottest for word in words if register in words[-1])


@pytest.mark.parametrize("name", ["AVX-512", "AVX2"])
def test_operands_are_packed_where_they_crowd_pages_or_sets_and_are_used_again(name):
    target = machine(name)

    def modes(m, k, n, order):
        a = (1, m) if order[0] == "t" else (k, 1)
        b = (1, k) if order[1] == "t" else (n, 1)
        mode = choose_b_mode(m, k, *b, "float32", target)
        return choose_a_mode(m, n, k, *a, "float32", mode, target), mode

    assert modes(1024, 1024, 1024, "nn") == ("lines", "rows")
    assert modes(1024, 1024, 1024, "tn") == ("columns", "rows")
    assert modes(1024, 384, 1536, "nt") == ("lines", "columns")
    # A hundred rows are too few for a pass over B before; fewer read it where it lies.
    assert modes(100, 784, 512, "nn")[1] == "local_rows"
    assert modes(36, 784, 512, "nn")[1] == "direct"
    # Few columns, but an A that lies across its rows and comes from afar.
    assert modes(4000, 2022, 49, "tn")[0] == "columns"
    # A small B lies in few pages and stays in the cache.
    assert modes(12, 32, 32, "nn") == ("direct", "direct")
    # Rows of 4 kB fall into one set of the first level: a narrow product packs them even so.
    crowded, free = modes(1024, 1024, 256, "nn")[0], modes(1024, 1008, 128, "nn")[0]
    assert (crowded, free) == ("lines", "direct")


def test_small_products_stay_on_one_thread_and_large_ones_are_shared_out():
    spec = GemmSpec("gemm", "float32", "direct", 12)
    small = choose_blocks(32, 16, 10, 1, spec, HOST, 8)
    assert small.tiles_m * small.tiles_n <= small.grain
    large = choose_blocks(512, 512, 512, 1, spec, HOST, 2)
    assert large.tiles_m * large.tiles_n >= 8 and large.grain == 1

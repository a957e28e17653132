"""Products of 16-bit floats and of bytes: one rounding, or none, and the same on every machine."""

import numpy as np
import pytest

from rushlight.base.target import Target, neon_target
from rushlight.codegen.arithmetic import BRAIN_PAIRS, BYTE_QUADS, SHORT_PAIRS, WIDE, arithmetic_of
from rushlight.codegen.gemm import GemmSpec, gemm_text
from rushlight.codegen.gemm_choices import choose_a_mode
from rushlight.codegen.microkernel import K_BLOCK
from rushlight.runtime.jit import assembly_of, compile_text
from rushlight.runtime.threads import get_num_threads, set_num_threads
from tests.codegen.run_gemm import HOST, prepare
from tests.codegen.run_kernel import TARGETS
from tests.codegen.test_gemm import fused_sum

HALVES = ["bfloat16", "float16"]
# None is empty: such products are no GEMM's.
SHAPES = [(1, 1, 1), (5, 7, 9), (13, 600, 33), (64, 200, 96), (3, 1101, 40), (25, 3, 513)]


def stored(x, dtype):
    """The nearest of the dtype's numbers, as NumPy can hold them: bfloat16 as its bits."""
    x = np.asarray(x, np.float32)
    if dtype == "float16":
        return x.astype(np.float16)
    bits = np.ascontiguousarray(x).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    quiet = (bits >> 16) & 0x8000 | 0x7FC0
    return np.where(np.isnan(x), quiet, rounded).astype(np.uint16)


def widened(x, dtype):
    """The float32 numbers of what is stored."""
    if dtype == "float16":
        return x.astype(np.float32)
    return (x.astype(np.uint32) << 16).view(np.float32)


def random_operands(rng, shape, dtype):
    m, k, n = shape
    if dtype == "uint8":
        a = rng.integers(0, 256, (1, m, k), np.uint8)
        return a, rng.integers(-128, 128, (1, k, n), np.int8)
    return tuple(stored(rng.standard_normal((1, *s)), dtype) for s in ((m, k), (k, n)))


def orders(a, b):
    """The same operands as they may lie in memory."""
    for x in (a, np.ascontiguousarray(a.transpose(0, 2, 1)).transpose(0, 2, 1)):
        for y in (b, np.ascontiguousarray(b.transpose(0, 2, 1)).transpose(0, 2, 1)):
            yield x, y


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_product_of_halves_is_the_float32_one_rounded_once(shape, dtype):
    a, b = random_operands(np.random.default_rng(0), shape, dtype)
    exact = fused_sum(widened(a[0], dtype), widened(b[0], dtype))
    expected = stored(exact, dtype)
    for target in TARGETS:
        for x, y in orders(a, b):
            c = prepare(x, y, target, dtype=dtype)()[0]
            np.testing.assert_array_equal(c, expected, err_msg=target.cpu)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_product_of_bytes_is_exact(shape):
    a, b = random_operands(np.random.default_rng(1), shape, "uint8")
    expected = a.astype(np.int32) @ b.astype(np.int32)
    for target in TARGETS:
        for x, y in orders(a, b):
            np.testing.assert_array_equal(prepare(x, y, target)(), expected, err_msg=target.cpu)


def test_the_largest_bytes_do_not_saturate():
    a, b = np.full((1, 3, 900), 255, np.uint8), np.full((1, 900, 40), -128, np.int8)
    for target in TARGETS:
        assert (prepare(a, b, target)() == -128 * 255 * 900).all()


@pytest.mark.parametrize("dtype", [*HALVES, "uint8"])
@pytest.mark.parametrize("mode", [("rows", "columns"), ("local_rows", "local_columns")])
def test_threads_cores_and_copies_change_no_bit(dtype, mode):
    a, b = random_operands(np.random.default_rng(2), (70, 1101, 90), dtype)
    expected = prepare(a, b, dtype=dtype)()
    before = get_num_threads()
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            for x, y in orders(a, b):
                wanted = mode[0] if y.strides[2] == y.itemsize else mode[1]
                for rows in (4, 12):
                    c = prepare(x, y, threads=threads, rows=rows, mode=wanted, dtype=dtype)()
                    np.testing.assert_array_equal(c, expected)
    finally:
        set_num_threads(before)


@pytest.mark.parametrize("dtype", [*HALVES, "uint8"])
def test_batches_go_through_their_offsets_and_keep_their_own_sums(dtype):
    rng = np.random.default_rng(3)
    pairs = [random_operands(rng, (13, K_BLOCK + 33, 35), dtype) for _ in range(3)]
    a, b = (np.concatenate(x) for x in zip(*pairs))
    for target in TARGETS:
        for y, mode in ((b, "rows"), (b, "local_rows")):
            c = prepare(a, y, target, dtype=dtype, mode=mode, threads=2)()
            for number, (x, z) in enumerate(pairs):
                np.testing.assert_array_equal(c[number], prepare(x, z, target, dtype=dtype)()[0])
        shared = prepare(a, b[:1], target, dtype=dtype)()
        np.testing.assert_array_equal(shared[2], prepare(a[2:], b[:1], target, dtype=dtype)()[0])


@pytest.mark.parametrize("dtype", HALVES)
def test_nothing_beyond_the_operands_is_read_and_nothing_beyond_the_result_written(dtype):
    rng = np.random.default_rng(4)
    a, b = random_operands(rng, (9, 21, 37), dtype)
    guard = stored(np.full((1, 30, 60), np.nan), dtype)
    surrounded_a, surrounded_b = guard.copy(), guard.copy()
    surrounded_a[:, 5:14, 7:28], surrounded_b[:, 3:24, 11:48] = a, b
    out = np.zeros((1, 9, 60), a.dtype)
    for target in TARGETS:
        expected = prepare(a, b, target, dtype=dtype)()
        x, y = surrounded_a[:, 5:14, 7:28], surrounded_b[:, 3:24, 11:48]
        np.testing.assert_array_equal(prepare(x, y, target, dtype=dtype)(), expected)
        out[:] = 5
        prepare(x, y, target, dtype=dtype, out=out[:, :, :37])()
        np.testing.assert_array_equal(out[:, :, :37], expected)
        assert (out[:, :, 37:] == 5).all()


@pytest.mark.parametrize("dtype", HALVES)
def test_infinity_nan_and_overflow_are_those_of_float32(dtype):
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((7, 19)), rng.standard_normal((19, 40))
    x[1, 4], x[2, 6], x[3, 18], y[18, 9], y[2, 11] = np.inf, np.nan, -np.inf, np.inf, 1e30
    x[5], y[:, 20] = 2.0**14, 2.0**14
    with np.errstate(all="ignore"):
        a, b = stored(x, dtype)[None], stored(y, dtype)[None]
        wide = fused_sum(widened(a[0], dtype), widened(b[0], dtype))
        expected = widened(stored(wide, dtype), dtype)
    for target in TARGETS:
        for left, right in orders(a, b):
            found = widened(prepare(left, right, target, dtype=dtype)()[0], dtype)
            np.testing.assert_array_equal(found, expected)


def test_the_sum_of_a_pair_overflows_as_fused_multiply_adds_do():
    # -3e38 + 2**64 * 2**64 is finite, though the product alone is not.
    a = stored([[[-(2.0**127), 2.0**64, 0.0]]], "bfloat16")
    b = stored([[[1.0] * 4, [2.0**64] * 4, [1.0] * 4]], "bfloat16")
    for target in TARGETS:
        c = widened(prepare(a, b, target, dtype="bfloat16")(), "bfloat16")
        assert (c == 2.0**127).all()


@pytest.mark.skipif(not HOST.has("avx512bf16"), reason="the machine has no vdpbf16ps")
def test_denormals_are_all_that_pairs_of_bfloat16_lose():
    """What `tests/programs/test_bits.py` leaves out, and nothing more."""
    tiny = 2.0**-126
    cases = [(tiny / 2, 2.0**100), (2.0**100, tiny / 2), (2.0**-65, 2.0**-65), (tiny, 1.0)]
    a = stored([[[x] for x, _ in cases]], "bfloat16")
    b = stored([[[y for _, y in cases]]], "bfloat16")
    paired = widened(prepare(a, b, HOST, dtype="bfloat16")()[0], "bfloat16").diagonal()
    np.testing.assert_array_equal(paired, [0.0, 0.0, 0.0, tiny])
    narrow = TARGETS[-1]
    fused = widened(prepare(a, b, narrow, dtype="bfloat16")()[0], "bfloat16").diagonal()
    np.testing.assert_array_equal(fused, [2.0**-27, 2.0**-27, 2.0**-130, tiny])


def machine(cpu, *features, wide=True):
    base = ("+avx2", "+fma", "+f16c")
    if wide:
        base += ("+avx512f", "+avx512vl", "+avx512bw", "+avx512dq")
    signed = tuple("+" + name for name in features)
    return Target(
        "x86_64-unknown-linux-gnu", cpu, base + signed, 64 if wide else 32, 32 if wide else 16,
        wide, 48 << 10, 2 << 20, 32 << 20, 64, 2,
    )  # fmt: skip


SAPPHIRE_RAPIDS = machine("sapphirerapids", "avx512bf16", "avx512vnni")
SKYLAKE = machine("skylake-avx512")
ALDER_LAKE = machine("alderlake", "avxvnni", wide=False)
HASWELL = machine("haswell", wide=False)


@pytest.mark.parametrize(
    ("dtype", "target", "method", "instruction"),
    [
        ("bfloat16", SAPPHIRE_RAPIDS, BRAIN_PAIRS, "vdpbf16ps"),
        ("bfloat16", SKYLAKE, WIDE, "vfmadd"),
        ("bfloat16", HASWELL, WIDE, "vfmadd"),
        ("float16", SAPPHIRE_RAPIDS, WIDE, "vcvtph2ps"),
        ("float16", HASWELL, WIDE, "vcvtph2ps"),
        ("uint8", SAPPHIRE_RAPIDS, BYTE_QUADS, "vpdpbusd"),
        ("uint8", ALDER_LAKE, BYTE_QUADS, "vpdpbusd"),
        ("uint8", SKYLAKE, SHORT_PAIRS, "vpmaddwd"),
        ("uint8", HASWELL, SHORT_PAIRS, "vpmaddwd"),
    ],
    ids=lambda value: getattr(value, "cpu", value),
)
def test_features_alone_decide_the_instruction(dtype, target, method, instruction):
    assert arithmetic_of(dtype, target).method == method
    text = gemm_text(GemmSpec("gemm", dtype, "rows", 12, "none", "lines"), target)
    assembly = assembly_of(text, target)
    assert instruction in assembly
    for other in {"vdpbf16ps", "vpdpbusd", "vpmaddwd"} - {instruction}:
        assert other not in assembly


@pytest.mark.parametrize("dtype", [*HALVES, "uint8"])
def test_neon_code_compiles(dtype):
    target = neon_target()
    for modes in (("lines", "columns"), ("columns", "local_rows")):
        spec = GemmSpec("gemm", dtype, modes[1], 8, a_mode=modes[0])
        assert len(compile_text(gemm_text(spec, target), target)) > 0


def test_an_a_with_no_unit_stride_is_refused():
    with pytest.raises(RuntimeError, match="A has strides 80 and 2, and neither is 1"):
        choose_a_mode(64, 64, 40, 80, 2, "bfloat16", "rows", HOST)

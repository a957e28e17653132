"""Generated code equals the interpreter: every operation, dtype, loop form and tail."""

import numpy as np
import pytest

from rushlight.codegen.math import FUNCTIONS
from rushlight.loopnest.ir import (
    DTYPES,
    ONLY_ON,
    OPS,
    Accumulator,
    Buffer,
    Cast,
    Const,
    Kernel,
    Let,
    Load,
    Loop,
    Op,
    Param,
    Reduce,
    Scratch,
    Store,
    Var,
    call,
    kind_of,
    reduce_lanes,
)
from rushlight.loopnest.scalar import cast, numpy_dtype
from tests.codegen.run_kernel import TARGETS, assert_same_bits

i, n = Var("i"), Param("n")
SIZES = (0, 1, 7, 16, 63, 64, 65, 200, 257)
EXACT = sorted(set(OPS) - set(FUNCTIONS) - {"where", "fma"})


def random_array(dtype, count, seed=0):
    rng = np.random.default_rng(seed)
    kind = kind_of(dtype)
    if kind == "b":
        return rng.integers(0, 2, count).astype(bool)
    if kind in "iu":
        info = np.iinfo(dtype)
        small = rng.integers(max(info.min, -9), 9, count, dtype=np.int64)
        wide = rng.integers(info.min, info.max, count, dtype=dtype, endpoint=True)
        return np.where(rng.random(count) < 0.5, small.astype(dtype), wide).astype(dtype)
    x = rng.standard_normal(count) * 10.0 ** rng.integers(-3, 4, count)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -2.5, 0.5, 1e-40])
    x = np.where(rng.random(count) < 0.3, rng.choice(special, count), x).astype(np.float32)
    return cast(x, "float32", dtype)


def elementwise(value, inputs, out_dtype):
    buffers = tuple(Buffer(name, dtype, "in") for name, dtype in inputs)
    body = (Loop("i", n, "vector", (Store("out", i, value),)),)
    return Kernel("elementwise", (*buffers, Buffer("out", out_dtype, "out")), (n,), body)


def operand_dtypes(name):
    wanted = {"f": ["float32", "float64"], "i": ["int8", "int32", "int64"],
              "u": ["uint8", "uint32"], "b": ["bool"]}  # fmt: skip
    if name in ONLY_ON:
        return [ONLY_ON[name]]
    return [d for kind in OPS[name][1] for d in wanted[kind]]


@pytest.mark.parametrize(
    "name, dtype", [(name, dtype) for name in EXACT for dtype in operand_dtypes(name)]
)
def test_operation_equals_its_meaning(name, dtype):
    arity = OPS[name][0]
    inputs = [(f"x{k}", dtype) for k in range(arity)]
    value = call(name, *(Load(b, i, dtype) for b, _ in inputs))
    kernel = elementwise(value, inputs, value.dtype)
    for size in (300,):
        buffers = {b: random_array(dtype, size, seed) for seed, (b, _) in enumerate(inputs)}
        buffers["out"] = np.zeros(size, numpy_dtype(value.dtype))
        assert_same_bits(kernel, buffers, {"n": size})


@pytest.mark.parametrize("source", sorted(DTYPES))
def test_cast_equals_its_meaning(source):
    for target in DTYPES:
        value = Cast(Load("x", i, source), target)
        kernel = elementwise(value, [("x", source)], target)
        buffers = {"x": random_array(source, 130), "out": np.zeros(130, numpy_dtype(target))}
        assert_same_bits(kernel, buffers, {"n": 130})


def test_every_16_bit_pattern_survives_a_round_trip_through_float32():
    bits = np.arange(1 << 16, dtype=np.uint16)
    for dtype in ("bfloat16", "float16"):
        value = Cast(Cast(Load("x", i, dtype), "float32"), dtype)
        kernel = elementwise(value, [("x", dtype)], dtype)
        x = bits.view(numpy_dtype(dtype))
        assert_same_bits(kernel, {"x": x, "out": np.zeros_like(x)}, {"n": x.size})


@pytest.mark.parametrize("size", SIZES)
def test_tail_of_a_vector_loop_writes_no_further(size):
    x = Let("x", Load("a", i, "float32"))
    y = call("add", call("mul", Var("x", "float32"), Param("s", "float32")), Var("x", "float32"))
    body = (Loop("i", n, "vector", (x, Store("out", i, y))),)
    kernel = Kernel(
        "axpy",
        (Buffer("a", "float32", "in"), Buffer("out", "float32", "out")),
        (n, Param("s", "float32")),
        body,
    )
    buffers = {"a": random_array("float32", size + 9), "out": np.full(size + 9, 5, np.float32)}
    assert_same_bits(kernel, buffers, {"n": size, "s": 0.1})


@pytest.mark.parametrize("dtype", ["int8", "bfloat16", "bool", "int64", "float64"])
def test_narrow_and_wide_elements_have_right_tails(dtype):
    kernel = elementwise(Load("x", i, dtype), [("x", dtype)], dtype)
    for size in SIZES:
        out = np.zeros(size + 70, numpy_dtype(dtype))
        assert_same_bits(kernel, {"x": random_array(dtype, size), "out": out}, {"n": size})


REDUCTIONS = [
    (op, dtype)
    for op in ("sum", "prod", "max", "min", "argmax", "argmin")
    for dtype in ("float32", "float64", "int32", "int64", "uint8")
] + [("and", "bool"), ("or", "bool"), ("max", "bool")]


def row_reduction(op, dtype, lanes):
    names = ("v", "p") if op.startswith("arg") else ("v",)
    acc = Accumulator(names, op, Load("x", Var("r") * n + i, dtype))
    stores = [Store("out", Var("r"), Var("v", dtype))]
    buffers = [Buffer("x", dtype, "in"), Buffer("out", dtype, "out")]
    if len(names) == 2:
        stores.append(Store("where", Var("r"), Var("p")))
        buffers.append(Buffer("where", "int64", "out"))
    body = (Loop("r", Param("rows"), "parallel", (Reduce("i", n, lanes, (), (acc,)), *stores)),)
    return Kernel("rows", tuple(buffers), (Param("rows"), n), body)


@pytest.mark.parametrize("op, dtype", REDUCTIONS)
def test_reduction_has_the_same_bits_everywhere(op, dtype):
    for lanes in (1, reduce_lanes(dtype)):
        kernel = row_reduction(op, dtype, lanes)
        for size in (0, 1, 5, 64, 65, 199, 256):
            x = random_array(dtype, 3 * size, size)
            if size % 2 and x.dtype.kind == "f":
                x = np.nan_to_num(x, nan=1.0, posinf=2.0, neginf=-2.0)
            out = np.zeros(3, numpy_dtype(dtype))
            buffers = {"x": x, "out": out}
            if op.startswith("arg"):
                buffers["where"] = np.zeros(3, np.int64)
            assert_same_bits(kernel, buffers, {"rows": 3, "n": size}, extent=3)


def test_column_sum_runs_a_serial_reduce_in_a_vector_loop():
    acc = Accumulator(("v",), "sum", Load("x", Var("r") * n + i, "float32"))
    body = (
        Loop(
            "i",
            n,
            "vector",
            (Reduce("r", Param("rows"), 1, (), (acc,)), Store("out", i, Var("v", "float32"))),
        ),
    )
    kernel = Kernel(
        "columns",
        (Buffer("x", "float32", "in"), Buffer("out", "float32", "out")),
        (Param("rows"), n),
        body,
    )
    for columns in (1, 16, 70):
        x = np.random.default_rng(0).standard_normal(9 * columns).astype(np.float32)
        buffers = {"x": x, "out": np.zeros(columns, np.float32)}
        assert_same_bits(kernel, buffers, {"rows": 9, "n": columns})


@pytest.mark.parametrize("stride", [1, 2, -1, 0])
def test_run_time_stride_gathers_and_scatters(stride):
    index = Param("offset") + i * Param("stride")
    body = (Loop("i", n, "vector", (Store("out", i * 2 + 1, Load("x", index, "float32")),)),)
    kernel = Kernel(
        "strided",
        (Buffer("x", "float32", "in"), Buffer("out", "float32", "out")),
        (n, Param("stride"), Param("offset")),
        body,
    )
    x = np.arange(300, dtype=np.float32)
    params = {"n": 100, "stride": stride, "offset": 99 if stride < 0 else 0}
    assert_same_bits(kernel, {"x": x, "out": np.zeros(300, np.float32)}, params)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int16", "uint8"])
@pytest.mark.parametrize("count", [1, 7, 16, 33, 100, 333])
@pytest.mark.parametrize("masked", [False, True])
def test_every_second_element(dtype, count, masked):
    mask = call("ne", call("mod", i, Const(3, "int64")), Const(1, "int64")) if masked else None
    load = Load("x", Param("offset") + i * 2, dtype, mask)
    kernel = Kernel(
        "second",
        (Buffer("x", dtype, "in"), Buffer("out", dtype, "out")),
        (n, Param("offset")),
        (Loop("i", n, "vector", (Store("out", i, load),)),),
    )
    size = 2 * count + 2
    x = (np.arange(size) % 100).astype(dtype)
    params = {"n": count, "offset": 3}
    assert_same_bits(kernel, {"x": x, "out": np.zeros(count, dtype)}, params)


def test_index_from_a_buffer_gathers():
    value = Load("table", Load("index", i, "int64") * 3 + 1, "float32")
    kernel = elementwise(value, [("index", "int64"), ("table", "float32")], "float32")
    index = np.random.default_rng(0).integers(0, 50, 90)
    table = np.random.default_rng(1).standard_normal(151).astype(np.float32)
    buffers = {"index": index, "table": table, "out": np.zeros(90, np.float32)}
    assert_same_bits(kernel, buffers, {"n": 90})


@pytest.mark.parametrize("first", [-(10**12), -70, -3, 0, 5, 10**12])
@pytest.mark.parametrize("size", [7, 64, 200])
def test_lanes_inside_of_bounds_are_found(first, size):
    place = i + Param("first")
    inside = call("and", call("ge", place, Param("low")), call("lt", place, Param("high")))
    body = (Loop("i", n, "vector", (Store("out", i, inside),)),)
    params = (n, Param("first"), Param("low"), Param("high"))
    kernel = Kernel("bounds", (Buffer("out", "bool", "out"),), params, body)
    for low, high in ((0, size), (2, 40), (-5, 3), (9, 4)):
        given = {"n": size, "first": first, "low": low, "high": high}
        assert_same_bits(kernel, {"out": np.zeros(size, bool)}, given)


def test_masked_load_outside_the_buffer_is_zero():
    inside = call("lt", i, Param("m"))
    value = Load("x", i, "float32", inside)
    kernel = elementwise(value, [("x", "float32")], "float32")
    kernel = Kernel("padded", kernel.buffers, (n, Param("m")), kernel.body)
    buffers = {"x": np.ones(37, np.float32), "out": np.full(90, 7, np.float32)}
    assert_same_bits(kernel, buffers, {"n": 90, "m": 37})


def test_masked_scalar_store_and_load_touch_nothing():
    r = Var("r")
    mask = call("lt", r, Param("m"))
    body = (Loop("r", n, "serial", (Store("out", r, Load("x", r, "float32", mask), mask),)),)
    kernel = Kernel(
        "guarded",
        (Buffer("x", "float32", "in"), Buffer("out", "float32", "out")),
        (n, Param("m")),
        body,
    )
    buffers = {"x": np.ones(5, np.float32), "out": np.full(5, 7, np.float32)}
    assert_same_bits(kernel, buffers, {"n": 9, "m": 5})


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "float16"])
def test_scratch_hands_a_row_from_one_loop_to_the_next(dtype):
    r = Var("r")
    index = r * n + i
    turned = Load("t", n - 1 - i, dtype)
    rows = Loop(
        "r",
        Param("rows"),
        "parallel",
        (
            Loop("i", n, "vector", (Store("t", i, Load("x", index, dtype)),)),
            Loop("i", n, "vector", (Store("out", index, turned),)),
        ),
    )
    kernel = Kernel(
        "turned",
        (Buffer("x", dtype, "in"), Buffer("out", dtype, "out")),
        (Param("rows"), n),
        (rows,),
        (Scratch("t", dtype, n),),
    )
    for columns in (1, 5, 67):
        x = random_array(dtype, 3 * columns, columns)
        buffers = {"x": x, "out": np.zeros(3 * columns, numpy_dtype(dtype))}
        assert_same_bits(kernel, buffers, {"rows": 3, "n": columns}, extent=3)


def softmax_kernel():
    r, x = Var("r"), Load("x", Var("r") * n + i, "float32")
    shifted = call("sub", x, Var("m", "float32"))
    return Kernel(
        "softmax",
        (Buffer("x", "float32", "in"), Buffer("out", "float32", "inout")),
        (Param("rows"), n),
        (
            Loop(
                "r",
                Param("rows"),
                "parallel",
                (
                    Reduce("i", n, 64, (), (Accumulator(("m",), "max", x),)),
                    Reduce(
                        "j",
                        n,
                        64,
                        (
                            Let("e", _exp_at_j(shifted)),
                            Store("out", r * n + Var("j"), Var("e", "float32")),
                        ),
                        (Accumulator(("s",), "sum", Var("e", "float32")),),
                    ),
                    Let("scale", call("reciprocal", Var("s", "float32"))),
                    Loop(
                        "k",
                        n,
                        "vector",
                        (
                            Store(
                                "out",
                                r * n + Var("k"),
                                call(
                                    "mul",
                                    Load("out", r * n + Var("k"), "float32"),
                                    Var("scale", "float32"),
                                ),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


def _exp_at_j(shifted):
    x = Load("x", Var("r") * n + Var("j"), "float32")
    return Op("exp", (call("sub", x, shifted.args[1]),), "float32")


def test_row_kernel_of_three_passes_computes_softmax():
    from tests.codegen.run_kernel import run_everywhere

    for columns in (1, 10, 64, 100, 333):
        x = np.random.default_rng(0).standard_normal((4, columns)).astype(np.float32)
        wide = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
        expected = wide / wide.sum(1, keepdims=True)
        results = run_everywhere(
            softmax_kernel(),
            {"x": x.ravel(), "out": np.zeros(x.size, np.float32)},
            {"rows": 4, "n": columns},
            extent=4,
        )
        for result in results:
            actual = result["out"].reshape(x.shape)
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)
        compiled = results[1:]
        for other in compiled[1:]:
            assert (compiled[0]["out"] == other["out"]).all()


def test_invariant_work_leaves_the_vector_loop():
    from rushlight.codegen.llvm import module_text

    value = call("mul", Load("x", i, "float32"), call("exp", Param("s", "float32")))
    kernel = elementwise(value, [("x", "float32")], "float32")
    kernel = Kernel("scaled", kernel.buffers, (n, Param("s", "float32")), kernel.body)
    text = module_text([kernel], TARGETS[0])
    before_loop = text[: text.index("phi")]
    assert "0x3FF7154760000000" in before_loop or "fma" in before_loop
    assert text[text.index("phi") :].count("@llvm.fma") == 0


def test_nothing_is_contracted_across_operations():
    from rushlight.codegen.llvm import module_text
    from rushlight.runtime.jit import assembly_of

    value = call("add", call("mul", Load("x", i, "float32"), Load("x", i, "float32")),
                 Load("x", i, "float32"))  # fmt: skip
    kernel = elementwise(value, [("x", "float32")], "float32")
    for target in TARGETS:
        assert "fmadd" not in assembly_of(module_text([kernel], target), target)


def test_constant_index_folds():
    assert Const(2, "int64") * 3 == Const(6, "int64")


@pytest.mark.parametrize("name", sorted(set(OPS) - {"where", "fma"}))
def test_every_operation_compiles_for_neon(name):
    from rushlight.base.target import neon_target
    from rushlight.codegen.llvm import module_text
    from rushlight.runtime.jit import compile_text

    dtype = operand_dtypes(name)[0]
    inputs = [(f"x{k}", dtype) for k in range(OPS[name][0])]
    value = call(name, *(Load(b, i, dtype) for b, _ in inputs))
    kernel = elementwise(value, inputs, value.dtype)
    target = neon_target()
    assert compile_text(module_text([kernel], target), target)

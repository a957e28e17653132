"""Transcendental functions stay within their stated error, on every Target with the same bits."""

import math
import os

import numpy as np
import pytest

from rushlight.codegen.math import FUNCTIONS, MAX_ULP
from rushlight.loopnest.ir import Buffer, Kernel, Load, Loop, Op, Param, Store, Var
from tests.codegen.run_kernel import TARGETS, Compiled

BINARY = {"pow", "atan2", "hypot"}
UNARY = sorted(set(FUNCTIONS) - BINARY)


def kernel_of(name, dtype):
    i = Var("i")
    inputs = ["x", "y"][: 2 if name in BINARY else 1]
    loads = tuple(Load(b, i, dtype) for b in inputs)
    return Kernel(
        f"{name}_{dtype}",
        tuple(Buffer(b, dtype, "in") for b in inputs) + (Buffer("out", dtype, "out"),),
        (Param("n"),),
        (Loop("i", Param("n"), "vector", (Store("out", i, Op(name, loads, dtype)),)),),
    )


def run(name, dtype, target, *arrays):
    out = np.empty_like(arrays[0])
    buffers = dict(zip(["x", "y"], arrays), out=out)
    Compiled(kernel_of(name, dtype), target)(buffers, {"n": out.size})
    return out


def float32_grid(stride):
    """Every stride-th float32 bit pattern, both signs, infinities and NaN included."""
    return np.arange(0, 2**32, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)


WIDE = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log10": np.log10, "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "sigmoid": lambda x: np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x))),
    "softplus_unit": lambda x: np.logaddexp(0, x),
}  # fmt: skip


def ulp_error(actual, expected, dtype):
    """Error in units of the last place of the rounded reference, NaN and infinity checked apart."""
    with np.errstate(all="ignore"):
        rounded = expected.astype(dtype)
        assert (np.isnan(actual) == np.isnan(rounded)).all()
        finite = np.isfinite(rounded) & np.isfinite(actual)
        # Next to the largest number an error of an ulp may turn into infinity; the true value
        # decides how far it is.
        other = ~finite & ~np.isnan(rounded)
        assert (actual[other] == rounded[other]).all()
        smallest = np.finfo(dtype).smallest_subnormal
        unit = np.maximum(np.spacing(np.abs(rounded[finite])), smallest).astype(expected.dtype)
        return np.abs(actual[finite].astype(expected.dtype) - expected[finite]) / unit


@pytest.mark.parametrize("name", sorted(WIDE))
def test_float32_function_is_within_its_stated_error(name):
    stride = int(os.environ.get("RUSHLIGHT_ULP_STRIDE", "2503"))
    x = float32_grid(stride)
    actual = run(name, "float32", TARGETS[0], x)
    with np.errstate(all="ignore"):
        expected = WIDE[name](x.astype(np.float64))
    worst = ulp_error(actual, expected, np.float32).max()
    print(f"{name} float32: {worst:.3f} ulp over {x.size} values")
    assert worst <= MAX_ULP[name][0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_function_agrees_with_mpmath(name, dtype):
    mpmath = pytest.importorskip("mpmath")
    reference = {
        "log2": lambda v: mpmath.log(v, 2),
        "log10": mpmath.log10,
        "exp2": lambda v: mpmath.mpf(2) ** v,
        "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
        "softplus_unit": lambda v: mpmath.log1p(mpmath.exp(v)),
        "lgamma": mpmath.loggamma,
    }.get(name) or getattr(mpmath, name)  # fmt: skip
    rng = np.random.default_rng(7)
    low, high = {"asin": (-1, 1), "acos": (-1, 1), "atanh": (-1, 1), "erfinv": (-1, 1),
                 "acosh": (1, 1e3), "log": (0, 1e3), "log2": (0, 1e3), "log10": (0, 1e3),
                 "log1p": (-1, 1e2), "lgamma": (0, 1e3), "digamma": (0, 1e3),
                 "erfc": (-6, 26 if dtype == "float64" else 10)}.get(
        name, (-30, 30))  # fmt: skip
    x = rng.uniform(low, high, 300)
    x = np.concatenate([x, rng.uniform(max(low, -1), max(low, -1) + 2, 300)])
    if low == -30:
        x = np.concatenate([x, 10.0 ** rng.uniform(-30, 0, 60)])
    if name in ("sin", "cos", "tan"):
        x = np.concatenate(
            [
                x,
                10.0 ** rng.uniform(1, 300 if dtype == "float64" else 38, 400),
                np.arange(1, 60) * math.pi / 2,
                [6381956970095103.0 * 2.0**797],
            ]
        )
    if name in ("asin", "acos", "atanh", "erfinv"):
        x = np.concatenate([x, 1 - 10.0 ** rng.uniform(-15, -1, 60)])
    with np.errstate(all="ignore"):
        x = x.astype(dtype)
    x = x[(x >= low) | (low == -30)]
    x = x[np.isfinite(x) & (np.abs(x) != 1)]
    actual = run(name, dtype, TARGETS[0], x)
    worst = 0.0
    with mpmath.workprec(1200 if name in ("sin", "cos", "tan") else 120):
        for value, got in zip(x.tolist(), actual.tolist()):
            exact = reference(mpmath.mpf(value))
            unit = float(
                np.maximum(
                    np.spacing(np.abs(np.dtype(dtype).type(float(exact)))),
                    np.finfo(dtype).smallest_subnormal,
                )
            )
            error = float(abs(exact - mpmath.mpf(got)) / unit) if math.isfinite(got) else math.inf
            if error > worst:
                worst, where = error, (value, got, float(exact))
    print(f"{name} {dtype}: {worst:.3f} ulp at {where}")
    assert worst <= MAX_ULP[name][dtype == "float64"], where


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(BINARY))
def test_function_of_two_agrees_with_mpmath(name, dtype):
    mpmath = pytest.importorskip("mpmath")
    reference = {"pow": mpmath.power, "atan2": mpmath.atan2, "hypot": mpmath.hypot}[name]
    rng = np.random.default_rng(5)
    x = (10.0 ** rng.uniform(-8, 8, 600)).astype(dtype)
    x[300:] = (1 + rng.standard_normal(300) * 1e-3).astype(dtype)
    y = rng.uniform(-30, 30, 600).astype(dtype)
    if name == "pow":
        top = 85 if dtype == "float32" else 700
        y[100:300] = (rng.uniform(-top, top, 200) / np.log(x[100:300])).astype(dtype)
        y[300:] = (y[300:] * 300).astype(dtype)
    actual = run(name, dtype, TARGETS[0], x, y)
    worst, where = 0.0, None
    with mpmath.workprec(160):
        for a, c, got in zip(x.tolist(), y.tolist(), actual.tolist()):
            exact = reference(mpmath.mpf(a), mpmath.mpf(c))
            with np.errstate(over="ignore"):
                rounded = np.dtype(dtype).type(float(exact))
            if not np.isfinite(rounded):
                continue
            unit = float(max(np.spacing(np.abs(rounded)), np.finfo(dtype).smallest_subnormal))
            error = float(abs(exact - mpmath.mpf(got)) / unit)
            if error > worst:
                worst, where = error, (a, c, got, float(exact))
    print(f"{name} {dtype}: {worst:.3f} ulp at {where}")
    assert worst <= MAX_ULP[name][dtype == "float64"], where


SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -2.0, 3.0, -3.0, 1e-45, -1e-45, 1e30]
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(WIDE) + ["erf", "erfc"])
def test_special_values_are_those_of_ieee(name, dtype):
    function = WIDE.get(name)
    if function is None:
        function = np.vectorize(getattr(math, name), otypes=[float])
    with np.errstate(all="ignore"):
        x = SPECIAL.astype(dtype)
        expected = np.asarray(function(x.astype(np.float64))).astype(dtype)
    actual = run(name, dtype, TARGETS[0], x)
    assert (np.isnan(actual) == np.isnan(expected)).all(), (x, actual, expected)
    exact = ~np.isnan(expected) & ((expected == 0) | np.isinf(expected))
    assert (actual[exact] == expected[exact]).all(), (x, actual, expected)
    zero = exact & (expected == 0)
    assert (np.signbit(actual[zero]) == np.signbit(expected[zero])).all(), (x, actual, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pow_and_atan2_special_values_are_those_of_ieee(dtype):
    x, y = (a.ravel().astype(dtype) for a in np.meshgrid(SPECIAL[:11], SPECIAL[:11]))
    for name, function in (("pow", np.power), ("atan2", np.arctan2)):
        actual = run(name, dtype, TARGETS[0], x, y)
        with np.errstate(all="ignore"):
            expected = function(x, y)
        assert (np.isnan(actual) == np.isnan(expected)).all(), name
        ok = ~np.isnan(expected)
        np.testing.assert_allclose(actual[ok], expected[ok], rtol=1e-6)
        assert (np.signbit(actual[ok]) == np.signbit(expected[ok])).all(), name


@pytest.mark.skipif(len(TARGETS) == 1, reason="needs a machine with AVX-512")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_avx2_gives_the_bits_of_avx512(name, dtype):
    with np.errstate(all="ignore"):
        x = float32_grid(40009).astype(dtype)
    if dtype == "float64":
        x = x * (1 + 2.0**-40)
    arrays = (x, x[::-1].copy()) if name in BINARY else (x,)
    wide, narrow = (run(name, dtype, target, *arrays) for target in TARGETS)
    nan = np.isnan(wide)
    assert (nan == np.isnan(narrow)).all()
    bits = np.uint32 if dtype == "float32" else np.uint64
    assert (wide.view(bits)[~nan] == narrow.view(bits)[~nan]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_gamma_of_negative_numbers(name, dtype):
    """Near the roots only the absolute error is small."""
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(3)
    x = -np.concatenate(
        [rng.uniform(0, 3, 300), rng.uniform(3, 40, 300), 10.0 ** rng.uniform(-20, 0, 50)]
    )
    x = x.astype(dtype)
    x = x[x != np.floor(x)]
    actual = run(name, dtype, TARGETS[0], x)
    with mpmath.workprec(200):
        for value, got in zip(x.tolist(), actual.tolist()):
            v = mpmath.mpf(value)
            exact = mpmath.log(abs(mpmath.gamma(v))) if name == "lgamma" else mpmath.digamma(v)
            error = float(abs(mpmath.mpf(got) - exact))
            # digamma's slope near its poles magnifies the rounding of pi times the distance.
            assert error <= 40 * np.finfo(dtype).eps * max(1.0, abs(float(exact)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gamma_at_its_poles_and_at_infinity(dtype):
    x = np.array([0.0, -0.0, -1, -2, -1e30, np.inf, -np.inf, np.nan, 1, 2], dtype)
    inf, nan = np.inf, np.nan
    expected = [inf, inf, inf, inf, inf, inf, inf, nan, 0, 0]
    np.testing.assert_array_equal(run("lgamma", dtype, TARGETS[0], x), expected)
    expected = [-inf, inf, nan, nan, nan, inf, nan, nan]
    np.testing.assert_array_equal(run("digamma", dtype, TARGETS[0], x)[:8], expected)

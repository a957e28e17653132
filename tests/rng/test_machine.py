"""Machine code draws what NumPy draws, to the bit, and leaves the generator where NumPy does."""

from __future__ import annotations

import ctypes
import math
import threading

import numpy as np
import pytest

from rushlight.base.config import config
from rushlight.base.target import without_avx512
from rushlight.codegen.draws import BLOCK_WORDS, C_LIBRARY, DRAWS, draw_text
from rushlight.engine.draws import _SIGNATURE
from rushlight.rng import continuous, discrete, machine, mt19937, rounding
from rushlight.rng.mt19937 import MersenneTwister
from rushlight.rng.normal import _blocks_by_machine, _transform_f32, libm, normal
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import load_text

COUNTS = (machine.LEAST - 1, machine.LEAST, 1247, 1248, 2 * BLOCK_WORDS + 17, 5003, 40_000)
FLOATS = ("float32", "float64", "float16", "bfloat16")


@pytest.fixture(autouse=True)
def compiled():
    before = config.executor
    config.executor = "compiled"
    yield
    config.executor = before


def by_numpy(draw, generator):
    before = config.executor
    config.executor = "reference"
    try:
        return draw(generator)
    finally:
        config.executor = before


def check(draw, skipped: int = 0) -> None:
    """`draw`, a function of a generator, gives the same both ways."""
    one, other = MersenneTwister(5), MersenneTwister(5)
    for generator in (one, other):
        generator.words(skipped)
    expected, got = by_numpy(draw, one), draw(other)
    assert got.dtype == expected.dtype and got.shape == expected.shape
    assert got.tobytes() == expected.tobytes()
    np.testing.assert_array_equal(other.state_bytes(), one.state_bytes())


def test_machine_code_is_what_runs_here() -> None:
    assert machine.is_worth(machine.LEAST) and not machine.is_worth(machine.LEAST - 1)
    assert mt19937._shows_its_state()


@pytest.mark.parametrize("skipped", [0, 1, 623, 624, 625, 1000])
@pytest.mark.parametrize("count", [*COUNTS, 8 * BLOCK_WORDS])
def test_words(count: int, skipped: int) -> None:
    check(lambda g: g.words(count), skipped)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform_and_normal_numbers(dtype: str, count: int) -> None:
    for low, high in ((0.0, 1.0), (-0.3, 0.7), (3.0, 3.0), (1.0, 1.0 + 2.0**-23), (-1e4, 1e9)):
        check(lambda g, b=(low, high): continuous.uniform(g, count, dtype, *b))
    for mean, std in ((0.0, 1.0), (0.0, 0.02), (-3.5, 1e3), (1.0, 0.0)):
        check(lambda g, m=mean, s=std: normal(g, count, dtype, m, s))
        check(lambda g, m=mean, s=std: normal(g, count, dtype, m, s, contiguous=False))
    check(lambda g: continuous.exponential(g, count, dtype, 1.5))
    check(lambda g: continuous.cauchy(g, count, dtype, 0.5, 2.0))
    check(lambda g: continuous.log_normal(g, count, dtype))
    check(lambda g: discrete.geometric(g, count, dtype, 0.2))


@pytest.mark.parametrize("count", COUNTS)
def test_integers_permutations_and_coins(count: int) -> None:
    for low, high in ((0, 1), (0, 2), (-7, 93), (0, (1 << 28) - 1), (5, 1 << 40)):
        check(lambda g, b=(low, high): discrete.integers(g, count, "int64", *b))
    check(lambda g: discrete.permutation(g, count))
    for probability in (0.0, 0.1, 0.5, 1.0):
        check(lambda g, p=probability: discrete.dropout_mask(g, count, p))
        check(lambda g, p=probability: discrete.bernoulli(g, count, "bfloat16", p))


def test_remainders_next_to_multiples() -> None:
    """Where a rounded quotient would be one too large."""
    words = np.random.default_rng(0).integers(0, 1 << 32, 4096, np.uint32)
    for span in (1, 2, 3, 7, 641, 65537, (1 << 28) - 1, (1 << 31) + 1, (1 << 32) - 1):
        multiples = (words // np.uint32(span) * np.uint32(span)).astype(np.uint32)
        for near in (multiples, multiples - np.uint32(1), words):
            expected = (near % np.uint32(span)).astype(np.int64)
            np.testing.assert_array_equal(discrete._remainders(near, span), expected)


@pytest.mark.parametrize("name", ["log", "log1p", "exp", "cos", "sin", "tan"])
def test_functions_of_the_c_library(name: str) -> None:
    x = np.random.default_rng(1).uniform(0.0, 7.0, 3000)
    if name == "log":
        x[::100] = 0.0
    if name == "exp":
        x[::100] = 1e4
    got = libm(name, x)
    config.executor = "reference"
    assert got.tobytes() == libm(name, x).tobytes()


def test_fused_multiply_add() -> None:
    x = np.random.default_rng(2).standard_normal(70_000)
    narrow = x.astype(np.float32)
    got = [rounding.fused_multiply_add_f64(x, 1 / 3, 0.1),
           rounding.fused_multiply_add_f32(narrow, np.float32(1 / 3), np.float32(0.1))]  # fmt: skip
    config.executor = "reference"
    assert got[0].tobytes() == rounding.fused_multiply_add_f64(x, 1 / 3, 0.1).tobytes()
    expected = rounding.fused_multiply_add_f32(narrow, np.float32(1 / 3), np.float32(0.1))
    assert got[1].tobytes() == expected.tobytes()


def test_threads_never_share_words() -> None:
    generator, alone = MersenneTwister(9), MersenneTwister(9)
    drawn: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: drawn.extend(generator.words(20_000) for _ in range(20)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(bytes, drawn)) == sorted(bytes(alone.words(20_000)) for _ in range(80))


# ---- other machines ------------------------------------------------------------------------------

_RUNS = {"words": 40, "normals": 300, "wide_normals": 300}


@pytest.mark.parametrize("name", DRAWS)
def test_narrow_vectors_give_the_same_bits(name: str) -> None:
    """AVX2's code, where this machine has AVX-512."""
    target = host_target()
    if not any(f.startswith("+avx512") for f in target.features):
        pytest.skip("this machine has no AVX-512")
    results = []
    for each in (target, without_avx512(target)):
        library = load_text(draw_text(name, each), [f"draw_{name}"], each)
        call = ctypes.CFUNCTYPE(None, *_SIGNATURE)(library[f"draw_{name}"])
        rng = np.random.default_rng(3)
        source = rng.integers(0, 1 << 32, 2 * 16 * 300, np.uint32)
        if name in ("fused_f32", "fused_f64", *C_LIBRARY):
            source = rng.uniform(0.1, 6.0, 5003)
            source = source.astype(np.float32) if name == "fused_f32" else source
        target_memory = np.zeros(40 * BLOCK_WORDS, np.float64)
        count = _RUNS.get(name, 4799)
        call(source.ctypes.data, target_memory.ctypes.data, count, 77, 0.3, math.pi, 2.0)
        results.append((source.tobytes(), target_memory.tobytes()))
    assert results[0] == results[1]


@pytest.mark.endurance
def test_normal_numbers_of_every_uniform() -> None:
    """All 2**24 uniforms, as the one that decides the radius and as the one for the angle."""
    every = np.arange(1 << 24, dtype=np.uint32)
    for start in range(0, len(every), 1 << 20):
        part = every[start : start + (1 << 20)]
        halves = np.stack([part.reshape(-1, 8), part[::-1].reshape(-1, 8)], axis=1)
        words = np.ascontiguousarray(halves).reshape(-1)
        uniforms = (words & np.uint32(0xFFFFFF)).astype(np.float32) * np.float32(2.0**-24)
        config.executor = "reference"
        expected = _transform_f32(uniforms, 0.25, 3.0)
        config.executor = "compiled"
        got = _blocks_by_machine(words, 0.25, 3.0)
        assert got.tobytes() == expected.tobytes()

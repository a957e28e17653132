"""Every distribution but the normal equals PyTorch's bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rushlight.rng import continuous, discrete  # noqa: E402
from rushlight.rng.multinomial import multinomial  # noqa: E402
from rushlight.rng.normal import normal  # noqa: E402
from tests.rng.streams import (  # noqa: E402
    FLOATS,
    INTEGERS,
    SEEDS,
    SIZES,
    assert_same_bits,
    assert_same_state,
    empty,
    pair,
)

UNIFORM_BOUNDS = (
    (0.0, 1.0),
    (-0.3, 0.7),
    (0.1, 5.55),
    (-1 / 3, 1 / 3),
    (3.0, 3.0),
    (1000.0, 1001.0),
    (1.0, 1.0625),
    (-21666.3, 21666.3),
)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform_equals_pytorch(dtype, seed):
    theirs, ours = pair(seed)
    for count in SIZES if seed == 42 else SIZES[:-1]:
        for low, high in UNIFORM_BOUNDS:
            expected = empty(count, dtype).uniform_(low, high, generator=theirs)
            assert_same_bits(expected, continuous.uniform(ours, count, dtype, low, high))
    assert_same_state(theirs, ours)


@pytest.mark.parametrize("bound", [1e308, 1e300, 1e-300])
def test_uniform_of_extreme_doubles_equals_pytorch(bound):
    theirs, ours = pair(6)
    expected = empty(1000, "float64").uniform_(-bound / 3, bound / 2, generator=theirs)
    assert_same_bits(expected, continuous.uniform(ours, 1000, "float64", -bound / 3, bound / 2))


@pytest.mark.parametrize("dtype", FLOATS)
def test_exponential_cauchy_and_log_normal_equal_pytorch(dtype):
    theirs, ours = pair(8)
    for count in SIZES:
        for rate in (1.0, 0.3, 7.0):
            expected = empty(count, dtype).exponential_(rate, generator=theirs)
            assert_same_bits(expected, continuous.exponential(ours, count, dtype, rate))
        expected = empty(count, dtype).cauchy_(0.3, 0.7, generator=theirs)
        assert_same_bits(expected, continuous.cauchy(ours, count, dtype, 0.3, 0.7))
        expected = empty(count, dtype).log_normal_(0.3, 0.7, generator=theirs)
        assert_same_bits(expected, continuous.log_normal(ours, count, dtype, 0.3, 0.7))
        assert_same_state(theirs, ours)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("low, high", [(0, 10), (3, 100), (0, 1)])
def test_integers_equal_pytorch(dtype, low, high):
    theirs, ours = pair(1)
    for count in SIZES:
        expected = empty(count, dtype).random_(low, high, generator=theirs)
        assert_same_bits(expected, discrete.integers(ours, count, dtype, low, high))
    assert_same_state(theirs, ours)


WIDE = [
    ("int32", -(2**27), 2**27 - 1),
    ("int32", -(2**27), 2**27),
    ("int32", -(2**31), 2**31 - 1),
    ("int64", -(2**62), 2**62),
    ("int64", -(2**63), 2**63 - 1),
    ("float64", -(2**31), 2**31),
    ("float32", -(2**23), 2**23),
]


@pytest.mark.parametrize("dtype, low, high", WIDE)
def test_integers_of_wide_ranges_equal_pytorch(dtype, low, high):
    theirs, ours = pair(1)
    expected = empty(1000, dtype).random_(low, high, generator=theirs)
    assert_same_bits(expected, discrete.integers(ours, 1000, dtype, low, high))
    assert_same_state(theirs, ours)


def test_integers_of_the_whole_64_bit_range_equal_pytorch():
    theirs, ours = pair(1)
    expected = empty(1000, "int64").random_(-(2**63), None, generator=theirs)
    assert_same_bits(expected, discrete.integers(ours, 1000, "int64", -(2**63), 2**63))


GAPS = [("bfloat16", -257, 700), ("bfloat16", 259, 700), ("float16", -3001, 3003)]


@pytest.mark.filterwarnings("ignore:.*out of bounds.*:UserWarning")
@pytest.mark.parametrize("dtype, low, high", [*GAPS, ("float32", -(2**27), 2**27)])
def test_ends_where_a_float_has_gaps_move_as_in_pytorch(dtype, low, high):
    theirs, ours = pair(1)
    expected = empty(1000, dtype).random_(low, high, generator=theirs)
    assert_same_bits(expected, discrete.integers(ours, 1000, dtype, low, high))
    assert_same_state(theirs, ours)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, "bool"])
def test_full_range_integers_equal_pytorch(dtype):
    theirs, ours = pair(1)
    for count in SIZES:
        expected = empty(count, dtype).random_(generator=theirs)
        assert_same_bits(expected, discrete.full_range_integers(ours, count, dtype))
    assert_same_state(theirs, ours)


@pytest.mark.parametrize("seed", SEEDS)
def test_permutations_equal_pytorch(seed):
    theirs, ours = pair(seed)
    for count in SIZES:
        expected = torch.randperm(count, generator=theirs)
        assert_same_bits(expected, discrete.permutation(ours, count))
    assert_same_state(theirs, ours)


def test_the_long_shuffle_is_a_permutation(monkeypatch):
    """PyTorch takes this path from 214,748,364 elements on; here only its soundness is tested."""
    monkeypatch.setattr(discrete, "_LONG_PERMUTATION", 1000)
    order = discrete.permutation(pair(1)[1], 1000)
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_coin_flips_and_geometric_numbers_equal_pytorch(dtype):
    theirs, ours = pair(5)
    for count in SIZES:
        for probability in (0.0, 0.3, 1.0):
            expected = empty(count, dtype).bernoulli_(probability, generator=theirs)
            assert_same_bits(expected, discrete.bernoulli(ours, count, dtype, probability))
        expected = empty(count, dtype).geometric_(0.3, generator=theirs)
        assert_same_bits(expected, discrete.geometric(ours, count, dtype, 0.3))
        assert_same_state(theirs, ours)


@pytest.mark.parametrize("probability_dtype", FLOATS)
def test_a_flip_for_each_probability_equals_pytorch(probability_dtype):
    theirs, ours = pair(5)
    for dtype in ("float32", "bfloat16", "int64"):
        for count in SIZES:
            chances = torch.rand(count).to(getattr(torch, probability_dtype))
            expected = empty(count, dtype).bernoulli_(chances, generator=theirs)
            flat = as_numpy(chances)
            assert_same_bits(
                expected, discrete.bernoulli_each(ours, dtype, flat, probability_dtype)
            )
            assert_same_state(theirs, ours)


def as_numpy(values):
    return (values.view(torch.uint16) if values.dtype == torch.bfloat16 else values).numpy()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("scale", [2.0, 40.0, 1000.0])
def test_poisson_equals_pytorch(dtype, scale):
    theirs, ours = pair(5)
    rates = (torch.rand(3000, generator=torch.Generator().manual_seed(1)) * scale).to(
        getattr(torch, dtype)
    )
    rates[7] = 0
    expected = torch.poisson(rates, generator=theirs)
    flat = rates.to(torch.float64).numpy()
    assert_same_bits(expected, discrete.poisson(ours, flat, dtype))
    assert_same_state(theirs, ours)


def test_a_negative_poisson_rate_is_refused():
    with pytest.raises(RuntimeError, match="expected rate to be non-negative, got -1"):
        discrete.poisson(pair(1)[1], np.asarray([1.0, -1.0]), "float32")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("samples, replacement", [(1, False), (1, True), (4, True), (500, True)])
def test_multinomial_equals_pytorch(dtype, samples, replacement):
    theirs, ours = pair(5)
    weights = torch.rand(7, 50, generator=torch.Generator().manual_seed(2))
    weights = weights.to(getattr(torch, dtype))
    expected = torch.multinomial(weights, samples, replacement, generator=theirs)
    got = multinomial(ours, as_numpy(weights), dtype, samples, replacement)
    np.testing.assert_array_equal(got, expected.numpy())
    assert_same_state(theirs, ours)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("samples", [2, 25, 50])
def test_multinomial_without_replacement_equals_pytorch(dtype, samples):
    theirs, ours = pair(5)
    weights = torch.rand(7, 50, dtype=getattr(torch, dtype))
    expected = torch.multinomial(weights, samples, False, generator=theirs)
    got = multinomial(ours, weights.numpy(), dtype, samples, False)
    np.testing.assert_array_equal(got, expected.numpy())
    assert_same_state(theirs, ours)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_multinomial_refuses_weights_that_are_none(bad):
    weights = np.asarray([[1.0, bad]])
    with pytest.raises(RuntimeError, match="contains either `inf`, `nan` or element < 0"):
        multinomial(pair(1)[1], weights, "float64", 1)


def test_multinomial_refuses_a_row_of_zeros():
    with pytest.raises(RuntimeError, match=r"sum of probabilities <= 0"):
        multinomial(pair(1)[1], np.zeros((2, 3)), "float64", 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_of_all_kinds_share_one_stream(seed):
    theirs, ours = pair(seed)
    choices = np.random.RandomState(3).randint(0, 7, 200)
    for step, choice in enumerate(choices):
        count = (step * 7) % 41
        dtype = FLOATS[step % 4]
        target = empty(count, dtype)
        if choice == 0:
            pairs = target.uniform_(generator=theirs), continuous.uniform(ours, count, dtype)
        elif choice == 1:
            pairs = target.normal_(generator=theirs), normal(ours, count, dtype)
        elif choice == 2:
            pairs = (
                target.exponential_(generator=theirs),
                continuous.exponential(ours, count, dtype),
            )
        elif choice == 3:
            pairs = torch.randperm(count, generator=theirs), discrete.permutation(ours, count)
        elif choice == 4:
            pairs = (
                target.bernoulli_(0.4, generator=theirs),
                discrete.bernoulli(ours, count, dtype, 0.4),
            )
        elif choice == 5:
            pairs = target.log_normal_(generator=theirs), continuous.log_normal(ours, count, dtype)
        else:
            pairs = (
                target.random_(generator=theirs),
                discrete.full_range_integers(ours, count, dtype),
            )
        assert_same_bits(*pairs)
    assert_same_state(theirs, ours)

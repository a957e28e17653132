"""The engine's words, seeds and state, beside PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rushlight.rng.mt19937 import DEFAULT_SEED, LEGACY_STATE_BYTES, MersenneTwister  # noqa: E402
from rushlight.rng.normal import normal  # noqa: E402
from tests.rng.streams import SEEDS, assert_same_bits, assert_same_state, pair  # noqa: E402


def test_a_new_generator_has_pytorchs_default_seed():
    assert MersenneTwister().seed == DEFAULT_SEED == torch.Generator().initial_seed()
    assert_same_state(torch.Generator(), MersenneTwister())


@pytest.mark.parametrize("seed", [*SEEDS, 2**64 - 1, -(2**63)])
def test_the_seed_is_reported_as_pytorch_reports_it(seed):
    theirs, ours = pair(seed)
    assert ours.seed == theirs.initial_seed()
    assert_same_state(theirs, ours)


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_a_seed_beyond_64_bits_is_refused(seed):
    with pytest.raises(ValueError, match="Overflow when unpacking"):
        MersenneTwister(seed)


def test_only_the_low_32_bits_of_the_seed_count():
    first = MersenneTwister(7).words(10)
    np.testing.assert_array_equal(first, MersenneTwister(2**32 + 7).words(10))


@pytest.mark.parametrize("draws", [0, 1, 5, 623, 624, 625, 1247, 1248, 1249, 5000])
def test_the_state_has_pytorchs_bytes_after_any_number_of_words(draws):
    theirs, ours = pair(3)
    torch.empty(draws).uniform_(generator=theirs)
    ours.words(draws)
    assert_same_state(theirs, ours)


@pytest.mark.parametrize("draws", [0, 1, 623, 624, 700])
@pytest.mark.parametrize("spare", [False, True])
def test_pytorchs_state_continues_here(draws, spare):
    theirs = torch.Generator().manual_seed(11)
    torch.empty(draws).uniform_(generator=theirs)
    if spare:
        torch.empty(3).normal_(generator=theirs)
    ours = MersenneTwister(5)
    ours.restore(theirs.get_state().numpy())
    assert ours.seed == 11
    assert_same_state(theirs, ours)
    expected = torch.empty(9).normal_(generator=theirs)
    assert_same_bits(expected, normal(ours, 9, "float32"))


@pytest.mark.parametrize("draws", [0, 1, 624, 1000])
def test_our_state_continues_in_pytorch(draws):
    ours = MersenneTwister(5)
    ours.words(draws)
    normal(ours, 3, "float32")
    theirs = torch.Generator()
    theirs.set_state(torch.from_numpy(ours.state_bytes()))
    expected = torch.empty(9).normal_(generator=theirs)
    assert_same_bits(expected, normal(ours, 9, "float32"))


def test_restoring_repeats_the_numbers():
    ours = MersenneTwister(1)
    normal(ours, 7, "float64")
    state = ours.state_bytes()
    first = normal(ours, 100, "float32")
    ours.restore(state)
    np.testing.assert_array_equal(first, normal(ours, 100, "float32"))


def test_the_older_state_without_float_fields_is_accepted():
    ours = MersenneTwister(1)
    ours.words(10)
    copy = MersenneTwister()
    copy.restore(ours.state_bytes()[:LEGACY_STATE_BYTES])
    np.testing.assert_array_equal(copy.words(5), ours.words(5))


def test_a_state_of_the_wrong_size_is_refused():
    message = "Expected a CPUGeneratorImplState of size 5056 but found the input RNG state size"
    with pytest.raises(RuntimeError, match=message):
        MersenneTwister().restore(np.zeros(10, np.uint8))


def test_bytes_that_are_no_state_are_refused_and_change_nothing():
    ours = MersenneTwister(1)
    before = ours.state_bytes()
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        ours.restore(np.zeros(5056, np.uint8))
    np.testing.assert_array_equal(before, ours.state_bytes())


def test_a_copy_continues_on_its_own():
    ours = MersenneTwister(1)
    normal(ours, 3, "float32")
    copy = ours.copy()
    first = normal(ours, 40, "float32")
    np.testing.assert_array_equal(first, normal(copy, 40, "float32"))


def test_seeds_from_the_system_differ_and_fit_53_bits():
    ours = MersenneTwister()
    seeds = {ours.reseed_from_system() for _ in range(4)}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**53 for seed in seeds)
    assert ours.seed in seeds

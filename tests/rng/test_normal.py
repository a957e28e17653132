"""Normal numbers equal PyTorch's bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rushlight.rng import normal as recipes  # noqa: E402
from rushlight.rng.layout import arrange, is_contiguous  # noqa: E402
from tests.rng.streams import (  # noqa: E402
    FLOATS,
    SEEDS,
    SIZES,
    assert_same_bits,
    assert_same_state,
    empty,
    pair,
)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_normal_equals_pytorch_at_every_size_in_one_stream(dtype, seed):
    theirs, ours = pair(seed)
    for count in SIZES if seed == 0 else SIZES[:-1]:
        for mean, std in ((0.0, 1.0), (1.3, 0.7), (-1e3, 1e-2), (0.0, 0.02)):
            expected = empty(count, dtype).normal_(mean, std, generator=theirs)
            assert_same_bits(expected, recipes.normal(ours, count, dtype, mean, std))
        assert_same_state(theirs, ours)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "order",
    [(1, 0, 2), (2, 1, 0), (0, 2, 1), (2, 0, 1)],
    ids=lambda order: "".join(map(str, order)),
)
def test_a_permuted_destination_takes_the_paired_recipe_in_memory_order(dtype, order):
    theirs, ours = pair(4)
    target = empty(120, dtype).reshape(4, 5, 6).permute(order)
    target.normal_(0.5, 2.0, generator=theirs)
    flat = recipes.normal(ours, 120, dtype, 0.5, 2.0, contiguous=False)
    assert not is_contiguous(tuple(target.shape), target.stride())
    assert_same_bits(target, arrange(flat, tuple(target.shape), target.stride()))
    assert_same_state(theirs, ours)


def test_the_spare_survives_a_large_draw():
    theirs, ours = pair(9)
    for count in (3, 1000, 1, 17, 5):
        expected = torch.empty(count).normal_(generator=theirs)
        assert_same_bits(expected, recipes.normal(ours, count, "float32"))


def test_chunks_do_not_show():
    ours = pair(2)[1]
    count = 3 * recipes.CHUNK_PAIRS + 5
    expected = torch.empty(count).normal_(generator=torch.Generator().manual_seed(2))
    assert_same_bits(expected, recipes.normal(ours, count, "float32"))


def test_the_second_rounding_is_right_for_every_uniform_that_can_be_drawn(monkeypatch):
    """All 2**24 inputs of log, sin and cos.

    Each step rounds a float64 sum to float32. That equals a fused operation unless the sum was
    itself rounded, and exactly onto the midpoint of two float32 values.
    """
    steps = 0
    wrong = 0

    def checked(x, y, term):
        nonlocal steps, wrong
        product = x * y  # exact: 24 + 24 bits
        total = product + term
        midpoint = (total.view(np.int64) << 35) == np.int64(-(2**63))
        if midpoint.any():
            product, term = (
                np.broadcast_to(part, total.shape)[midpoint] for part in (product, term)
            )
            back = total[midpoint] - product
            error = (product - (total[midpoint] - back)) + (term - back)
            wrong += int((error != 0.0).sum())
        steps += total.size
        return total.astype(np.float32).astype(np.float64)

    monkeypatch.setattr(recipes, "_fused", checked)
    block = np.arange(1 << 16, dtype=np.float64)
    for start in range(0, 1 << 24, 1 << 16):
        recipes.log_f32(((block + (start + 1)) * 2.0**-24).astype(np.float32))
        recipes.sin_cos_f32(recipes._TWO_PI_F32 * ((block + start) * 2.0**-24).astype(np.float32))
    assert steps >= 20 * 2**24
    assert wrong == 0

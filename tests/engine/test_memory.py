"""The arena's offsets and the pool's blocks."""

from __future__ import annotations

import gc
import random

import numpy as np
import pytest

from rushlight.base.collecting import put_off
from rushlight.engine.arena import ArenaPlanner, BufferPool


def test_values_that_live_together_never_overlap():
    generator = random.Random(0)
    for _ in range(200):
        planner = ArenaPlanner()
        placed = []
        for first in range(30):
            size = generator.choice([1, 64, 65, 1000, 4096])
            last = first + generator.randrange(8)
            placed.append((planner.place(size, first, last), size, first, last))
        for i, (x, x_size, x_first, x_last) in enumerate(placed):
            for y, y_size, y_first, y_last in placed[:i]:
                together = x_first <= y_last and y_first <= x_last
                assert not together or x + x_size <= y or y + y_size <= x
        assert planner.total >= max(offset + size for offset, size, _, _ in placed)


def test_a_place_is_used_again_once_its_value_has_ended():
    planner = ArenaPlanner()
    for time in range(100):
        planner.place(1000, time, time)
    assert planner.total <= 2048


def lowest_fit(living: list[tuple[int, int]], size: int) -> int:
    """The lowest offset at which a block lies beside those that live, tried one after another."""
    offset = 0
    for start, end in sorted(living):
        if start - offset >= size:
            break
        offset = end
    return offset


def test_every_value_lies_at_the_lowest_place_that_is_free():
    generator = random.Random(1)
    for _ in range(200):
        planner, living, total = ArenaPlanner(), [], 0
        for time in range(60):
            living = [one for one in living if one[2] >= time]
            ending = [one for one in living if one[2] == time]
            last = time + generator.choice([0, 1, 2, 9, 40])
            if ending and generator.random() < 0.3:
                start, end, _ = taken = generator.choice(ending)
                living.remove(taken)
                assert planner.take_over(start, time, last) == start
            else:
                size = generator.choice([64, 64, 128, 1024, 4096])
                start = lowest_fit([one[:2] for one in living], size)
                end = start + size
                assert planner.place(size, time, last) == start
            living.append((start, end, last))
            total = max(total, end)
        assert planner.total == total


def test_the_pool_reuses_a_block_only_when_no_array_shows_it():
    pool = BufferPool()
    dtype = np.dtype(np.float32)
    first = pool.array((512, 512), dtype)
    address = first.ctypes.data
    second = pool.array((512, 512), dtype)
    assert second.ctypes.data != address
    part = first[:3]
    del first
    assert pool.array((512, 512), dtype).ctypes.data != address
    del part
    assert pool.array((512, 512), dtype).ctypes.data == address


def test_the_pool_is_bounded():
    pool = BufferPool()
    dtype = np.dtype(np.float32)
    for _ in range(50):
        kept = [pool.array((512, 512), dtype) for _ in range(3)]
        del kept
    assert sum(len(blocks) for blocks in pool._blocks.values()) <= 4
    pool.trim()
    assert sum(len(blocks) for blocks in pool._blocks.values()) == 0


@pytest.mark.parametrize("enabled", [True, False])
def test_collections_that_were_put_off_are_afterwards_as_they_were(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(KeyError), put_off():
            assert not gc.isenabled()
            with put_off():
                pass
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()

"""Shifting a uint8 right by its width or more gives 0, not its highest bit."""

from __future__ import annotations

import rushlight as rl


def test_a_shift_right_beyond_the_width_leaves_nothing_of_an_unsigned_number() -> None:
    x = rl.tensor([200, 3], dtype=rl.uint8)
    assert (x >> 8).tolist() == [0, 0]
    assert (x >> 9).tolist() == [0, 0]


def test_a_shift_right_beyond_the_width_leaves_the_sign() -> None:
    assert (rl.tensor([-200, 200], dtype=rl.int16) >> 20).tolist() == [-1, 0]

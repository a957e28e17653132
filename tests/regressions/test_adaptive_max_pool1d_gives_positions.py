"""torch.adaptive_max_pool1d gives values and positions, torch.nn.functional's values only."""

from __future__ import annotations

import rushlight as rl
from rushlight.nn import functional as F


def test_the_name_at_the_top_gives_the_positions_too():
    x = rl.arange(6.0).reshape(1, 6)
    values, positions = rl.adaptive_max_pool1d(x, 3)
    assert values.tolist() == [[1.0, 3.0, 5.0]]
    assert positions.tolist() == [[1, 3, 5]]
    assert F.adaptive_max_pool1d(x, 3).tolist() == values.tolist()

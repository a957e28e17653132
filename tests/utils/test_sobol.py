"""Points of Sobol sequences are PyTorch's, scrambled by the same seed as well."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.quasirandom import SobolEngine, direction_numbers


@pytest.mark.parametrize("dimension", [1, 7, 40])
@pytest.mark.parametrize("options", [{}, {"scramble": True, "seed": 3}, {"scramble": True}])
def test_points_are_those_of_pytorch(dimension: int, options: dict) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(5)
    rl.manual_seed(5)
    theirs = torch.quasirandom.SobolEngine(dimension, **options)
    ours = SobolEngine(dimension, **options)
    assert repr(ours) == repr(theirs)
    for name in ("float32", "float64"):
        expected = theirs.draw(9, dtype=getattr(torch, name)).numpy()
        found = ours.draw(9, dtype=getattr(rl, name)).numpy()
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    theirs.fast_forward(5)
    ours.fast_forward(5)
    np.testing.assert_array_equal(ours.draw().numpy(), theirs.draw().numpy())
    theirs.reset()
    ours.reset()
    np.testing.assert_array_equal(ours.draw_base2(3).numpy(), theirs.draw_base2(3).numpy())


def test_the_first_power_of_two_of_points_fills_every_dimension_evenly() -> None:
    points = SobolEngine(21201).draw(8, dtype=rl.float64).numpy()
    assert (np.sort(points * 8, axis=0).astype(int) == np.arange(8)[:, None]).all()


def test_too_many_dimensions_and_unbalanced_counts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[1, 21201\]"):
        SobolEngine(21202)
    engine = SobolEngine(2)
    engine.draw(3)
    with pytest.raises(ValueError, match="power of 2"):
        engine.draw_base2(2)


def test_a_damaged_table_is_reported(tmp_path, monkeypatch) -> None:
    damaged = tmp_path / "joe_kuo.npz"
    damaged.write_bytes(direction_numbers.DATA_FILE.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(direction_numbers, "DATA_FILE", damaged)
    direction_numbers._table.cache_clear()
    with pytest.raises(RuntimeError, match="damaged"):
        SobolEngine(3)
    direction_numbers._table.cache_clear()

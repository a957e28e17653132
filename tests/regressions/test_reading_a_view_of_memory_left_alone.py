"""A view of an array that nobody else holds is read: asking for its history takes the memory over.

Found in the notebook: `images, labels = train[:12]` of a dataset made by `from_numpy` could not be
shown, since what was memory of the outside when it was asked was the tensor's own a moment later.
"""

from __future__ import annotations

import numpy as np

import rushlight as rl


def _rows() -> rl.Tensor:
    return rl.from_numpy(np.arange(40.0).reshape(20, 2))


def test_a_view_is_shown() -> None:
    x = _rows()
    assert repr(x[:2]) == repr(rl.tensor([[0.0, 1.0], [2.0, 3.0]], dtype=rl.float64))


def test_a_view_is_shown_after_its_base_is_gone() -> None:
    view = _rows()[3:4]
    assert view.tolist() == [[6.0, 7.0]]
    assert repr(view) == repr(rl.tensor([[6.0, 7.0]], dtype=rl.float64))


def test_base_and_view_show_each_others_writes_afterwards() -> None:
    x = _rows()
    view = x[:2]
    repr(view)
    view.zero_()
    assert x[:3].tolist() == [[0.0, 0.0], [0.0, 0.0], [4.0, 5.0]]
    x.add_(1.0)
    assert view.tolist() == [[1.0, 1.0], [1.0, 1.0]]

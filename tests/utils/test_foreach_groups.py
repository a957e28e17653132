"""Tensors are grouped by device and dtype as PyTorch groups them."""

from __future__ import annotations

import pytest

import rushlight
from rushlight.utils import _foreach_utils

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("with_indices", [False, True])
def test_lists_are_split_by_the_first(with_indices: bool) -> None:
    found = []
    for lib in (rushlight, torch):
        split = lib.utils._foreach_utils._group_tensors_by_device_and_dtype
        lists = [[lib.ones(1), lib.ones(2, dtype=lib.float64), lib.ones(3)],
                 [lib.zeros(1), None, lib.zeros(3)], []]  # fmt: skip
        groups = split(lists, with_indices)
        found.append(
            {
                (str(device), str(dtype)): (
                    [[None if x is None else x.tolist() for x in each] for each in parts],
                    list(places),
                )
                for (device, dtype), (parts, places) in groups.items()
            }
        )
    mine = {(d, t.replace("rushlight", "torch")): v for (d, t), v in found[0].items()}
    assert mine == found[1]
    assert _foreach_utils._has_foreach_support([rushlight.ones(1), None], rushlight.device("cpu"))

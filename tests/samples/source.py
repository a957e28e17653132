"""Samples of the source primitives."""

from __future__ import annotations

import torch

from tests.samples.row import Row

ROWS = (
    Row("iota", torch.arange, shapes=((),), params=((0,), (1,), (5,)), dtypes=("int64",),
        differentiable=()),
)  # fmt: skip

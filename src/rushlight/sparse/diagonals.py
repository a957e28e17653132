"""Sparse matrices from their diagonals.  Level: sparse (12)."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base import formats
from rushlight.sparse.structure import COO, coo, in_form
from rushlight.tensor.sparse_tensor import COMPRESSED, SparseTensor, array_of, index_tensor
from rushlight.tensor.tensor import Tensor


def spdiags(
    diagonals: Tensor, offsets: Tensor, shape: Any, layout: formats.layout | None = None
) -> SparseTensor:
    """A matrix with the rows of `diagonals` on the diagonals `offsets`.

    The column decides which entry of a row is used, as in PyTorch.
    Shapes: diagonals (k, n), offsets (k,).  Raises: RuntimeError, ValueError.
    Source: torch.sparse.spdiags.
    """
    if diagonals.dim() == 1:
        diagonals = diagonals.unsqueeze(0)
    numbers = array_of(offsets).reshape(-1)
    if diagonals.dim() != 2 or len(shape) != 2:
        raise RuntimeError("spdiags: diagonals and shape must describe matrices")
    if numbers.size != diagonals.shape[0]:
        raise RuntimeError(
            f"Number of diagonals ({diagonals.shape[0]}) does not match the number of offsets "
            f"({numbers.size})"
        )
    if np.unique(numbers).size != numbers.size:
        raise RuntimeError("Offset tensor contains duplicate values")
    if layout not in (None, COO, *COMPRESSED):
        raise RuntimeError(
            f"Only output layouts (Sparse, SparseCsc, SparseCsr) are supported, got {layout}"
        )
    height, width = shape
    taken, places = [], []
    for line, offset in enumerate(numbers.tolist()):
        first = max(0, -offset)
        count = max(
            0, min(height - first, width - first - offset, diagonals.shape[1] - first - offset)
        )
        rows = np.arange(first, first + count)
        places.append(np.stack([rows, rows + offset]))
        taken.append(line * diagonals.shape[1] + rows + offset)
    elements = diagonals.reshape(-1).index_select(0, index_tensor(np.concatenate(taken)))
    made = coo(np.concatenate(places, axis=1), elements, (height, width), False)
    return made if layout is None else in_form(made, layout)

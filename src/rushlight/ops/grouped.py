"""Products of groups of rows with a matrix for each, as mixtures of experts need.  Level 11.

Where the groups end is read, as it decides which rows belong together.
"""

from __future__ import annotations

import itertools
from typing import Any

from rushlight.ops.joining import cat, stack
from rushlight.ops.matmul import matmul
from rushlight.ops.spelling import spelled
from rushlight.tensor.interop import read_array
from rushlight.tensor.tensor import Tensor


@spelled()
def grouped_mm(
    mat_a: Any, mat_b: Any, *, offs: Any = None, bias: Any = None, out_dtype: Any = None
) -> Tensor:
    """`mat_a @ mat_b` group by group.

    offs: int32, where each group ends along the axis that is divided: the rows of a 2-d `mat_a`,
        the columns of a 2-d `mat_b`, or the inner axis of both.  What lies behind the last group
        is 0 in the result.
    Shapes: (n, k) and (g, k, m) -> (n, m); (g, n, k) and (k, m) -> (n, m); (n, k) and (k, m) ->
    (g, n, m); (g, n, k) and (g, k, m) -> (g, n, m), without offs.  Dtypes: floating.
    Raises: RuntimeError for other shapes.  Source: torch.nn.functional.grouped_mm.
    """
    axes = (mat_a.dim(), mat_b.dim())
    if axes not in ((2, 2), (2, 3), (3, 2), (3, 3)):
        raise RuntimeError(f"grouped_mm: operands have 2 or 3 axes, got {axes[0]} and {axes[1]}")
    if (offs is None) != (axes == (3, 3)):
        raise RuntimeError("grouped_mm: offs is given where an operand has 2 axes, and only there")
    if mat_a.shape[-1] != mat_b.shape[-2]:
        raise RuntimeError(
            f"grouped_mm: contraction dimension of mat_a and mat_b must match, got"
            f" {mat_a.shape[-1]} and {mat_b.shape[-2]}"
        )
    found = matmul(mat_a, mat_b) if offs is None else _by_group(mat_a, mat_b, offs, axes)
    if bias is not None:
        found = found + bias
    return found if out_dtype is None else found.to(out_dtype)


def _by_group(mat_a: Any, mat_b: Any, offs: Any, axes: tuple[int, int]) -> Any:
    ends = [int(end) for end in read_array(offs)]
    divided = {(2, 3): mat_a.shape[0], (3, 2): mat_b.shape[1], (2, 2): mat_a.shape[1]}[axes]
    groups = mat_b.shape[0] if axes == (2, 3) else mat_a.shape[0] if axes == (3, 2) else len(ends)
    if len(ends) != groups or sorted([0, *ends]) != [0, *ends] or ends[-1] > divided:
        raise RuntimeError(
            f"grouped_mm: offs is where {groups} groups end, in order, up to {divided}; got {ends}"
        )
    spans = list(itertools.pairwise([0, *ends]))
    if axes == (2, 2):
        return stack([matmul(mat_a[:, i:j], mat_b[i:j]) for i, j in spans])
    if axes == (2, 3):
        parts = [matmul(mat_a[i:j], mat_b[g]) for g, (i, j) in enumerate(spans)]
    else:
        parts = [matmul(mat_a[g], mat_b[:, i:j]) for g, (i, j) in enumerate(spans)]
    rest = divided - ends[-1]
    if rest:
        shape = (rest, mat_b.shape[-1]) if axes == (2, 3) else (mat_a.shape[1], rest)
        parts.append(mat_a.new_zeros(shape))
    return cat(parts, 0 if axes == (2, 3) else 1)

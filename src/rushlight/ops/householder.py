"""QR factorizations in reflectors: `geqrf`, `ormqr`, `orgqr`.  Level 11."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.ops.beside import beside_input
from rushlight.ops.creation import value_of
from rushlight.ops.formats import column_major, in_columns, resulting
from rushlight.ops.matrix_norm import householder_product
from rushlight.ops.padding import pad
from rushlight.ops.promotion import check_tensor
from rushlight.ops.return_types import return_type
from rushlight.ops.spelling import spelled
from rushlight.tensor.grad_mode import is_grad_enabled
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

_Geqrf = return_type("geqrf", "a", "tau")


@spelled(method=True, out=True)
@beside_input
def geqrf(input: Any) -> Any:
    """R above, and the reflectors of Q below the diagonal; and their factors.

    Shapes: (..., m, n) -> (..., m, n) and (..., min(m, n)).  Dtypes: floating, complex, of 32 or
    64 bits.  Raises: RuntimeError for fewer axes, or where a gradient would be needed, as PyTorch
    has none.  Source: torch.geqrf.
    """
    check_tensor("geqrf", input)
    dtype = input.dtype
    if input.dim() < 2:
        raise RuntimeError(f"torch.geqrf: input must have at least 2 dimensions, got {input.dim()}")
    if not dtype.is_inexact or dtype.itemsize < 4:
        raise NotImplementedError(f"\"geqrf_cpu\" not implemented for '{dtype.name}'")
    if is_grad_enabled() and current_edge(input) is not None:
        raise RuntimeError("the derivative for 'geqrf' is not implemented.")
    array = value_of(input)
    batch, (m, n) = array.shape[:-2], array.shape[-2:]
    reflectors = np.empty_like(array)
    factors = np.empty((*batch, min(m, n)), array.dtype)
    for place in np.ndindex(*batch):
        h, tau = np.linalg.qr(array[place], mode="raw")
        reflectors[place], factors[place] = h.T, tau
    made = column_major(tensor_from_numpy(reflectors, dtype))
    return _Geqrf(made, tensor_from_numpy(factors, dtype))


@spelled(method=True, out=True)
def orgqr(input: Any, input2: Any) -> Tensor:
    """The first columns of Q from reflectors.  Source: torch.orgqr."""
    return householder_product(input, input2)


@spelled(method=True, out=True)
@resulting(in_columns)
def ormqr(
    input: Any, input2: Any, input3: Any, left: bool = True, transpose: bool = False
) -> Tensor:
    """Q @ input3, or input3 @ Q, with the square Q of the reflectors in `input` and `input2`.

    transpose: with the adjoint of Q.
    Shapes: input (..., m, k), input2 (..., k), input3 (..., m, n)
    if `left`, else (..., n, m).  Raises: RuntimeError for shapes that do not fit.
    Source: torch.ormqr.
    """
    rows, columns = input.shape[-2:]
    if input3.shape[-2 if left else -1] != rows:
        side = "-2" if left else "-1"
        raise RuntimeError(
            f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2], got"
            f" {input3.shape[-2 if left else -1]} and {rows}"
        )
    square = pad(input, (0, max(rows - columns, 0)))[..., :rows]
    q: Any = householder_product(square, input2)
    if transpose:
        q = q.mH
    return q @ input3 if left else input3 @ q

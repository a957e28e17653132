"""`hash_tensor`: one number for the bits of many elements.  Level 11."""

from __future__ import annotations

import numpy as np

from rushlight.base.dtypes import uint64, widen
from rushlight.base.shapes import wrap_axes
from rushlight.ops.creation import value_of
from rushlight.ops.promotion import check_tensor
from rushlight.ops.spelling import spelled
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


@spelled(method=True, out=True)
def hash_tensor(input, dim=None, *, keepdim=False, mode=0) -> Tensor:
    """The exclusive or of the elements' bits, as 64-bit floats or integers.  Dtypes: uint64.

    dim: axes to reduce; all by default.  Reads the tensor.
    Raises: RuntimeError for modes other than 0, and for no elements without `dim`.
    Source: torch.hash_tensor.
    """
    check_tensor("hash_tensor", input)
    if mode != 0:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode}")
    array = widen(value_of(input), input._node.dtype)
    if dim is None and not array.size:
        raise RuntimeError(
            "hash_tensor: Expected reduction dim to be specified for input.numel() == 0. Specify "
            "the reduction dim with the 'dim' argument."
        )
    if array.dtype.kind == "c":
        raise NotImplementedError('"hash_tensor" not implemented for complex tensors')
    wide = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    bits = wide.copy(order="C").view(np.uint64)
    axes = tuple(range(bits.ndim)) if dim is None else wrap_axes(dim, bits.ndim)
    found = np.bitwise_xor.reduce(bits, axis=tuple(axes), keepdims=keepdim) if axes else bits
    return tensor_from_numpy(np.array(found, dtype=np.uint64, order="C"), uint64)

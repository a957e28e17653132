"""How tensors are printed, under the name that PyTorch keeps it by.  Level 12."""

from __future__ import annotations

from rushlight.base.dtypes import widen
from rushlight.tensor import printing
from rushlight.tensor.interop import read_array
from rushlight.tensor.tensor import Tensor

__all__ = ["PRINT_OPTS"]

PRINT_OPTS = printing.PRINT_OPTIONS


def _tensor_str(self: Tensor, indent: int) -> str:
    """The brackets with the values, without what else `repr` says."""
    return printing.values_text(widen(read_array(self), self.dtype), self.dtype, indent)

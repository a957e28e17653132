"""How tensors are printed, under the name that PyTorch keeps it by.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import widen
from rushlight.tensor import printing
from rushlight.tensor.interop import read_array
from rushlight.tensor.printing import get_printoptions, printoptions, set_printoptions
from rushlight.tensor.tensor import Tensor

__all__ = ["PRINT_OPTS", "get_printoptions", "printoptions", "set_printoptions"]

PRINT_OPTS = printing.PRINT_OPTIONS


def _tensor_str(self: Tensor, indent: int) -> str:
    """The brackets with the values, without what else `repr` says."""
    return printing.values_text(widen(read_array(self), self.dtype), self.dtype, indent)


def _add_suffixes(tensor_str: str, suffixes: Any, indent: int, force_newline: bool) -> str:
    """The text with facts such as the dtype behind it, and the bracket closed."""
    return printing.append_facts(tensor_str, suffixes, indent, force_newline)


def _str(self: Tensor, *, tensor_contents: str | None = None) -> str:
    """What `repr` says; `tensor_contents` stands for the values."""
    if tensor_contents is None:
        return Tensor.__repr__(self)
    return printing.append_facts(f"tensor({tensor_contents}", [f"dtype={self.dtype}"], 7)


_str_intern = _str

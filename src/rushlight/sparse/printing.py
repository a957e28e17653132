"""Text of a sparse tensor, equal to PyTorch's.  Level: sparse (12)."""

from __future__ import annotations

from rushlight.base import formats
from rushlight.base.dtypes import get_default_dtype, widen
from rushlight.tensor.interop import grad_fn_name
from rushlight.tensor.printing import append_facts, implied_by_values, values_text
from rushlight.tensor.sparse_tensor import COMPRESSED, SparseTensor, array_of
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Tensor

_PREFIX = "tensor("


def sparse_repr(self: SparseTensor, *, tensor_contents: str | None = None) -> str:
    """The text PyTorch prints for the tensor; reads its places and elements."""
    indent = len(_PREFIX)
    if self.form is formats.sparse_coo:
        names = ["indices"]
    else:
        names = list(COMPRESSED[self.form])
    parts = [
        _part(name, tensor, indent)
        for name, tensor in zip([*names, "values"], [*self.places, self.elements])
    ]
    facts = [f"size={tuple(self._node.shape)}", f"nnz={self.elements.shape[0]}"]
    if not implied_by_values(self.dtype, get_default_dtype()):
        facts.append(f"dtype={self.dtype}")
    facts.append(f"layout={self.form}")
    name = grad_fn_name(self)
    if name is not None:
        facts.append(f"grad_fn=<{name}>")
    elif current_edge(self) is not None:
        facts.append("requires_grad=True")
    text = _PREFIX + (",\n" + " " * indent).join(parts)
    return append_facts(text, facts, indent, new_line=self.form is formats.sparse_coo)


def _part(name: str, tensor: Tensor, indent: int) -> str:
    prefix = f"{name}=tensor("
    array = widen(array_of(tensor), tensor.dtype)
    if not array.size:
        return f"{prefix}[], size={array.shape})"
    return f"{prefix}{values_text(array, tensor.dtype, indent + len(prefix))})"

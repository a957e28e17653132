"""`cond`, and small operations that PyTorch has beside a view or a module's function.  Level 11."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.ops.access import detach
from rushlight.ops.complex import view_as_complex, view_as_real
from rushlight.ops.conversion import clone
from rushlight.ops.distances import pairwise_distance
from rushlight.ops.matmul import bilinear
from rushlight.ops.spelling import PUBLIC, attach_method, spelled
from rushlight.tensor.storage import alias_without_grad
from rushlight.tensor.tensor import Tensor, strides_of


@spelled()
def cond(pred: Any, true_fn: Callable, false_fn: Callable, operands: Any = ()) -> Any:
    """`true_fn(*operands)` or `false_fn(*operands)`; reads `pred` if it is a tensor.

    Raises: RuntimeError for a predicate of several elements, or what cannot be called.
    Source: torch.cond.
    """
    if not isinstance(pred, (bool, int, float, Tensor)):
        raise RuntimeError(f"Expected pred to be bool or tensor, but got {pred}.")
    if isinstance(pred, Tensor) and pred.numel() != 1:
        raise RuntimeError(
            f"Expected pred to be bool or single-element tensor, but got {pred.numel()} elements."
        )
    if not callable(true_fn) or not callable(false_fn):
        raise RuntimeError("Expect both branches to be callable.")
    if not isinstance(operands, (tuple, list)):
        raise RuntimeError(f"Expect operands to be a tuple or list, but got {operands}.")
    return (true_fn if bool(pred) else false_fn)(*operands)


@spelled()
def detach_copy(input) -> Tensor:
    """A copy that requires no gradient.  Source: torch.detach_copy."""
    return clone(detach(input))


@spelled()
def view_as_real_copy(input) -> Tensor:
    """A copy of `view_as_real`.  Source: torch.view_as_real_copy."""
    return clone(view_as_real(input))


@spelled()
def view_as_complex_copy(input) -> Tensor:
    """A copy of `view_as_complex`.  Source: torch.view_as_complex_copy."""
    return clone(view_as_complex(input))


@attach_method("dim_order")
def dim_order(self, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The axes from the outermost in memory to the innermost.  Source: torch.Tensor.dim_order."""
    strides = strides_of(self)
    return tuple(sorted(range(len(strides)), key=lambda axis: -strides[axis]))


@attach_method("module_load")
def module_load(self, other: Tensor, assign: bool = False) -> Tensor:
    """What a module keeps in this tensor's place when a state_dict holds `other`.

    Source: torch.Tensor.module_load.
    """
    if assign:
        return alias_without_grad(other)
    return alias_without_grad(self.copy_(other))


PUBLIC["bilinear"] = bilinear
PUBLIC["pairwise_distance"] = pairwise_distance
PUBLIC["relu_"] = vars(Tensor)["relu_"]
Tensor.const_data_ptr = vars(Tensor)["data_ptr"]
Tensor.grad_dtype = property(lambda self: self._node.dtype)

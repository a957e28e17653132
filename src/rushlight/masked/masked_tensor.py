"""MaskedTensor: a tensor some of whose elements do not count.

In: data and a mask of the same shape, true where an element counts.  Functions act on the data as
on a plain tensor, so that gradients are those of plain tensors; reductions leave out what is
masked; a result is masked where its operands are.  Source: torch.masked.MaskedTensor.  Level 12.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rushlight.base import formats
from rushlight.base.device import CPU
from rushlight.base.dtypes import (
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
)
from rushlight.ops.conversion import clone
from rushlight.tape.memo import BUFFER, leaf_spec
from rushlight.tape.node import Node
from rushlight.tensor.function_names import name_of
from rushlight.tensor.refusing import without_array
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Tensor
from rushlight.tensor.torch_function import DisableTorchFunctionSubclass

_DTYPES = (float16, float32, float64, bool_, int8, int16, int32, int64)

# Function name -> what it does to masked operands; filled by `functions.py`.
RULES: dict[str, Callable[..., Any]] = {}


class MaskedNode(Node):
    """The node of a masked tensor: what it holds are the nodes of its data and mask."""

    __slots__ = ()

    def __init__(self, data: Tensor) -> None:
        node = data._node
        self.describe(leaf_spec(BUFFER, (), node.dtype, CPU), node.shape, node.dtype)

    def take_over(self, tape: Any) -> bool:
        """No operation takes the node: raises its error."""
        self.read()
        return False

    def read(self) -> None:
        """Raises: TypeError."""
        raise TypeError(
            "the operation does not take masked tensors; fill what is masked with to_tensor(value),"
            " or take get_data() and get_mask()"
        )


class MaskedTensor(Tensor):
    """Data and a mask of the same shape, true where an element counts.

    data: of a float, signed integer or boolean dtype; copied, without its history.
    Raises: TypeError for what is no plain tensor, another dtype or layout, a mask that is not
    boolean; ValueError where the shapes differ.
    """

    __slots__ = ("held", "mask")

    held: Any
    mask: Any

    # Functions must ask this class as they ask classes of programs.
    _is_asked = True

    def __new__(cls, data: Any, mask: Any, requires_grad: bool = False) -> Any:
        _check(data, mask)
        if data.requires_grad:
            warnings.warn(
                "It is not recommended to create a MaskedTensor with a tensor that requires_grad."
                " To avoid this, you can use data.detach().clone()",
                UserWarning,
                stacklevel=2,
            )
        held = clone(data.detach())
        return cls.of(held.requires_grad_() if requires_grad else held, clone(mask))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """All is done by `__new__`."""

    @classmethod
    def of(cls, held: Tensor, mask: Tensor) -> Any:
        """One that holds these very tensors: its history is that of `held`."""
        made = without_array(cls, MaskedNode(held), current_edge(held))
        made.held, made.mask = held, mask
        return made

    @classmethod
    def _from_values(cls, data: Tensor, mask: Tensor) -> Any:
        """One through which gradients flow to `data`."""
        _check(data, mask)
        return cls.of(clone(data), clone(mask))

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        name = name_of(func)
        rule = RULES.get(name)
        if rule is None:
            raise TypeError(
                f"{name}: masked tensors have no rule for it; fill what is masked with"
                " to_tensor(value), or take get_data() and get_mask()"
            )
        with DisableTorchFunctionSubclass():
            return rule(func, *args, **(kwargs or {}))

    @property
    def grad(self) -> Any:  # type: ignore[override]
        """The gradient, masked as the tensor; None before there is one."""
        found = self.held.grad
        return None if found is None else MaskedTensor.of(found, self.mask)

    @grad.setter
    def grad(self, value: Any) -> None:
        self.held.grad = value.held if isinstance(value, MaskedTensor) else value

    def get_data(self) -> Tensor:
        """The data, masked elements as they are."""
        return self.held

    def get_mask(self) -> Tensor:
        """The mask, true where an element counts."""
        return self.mask

    def to_tensor(self, value: Any) -> Tensor:
        """A plain tensor, `value` where an element is masked."""
        return self.held.masked_fill(~self.mask, value)  # type: ignore[attr-defined]

    def is_sparse_coo(self) -> bool:
        """Whether the data are sparse: they never are."""
        return False

    def is_sparse_csr(self) -> bool:  # type: ignore[override]
        """Whether the data are sparse: they never are."""
        return False

    def __repr__(self, **_: Any) -> str:
        values, counts = self.held.tolist(), self.mask.tolist()
        if not isinstance(values, list):
            return f"MaskedTensor({_shown(values) if counts else '--'}, {counts})"
        lines = _rows(values, counts).replace("\n", "\n  ")
        return f"MaskedTensor(\n  {lines}\n)"


def _check(data: Any, mask: Any) -> None:
    for name, value in (("data", data), ("mask", mask)):
        if isinstance(value, MaskedTensor) or not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a Tensor")
    if data.layout is not mask.layout:
        raise TypeError("data and mask must have the same layout.")
    if data.layout is not formats.strided:
        raise TypeError(
            f"data layout of {data.layout} is not supported; give MaskedTensor to_dense() of it"
        )
    if mask.dtype is not bool_:
        raise TypeError("mask must have dtype bool.")
    if data.dtype not in _DTYPES:
        raise TypeError(f"{data.dtype} is not supported in MaskedTensor.")
    if data.dim() != mask.dim():
        raise ValueError("data.dim() must equal mask.dim()")
    if data.shape != mask.shape:
        raise ValueError("data.size() must equal mask.size()")


def _shown(value: Any) -> str:
    return f"{value:8.4f}" if isinstance(value, float) else str(value)


def _rows(values: list, counts: list) -> str:
    if values and isinstance(values[0], list):
        rows = [_rows(v, c).replace("\n", "\n  ") for v, c in zip(values, counts)]
        return "[\n  " + ",\n  ".join(rows) + "\n]"
    shown = [_shown(value) for value in values]
    width = max((len(s) if c else 8 for s, c in zip(shown, counts)), default=0)
    return "[" + ", ".join(s if c else "--".rjust(width) for s, c in zip(shown, counts)) + "]"

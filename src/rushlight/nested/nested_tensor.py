"""NestedTensor: tensors of different lengths as one.

In: parts that agree in all axes but the first (`jagged`), or in their number of axes (`strided`).
Out: a tensor of one more axis in front.  What a jagged one holds is its parts one after the other,
`values` (S, ...), and where each begins; a strided one holds the parts.  Functions act on what is
held, so that gradients are those of plain tensors.  Source: torch.nested.  Level 12.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.base import formats
from rushlight.base.device import CPU
from rushlight.base.dtypes import int64
from rushlight.ops.joining import cat
from rushlight.tape.memo import BUFFER, leaf_spec
from rushlight.tape.node import Node
from rushlight.tensor.function_names import name_of
from rushlight.tensor.refusing import without_array
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Size, Tensor, tensor_from_numpy
from rushlight.tensor.torch_function import DisableTorchFunctionSubclass

_numbers = itertools.count(1)

# Function name -> what it does to nested operands; filled by `functions.py`.
RULES: dict[str, Callable[..., Any]] = {}


class RaggedSize:
    """The length of the axis in which the parts differ.  Equal to itself alone, and to no number.

    starts: where each part begins, and the last one ends.
    """

    def __init__(self, starts: Sequence[int]) -> None:
        self.starts = list(starts)
        self.number = next(_numbers)

    def __repr__(self) -> str:
        return f"j{self.number}"


class NestedNode(Node):
    """The node of a nested tensor: it has no array."""

    __slots__ = ()

    def __init__(self, shape: tuple, dtype: Any) -> None:
        self.describe(leaf_spec(BUFFER, (), dtype, CPU), shape, dtype)

    def take_over(self, tape: Any) -> bool:
        """No operation takes the node: raises its error."""
        self.read()
        return False

    def read(self) -> None:
        """Raises: NotImplementedError."""
        raise NotImplementedError(
            "the operation does not take nested tensors; take them apart with unbind(), or pad them"
            " with nested.to_padded_tensor()"
        )


class NestedTensor(Tensor):
    """Tensors of different lengths as one.

    held: the values of a jagged one, or the list of parts.
    ragged: the length that differs; None for a strided one.
    behind: whether the axis that differs stands behind the next one: (B, H, j, ...).
    """

    __slots__ = ("held", "ragged", "behind")

    held: Any
    ragged: RaggedSize | None
    behind: bool

    # Functions must ask this class as they ask classes of programs.
    _is_asked = True
    # Answered here: other properties of Tensor share their getter.
    is_nested = True
    is_sparse = is_quantized = is_mkldnn = is_cuda = is_meta = False

    def __new__(cls, held: Any, ragged: RaggedSize | None = None, behind: bool = False) -> Any:
        first = held[0] if ragged is None else held
        edges = [current_edge(x) for x in (held if ragged is None else [held])]
        edge = next((edge for edge in edges if edge is not None), None)
        node = NestedNode(_shape(held, ragged, behind), first._node.dtype)
        made = without_array(cls, node, edge)
        made.held, made.ragged, made.behind = held, ragged, behind
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """All is done by `__new__`."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        name = name_of(func)
        rule = RULES.get(name)
        if rule is None:
            raise NotImplementedError(
                f"{name}: nested tensors have no rule for it; take them apart with unbind(), or pad"
                " them with nested.to_padded_tensor()"
            )
        with DisableTorchFunctionSubclass():
            return rule(func, *args, **(kwargs or {}))

    def values(self) -> Tensor:
        """The parts of a jagged one, one after the other."""
        self._refuse_strided("values")
        return self.held

    def offsets(self) -> Tensor:
        """Where the parts of a jagged one begin, and the last one ends: int64 (B + 1,)."""
        self._refuse_strided("offsets")
        return starts_of(self)

    def to_padded_tensor(self, padding: float, output_size: Any = None, out: Any = None) -> Tensor:
        """The parts as one dense tensor, filled up to the longest, or to a size."""
        return RULES["to_padded_tensor"](None, self, padding, output_size)

    def lengths(self) -> None:
        """Lengths of parts that leave gaps between them: none do."""

    def parts(self) -> list[Tensor]:
        """The tensors it is made of; views of the values."""
        if self.ragged is None:
            return list(self.held)
        found = []
        for start, stop in itertools.pairwise(self.ragged.starts):
            part = self.held.narrow(0, start, stop - start)
            found.append(part.transpose(0, 1) if self.behind else part)
        return found

    def like(self, change: Callable[[Any], Any]) -> NestedTensor:
        """One of the same structure, of what `change` makes of the values, or of each part."""
        if self.ragged is None:
            return NestedTensor([change(part) for part in self.held])
        return NestedTensor(change(self.held), self.ragged, self.behind)

    def _refuse_strided(self, name: str) -> None:
        if self.ragged is None:
            raise RuntimeError(f"{name}: only jagged nested tensors have it; use layout=jagged")

    def __repr__(self) -> str:
        if self.ragged is not None:
            sizes = ", ".join(str(size) for size in self._node.shape)
            starts = self.ragged.starts
            return f"NestedTensor(size=({sizes}), offsets=tensor({starts}), contiguous=True)"
        parts = ",\n".join("  " + repr(part).replace("\n", "\n  ") for part in self.held)
        return f"nested_tensor([\n{parts}\n])"


def starts_of(nested: NestedTensor) -> Tensor:
    """The offsets as a tensor."""
    assert nested.ragged is not None
    return tensor_from_numpy(np.array(nested.ragged.starts, dtype=np.int64), int64)


def _shape(held: Any, ragged: RaggedSize | None, behind: bool) -> tuple:
    if ragged is not None:
        rest = list(held._node.shape[1:])
        inner = [*rest[:1], ragged, *rest[1:]] if behind else [ragged, *rest]
        return (len(ragged.starts) - 1, *inner)
    shapes = [part._node.shape for part in held]
    sizes = [set(column) for column in zip(*shapes)]
    return (len(held), *[next(iter(s)) if len(s) == 1 else RaggedSize([]) for s in sizes])


def nest(parts: Sequence[Any], layout: Any = None) -> NestedTensor:
    """A nested tensor of parts, through which gradients flow.

    Raises: RuntimeError for parts of different numbers of axes or dtypes, or for no jagged ones.
    """
    for place, part in enumerate(parts):
        if part.dim() != parts[0].dim():
            raise RuntimeError(
                "All Tensors given to nested_tensor must have the same dimension. Found dimension "
                f"{part.dim()} for Tensor at index {place} and dimension {parts[0].dim()} for "
                "Tensor at index 0."
            )
        if part.dtype is not parts[0].dtype:
            raise RuntimeError(
                f"nested_tensor: parts have one dtype, the first is {parts[0].dtype} and that at"
                f" index {place} is {part.dtype}"
            )
    if not parts:
        raise RuntimeError("Cannot construct a nested tensor from an empty list of tensors")
    if layout is not formats.jagged:
        return NestedTensor(list(parts))
    if any(part.shape[1:] != parts[0].shape[1:] for part in parts):
        raise RuntimeError(
            "No support for multiple ragged dims: parts of a jagged nested tensor differ in their"
            f" first axis alone, got {[tuple(part.shape) for part in parts]}"
        )
    starts = [0, *itertools.accumulate(part.shape[0] for part in parts)]
    return NestedTensor(cat(list(parts)), RaggedSize(starts))


def size_of(nested: NestedTensor, dim: int | None = None) -> Any:
    """The shape, or the length of an axis.

    Raises: RuntimeError for the axis of a strided one in which the parts differ.
    """
    shape = Size(nested._node.shape)
    if dim is None:
        return shape
    found = shape[dim]
    if nested.ragged is None and isinstance(found, RaggedSize):
        raise RuntimeError(f"Given dimension {dim} is irregular and does not have a size.")
    return found

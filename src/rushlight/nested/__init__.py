"""Tensors of different lengths as one.  Source: torch.nested.  Level 12."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.base import formats
from rushlight.nested import functions as functions
from rushlight.nested.nested_tensor import RULES, NestedTensor, RaggedSize, nest
from rushlight.nn.functional import pad
from rushlight.ops.creation import tensor
from rushlight.tensor.interop import read_array
from rushlight.tensor.tensor import Tensor

__all__ = [
    "as_nested_tensor",
    "narrow",
    "nested_tensor",
    "nested_tensor_from_jagged",
    "to_padded_tensor",
]

RULES["pad"] = lambda part, room, value: pad(part, room, value=value)


def nested_tensor(
    tensor_list: Sequence[Any],
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> NestedTensor:
    """A nested tensor of copies of the parts; a leaf, of which no history is kept.

    layout: `strided` (the default), or `jagged` for parts that differ in their first axis alone.
    """
    parts = []
    for part in tensor_list:
        part = part.detach() if isinstance(part, Tensor) else tensor(part)  # type: ignore[attr-defined]
        parts.append(part.to(dtype=dtype or part.dtype, device=device, copy=True))
    if requires_grad and layout is not formats.jagged:
        parts = [part.requires_grad_() for part in parts]
    made = nest(parts, layout)
    if requires_grad and made.ragged is not None:
        made = NestedTensor(made.held.requires_grad_(), made.ragged)
    return made


def as_nested_tensor(
    ts: Any, dtype: Any = None, device: Any = None, layout: Any = None
) -> NestedTensor:
    """A nested tensor of the parts, or of a tensor's rows, through which gradients flow."""
    if isinstance(ts, NestedTensor):
        return ts
    parts = list(ts.unbind(0)) if isinstance(ts, Tensor) else list(ts)  # type: ignore[attr-defined]
    parts = [x if isinstance(x, Tensor) else tensor(x) for x in parts]
    if dtype is not None or device is not None:
        parts = [x.to(dtype=dtype or x.dtype, device=device) for x in parts]  # type: ignore[attr-defined]
    return nest(parts, layout)


def nested_tensor_from_jagged(
    values: Tensor,
    offsets: Any = None,
    lengths: Any = None,
    jagged_dim: int | None = None,
    min_seqlen: int | None = None,
    max_seqlen: int | None = None,
) -> NestedTensor:
    """The jagged nested tensor whose parts are the rows of `values` between the offsets.

    Shapes: values (S, ...); offsets (B + 1,); lengths (B,), in the place of offsets.
    Raises: RuntimeError for neither, for both, or for a ragged axis that is not the first.
    """
    if jagged_dim not in (None, 1):
        raise RuntimeError("nested_tensor_from_jagged: here the parts differ in their first axis")
    if offsets is None:
        if lengths is None:
            raise RuntimeError(
                "nested_tensor_from_jagged(): At least one of offsets or lengths is required."
            )
        starts = [0, *read_array(lengths).cumsum().tolist()]
    elif lengths is not None:
        raise RuntimeError("nested_tensor_from_jagged: parts with gaps between them are not known")
    else:
        starts = read_array(offsets).tolist()
    return NestedTensor(values, RaggedSize(starts))


def to_padded_tensor(
    input: NestedTensor, padding: float, output_size: Sequence[int] | None = None
) -> Tensor:
    """The parts as one dense tensor, filled up with `padding` to the longest, or to a size."""
    return input.to_padded_tensor(padding, output_size)  # type: ignore[attr-defined]


def narrow(
    tensor: Tensor, dim: int, start: Any, length: Any, layout: Any = formats.jagged
) -> NestedTensor:
    """Of each row of a tensor (B, n, ...), the part from `start` of `length`.

    start, length: numbers, or one for each row.  Raises: RuntimeError for another axis.
    """
    if dim != 1:
        raise RuntimeError("narrow: rows are narrowed along dim 1")
    rows = tensor.unbind(0)  # type: ignore[attr-defined]
    starts, lengths = (
        [int(x)] * len(rows) if isinstance(x, int) else [int(v) for v in x.tolist()]
        for x in (start, length)
    )
    return nest([row.narrow(0, s, n) for row, s, n in zip(rows, starts, lengths)], layout)

"""Lowerings of attention: what kernels of the CPU (`codegen/attention.py`) and of devices
(`codegen/grid_attention.py`) are asked for.  Level 6.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.shapes import contiguous_strides
from rushlight.base.symbolic import largest
from rushlight.lowering.alone import Maker
from rushlight.lowering.table import Alone, define
from rushlight.primitives import attention as p
from rushlight.tape.program import Value


@dataclass(frozen=True)
class Attention:
    """Attention, or its gradient.

    buffers: slots by the names that the kernels give them.  batch, heads: of queries; group: heads
    of queries that share one of keys; rows, columns: of the scores.
    mask: its dtype, empty if there is none; mask_strides: along the scores' axes; dropped: whether
    there is a matrix of weights that are kept.
    """

    dtype: str
    gradient: bool
    buffers: dict[str, int]
    written: frozenset[int]
    batch: int
    heads: int
    group: int
    rows: int
    columns: int
    width: int
    value_width: int
    causal: bool
    scale: float
    mask: str
    mask_strides: tuple[int, ...]
    dropped: bool

    @property
    def reads_mask_along_keys(self) -> bool:
        """Whether the masks of keys lie side by side, or there is none."""
        return not self.mask or self.columns == 1 or self.mask_strides[3] == 1

    def fits(self, dtypes: tuple[str, ...], widest: int) -> bool:
        """Whether kernels for these dtypes and so many features compute it."""
        return self.dtype in dtypes and largest([self.width, self.value_width]) <= widest


def _add(maker: Maker, value: Value, read: tuple[str, ...], written: tuple[str, ...]) -> None:
    scale, causal, dropped = value.params
    names = read if len(value.inputs) == len(read) + dropped else (*read, "mask")
    names = (*names, "kept") if dropped else names
    operands = {name: maker.operand(value, i) for i, name in enumerate(names)}
    q, k, v, mask = (operands.get(name) for name in ("q", "k", "v", "mask"))
    assert q is not None and k is not None and v is not None
    results, _ = maker.results(value, written)
    strides: tuple[int, ...] = (0, 0, 0, 0)
    if mask is not None:
        own = contiguous_strides(tuple(mask.shape))
        strides = tuple(0 if n == 1 else s for n, s in zip(mask.shape, own))
    items: list = maker.nests
    items.append(
        Attention(
            q.dtype.name, value.primitive is p.attention_gradient,
            {name: operand.slot for name, operand in operands.items()} | results,
            frozenset(results.values()), q.shape[0], q.shape[1], q.shape[1] // k.shape[1],
            q.shape[2], k.shape[2], q.shape[3], v.shape[3], causal, scale,
            "" if mask is None else mask.dtype.name, strides, dropped,
        )
    )  # fmt: skip


def _attention(maker: Maker, value: Value) -> None:
    _add(maker, value, ("q", "k", "v"), ("out", "sums"))


def _gradient(maker: Maker, value: Value) -> None:
    _add(maker, value, ("g", "q", "k", "v", "sums", "delta"), ("of_q", "of_k", "of_v"))


def _refuses(value: Value, operands: list[Value]) -> bool:
    return any(x.numel == 0 for x in operands)


define(p.attention, __name__, Alone(_attention, _refuses))
define(p.attention_gradient, __name__, Alone(_gradient, _refuses))

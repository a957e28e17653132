"""Recurrent steps, and the runs of layers over sequences.  Level 12.

A step, which is what a cell does, maps (projected input, state, weights) to the next state; a state
is a tuple of tensors whose first is the output h.  A layer in one direction is one product of all
inputs and one primitive.  Sequences are (T, B, F), or packed (sum of lengths, F) with the number of
sequences that are still running at each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rushlight.base.dtypes import HALVES, float32
from rushlight.base.hot import hot
from rushlight.nn import functional as F
from rushlight.ops.joining import cat, stack
from rushlight.primitives.recurrence import Form, Operands, present, recurrence
from rushlight.tensor.tensor import Tensor

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class DirectionWeights:
    """The parameters of one layer in one direction; biases and projection may be absent."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    weight_hr: Tensor | None = None

    def widened(self) -> DirectionWeights:
        """The same in float32."""
        given: dict[str, Any] = vars(self)
        wide: dict[str, Any] = {n: x if x is None else x.to(float32) for n, x in given.items()}
        return DirectionWeights(**wide)


def tanh_step(projected: Tensor, state: State, weights: DirectionWeights) -> State:
    """h' = tanh(W x + U h)."""
    return ((projected + F.linear(state[0], weights.weight_hh, weights.bias_hh)).tanh(),)


def relu_step(projected: Tensor, state: State, weights: DirectionWeights) -> State:
    """h' = max(W x + U h, 0)."""
    return ((projected + F.linear(state[0], weights.weight_hh, weights.bias_hh)).relu(),)


@hot
def lstm_step(projected: Tensor, state: State, weights: DirectionWeights) -> State:
    """Hochreiter & Schmidhuber 1997 with a forget gate; gates in the order i, f, g, o."""
    h, c = state
    gates = projected + F.linear(h, weights.weight_hh, weights.bias_hh)  # (B, 4H)
    i, f, g, o = gates.chunk(4, -1)  # (B, H) each
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    if weights.weight_hr is not None:
        h = F.linear(h, weights.weight_hr)  # (B, proj)
    return h, c


def gru_step(projected: Tensor, state: State, weights: DirectionWeights) -> State:
    """Cho et al. 2014; gates in the order r, z, n, the reset applied after the product."""
    (h,) = state
    xr, xz, xn = projected.chunk(3, -1)  # (B, H) each
    hr, hz, hn = F.linear(h, weights.weight_hh, weights.bias_hh).chunk(3, -1)
    r = (xr + hr).sigmoid()
    z = (xz + hz).sigmoid()
    n = (xn + r * hn).tanh()
    return ((h - n) * z + n,)


def checked_sizes(batch_sizes: Tensor, rows: int) -> list[int]:
    """The numbers of running sequences.

    Raises: RuntimeError if they grow, or do not describe packed data of so many rows.
    """
    sizes = batch_sizes.tolist()
    if not sizes or sizes[-1] <= 0 or sizes != sorted(sizes, reverse=True):
        raise RuntimeError(
            f"batch_sizes must be positive and must not grow from one step to the next, got {sizes}"
        )
    if sum(sizes) != rows:
        raise RuntimeError(
            f"batch_sizes sum to {sum(sizes)}, but the packed data has {rows} rows; use "
            "pack_sequence or pack_padded_sequence"
        )
    return sizes


def run_direction(
    mode: str,
    input: Tensor,
    sizes: Tensor | None,
    state: State,
    weights: DirectionWeights,
    reverse: bool,
) -> tuple[Tensor, State]:
    """Run one layer in one direction; returns all outputs and the last state of each sequence.

    Shapes: (T, B, F) to (T, B, H); packed, with `sizes` (T,), (sum of lengths, F) to (., H).
    """
    biased = weights.bias_hh is not None
    form = Form(mode, reverse, sizes is not None, biased, weights.weight_hr is not None)
    gates = F.linear(input, weights.weight_ih)  # (T, B, gates), of all steps at once
    given = Operands(
        gates,
        state[0],
        state[1] if form.has_cell else None,
        weights.weight_hh,
        weights.bias_ih,
        weights.bias_hh,
        weights.weight_hr,
        sizes,
    )
    output, h, c, _ = form.results(recurrence(present(given), form))
    return output, (h,) if c is None else (h, c)


def run_layers(
    mode: str,
    input: Tensor,
    sizes: Tensor | None,
    state: State,
    layers: Sequence[Sequence[DirectionWeights]],
    dropout: float,
    training: bool,
) -> tuple[Tensor, State]:
    """Run all layers and directions.

    `state` holds (layers · directions, B, H) tensors, and so does the state that is returned;
    the outputs of both directions are joined along the last axis.
    """
    dtype = input.dtype
    if dtype in HALVES:
        # Computed with as float32, and rounded once for each result of the layer.
        input = input.to(float32)
        state = tuple(part.to(float32) for part in state)
        layers = [[w.widened() for w in ws] for ws in layers]
    if sizes is not None:
        sizes = sizes.to(input.device)  # a packed sequence has them on the CPU
    last: list[State] = []
    for depth, directions in enumerate(layers):
        outputs = []
        for direction, weights in enumerate(directions):
            first = tuple(part[len(last)] for part in state)
            output, end = run_direction(mode, input, sizes, first, weights, direction == 1)
            outputs.append(output)
            last.append(end)
        input = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
        if dropout > 0 and training and depth < len(layers) - 1:
            input = F.dropout(input, dropout, training)
    final = tuple(stack(parts, 0) for parts in zip(*last, strict=True))
    if dtype in HALVES:
        return input.to(dtype), tuple(part.to(dtype) for part in final)
    return input, final

"""Recurrent steps and their runs over a sequence, as compositions of operations.  Level 12.

A step maps (projected input, state, weights) to the next state; a state is a tuple of tensors whose
first is the output h.  The input's projection of the whole sequence is one product; only the
state's projection is inside the loop.  Sequences are (T, B, F), or packed (sum of lengths, F) with
the number of sequences that are still running at each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rushlight.base.hot import hot
from rushlight.nn import functional as F
from rushlight.ops.joining import cat, stack
from rushlight.primitives.movement import unpack
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


Step = Callable[[Tensor, State, DirectionWeights], State]


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


STEPS: dict[str, Step] = {
    "RNN_TANH": tanh_step,
    "RNN_RELU": relu_step,
    "LSTM": lstm_step,
    "GRU": gru_step,
}


def _pieces(sequence: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """Consecutive parts of the elements, by their shapes.

    One operation, whose derivative joins the parts' gradients: each of many views would add to a
    gradient of the whole.
    """
    return list(unpack(sequence.reshape(-1), tuple(shapes)))


def run_padded(
    step: Step, input: Tensor, state: State, weights: DirectionWeights, reverse: bool
) -> tuple[Tensor, State]:
    """Run over (T, B, F); returns the outputs (T, B, H) and the last state."""
    projected = F.linear(input, weights.weight_ih, weights.bias_ih)  # (T, B, gates)
    times = _pieces(projected, [tuple(projected.shape[1:])] * projected.shape[0])
    outputs = []
    for now in reversed(times) if reverse else times:
        state = step(now, state, weights)
        outputs.append(state[0])
    if reverse:
        outputs.reverse()
    return stack(outputs, 0), state


def run_packed(
    step: Step,
    input: Tensor,
    batch_sizes: Sequence[int],
    state: State,
    weights: DirectionWeights,
    reverse: bool,
) -> tuple[Tensor, State]:
    """Run over packed sequences, longest first; returns packed outputs and the last states."""
    projected = F.linear(input, weights.weight_ih, weights.bias_ih)  # (sum of lengths, gates)
    times = _pieces(projected, [(size, projected.shape[1]) for size in batch_sizes])
    if reverse:
        return _run_packed_reverse(step, times, batch_sizes, state, weights)
    outputs = []
    finished: list[State] = []  # last states of sequences that ended, the longest ones last
    for now, running in zip(times, batch_sizes, strict=True):
        if running < state[0].size(0):
            finished.append(tuple(part[running:] for part in state))
            state = tuple(part[:running] for part in state)
        state = step(now, state, weights)
        outputs.append(state[0])
    finished.append(state)
    last = tuple(cat(parts[::-1], 0) for parts in zip(*finished, strict=True))
    return cat(outputs, 0), last


def _run_packed_reverse(
    step: Step,
    times: Sequence[Tensor],
    batch_sizes: Sequence[int],
    initial: State,
    weights: DirectionWeights,
) -> tuple[Tensor, State]:
    outputs = []
    running = batch_sizes[-1]
    state = tuple(part[:running] for part in initial)
    for now, wanted in zip(reversed(times), reversed(batch_sizes), strict=True):
        if wanted > running:  # sequences whose end is reached join with their initial state
            state = tuple(
                cat((part, first[running:wanted]), 0)
                for part, first in zip(state, initial, strict=True)
            )
            running = wanted
        state = step(now, state, weights)
        outputs.append(state[0])
    return cat(outputs[::-1], 0), state


def run_layers(
    mode: str,
    input: Tensor,
    batch_sizes: Sequence[int] | None,
    state: State,
    layers: Sequence[Sequence[DirectionWeights]],
    dropout: float,
    training: bool,
) -> tuple[Tensor, State]:
    """Run all layers and directions.

    `state` holds (layers · directions, B, H) tensors, and so does the state that is returned;
    the outputs of both directions are joined along the last axis.
    """
    step = STEPS[mode]
    last: list[State] = []
    for depth, directions in enumerate(layers):
        outputs = []
        for direction, weights in enumerate(directions):
            first = tuple(part[len(last)] for part in state)
            reverse = direction == 1
            if batch_sizes is None:
                output, end = run_padded(step, input, first, weights, reverse)
            else:
                output, end = run_packed(step, input, batch_sizes, first, weights, reverse)
            outputs.append(output)
            last.append(end)
        input = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
        if dropout > 0 and training and depth < len(layers) - 1:
            input = F.dropout(input, dropout, training)
    return input, tuple(stack(parts, 0) for parts in zip(*last, strict=True))

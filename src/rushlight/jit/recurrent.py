"""The recurrent operators of PyTorch's library: `lstm`, `gru`, `rnn_tanh`, `rnn_relu` and cells.

They are TorchScript's, and functions of the top namespace.

In: what serialized code passes, weights as one flat list.  Out: outputs and last states.
Level: jit (12).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.fx.recording import layers_of
from rushlight.nn import functional as F
from rushlight.nn.modules.recurrence import (
    DirectionWeights,
    gru_step,
    lstm_step,
    relu_step,
    run_layers,
    tanh_step,
)
from rushlight.tensor.tensor import Tensor


def _sequence(mode: str, states: int) -> Callable[..., tuple]:
    def run(input: Tensor, second: Any, third: Any, fourth: Any, *rest: Any) -> tuple:
        packed = isinstance(third, Tensor) or (states == 2 and isinstance(fourth, list))
        if packed:
            sizes, hidden, flat, biased = second, third, fourth, rest[0]
            _, dropout, train, bidirectional = rest[1:5]
            batch_first = False
        else:
            sizes, hidden, flat, biased = None, second, third, fourth
            _, dropout, train, bidirectional, batch_first = rest[:5]
        state = tuple(hidden) if states == 2 else (hidden,)
        projected = states == 2 and state[0].shape[-1] != state[1].shape[-1]
        layers = layers_of(list(flat), biased, bidirectional, projected)
        x = input.transpose(0, 1) if batch_first else input
        output, last = run_layers(mode, x, sizes, state, layers, dropout, train)
        return (output.transpose(0, 1) if batch_first else output, *last)

    kind = mode.replace("_", " of ").lower().replace("lstm", "LSTM").replace("gru", "GRU")
    run.__doc__ = (
        f"Layers of an {kind}: (output, *last states) of a sequence (T, B, F), or of a packed one"
        " given as its values and batch sizes."
    )
    return run


def _cell(step: Callable, states: int) -> Callable[..., Any]:
    def run(
        input: Tensor, hidden: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
    ) -> Any:
        state = tuple(hidden) if states == 2 else (hidden,)
        weights = DirectionWeights(w_ih, w_hh, b_ih, b_hh)
        made = step(F.linear(input, w_ih, b_ih), state, weights)
        return made if states == 2 else made[0]

    run.__doc__ = f"One step of a recurrent layer: {step.__name__} on an input (B, F)."
    return run


RECURRENT: dict[str, Callable[..., Any]] = {
    "lstm": _sequence("LSTM", 2), "gru": _sequence("GRU", 1),
    "rnn_tanh": _sequence("RNN_TANH", 1), "rnn_relu": _sequence("RNN_RELU", 1),
    "lstm_cell": _cell(lstm_step, 2), "gru_cell": _cell(gru_step, 1),
    "rnn_tanh_cell": _cell(tanh_step, 1), "rnn_relu_cell": _cell(relu_step, 1),
}  # fmt: skip

lstm, lstm_cell = RECURRENT["lstm"], RECURRENT["lstm_cell"]
gru, gru_cell = RECURRENT["gru"], RECURRENT["gru_cell"]
rnn_tanh, rnn_tanh_cell = RECURRENT["rnn_tanh"], RECURRENT["rnn_tanh_cell"]
rnn_relu, rnn_relu_cell = RECURRENT["rnn_relu"], RECURRENT["rnn_relu_cell"]

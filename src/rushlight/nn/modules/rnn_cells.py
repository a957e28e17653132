"""Recurrent cells: one step of RNN, LSTM or GRU.  Level 12."""

from __future__ import annotations

import math
from typing import Any

from rushlight.nn import functional as F
from rushlight.nn import init
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.recurrence import (
    DirectionWeights,
    State,
    gru_step,
    lstm_step,
    relu_step,
    tanh_step,
)
from rushlight.nn.parameter import Parameter
from rushlight.ops.creation import empty, zeros
from rushlight.tensor.tensor import Tensor


class RNNCellBase(Module):
    """Parameters, checks and printing of the cells."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        place = {"device": device, "dtype": dtype}
        self.weight_ih = Parameter(empty((rows, input_size), **place))
        self.weight_hh = Parameter(empty((rows, hidden_size), **place))
        if bias:
            self.bias_ih = Parameter(empty(rows, **place))
            self.bias_hh = Parameter(empty(rows, **place))
        else:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters uniformly within ±1/√hidden_size."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.bias is not True:
            parts.append(f"bias={self.bias}")
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        if nonlinearity != "tanh":
            parts.append(f"nonlinearity={nonlinearity}")
        return ", ".join(parts)

    def _check(self, input: Tensor, state: State | None, names: tuple[str, ...]) -> None:
        """Raises: ValueError for a wrong number of axes, RuntimeError for wrong sizes."""
        name = self._get_name()
        if input.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        if input.size(-1) != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {input.size(-1)} expected "
                f"{self.input_size}"
            )
        for part, label in zip(state or (), names, strict=False):
            if part.dim() not in (1, 2):
                raise ValueError(
                    f"{name}: Expected {label} to be 1D or 2D, got {part.dim()}D instead"
                )
            if part.size(-1) != self.hidden_size:
                raise RuntimeError(
                    f"{label} has inconsistent hidden_size: got {part.size(-1)}, expected "
                    f"{self.hidden_size}"
                )

    def _step(self, step: Any, input: Tensor, state: State | None, size: int) -> State:
        """One step on a batch, or on a single vector."""
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        if state is None:
            shape = (input.size(0), self.hidden_size)
            state = (zeros(shape, dtype=input.dtype, device=input.device),) * size
        elif not batched:
            state = tuple(part.unsqueeze(0) for part in state)
        for part in state:
            if part.size(0) != input.size(0):
                raise RuntimeError(
                    f"Input batch size {input.size(0)} doesn't match hidden batch size "
                    f"{part.size(0)}"
                )
        weights = DirectionWeights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        projected = F.linear(input, self.weight_ih, self.bias_ih)  # (B, gates)
        state = step(projected, state, weights)
        return state if batched else tuple(part.squeeze(0) for part in state)


class RNNCell(RNNCellBase):
    """One step h' = tanh(W x + U h), or with ReLU.  Shapes: (B, input), (B, hidden), or no B."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        state = None if hx is None else (hx,)
        self._check(input, state, ("hidden",))
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        step = tanh_step if self.nonlinearity == "tanh" else relu_step
        return self._step(step, input, state, 1)[0]


class LSTMCell(RNNCellBase):
    """One step of an LSTM; the state is the pair (h, c)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        state = None if hx is None else tuple(hx)
        self._check(input, state, ("hx[0]", "hx[1]"))
        hidden, cell = self._step(lstm_step, input, state, 2)
        return hidden, cell


class GRUCell(RNNCellBase):
    """One step of a GRU."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        state = None if hx is None else (hx,)
        self._check(input, state, ("hidden",))
        return self._step(gru_step, input, state, 1)[0]

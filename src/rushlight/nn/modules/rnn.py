"""Recurrent layers: RNN, LSTM, GRU.  Level 12.

Parameters are named `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0` (and
`weight_hr_l0`), with the layer's number and `_reverse` for the second direction.  The
cells are here too, under the names that PyTorch gives them.
"""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

from rushlight.nn import init
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.recurrence import DirectionWeights, State, checked_sizes, run_layers
from rushlight.nn.modules.rnn_cells import GRUCell as GRUCell
from rushlight.nn.modules.rnn_cells import LSTMCell as LSTMCell
from rushlight.nn.modules.rnn_cells import RNNCell as RNNCell
from rushlight.nn.modules.rnn_cells import RNNCellBase as RNNCellBase
from rushlight.nn.parameter import Parameter
from rushlight.nn.utils.rnn import PackedSequence
from rushlight.ops.creation import empty, zeros
from rushlight.tensor.tensor import Tensor

GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters, checks, and the run over all layers."""

    # How many tensors make up the state.
    _state_size = 1

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self._check_sizes(dropout, proj_size)
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._flat_weights_names: list[str] = []
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse") if bidirectional else ("",):
                self._add_direction(layer, suffix, {"device": device, "dtype": dtype})
        self.reset_parameters()

    def _check_sizes(self, dropout: Any, proj_size: int) -> None:
        """Raises: TypeError or ValueError for arguments that no recurrent layer can have."""
        if (
            not isinstance(dropout, numbers.Number)
            or isinstance(dropout, bool)
            or not 0 <= dropout <= 1  # type: ignore[operator]
        ):
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        if dropout > 0 and self.num_layers == 1:  # type: ignore[operator]
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={self.num_layers}",
                stacklevel=4,
            )
        for name, kind in (("bias", bool), ("batch_first", bool),
                           ("input_size", int), ("hidden_size", int)):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise TypeError(
                    f"{name} should be of type {kind.__name__}, got: {type(value).__name__}"
                )
        for name in ("input_size", "hidden_size", "num_layers"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if self.mode not in GATES:
            raise ValueError(f"Unrecognized RNN mode: {self.mode}")

    @property
    def _output_size(self) -> int:
        return self.proj_size if self.proj_size > 0 else self.hidden_size

    def _add_direction(self, layer: int, suffix: str, place: dict[str, Any]) -> None:
        """Register the parameters of one layer in one direction."""
        rows = GATES[self.mode] * self.hidden_size
        columns = self.input_size
        if layer > 0:
            columns = self._output_size * (2 if self.bidirectional else 1)
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, columns),
            "weight_hh": (rows, self._output_size),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size > 0:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        names = []
        for kind, shape in shapes.items():
            names.append(f"{kind}_l{layer}{suffix}")
            setattr(self, names[-1], Parameter(empty(shape, **place)))
        self._flat_weights_names.extend(names)
        self._all_weights.append(names)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [getattr(self, name) for name in self._flat_weights_names]

    def __getstate__(self) -> dict[str, Any]:
        # PyTorch keeps the parameters in a list, too, and looks for it in what is loaded.
        return {**super().__getstate__(), "_flat_weights": self._flat_weights}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({k: v for k, v in state.items() if k != "_flat_weights"})

    def flatten_parameters(self) -> None:
        """Accepted for PyTorch's sake, where it packs the parameters for a GPU library."""

    def reset_parameters(self) -> None:
        """Draw all parameters uniformly within ±1/√hidden_size."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _weights(self) -> list[list[DirectionWeights]]:
        """The parameters by layer and direction."""
        directions = [
            DirectionWeights(**{name.partition("_l")[0]: getattr(self, name) for name in names})
            for names in self._all_weights
        ]
        per_layer = 2 if self.bidirectional else 1
        return [directions[i : i + per_layer] for i in range(0, len(directions), per_layer)]

    # ---- running ---------------------------------------------------------------------------

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Outputs of the last layer at every time, and the last state of every layer.

        Shapes: (T, B, F) or (T, F); with `batch_first` (B, T, F); or a `PackedSequence`.
        """
        given = None if hx is None else self._state_tuple(hx)
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, given)
        if input.dim() not in (2, 3):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D instead"
            )
        batched = input.dim() == 3
        self._check_input(input)
        time_first = input
        if batched and self.batch_first:
            time_first = input.transpose(0, 1)
        elif not batched:
            time_first = input.unsqueeze(1)
        if given is not None:
            self._check_state_dims(given, batched)
            if not batched:
                given = tuple(part.unsqueeze(1) for part in given)
        state = self._initial_state(time_first, time_first.size(1), given)
        output, last = self._run(time_first, None, state)
        if batched and self.batch_first:
            output = output.transpose(0, 1)
        elif not batched:
            output = output.squeeze(1)
            last = tuple(part.squeeze(1) for part in last)
        return output, self._as_result(last)

    def _forward_packed(self, input: PackedSequence, given: State | None) -> tuple[Any, Any]:
        data, batch_sizes, sorted_indices, unsorted_indices = input
        self._check_input(data, packed=True)
        sizes = checked_sizes(batch_sizes, data.size(0))
        if given is not None and sorted_indices is not None:
            given = tuple(part.index_select(1, sorted_indices) for part in given)
        state = self._initial_state(data, sizes[0], given)
        output, last = self._run(data, batch_sizes, state)
        if unsorted_indices is not None:
            last = tuple(part.index_select(1, unsorted_indices) for part in last)
        packed = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return packed, self._as_result(last)

    def _run(self, input: Tensor, batch_sizes: Tensor | None, state: State) -> tuple[Tensor, State]:
        return run_layers(
            self.mode, input, batch_sizes, state, self._weights(), self.dropout, self.training
        )

    def _state_tuple(self, hx: Any) -> State:
        return (hx,)

    def _as_result(self, state: State) -> Any:
        return state[0]

    def _state_shapes(self, batch: int) -> list[tuple[int, int, int]]:
        depth = self.num_layers * (2 if self.bidirectional else 1)
        return [(depth, batch, self._output_size), (depth, batch, self.hidden_size)][
            : self._state_size
        ]

    def _initial_state(self, input: Tensor, batch: int, given: State | None) -> State:
        """The given state, checked, or zeros.  Raises: RuntimeError if a shape is wrong."""
        shapes = self._state_shapes(batch)
        if given is None:
            return tuple(zeros(shape, dtype=input.dtype, device=input.device) for shape in shapes)
        for i, (part, shape) in enumerate(zip(given, shapes, strict=True)):
            if tuple(part.shape) != shape:
                which = f"[{i}]" if self._state_size > 1 else ""
                raise RuntimeError(f"Expected hidden{which} size {shape}, got {list(part.shape)}")
        return given

    def _check_state_dims(self, state: State, batched: bool) -> None:
        dims = 3 if batched else 2
        if any(part.dim() != dims for part in state):
            kind = f"For {'batched' if batched else 'unbatched'} {dims}-D input"
            found = ", ".join(f"{part.dim()}-D" for part in state)
            names = "hx and cx should" if self._state_size > 1 else "hx should"
            found = f"({found}) tensors" if self._state_size > 1 else f"{found} tensor"
            raise RuntimeError(f"{kind}, {names} also be {dims}-D but got {found}")

    def _check_input(self, input: Tensor, packed: bool = False) -> None:
        dtype = getattr(self, self._flat_weights_names[0]).dtype
        if input.dtype != dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). Convert "
                f"input: input.to({dtype}), or convert model: model.to({input.dtype})"
            )
        if packed and input.dim() != 2:
            raise RuntimeError(f"input must have 2 dimensions, got {input.dim()}")
        if input.size(-1) != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {input.size(-1)}"
            )

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in (("proj_size", 0), ("num_layers", 1), ("bias", True),
                              ("batch_first", False), ("dropout", 0),
                              ("bidirectional", False)):  # fmt: skip
            value = getattr(self, name)
            if value != default:
                parts.append(f"{name}={value}")
        return ", ".join(parts)


def _refuse_projection(kwargs: dict[str, Any]) -> None:
    if "proj_size" in kwargs:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNN(RNNBase):
    """Elman network: h' = tanh(W x + U h), or with ReLU."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if len(args) > 3:  # input_size, hidden_size, num_layers, nonlinearity, ...
            nonlinearity = args[3]
            args = args[:3] + args[4:]
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(f"RNN_{nonlinearity.upper()}", *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory; the state is the pair (h, c)."""

    _state_size = 2

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def _state_tuple(self, hx: Any) -> State:
        return tuple(hx)

    def _as_result(self, state: State) -> Any:
        return state


class GRU(RNNBase):
    """Gated recurrent unit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)

"""Recurrent layers and cells of 8-bit weights.

The inputs of all steps are quantized together, the state at each step, as PyTorch does it.
Level: ao (14).
"""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.ao.nn.quantized.dynamic.modules.linear import quantized_weight
from rushlight.base.dtypes import DType
from rushlight.nn import functional as F
from rushlight.nn.utils.rnn import PackedSequence
from rushlight.quantized.products import empty_linear, packed_linear
from rushlight.tensor.tensor import Tensor

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class PackedParameter(nn.Module):
    """The two products of one cell: of its input and of its state.

    In a state dict they are `param`: (weight, bias, weight, bias).
    """

    def __init__(self, input: Any, state: Any) -> None:
        super().__init__()
        self.input, self.state = input, state

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        parts = self.input.weight, self.input.bias, self.state.weight, self.state.bias
        destination[prefix + "param"] = parts

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, metadata: Any, strict: bool, missing: list,
        unexpected: list, errors: list,
    ) -> None:  # fmt: skip
        given = state_dict.get(prefix + "param")
        if given is None:
            missing.append(prefix + "param")
            return
        weight, bias, state_weight, state_bias = given
        self.input = packed_linear(weight, bias, self.input.dtype)
        self.state = packed_linear(state_weight, state_bias, self.state.dtype)

    def _get_name(self) -> str:
        return "PackedParameter"


def advanced(mode: str, gates: Tensor, packed: Any, state: tuple) -> tuple:
    """The state of a cell after one step; gates: the product of its input."""
    (hidden, *cell) = state
    others = packed(hidden)
    if mode == "LSTM":
        i, f, g, o = (gates + others).chunk(4, -1)
        kept = f.sigmoid() * cell[0] + i.sigmoid() * g.tanh()
        return o.sigmoid() * kept.tanh(), kept
    if mode == "GRU":
        reset, update, new = gates.chunk(3, -1)
        other_reset, other_update, other_new = others.chunk(3, -1)
        r, z = (reset + other_reset).sigmoid(), (update + other_update).sigmoid()
        n = (new + r * other_new).tanh()
        return ((hidden - n) * z + n,)
    return ((gates + others).tanh() if mode == "RNN_TANH" else (gates + others).relu(),)


class RNNBase(nn.Module):
    """What the layers share.  Shapes and arguments: as of `nn.LSTM` and `nn.GRU`."""

    _FLOAT_MODULE: type = nn.RNNBase
    _version = 2

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
        dtype: DType = rl.qint8,
    ) -> None:
        super().__init__()
        self.mode, self.input_size, self.hidden_size = mode, input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        self.dtype, self.version = dtype, 2
        self.training = False
        directions = 2 if bidirectional else 1
        cells = []
        for layer in range(num_layers):
            inner = input_size if layer == 0 else hidden_size * directions
            cells += [_empty_cell(mode, inner, hidden_size, dtype) for _ in range(directions)]
        self._all_weight_values = nn.ModuleList(cells)

    def forward(self, input: Tensor, hx: Any = None) -> tuple:
        """(outputs of the last layer, last states).

        Raises: NotImplementedError for a PackedSequence, RuntimeError for other shapes.
        """
        if isinstance(input, PackedSequence):
            raise NotImplementedError(
                f"{self._get_name()}: packed sequences are not supported; pad them, or use "
                "sequences of one length"
            )
        if input.dim() != 3 or input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"{self._get_name()}: expected an input of 3 axes, the last of {self.input_size} "
                f"elements, got shape {tuple(input.shape)}"
            )
        x = input.transpose(0, 1) if self.batch_first else input
        states = self._first_states(x, hx)
        directions = 2 if self.bidirectional else 1
        lasts = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(directions):
                place = layer * directions + direction
                state = tuple(part[place] for part in states)
                found, last = self._walk(self._all_weight_values[place], x, state, direction)
                outputs.append(found)
                lasts.append(last)
            x = outputs[0] if directions == 1 else rl.cat(outputs, -1)
            if self.dropout and self.training and layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, True)
        if self.batch_first:
            x = x.transpose(0, 1)
        final = tuple(rl.stack(parts) for parts in zip(*lasts))
        return x, final if self.mode == "LSTM" else final[0]

    def _first_states(self, x: Tensor, hx: Any) -> tuple:
        directions = 2 if self.bidirectional else 1
        shape = (self.num_layers * directions, x.shape[1], self.hidden_size)
        count = 2 if self.mode == "LSTM" else 1
        if hx is None:
            return tuple(rl.zeros(shape) for _ in range(count))
        states = tuple(hx) if self.mode == "LSTM" else (hx,)
        for state in states:
            if tuple(state.shape) != shape:
                raise RuntimeError(
                    f"Expected hidden size {shape}, got {list(state.shape)}: {self._get_name()}"
                )
        return states

    def _walk(self, cell: PackedParameter, x: Tensor, state: tuple, backward: int) -> tuple:
        gates = cell.input(x).unbind(0)
        found = []
        for step in gates[::-1] if backward else gates:
            state = advanced(self.mode, step, cell.state, state)
            found.append(state[0])
        return rl.stack(found[::-1] if backward else found), state

    def _get_name(self) -> str:
        return f"DynamicQuantized{type(self).__name__}"

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, usual in (("num_layers", 1), ("bias", True), ("batch_first", False),
                            ("dropout", 0), ("bidirectional", False)):  # fmt: skip
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text

    def __repr__(self) -> str:
        return f"{self._get_name()}({self.extra_repr()})"

    @classmethod
    def from_float(cls, mod: nn.Module, use_precomputed_fake_quant: bool = False) -> RNNBase:
        """A quantized layer of an `nn.LSTM` or `nn.GRU`; its `qconfig` says how.

        Raises: AssertionError for other modules, NotImplementedError for projections.
        """
        if not isinstance(mod, cls._FLOAT_MODULE):
            raise AssertionError(
                f"{cls.__name__}.from_float works for {cls._FLOAT_MODULE.__name__} only, got "
                f"{type(mod).__name__}"
            )
        if getattr(mod, "proj_size", 0):
            raise NotImplementedError(f"{cls.__name__}: projections (proj_size) are not supported")
        qconfig = getattr(mod, "qconfig", None)
        _, dtype = quantized_weight(mod.weight_ih_l0, qconfig)
        made = cls(
            mod.input_size, mod.hidden_size, mod.num_layers, mod.bias, mod.batch_first,
            mod.dropout, mod.bidirectional, dtype=dtype,
        )  # fmt: skip
        suffixes = ("", "_reverse") if mod.bidirectional else ("",)
        names = [f"l{layer}{end}" for layer in range(mod.num_layers) for end in suffixes]
        for name, cell in zip(names, made._all_weight_values):
            _fill(cell, mod, "_" + name, qconfig)
        return made


def _empty_cell(mode: str, inner: int, hidden: int, dtype: DType) -> PackedParameter:
    out = _GATES[mode] * hidden
    return PackedParameter(empty_linear(out, inner, dtype), empty_linear(out, hidden, dtype))


def _fill(cell: Any, mod: nn.Module, suffix: str, qconfig: Any) -> None:
    """Take the weights of a layer, or of a cell, whose names have no suffix."""
    parts = []
    for kind in ("ih", "hh"):
        weight, dtype = quantized_weight(getattr(mod, f"weight_{kind}{suffix}"), qconfig)
        bias = getattr(mod, f"bias_{kind}{suffix}") if mod.bias else None
        parts.append(packed_linear(weight, bias, dtype))
    cell.input, cell.state = parts


class LSTM(RNNBase):
    """`nn.LSTM` with weights of 8 bits.  Source: torch.ao.nn.quantized.dynamic.LSTM."""

    _FLOAT_MODULE = nn.LSTM

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class GRU(RNNBase):
    """`nn.GRU` with weights of 8 bits.  Source: torch.ao.nn.quantized.dynamic.GRU."""

    _FLOAT_MODULE = nn.GRU

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("GRU", *args, **kwargs)


class RNNCellBase(nn.Module):
    """What the cells share.  Shapes and arguments: as of `nn.LSTMCell` and its like."""

    _FLOAT_MODULE: type = nn.RNNCellBase

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, bias: bool = True,
        dtype: DType = rl.qint8,
    ) -> None:  # fmt: skip
        super().__init__()
        self.mode, self.bias = mode, bias
        self.input_size, self.hidden_size = input_size, hidden_size
        self.weight_dtype = dtype
        self.cell = _empty_cell(mode, input_size, hidden_size, dtype)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """The next state; zeros come before the first."""
        if hx is None:
            zeros = input.new_zeros(*input.shape[:-1], self.hidden_size)
            hx = (zeros, zeros) if self.mode == "LSTM" else zeros
        state = tuple(hx) if self.mode == "LSTM" else (hx,)
        gates = self.cell.input(input)
        found = advanced(self.mode, gates, self.cell.state, state)
        return found if self.mode == "LSTM" else found[0]

    def _get_name(self) -> str:
        return f"DynamicQuantized{type(self).__name__}"

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if not self.bias:
            text += f", bias={self.bias}"
        if self.mode == "RNN_RELU":
            text += ", nonlinearity=relu"
        return text

    def __repr__(self) -> str:
        return f"{self._get_name()}({self.extra_repr()})"

    @classmethod
    def from_float(cls, mod: nn.Module, use_precomputed_fake_quant: bool = False) -> RNNCellBase:
        """A quantized cell of one of `nn`; its `qconfig` says how."""
        if not isinstance(mod, cls._FLOAT_MODULE):
            raise AssertionError(
                f"{cls.__name__}.from_float works for {cls._FLOAT_MODULE.__name__} only, got "
                f"{type(mod).__name__}"
            )
        qconfig = getattr(mod, "qconfig", None)
        _, dtype = quantized_weight(mod.weight_ih, qconfig)
        further = {"nonlinearity": mod.nonlinearity} if cls is RNNCell else {}
        made = cls(mod.input_size, mod.hidden_size, mod.bias, dtype=dtype, **further)
        _fill(made.cell, mod, "", qconfig)
        return made


class LSTMCell(RNNCellBase):
    """`nn.LSTMCell` with weights of 8 bits."""

    _FLOAT_MODULE = nn.LSTMCell

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class GRUCell(RNNCellBase):
    """`nn.GRUCell` with weights of 8 bits."""

    _FLOAT_MODULE = nn.GRUCell

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("GRU", *args, **kwargs)


class RNNCell(RNNCellBase):
    """`nn.RNNCell` with weights of 8 bits."""

    _FLOAT_MODULE = nn.RNNCell

    def __init__(self, *args: Any, nonlinearity: str = "tanh", **kwargs: Any) -> None:
        super().__init__("RNN_" + nonlinearity.upper(), *args, **kwargs)
        self.nonlinearity = nonlinearity

"""A recurrent layer in one direction, over all its steps.  Level 2.

`recurrence` runs LSTM, GRU or a plain network over the input's gate products, which one matrix
product has computed for all steps; `recurrence_gradient` goes back through them.  What multiplies
the weights is left to matrix products over all steps, before and after.

Rows are (time, sequence).  Padded, every step has all sequences: gates are (T, B, G H).  Packed,
the longest sequences come first and step t has the first `sizes[t]` of them: gates are (N, G H) and
`sizes` is (T,).  The direction that starts at the end has `reverse`; its rows stand where those of
the other stand.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rushlight.base.shapes import numel
from rushlight.tape.primitive import VARIADIC, Primitive

LSTM, GRU, TANH, RELU = "LSTM", "GRU", "RNN_TANH", "RNN_RELU"
GATES = {LSTM: 4, GRU: 3, TANH: 1, RELU: 1}


class Form(NamedTuple):
    """Which recurrence, and which optional operands it has: the parameters of both primitives."""

    mode: str
    reverse: bool
    packed: bool
    biased: bool
    projected: bool

    @property
    def gates(self) -> int:
        """Products for each unit of a state."""
        return GATES[self.mode]

    @property
    def has_cell(self) -> bool:
        """Whether the state is a pair (h, c)."""
        return self.mode == LSTM

    @property
    def kept(self) -> int:
        """Values kept for each unit and step, beside the output, until the gradient is computed.

        LSTM: the gates i, f, g, o, the cell, and what is projected.  GRU: r, z, n, and the
        product within n.
        """
        return {LSTM: 5 + self.projected, GRU: 4}.get(self.mode, 0)

    def operands(self, given) -> Operands:
        """The operands of `recurrence` by name."""
        rest = iter(given)
        return Operands(
            next(rest),
            next(rest),
            next(rest) if self.has_cell else None,
            next(rest),
            next(rest) if self.biased else None,
            next(rest) if self.biased else None,
            next(rest) if self.projected else None,
            next(rest) if self.packed else None,
        )

    def results(self, given) -> Results:
        """The results of `recurrence` by name."""
        rest = iter(given)
        return Results(
            next(rest),
            next(rest),
            next(rest) if self.has_cell else None,
            next(rest) if self.kept else None,
        )


class Operands(NamedTuple):
    """gates: (T, B, G H) or (N, G H).  h: (B, O), c: (B, H): where the sequences start.

    weight: (G H, O); bias_input, bias: (G H,), added to the input's product and to the state's;
    projection: (O, H); sizes: (T,), int64.  None for what the form does not have.
    """

    gates: Any
    h: Any
    c: Any
    weight: Any
    bias_input: Any
    bias: Any
    projection: Any
    sizes: Any


class Results(NamedTuple):
    """output: (T, B, O) or (N, O).  h, c: the state after each sequence's last step.

    kept: (N, K H) for the gradient alone, see `Form.kept`.
    """

    output: Any
    h: Any
    c: Any
    kept: Any


class GradientOperands(NamedTuple):
    """Cotangents of the results, then what `recurrence` was given and gave."""

    g_output: Any
    g_h: Any
    g_c: Any
    h: Any
    c: Any
    weight: Any
    projection: Any
    sizes: Any
    output: Any
    kept: Any


class GradientResults(NamedTuple):
    """gates: like the input's gates.  products: (N, G H), of the state's products; None where they
    are the same.  before: (N, O), the state each row started from.  projected: (N, O), of what the
    projection gave.  h, c: of the initial states.
    """

    gates: Any
    products: Any
    before: Any
    projected: Any
    h: Any
    c: Any


def gradient_operands(form: Form, given) -> GradientOperands:
    """The operands of `recurrence_gradient` by name."""
    rest = iter(given)
    return GradientOperands(
        next(rest),
        next(rest),
        next(rest) if form.has_cell else None,
        next(rest),
        next(rest) if form.has_cell else None,
        next(rest),
        next(rest) if form.projected else None,
        next(rest) if form.packed else None,
        next(rest),
        next(rest) if form.kept else None,
    )


def gradient_results(form: Form, given) -> GradientResults:
    """The results of `recurrence_gradient` by name."""
    rest = iter(given)
    return GradientResults(
        next(rest),
        next(rest) if form.mode == GRU else None,
        next(rest),
        next(rest) if form.projected else None,
        next(rest),
        next(rest) if form.has_cell else None,
    )


def present(values) -> tuple:
    """Those that are not None, in order: how operands are handed to the primitives."""
    return tuple(value for value in values if value is not None)


def _check(name: str, value, shape: tuple, like) -> None:
    if value is None:
        return
    if tuple(value.shape) != shape:
        raise RuntimeError(
            f"recurrence: expected {name} of shape {list(shape)}, got {list(value.shape)}"
        )
    if value.dtype is not like.dtype:
        raise RuntimeError(
            f"recurrence: expected {name} of dtype {like.dtype} as the input's, got {value.dtype}; "
            "convert one with .to(dtype)"
        )


def _sizes(form: Form, gates, weight) -> tuple[int, int, int]:
    """(rows, units, outputs)."""
    rows = numel(tuple(gates.shape[:-1]))
    return rows, weight.shape[0] // form.gates, weight.shape[1]


def _recurrence_result(*arguments):
    *given, form = arguments
    x = form.operands(given)
    rows, units, outputs = _sizes(form, x.gates, x.weight)
    width = form.gates * units
    lead = tuple(x.gates.shape[:-1])
    if len(lead) != (1 if form.packed else 2):
        raise RuntimeError(f"recurrence: unexpected gates of shape {list(x.gates.shape)}")
    batch = x.h.shape[0] if form.packed else lead[1]
    _check("gates", x.gates, (*lead, width), x.gates)
    _check("weight_hh", x.weight, (width, outputs), x.gates)
    _check("hx", x.h, (batch, outputs), x.gates)
    _check("cx", x.c, (batch, units), x.gates)
    _check("bias_ih", x.bias_input, (width,), x.gates)
    _check("bias_hh", x.bias, (width,), x.gates)
    _check("weight_hr", x.projection, (outputs, units), x.gates)
    dtype = x.gates.dtype
    found = Results(
        ((*lead, outputs), dtype),
        ((batch, outputs), dtype),
        ((batch, units), dtype) if form.has_cell else None,
        ((rows, form.kept * units), dtype) if form.kept else None,
    )
    return list(present(found))


def _gradient_result(*arguments):
    *given, form = arguments
    x = gradient_operands(form, given)
    lead = tuple(x.g_output.shape[:-1])
    rows, units, outputs = _sizes(form, x.g_output, x.weight)
    width = form.gates * units
    dtype = x.g_output.dtype
    found = GradientResults(
        ((*lead, width), dtype),
        ((rows, width), dtype) if form.mode == GRU else None,
        ((rows, outputs), dtype),
        ((rows, outputs), dtype) if form.projected else None,
        (tuple(x.h.shape), dtype),
        (tuple(x.c.shape), dtype) if form.has_cell else None,
    )
    return list(present(found))


recurrence = Primitive(
    "recurrence",
    "recurrence",
    "opaque",
    VARIADIC,
    _recurrence_result,
    ("form",),
    multiple=True,
    properties="sizeless",
)
recurrence_gradient = Primitive(
    "recurrence_gradient", "recurrence", "opaque", VARIADIC, _gradient_result, ("form",),
    multiple=True, properties="sizeless",
)  # fmt: skip

"""Lowerings of recurrent layers: one kernel over all steps.  Level 6."""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.shapes import numel
from rushlight.lowering.alone import Maker
from rushlight.lowering.table import Alone, define
from rushlight.primitives import recurrence as p
from rushlight.tape.program import Value

_DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Recurrence:
    """One run over all steps; buffers by the names that codegen/recurrence.py gives them.

    weight, projection: slots of the matrices as they lie; written: slots that the run fills.
    keeps: whether somebody reads what is kept for the gradient.
    """

    dtype: str
    form: p.Form
    gradient: bool
    buffers: dict[str, int]
    written: frozenset[int]
    weight: int
    projection: int | None
    steps: int
    batch: int
    rows: int
    units: int
    outputs: int
    keeps: bool


def _named(fields: tuple[str, ...], values) -> dict[str, Value]:
    return {name: v for name, v in zip(fields, values) if v is not None}


def _recurrence(maker: Maker, value: Value) -> None:
    (form,) = value.params
    given = form.operands([maker.operand(value, i) for i in range(len(value.inputs))])
    operands = _named(given._fields, given)
    names = _present_names(form.results(range(len(value.outputs))))
    results, seen = maker.results(value, names)
    kept = results.get("kept")
    if kept is not None and "kept" not in seen:
        # Each step writes over what the last one kept.
        shape = (given.h.shape[0], value.outputs[-1].shape[1])
        results["kept"] = maker.program.new_value(shape, given.gates.dtype).slot
    steps = given.sizes.shape[0] if form.packed else given.gates.shape[0]
    sources = {"h": "h0", "c": "c0"}
    buffers = {sources.get(name, name): v.slot for name, v in operands.items()}
    _add(maker, form, False, (buffers, results), operands, (given.gates, steps), "kept" in seen)


def _gradient(maker: Maker, value: Value) -> None:
    (form,) = value.params
    operands_given = [maker.operand(value, i) for i in range(len(value.inputs))]
    given = p.gradient_operands(form, operands_given)
    operands = _named(given._fields, given)
    names = _present_names(p.gradient_results(form, range(len(value.outputs))))
    results, _ = maker.results(value, names)
    steps = given.sizes.shape[0] if form.packed else given.g_output.shape[0]
    sources = {"h": "h0", "c": "c0"}
    buffers = {sources.get(name, name): v.slot for name, v in operands.items()}
    _add(maker, form, True, (buffers, results), operands, (given.g_output, steps), True)


def _present_names(indices) -> tuple[str, ...]:
    return tuple(name for name, i in zip(indices._fields, indices) if i is not None)


def _add(
    maker: Maker,
    form: p.Form,
    gradient: bool,
    buffers: tuple[dict[str, int], dict[str, int]],
    operands: dict[str, Value],
    extent: tuple[Value, int],
    keeps: bool,
) -> None:
    read, written = buffers
    rows, steps = extent
    weight = operands["weight"]
    items: list = maker.nests
    items.append(
        Recurrence(
            weight.dtype.name, form, gradient,
            {name: slot for name, slot in (read | written).items()
             if name not in ("weight", "projection")},
            frozenset(written.values()), weight.slot, read.get("projection"),
            steps, operands["h"].shape[0], numel(tuple(rows.shape[:-1])),
            weight.shape[0] // form.gates, weight.shape[1], keeps,
        )
    )  # fmt: skip


def _unlike_floats(value: Value, operands: list[Value]) -> bool:
    return value.dtype.name not in _DTYPES or any(v.numel == 0 for v in operands)


define(p.recurrence, __name__, Alone(_recurrence, _unlike_floats))
define(p.recurrence_gradient, __name__, Alone(_gradient, _unlike_floats))

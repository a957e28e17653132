"""Runs a plan primitive by primitive with NumPy: slow, obvious, the judge of everything else.
Level 3.

Values travel in arithmetic form (16-bit floats widened to float32, and rounded after every
primitive); what a node keeps is the storage form, row-major and owned by that node alone.
"""

from __future__ import annotations

import warnings

import numpy as np

from rushlight.base.dtypes import narrow, widen
from rushlight.base.errors import FlushFailed, InternalError, OutOfBounds
from rushlight.base.observe import REFERENCE, clock, tell, watchers
from rushlight.reference import (  # noqa: F401 - the families fill the table
    attention,
    contraction,
    elementwise,
    indexing,
    linalg,
    movement,
    ordering,
    recurrence,
    reduction,
    source,
    spectral,
)
from rushlight.tape.memo import OutputKind, where_recorded

# What a rule may raise because of the data it meets.
DATA_ERRORS = (IndexError, RuntimeError, ValueError, MemoryError, ArithmeticError)


def run_plan(plan, nodes) -> BaseException | None:
    """Execute `plan` over `nodes`; live nodes get their values.

    A data-dependent error stops only what depends on it: those nodes get FlushFailed, and the first
    such error is returned with the user's line in its message.
    """
    values: list = [None] * len(nodes)
    first_error: BaseException | None = None
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # NumPy warns about values PyTorch computes silently (complex log of 0, empty slices).
        warnings.simplefilter("ignore", RuntimeWarning)
        for instruction in plan.instructions:
            failure = _execute(instruction, values, nodes)
            if failure is not None and first_error is None:
                first_error = failure.cause
            for slot in instruction.last_uses:
                values[slot] = None
    return first_error


def _execute(instruction, values, nodes) -> FlushFailed | None:
    node = nodes[instruction.slot]
    if node.value is not None:  # computed before an interrupt, or for another thread
        values[instruction.slot] = _operand(node)
        return None
    operands = []
    for slot in instruction.inputs:
        value = values[slot]
        if value is None:
            value = values[slot] = _operand(nodes[slot])
        if type(value) is FlushFailed:
            values[instruction.slot] = value
            if instruction.live:
                node.value = value
            return None
        operands.append(value)
    step = node.step
    started = clock()
    try:
        result = compute(step, operands)
    except DATA_ERRORS as error:
        failure = FlushFailed(_with_line(error, step))
        values[instruction.slot] = failure
        if instruction.live:
            node.value = failure
        return failure
    if watchers and type(step.primitive) is not OutputKind:
        tell(REFERENCE, step.primitive.name, started, step)
    if instruction.live and not isinstance(result, list):
        node.value = owned(narrow(result, step.dtype), operands)
        result = widen(node.value, step.dtype)
    values[instruction.slot] = result
    return None


def _operand(node):
    value = node.value
    if value is None:
        raise InternalError(f"{node} is read before it is computed")
    return value if type(value) is FlushFailed else widen(value, node.dtype)


def compute(step, operands):
    primitive = step.primitive
    if type(primitive) is OutputKind:
        return operands[0][primitive.index]
    if primitive.kind != "movement":
        # NumPy adds, and evaluates some functions, in another order on strided memory; a value that
        # a cut made row-major must give the same bits as one that stayed a view.
        operands = [np.asarray(operand, order="C") for operand in operands]
    result = primitive.reference(*operands, *step.params)
    if primitive.multiple:
        return [
            _rounded(part, output.dtype, output.shape, primitive)
            for part, output in zip(result, step.outputs)
        ]
    return _rounded(result, step.dtype, step.shape, primitive)


def _rounded(result, dtype, shape, primitive):
    """The result as its dtype would hold it, in arithmetic form."""
    result = np.asarray(result)
    if result.shape != tuple(shape):
        raise InternalError(f"{primitive} gave shape {result.shape}, its definition says {shape}")
    if result.dtype != dtype.numpy or dtype.compute != dtype.numpy:
        return widen(narrow(result, dtype), dtype)
    return result


def owned(array, operands):
    """`array` as row-major memory that no other value shares."""
    if array.base is not None or not array.flags.c_contiguous or not array.flags.owndata:
        return np.array(array, order="C")
    if any(array is operand for operand in operands):
        return array.copy()
    return array


# Losses whose index tensor is one of classes.
_CLASSIFYING = ("cross_entropy", "nll_loss", "multi_margin_loss", "multilabel_margin_loss")


def _of_classes(error: Exception, step) -> str:
    """What is wrong with a loss's target, in its own words."""
    if not isinstance(error, OutOfBounds) or error.position is None:
        return ""
    if not step.line or step.line.spelling not in _CLASSIFYING:
        return ""
    position = list(error.position)
    if step.primitive.name == "gather":
        del position[step.params[0]]  # the classes' axis, which the target lacks
    where = f" at position {position}" if position else ""
    return (
        f"Target {error.index}{where} is out of bounds: the input has {error.size} classes, 0 to "
        f"{error.size - 1}; is ignore_index meant?"
    )


def _with_line(error: Exception, step) -> Exception:
    """The same type of error, saying which line recorded the operation, or the first like it."""
    where = f" ({where_recorded(step)})" if step.line else ""
    name = (step.line.spelling if step.line else "") or step.primitive
    text = f"{name}: {_of_classes(error, step) or error}{where}"
    try:
        named = type(error)(text)
    except TypeError:  # an exception type with another constructor
        named = RuntimeError(text)
    named.__cause__ = error
    return named

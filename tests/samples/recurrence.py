"""Samples of recurrent layers: PyTorch walks the steps one by one."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from rushlight.primitives.recurrence import (
    GRU,
    LSTM,
    RELU,
    TANH,
    Form,
    GradientOperands,
    GradientResults,
    Results,
    gradient_operands,
    present,
)
from tests.samples.row import Error, Row, random_array

_TOLERANCE = {"float32": 5e-6, "float64": 1e-10}
_REASON = "a step's sums are added in another order, and steps build on one another"
_SIZES = (3, 2, 2, 1)
_BATCH, _UNITS, _OUTPUTS = 3, 4, 2


def _order(form: Form, batch: int, rows: int, sizes) -> list:
    counts = [batch] * (rows // batch) if sizes is None else sizes.tolist()
    starts = [0, *itertools.accumulate(counts)]
    found = list(zip(starts, counts))
    return found[::-1] if form.reverse else found


def _walk(form: Form, x, added=0.0, added_after=0.0):
    """(results, states before each row); `added` goes to the state's products of each row."""
    width = x.weight.shape[0]
    gates = x.gates.reshape(-1, width)
    zeros = torch.zeros(len(gates), 1, dtype=gates.dtype)
    h, c = x.h, x.c
    rows = {}
    for start, count in _order(form, len(h), len(gates), x.sizes):
        given = gates[start : start + count]
        product = h[:count] @ x.weight.T + (zeros + added)[start : start + count]
        if form.biased:
            given, product = given + x.bias_input, product + x.bias
        kept = []
        if form.mode == LSTM:
            i, f, g, o = (given + product).chunk(4, 1)
            i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
            now = f * c[:count] + i * g
            after = o * now.tanh()
            kept = [i, f, g, o, now]
            if form.projected:
                kept.append(after)
                after = after @ x.projection.T
            c = torch.cat([now, c[count:]])
        elif form.mode == GRU:
            (xr, xz, xn), (hr, hz, hn) = given.chunk(3, 1), product.chunk(3, 1)
            r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
            n = (xn + r * hn).tanh()
            after = (h[:count] - n) * z + n
            kept = [r, z, n, hn]
        else:
            after = (given + product).tanh() if form.mode == TANH else (given + product).relu()
        after = after + (zeros + added_after)[start : start + count]
        rows[start] = after, torch.cat(kept, 1) if kept else None, h[:count]
        h = torch.cat([after, h[count:]])
    output, kept, before = zip(*(rows[start] for start in sorted(rows)))
    output = torch.cat(output).reshape(*x.gates.shape[:-1], -1)
    kept = torch.cat(kept) if form.kept else None
    return Results(output, h, c, kept), torch.cat(before)


def _recurrence(*arguments):
    *given, form = arguments
    return list(present(_walk(form, form.operands(given))[0]))


def _seen(results, form):
    """Without what is kept for the gradient alone."""
    return results[:-1] if form.kept else results


def _shapes(form: Form, units: int = _UNITS) -> tuple:
    outputs = _OUTPUTS if form.projected else units
    width = form.gates * units
    shapes = [(sum(_SIZES), width) if form.packed else (4, _BATCH, width), (_BATCH, outputs)]
    shapes += [(_BATCH, units)] * form.has_cell + [(width, outputs)]
    shapes += [(width,)] * 2 * form.biased + [(outputs, units)] * form.projected
    return (*shapes, *[(len(_SIZES),)] * form.packed)


_FORMS = [
    Form(mode, reverse, packed, biased, projected)
    for mode, reverse, packed, biased, projected in itertools.product(
        (LSTM, GRU, TANH, RELU), (False, True), (False, True), (False, True), (False, True)
    )
    if (mode == LSTM or not projected) and biased is not packed
]


def _forms(shapes: tuple) -> list:
    return [(form,) for form in _FORMS if _shapes(form) == shapes]


def _operands(generator, shapes, dtype, params):
    (form,) = params
    found = [random_array(generator, shape, dtype, -1.0, 1.0) for shape in shapes]
    if form.packed:
        found[-1] = np.array(_SIZES)
    return found


def _gradient_operands(generator, shapes, dtype, params):
    """Cotangents at random, and what the primitive has been given and gave, without biases."""
    form = params[0]._replace(biased=False)
    params = (form,)
    x = form.operands([torch.tensor(a) for a in _operands(generator, _shapes(form), dtype, params)])
    y = _walk(form, x)[0]
    cotangents = [
        None if like is None else torch.tensor(np.asarray(generator.normal(size=tuple(like.shape))))
        for like in y[:3]
    ]
    given = GradientOperands(
        *cotangents, x.h, x.c, x.weight, x.projection, x.sizes, y.output, y.kept
    )
    return [np.ascontiguousarray(part.numpy()) for part in present(given)]


def _gates_of(form: Form, x, before):
    """Gates from which the walk, without biases, computes what was kept."""
    output, product = x.output.reshape(-1, x.output.shape[-1]), before @ x.weight.T
    if form.mode == TANH:
        return output.atanh() - product
    if form.mode == RELU:
        return torch.where(output > 0, output, -1.0) - product
    kept = x.kept.chunk(form.kept, 1)
    if form.mode == GRU:
        r, z, n, _ = kept
        hr, hz, hn = product.chunk(3, 1)
        return torch.cat([r.logit() - hr, z.logit() - hz, n.atanh() - r * hn], 1)
    i, f, g, o = kept[:4]
    return torch.cat([i.logit(), f.logit(), g.atanh(), o.logit()], 1) - product


def _gradient(*arguments):
    """PyTorch's own gradient of the walk; of what is added to a value for that value's."""
    *given, form = arguments
    x = gradient_operands(form, given)
    form = form._replace(biased=False)
    width, rows = x.weight.shape[0], x.g_output.reshape(-1, x.g_output.shape[-1])
    before = torch.empty_like(rows)
    earlier = None
    for start, count in _order(form, len(x.h), len(rows), x.sizes):
        before[start : start + count] = x.h[:count]
        if earlier is not None:
            known = min(earlier[1], count)
            states = x.output.reshape(rows.shape)[earlier[0] : earlier[0] + known]
            before[start : start + known] = states
        earlier = start, count
    gates = _gates_of(form, x, before).reshape(*x.g_output.shape[:-1], width)
    added, after = torch.zeros(len(rows), width).double(), torch.zeros_like(rows)
    leaves = [gates, added, after, x.h.clone(), None if x.c is None else x.c.clone()]
    for leaf in present(leaves):
        leaf.requires_grad_()
    operands = [gates, leaves[3], leaves[4], x.weight, x.projection, x.sizes]
    results = _walk(form, form.operands(present(operands)), added, after)[0]
    total = sum((y * g).sum() for y, g in zip(results, (x.g_output, x.g_h, x.g_c)) if g is not None)
    total.backward()
    found = GradientResults(
        gates.grad,
        added.grad if form.mode == GRU else None,
        before,
        after.grad if form.projected else None,
        leaves[3].grad,
        None if leaves[4] is None else leaves[4].grad,
    )
    return list(present(found))


def _gradient_shapes(form: Form) -> tuple:
    given = _gradient_operands(np.random.default_rng(0), (), "float64", (form,))
    return tuple(part.shape for part in given)


def _gradient_forms(shapes: tuple) -> list:
    return [(form,) for form in _FORMS if _gradient_shapes(form) == shapes]


_PLAIN = Form(TANH, False, False, False, False)

ROWS = (
    Row(
        "recurrence", _recurrence, tuple(dict.fromkeys(map(_shapes, _FORMS))), _forms,
        ("float64", "float32"), operands=_operands, differentiable=(0, 1, 2), seen=_seen,
        tolerance=_TOLERANCE, reason=_REASON,
        errors=(
            Error((((2, 3, 4), "float32"), ((3, 5), "float32"), ((4, 4), "float32")), (_PLAIN,),
                  RuntimeError, r"expected hx of shape \[3, 4\], got \[3, 5\]"),
            Error((((2, 3, 4), "float32"), ((3, 4), "float64"), ((4, 4), "float32")), (_PLAIN,),
                  RuntimeError, "expected hx of dtype"),
        ),
    ),
    Row(
        "recurrence_gradient", _gradient,
        tuple(dict.fromkeys(map(_gradient_shapes, _FORMS))), _gradient_forms,
        ("float64",), operands=_gradient_operands, differentiable=(), tolerance={"float64": 1e-9},
        reason="the gates are computed back from what they became",
    ),
)  # fmt: skip

"""NumPy rules of recurrent layers: one step after the other.  Level 3."""

from __future__ import annotations

import numpy as np

from rushlight.primitives import recurrence as p
from rushlight.reference.table import define


def _sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def _steps(form: p.Form, batch: int, rows: int, sizes) -> list[tuple[int, int]]:
    """(first row, sequences) of each step, in the order in which they are computed.

    Raises: RuntimeError if the sizes of packed steps do not describe the rows.
    """
    if sizes is None:
        counts = [batch] * (rows // batch if batch else 0)
    else:
        counts = [int(size) for size in sizes]
        falling = counts == sorted(counts, reverse=True)
        if sum(counts) != rows or not falling or any(not 0 < n <= batch for n in counts):
            raise RuntimeError(
                f"batch_sizes must not grow, must not exceed the {batch} states, and must sum to "
                f"the {rows} rows of the data, but they are {counts}"
            )
    starts = [0, *np.cumsum(counts, dtype=np.int64)[:-1].tolist()] if counts else []
    found = list(zip(starts, counts))
    return found[::-1] if form.reverse else found


def _recurrence(*arguments):
    *given, form = arguments
    x = form.operands(given)
    width, outputs = x.weight.shape
    units = width // form.gates
    gates = x.gates.reshape(-1, width)
    output = np.zeros((len(gates), outputs), gates.dtype)
    kept = np.zeros((len(gates), form.kept * units), gates.dtype)
    h = x.h.copy()
    c = None if x.c is None else x.c.copy()
    for start, count in _steps(form, len(h), len(gates), x.sizes):
        rows = slice(start, start + count)
        given_gates = gates[rows]
        product = h[:count] @ x.weight.T
        if form.biased:
            given_gates = given_gates + x.bias_input
            product = product + x.bias
        if form.mode == p.LSTM:
            i, f, g, o = np.split(given_gates + product, 4, axis=1)
            i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
            c[:count] = f * c[:count] + i * g
            hidden = o * np.tanh(c[:count])
            saved = [i, f, g, o, c[:count]]
            if form.projected:
                saved.append(hidden)
                hidden = hidden @ x.projection.T
            kept[rows] = np.concatenate(saved, axis=1)
        elif form.mode == p.GRU:
            (xr, xz, xn), (hr, hz, hn) = np.split(given_gates, 3, 1), np.split(product, 3, 1)
            r, z = _sigmoid(xr + hr), _sigmoid(xz + hz)
            n = np.tanh(xn + r * hn)
            hidden = (h[:count] - n) * z + n
            kept[rows] = np.concatenate([r, z, n, hn], axis=1)
        elif form.mode == p.TANH:
            hidden = np.tanh(given_gates + product)
        else:
            hidden = np.maximum(given_gates + product, 0)
        h[:count] = output[rows] = hidden
    output = output.reshape(*x.gates.shape[:-1], outputs)
    return list(p.present((output, h, c, kept if form.kept else None)))


def _gradient(*arguments):
    *given, form = arguments
    x = p.gradient_operands(form, given)
    width, outputs = x.weight.shape
    units = width // form.gates
    g_output = x.g_output.reshape(-1, outputs)
    output = x.output.reshape(-1, outputs)
    rows_in_all = len(g_output)
    gates = np.zeros((rows_in_all, width), g_output.dtype)
    products = np.zeros_like(gates)
    before, projected = np.zeros_like(g_output), np.zeros_like(g_output)
    gh = x.g_h.copy()
    gc = None if x.g_c is None else x.g_c.copy()
    steps = _steps(form, len(gh), rows_in_all, x.sizes)
    for place in range(len(steps) - 1, -1, -1):
        start, count = steps[place]
        rows = slice(start, start + count)
        h, c = x.h[:count].copy(), None if x.c is None else x.c[:count].copy()
        if place:
            earlier, known = steps[place - 1]
            known = min(known, count)
            h[:known] = output[earlier : earlier + known]
            if c is not None:
                c[:known] = x.kept[earlier : earlier + known, 4 * units : 5 * units]
        before[rows] = h
        g = gh[:count] + g_output[rows]
        if form.projected:
            projected[rows] = g
            g = g @ x.projection
        if form.mode == p.LSTM:
            i, f, m, o, now = np.split(x.kept[rows, : 5 * units], 5, axis=1)
            shown = np.tanh(now)
            g_cell = gc[:count] + g * o * (1 - shown * shown)
            found = [
                g_cell * m * (i * (1 - i)),
                g_cell * c * (f * (1 - f)),
                g_cell * i * (1 - m * m),
                g * shown * (o * (1 - o)),
            ]
            gates[rows] = np.concatenate(found, axis=1)
            gc[:count] = g_cell * f
            gh[:count] = gates[rows] @ x.weight
        elif form.mode == p.GRU:
            r, z, n, hn = np.split(x.kept[rows], 4, axis=1)
            g_n = g * (1 - z) * (1 - n * n)
            g_r, g_z = g_n * hn * (r * (1 - r)), g * (h - n) * (z * (1 - z))
            gates[rows] = np.concatenate([g_r, g_z, g_n], axis=1)
            products[rows] = np.concatenate([g_r, g_z, g_n * r], axis=1)
            gh[:count] = g * z + products[rows] @ x.weight
        else:
            if form.mode == p.TANH:
                gates[rows] = g * (1 - output[rows] * output[rows])
            else:
                gates[rows] = np.where(output[rows] > 0, g, 0)
            gh[:count] = gates[rows] @ x.weight
    found = p.GradientResults(
        gates.reshape(*x.g_output.shape[:-1], width),
        products if form.mode == p.GRU else None,
        before,
        projected if form.projected else None,
        gh,
        gc,
    )
    return list(p.present(found))


define(p.recurrence, __name__, _recurrence)
define(p.recurrence_gradient, __name__, _gradient)

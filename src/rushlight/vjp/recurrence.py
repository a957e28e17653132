"""VJP rows of recurrent layers.  Level 4.

One primitive goes back through all steps; what multiplies weights is one product over all rows.
Where the gradient is to be differentiated again, the steps are written out in other primitives.
"""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.shapes import numel
from rushlight.primitives import elementwise as e
from rushlight.primitives import recurrence as p
from rushlight.primitives.contraction import matmul
from rushlight.primitives.movement import concatenate, reshape, strided_read
from rushlight.primitives.reduction import reduce_sum
from rushlight.tape.tape import local
from rushlight.vjp.broadcast import filled
from rushlight.vjp.table import OUT, define_for_all, nondifferentiable


def _recurrence_vjp(wanted, g, out, operands, form):
    """Cotangents of the operands; the last result has none, for nobody sees it."""
    x, y = form.operands(operands), form.results(out)
    given = [
        filled(x.gates, 0.0, tuple(like.shape)) if cotangent is None else cotangent
        for cotangent, like in zip(form.results(g)[:3], y[:3])
        if like is not None
    ]
    g_output, g_h, *rest = given
    g_c = rest[0] if rest else None
    units = x.weight.shape[0] // form.gates
    # Function transforms differentiate what is recorded here, and map it.
    if local.tape.grad_enabled or local.tape.transforms is not None:
        found, hidden = _written_out(form, x, (g_output, g_h, g_c))
    else:
        read = p.GradientOperands(
            g_output, g_h, g_c, x.h, x.c, x.weight, x.projection, x.sizes, y.output, y.kept
        )
        given = p.recurrence_gradient(p.present(read), form)
        found = p.gradient_results(form, given)
        hidden = _columns(y.kept, 5 * units, units) if form.projected else None
    rows = reshape(found.gates, (numel(tuple(found.gates.shape[:-1])), form.gates * units))
    products = rows if found.products is None else found.products
    cotangents = p.Operands(
        found.gates,
        found.h,
        found.c,
        matmul(products, found.before, True, False),
        reduce_sum(rows, (0,), False) if form.biased else None,
        reduce_sum(products, (0,), False) if form.biased else None,
        matmul(found.projected, hidden, True, False) if form.projected else None,
        None,
    )
    # Of what the form has, and in its order; the sizes have no cotangent.
    asked = [c for c, operand in zip(cotangents, x) if operand is not None]
    return [c if want else None for c, want in zip(asked, wanted)]


def _rows(x, start: int, count: int):
    """Rows of a matrix."""
    width = x.shape[1]
    if count == x.shape[0]:
        return x
    return strided_read(x, x._scalar(start * width, int64), (count, width), (width, 1))


def _columns(x, start: int, count: int):
    """Columns of a matrix."""
    rows, width = x.shape
    return strided_read(x, x._scalar(start, int64), (rows, count), (width, 1))


def _joined(parts, axis: int):
    return parts[0] if len(parts) == 1 else concatenate(parts, axis)


def _over_first(state, rows):
    """A state whose first rows are replaced."""
    count, whole = rows.shape[0], state.shape[0]
    return rows if count == whole else _joined([rows, _rows(state, count, whole - count)], 0)


def _parts(x, count: int) -> list:
    units = x.shape[1] // count
    return [_columns(x, i * units, units) for i in range(count)]


def _one_minus(x):
    return e.sub(x._scalar(1.0), x)


def _slope_of_sigmoid(y):
    return e.mul(y, _one_minus(y))


def _slope_of_tanh(y):
    return _one_minus(e.mul(y, y))


class _Step:
    """What one step read and computed; `count` rows from `start` on."""

    def __init__(self, form, x, gates, start: int, count: int, h, c) -> None:
        self.form, self.x, self.start, self.count = form, x, start, count
        self.before = _rows(h, 0, count)
        given = _rows(gates, start, count)
        product = matmul(self.before, x.weight, False, True)
        if form.biased:
            given, product = e.add(given, x.bias_input), e.add(product, x.bias)
        self.hidden = self.c = None
        if form.mode == p.LSTM:
            i, f, m, o = _parts(e.add(given, product), 4)
            self.gates = e.sigmoid(i), e.sigmoid(f), e.tanh(m), e.sigmoid(o)
            i, f, m, o = self.gates
            self.cell_before = _rows(c, 0, count)
            now = e.add(e.mul(f, self.cell_before), e.mul(i, m))
            self.shown = e.tanh(now)
            self.hidden = e.mul(o, self.shown)
            self.after = self.hidden
            if form.projected:
                self.after = matmul(self.hidden, x.projection, False, True)
            self.c = _over_first(c, now)
        elif form.mode == p.GRU:
            (xr, xz, xn), (hr, hz, hn) = _parts(given, 3), _parts(product, 3)
            r, z = e.sigmoid(e.add(xr, hr)), e.sigmoid(e.add(xz, hz))
            n = e.tanh(e.add(xn, e.mul(r, hn)))
            self.gates = r, z, n, hn
            self.after = e.add(e.mul(e.sub(self.before, n), z), n)
        else:
            function = e.tanh if form.mode == p.TANH else e.relu
            self.after = function(e.add(given, product))
        self.h = _over_first(h, self.after)

    def back(self, g, g_c):
        """(cotangents of the gates, of the state's products, of h before, of c before)."""
        if self.form.mode == p.LSTM:
            i, f, m, o = self.gates
            g_cell = e.add(g_c, e.mul(e.mul(g, o), _slope_of_tanh(self.shown)))
            found = [
                e.mul(e.mul(g_cell, m), _slope_of_sigmoid(i)),
                e.mul(e.mul(g_cell, self.cell_before), _slope_of_sigmoid(f)),
                e.mul(e.mul(g_cell, i), _slope_of_tanh(m)),
                e.mul(e.mul(g, self.shown), _slope_of_sigmoid(o)),
            ]
            gates = products = _joined(found, 1)
            return gates, products, self._through_weight(products), e.mul(g_cell, f)
        if self.form.mode == p.GRU:
            r, z, n, hn = self.gates
            g_n = e.mul(e.mul(g, _one_minus(z)), _slope_of_tanh(n))
            g_r = e.mul(e.mul(g_n, hn), _slope_of_sigmoid(r))
            g_z = e.mul(e.mul(g, e.sub(self.before, n)), _slope_of_sigmoid(z))
            gates = _joined([g_r, g_z, g_n], 1)
            products = _joined([g_r, g_z, e.mul(g_n, r)], 1)
            return gates, products, e.add(e.mul(g, z), self._through_weight(products)), None
        if self.form.mode == p.TANH:
            gates = e.mul(g, _slope_of_tanh(self.after))
        else:
            gates = e.where(e.le(self.after, g._scalar(0.0)), g._scalar(0.0), g)
        return gates, gates, self._through_weight(gates), None

    def _through_weight(self, products):
        return matmul(products, self.x.weight, False, False)


def _order(form, x) -> list[tuple[int, int]]:
    """(first row, sequences) of each step, in the order in which they are computed."""
    if form.packed:
        counts = x.sizes.tolist()
    else:
        counts = [x.gates.shape[1]] * x.gates.shape[0]
    found, start = [], 0
    for count in counts:
        found.append((start, count))
        start += count
    return found[::-1] if form.reverse else found


def _written_out(form, x, given):
    """The same as `recurrence_gradient`, in primitives that have derivatives; and the values that
    were projected.
    """
    g_output, g_h, g_c = given
    width, outputs = x.weight.shape
    gates = reshape(x.gates, (numel(tuple(x.gates.shape[:-1])), width))
    g_output = reshape(g_output, (gates.shape[0], outputs))
    steps: list[_Step] = []
    h, c = x.h, x.c
    for start, count in _order(form, x):
        steps.append(_Step(form, x, gates, start, count, h, c))
        h, c = steps[-1].h, steps[-1].c
    rows: dict[int, tuple] = {}
    for step in reversed(steps):
        g = e.add(_rows(g_h, 0, step.count), _rows(g_output, step.start, step.count))
        projected = g
        if form.projected:
            g = matmul(g, x.projection, False, False)
        cell = None if g_c is None else _rows(g_c, 0, step.count)
        of_gates, products, before, before_cell = step.back(g, cell)
        rows[step.start] = of_gates, products, step.before, projected, step.hidden
        g_h = _over_first(g_h, before)
        if g_c is not None:
            g_c = _over_first(g_c, before_cell)
    columns = list(zip(*(rows[start] for start in sorted(rows))))
    of_gates, products, before, projected = (_joined(list(c), 0) for c in columns[:4])
    found = p.GradientResults(
        reshape(of_gates, tuple(x.gates.shape)),
        products if form.mode == p.GRU else None,
        before,
        projected if form.projected else None,
        g_h,
        g_c,
    )
    return found, _joined(list(columns[4]), 0) if form.projected else None


define_for_all(p.recurrence, __name__, _recurrence_vjp, *range(8), OUT, unchecked=(OUT,))
# Recorded only where gradients are not followed: see `_recurrence_vjp`.
nondifferentiable(p.recurrence_gradient, __name__)

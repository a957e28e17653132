"""Recurrent layers: all steps of one direction in one kernel, forward or back.

An iteration is a block of sequences, which takes them through all steps by itself: nothing waits
for another thread.  In a step, the states times the packed weights by the contraction cores
(microkernel.py), then what each gate does to the sums while they are in cache.  Weights are packed
once, before (recurrent_weights.py).

In memory, every matrix is row-major and dense; a row is one step of one sequence (see
primitives/recurrence.py).  States are computed in place, where they are left at last, so sequences
that have ended, or not begun, need no care.  The sizes of packed steps are brought
inside their bounds as they are read: whatever they are, no other memory is touched.

The order of additions is that of the contraction cores; all else is computed element by element.
Level 7.
"""

from __future__ import annotations

from collections.abc import Sequence

from rushlight.codegen.driver import Rows
from rushlight.codegen.emit import Value
from rushlight.codegen.gates import gate_sigmoid, gate_tanh
from rushlight.codegen.panel_driver import Asked
from rushlight.codegen.recurrence_walk import LINE, Lanes, Walk
from rushlight.primitives.recurrence import GRU, LSTM, RELU, TANH

# Where an LSTM's output gate, its new cell, and what is projected are among what is kept.
_GATE, _CELL, _SHOWN = 3, 4, 5


class Forward(Walk):
    """Outputs, last states, and what is kept for the gradient."""

    streams_by_row = True

    def begin(self) -> None:
        b, p = self.b, self.params
        count = b.sub(self.last, self.first)
        names = [("h0", "h", p["outputs"])] + [("c0", "c", p["units"])] * self.form.has_cell
        for source, target, width in names:
            first, last = (self.block_rows(name, width)(self.count(0)) for name in (source, target))
            self.copy(first, last, b.mul(count, width))
        self.meet()

    def step(self, row: Value, count: Value, earlier: Value, known: Value) -> None:
        b, outputs = self.b, self.params["outputs"]
        states = self.block_rows("h", outputs)
        loop, block = self.each_panel(self.params["units"])
        self.panel_of_units(row, count, states, block)
        b.end_loop(loop)
        self.meet()
        if self.form.projected:
            self.project(row, count)
        output, zero = self.block_rows("output", outputs, row), self.count(0)
        self.copy(output(zero), states(zero), b.mul(count, outputs))
        self.meet()

    def panel_of_units(self, row: Value, count: Value, states: Rows, block: Value) -> None:
        """A step of the units of one panel, whose number is `block`, from the states before it."""
        b, p, columns = self.b, self.params, self.tiles.columns
        gates = self.form.gates
        zero, outputs = self.count(0), p["outputs"]
        # The sums of one panel of units, all gates side by side; each block has its own.
        sums = self.sums()
        for gate in range(gates):
            number = b.add(b.mul(block, self.count(gates)), self.count(gate))
            panel = self.panel("weight", number, outputs)
            target = self.at(sums(zero), self.count(gate * columns))
            ahead = self.of_gate(row, gate, b.mul(block, self.count(columns)))
            self.product(
                states(zero), outputs, panel, target, sums.stride, count, outputs, ahead=ahead
            )
        unit = b.mul(block, self.count(columns))
        left = self.minimum(b.sub(p["units"], unit), self.count(columns))
        rows = b.begin_loop(zero, count, 1)
        self.units(row, rows.counter, sums(rows.counter), unit, left)
        b.end_loop(rows)
        if self.form.has_cell:
            # Apart from the gates, on which it waits: so one row's overlaps the next one's.
            rows = b.begin_loop(zero, count, 1)
            self.show_cells(row, rows.counter, unit, left)
            b.end_loop(rows)

    def sums(self) -> Rows:
        """Where the sums of one panel of units stand."""
        return self.block_rows("sums", self.count(self.form.gates * self.tiles.columns))

    def of_gate(self, row: Value, gate: int, unit: Value) -> list[Asked]:
        """What a gate of some units reads, and what it writes."""
        p, form = self.params, self.form
        starts = [self.b.add(self.b.mul(p["units"], self.count(i)), unit) for i in range(6)]
        found = [self.pieces(self.block_rows("gates", self.width, row), starts[gate])]
        if gate < form.kept:
            found.append(self.pieces(self.kept_rows(row), starts[gate]))
        if gate == 0:
            found.append(self.pieces(self.block_rows("output", p["outputs"], row), unit))
        elif gate == form.gates - 1 and form.gates < form.kept:
            found.append(self.pieces(self.kept_rows(row), starts[form.gates]))
        return found

    def kept_rows(self, row: Value) -> Rows:
        """Rows of `kept`; where nobody reads them later, each step uses the same ones."""
        keeps = self.b.compare("ne", self.params["keeps"], self.count(0))
        row = self.b.select(keeps, row, self.count(0))
        return self.block_rows("kept", self.kept_width, row)

    def project(self, row: Value, count: Value) -> None:
        """Outputs are the kept values of the step times the projection."""
        b, p, columns = self.b, self.params, self.tiles.columns
        zero, stride = self.count(0), self.count(self.form.gates * columns)
        hidden = self.at(self.kept_rows(row)(zero), b.mul(p["units"], self.count(5)))
        sums = self.block_rows("sums", stride)
        output = self.block_rows("output", p["outputs"], row)
        loop = b.begin_loop(zero, self.panels(p["outputs"]), 1)
        panel = self.panel("projection", loop.counter, p["units"])
        self.product(hidden, self.kept_width, panel, sums(zero), stride, count, p["units"])
        column = b.mul(loop.counter, self.count(columns))
        left = self.minimum(b.sub(p["outputs"], column), self.count(columns))
        rows = b.begin_loop(zero, count, 1)
        target = output(rows.counter, column)
        source = sums(rows.counter)
        self.copy(source, target, left)
        b.end_loop(rows)
        b.end_loop(loop)

    def units(self, row: Value, sequence: Value, sums: Value, unit: Value, left: Value) -> None:
        """What the gates make of some units of one sequence."""
        b, p, columns = self.b, self.params, self.tiles.columns
        gates = self.form.gates
        starts = [b.mul(p["units"], self.count(gate)) for gate in range(max(self.form.kept, 4))]
        given = self.block_rows("gates", self.width, row)(sequence, unit)
        old, new = self.own_states(sequence, unit)
        output = self.block_rows("output", p["outputs"], row)(sequence, unit)
        kept = self.kept_rows(row)(sequence, unit)

        def body(lanes: Lanes) -> None:
            inputs, products = [], []
            for gate in range(gates):
                x = lanes.load(self.at(given, starts[gate]))
                y = lanes.load(self.at(sums, self.count(gate * columns)))
                if self.form.biased:
                    place = b.add(unit, starts[gate])
                    x = b.add(x, lanes.load(self.at(self.buffers["bias_input"], place)))
                    y = b.add(y, lanes.load(self.at(self.buffers["bias"], place)))
                inputs.append(x)
                products.append(y)
            after, saved = self.gate(lanes, inputs, products, old)
            for start, value in zip(starts, saved):
                lanes.store(value, self.at(kept, start))
            if after is None:
                lanes.store(saved[_CELL], new)
                return
            lanes.store(after, output)
            self.leave_state(lanes, after, sequence, unit)

        self.over(left, body)

    def show_cells(self, row: Value, sequence: Value, unit: Value, left: Value) -> None:
        """What an LSTM's output gates show of some cells of one sequence."""
        kept = self.kept_rows(row)(sequence, unit)
        output = self.block_rows("output", self.params["outputs"], row)(sequence, unit)
        units = self.params["units"]
        gate, cell, shown = (
            self.at(kept, self.b.mul(units, self.count(place))) for place in (_GATE, _CELL, _SHOWN)
        )

        def body(lanes: Lanes) -> None:
            after = self.b.mul(lanes.load(gate), gate_tanh(self.b, lanes.load(cell)))
            lanes.store(after, shown if self.form.projected else output)
            self.leave_state(lanes, after, sequence, unit)

        self.over(left, body)

    def own_states(self, sequence: Value, unit: Value) -> tuple[Value, Value]:
        """Where a unit's own state stands before a step, and after it: its cell, if it has one."""
        name, width = ("c", "units") if self.form.has_cell else ("h", "outputs")
        place = self.block_rows(name, self.params[width])(sequence, unit)
        return place, place

    def leave_state(self, lanes: Lanes, after: Value, sequence: Value, unit: Value) -> None:
        """What else is done with a new state than to write it as an output."""

    def gate(
        self, lanes: Lanes, inputs: list[Value], products: list[Value], old: Value
    ) -> tuple[Value | None, list[Value]]:
        """(the new h, what is kept); of an LSTM, the new h is computed later."""
        b = self.b
        if self.form.mode == LSTM:
            sums = [b.add(x, y) for x, y in zip(inputs, products)]
            i, f, o = (gate_sigmoid(b, sums[gate]) for gate in (0, 1, 3))
            g = gate_tanh(b, sums[2])
            now = b.add(b.mul(f, lanes.load(old)), b.mul(i, g))
            return None, [i, f, g, o, now]
        if self.form.mode == GRU:
            r, z = (gate_sigmoid(b, b.add(inputs[gate], products[gate])) for gate in (0, 1))
            n = gate_tanh(b, b.add(inputs[2], b.mul(r, products[2])))
            after = b.add(b.mul(b.sub(lanes.load(old), n), z), n)
            return after, [r, z, n, products[2]]
        total = b.add(inputs[0], products[0])
        if self.form.mode == TANH:
            return gate_tanh(b, total), []
        zero = b.like(0.0, total)
        # NaN stays.
        return b.select(b.compare("ole", total, zero), zero, total), []


class Backward(Walk):
    """Cotangents of gates and initial states, walked from the last step to the first."""

    # Whether what the weight is multiplied by is copied.
    copies = True

    def begin(self) -> None:
        b, p = self.b, self.params
        zero, count = self.count(0), b.sub(self.last, self.first)
        given = self.block_rows("g_h", p["outputs"])
        states = self.block_rows("states", self.padded(p["outputs"]))
        rows = b.begin_loop(zero, count, 1)
        self.copy(given(rows.counter), states(rows.counter), p["outputs"])
        b.end_loop(rows)
        if self.form.has_cell:
            first, last = (self.block_rows(name, p["units"])(zero) for name in ("g_c", "c"))
            self.copy(first, last, b.mul(count, p["units"]))

    def factors(self, row: Value) -> Rows:
        """What the weight is multiplied by, of one step: a copy whose rows lie an odd number of
        lines apart.  Those a power of two apart meet in the same few places of a cache.
        """
        b, line = self.b, self.count(LINE // self.size)
        lines = b.binary("udiv", b.add(self.width, b.sub(line, self.count(1))), line)
        stride = b.mul(b.binary("or", lines, self.count(1)), line)
        return self.block_rows("factors", stride)

    def step(self, row: Value, count: Value, earlier: Value, known: Value) -> None:
        b, p = self.b, self.params
        zero = self.count(0)
        known = self.minimum(known, count)
        self.states_before(row, count, earlier, known)
        if self.form.projected:
            self.project(row, count)
        rows = b.begin_loop(zero, count, 1)
        self.units(row, rows.counter, earlier, b.compare("slt", rows.counter, known))
        b.end_loop(rows)
        self.meet()
        factors = self.factors(row)
        states = self.block_rows("states", self.padded(p["outputs"]))(zero)
        self.over_panels(
            "weight", (factors(zero), factors.stride, self.width), states, p["outputs"], count,
            self.form.mode == GRU,
            (self.block_rows("kept", self.kept_width, earlier),
             self.block_rows("gates", self.width, earlier)),
        )  # fmt: skip

    def over_panels(
        self, weight: str, a: tuple[Value, Value, Value], c: Value, columns: Value, count: Value,
        added: bool, streams: tuple = (),
    ) -> None:  # fmt: skip
        """C[count, columns, padded] = (C +) A[count, k] @ the packed weight.

        a: where A begins, the distance of its rows, and k.
        """
        b = self.b
        source, stride, k = a
        loop, number = self.each_panel(columns)
        panel = self.panel(weight, number, k)
        target = self.at(c, b.mul(number, self.count(self.tiles.columns)))
        panels = self.panels(columns)
        ahead = [self.whole_rows(rows, loop.counter, panels, k) for rows in streams]
        self.product(source, stride, panel, target, self.padded(columns), count, k, added, ahead)
        b.end_loop(loop)

    def states_before(self, row: Value, count: Value, earlier: Value, known: Value) -> None:
        """Writes the state that each row started from."""
        b, outputs = self.b, self.params["outputs"]
        zero = self.count(0)
        target = self.block_rows("before", outputs, row)
        source = self.block_rows("output", outputs, earlier)
        self.copy(source(zero), target(zero), b.mul(known, outputs))
        initial = self.block_rows("h0", outputs)
        self.copy(initial(known), target(known), b.mul(b.sub(count, known), outputs))

    def project(self, row: Value, count: Value) -> None:
        """Cotangents of what the projection gave, and of what it was given."""
        b, p = self.b, self.params
        outputs, zero = p["outputs"], self.count(0)
        given = self.block_rows("g_output", outputs, row)
        states = self.block_rows("states", self.padded(outputs))
        projected = self.block_rows("projected", outputs, row)
        rows = b.begin_loop(zero, count, 1)
        sources = [source(rows.counter) for source in (states, given)]
        target = projected(rows.counter)
        self.over(outputs, lambda lanes: lanes.store(b.add(*map(lanes.load, sources)), target))
        b.end_loop(rows)
        self.meet()
        hidden = self.block_rows("hidden", self.padded(p["units"]))(zero)
        factors = projected(zero), outputs, outputs
        self.over_panels("projection", factors, hidden, p["units"], count, False)

    def units(self, row: Value, sequence: Value, earlier: Value, had_step: Value) -> None:
        """All units of one sequence; had_step: whether it had a step before this one."""
        b, p = self.b, self.params
        starts = [b.mul(p["units"], self.count(gate)) for gate in range(max(self.form.kept, 4))]
        states = self.block_rows("states", self.padded(p["outputs"]))(sequence)
        given = self.block_rows("g_output", p["outputs"], row)(sequence)
        if self.form.projected:
            given = self.block_rows("hidden", self.padded(p["units"]))(sequence)
        output = self.block_rows("output", p["outputs"], row)(sequence)
        kept = self.block_rows("kept", self.kept_width, row)(sequence)
        gates = self.block_rows("gates", self.width, row)(sequence)
        products = self.block_rows("products", self.width, row)(sequence)
        factors = self.factors(row)(sequence)
        before = self.block_rows("before", p["outputs"], row)(sequence)
        if self.form.has_cell:
            cell = self.block_rows("c", p["units"])(sequence)
            old = self.block_rows("kept", self.kept_width, earlier)(sequence, starts[4])
            initial = self.block_rows("c0", p["units"])(sequence)
            before = b.select(had_step, old, initial)

        def body(lanes: Lanes) -> None:
            g = lanes.load(given)
            if not self.form.projected:
                g = b.add(lanes.load(states), g)
            saved = [lanes.load(self.at(kept, s)) for s in starts[: min(self.form.kept, 5)]]
            if self.form.mode == LSTM:
                found = self.back_lstm(lanes, g, saved, lanes.load(before), cell)
            elif self.form.mode == GRU:
                found, last, through = self.back_gru(g, saved, lanes.load(before))
                lanes.store(through, states)
                for start, value in zip(starts, [*found[:2], last]):
                    lanes.store(value, self.at(products, start))
            else:
                found = [self.back_plain(g, lanes.load(output))]
            for start, value in zip(starts, found):
                lanes.store(value, self.at(gates, start))
            multiplied = [*found[:2], last] if self.form.mode == GRU else found
            for start, value in zip(starts, multiplied if self.copies else ()):
                lanes.store(value, self.at(factors, start))

        self.over(p["units"], body)

    def back_lstm(
        self, lanes: Lanes, g: Value, saved: list[Value], before: Value, cell: Value
    ) -> list[Value]:
        b = self.b
        i, f, m, o, now = saved
        shown = gate_tanh(b, now)
        of_cell = b.add(lanes.load(cell), self.product_of(g, o, self.slope_of_tanh(shown)))
        lanes.store(b.mul(of_cell, f), cell)
        return [
            self.product_of(of_cell, m, self.slope_of_sigmoid(i)),
            self.product_of(of_cell, before, self.slope_of_sigmoid(f)),
            self.product_of(of_cell, i, self.slope_of_tanh(m)),
            self.product_of(g, shown, self.slope_of_sigmoid(o)),
        ]

    def back_gru(
        self, g: Value, saved: Sequence[Value], before: Value
    ) -> tuple[list[Value], Value, Value]:
        """(cotangents of the gates, of the product within n, and of h past the gates)."""
        b = self.b
        r, z, n, product = saved
        of_n = self.product_of(g, self.one_minus(z), self.slope_of_tanh(n))
        of_r = self.product_of(of_n, product, self.slope_of_sigmoid(r))
        of_z = self.product_of(g, b.sub(before, n), self.slope_of_sigmoid(z))
        return [of_r, of_z, of_n], b.mul(of_n, r), b.mul(g, z)

    def back_plain(self, g: Value, output: Value) -> Value:
        b = self.b
        if self.form.mode == RELU:
            return b.select(b.compare("ole", output, b.like(0.0, g)), b.like(0.0, g), g)
        return b.mul(g, self.slope_of_tanh(output))

    def end(self) -> None:
        b, p = self.b, self.params
        states = self.block_rows("states", self.padded(p["outputs"]))
        target = self.block_rows("h", p["outputs"])
        rows = b.begin_loop(self.count(0), b.sub(self.last, self.first), 1)
        self.copy(states(rows.counter), target(rows.counter), p["outputs"])
        b.end_loop(rows)

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

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rushlight.base.target import Target
from rushlight.codegen.driver import Driver
from rushlight.codegen.emit import LoopHandle, Value
from rushlight.codegen.exponential import sigmoid, tanh
from rushlight.codegen.llvm import KERNEL_ARGUMENTS
from rushlight.codegen.microkernel import (
    ARGUMENT_TYPES,
    K_BLOCK,
    Tile,
    core_function,
)
from rushlight.codegen.packing import lane_mask
from rushlight.codegen.recurrent_weights import recurrence_tiles
from rushlight.loopnest.ir import itemsize
from rushlight.primitives.recurrence import GRU, LSTM, RELU, TANH, Form

FORWARD_BUFFERS = ("gates", "h0", "c0", "weight", "bias_input", "bias", "projection", "sizes",
                   "output", "h", "c", "kept", "sums")  # fmt: skip
BACKWARD_BUFFERS = ("g_output", "g_h", "g_c", "h0", "c0", "weight", "projection", "sizes",
                    "output", "kept", "gates", "products", "before", "projected", "h", "c",
                    "states", "hidden")  # fmt: skip
# steps, batch, rows, units (H), outputs (O); block: sequences of an iteration, of which there are
# `blocks`; backwards: whether rows are walked from the last step to the first; keeps: whether
# `kept` has all rows, or only one for each sequence.
PARAMS = ("steps", "batch", "rows", "units", "outputs", "block", "blocks", "backwards", "keeps")
_LLVM_TYPES = {"float32": "float", "float64": "double"}
# Rows of the smaller cores; each costs some 5 ms to compile.
_FEW_ROWS = (4, 2, 1)
# Steps of a search among the sequences of a batch.
_HALVINGS = 32


@dataclass(frozen=True)
class RecurrenceSpec:
    """What the code depends on; sizes are run-time arguments.  form.reverse does not count."""

    name: str
    dtype: str
    form: Form
    gradient: bool


class _Rows:
    """Rows of a matrix: where one begins."""

    def __init__(self, driver: Driver, base: Value, stride: Value, first: Value) -> None:
        self.driver, self.base, self.stride, self.first = driver, base, stride, first

    def __call__(self, row: Value, *columns: Value) -> Value:
        b = self.driver.b
        start = b.mul(b.add(self.first, row), self.stride)
        return self.driver.at(self.base, start, *columns)


class _Lanes:
    """Vectors of elements, or the masked rest of a row."""

    def __init__(self, driver: _Walk, offset: Value, left: Value | None) -> None:
        self.driver, self.offset = driver, offset
        self.mask = None if left is None else lane_mask(driver.b, left, driver.wide)

    def load(self, pointer: Value) -> Value:
        d = self.driver
        at = d.at(pointer, self.offset)
        if self.mask is None:
            return d.b.load(at, d.type, d.wide, d.size)
        return d.b.masked_load(at, d.type, self.mask, d.size)

    def store(self, value: Value, pointer: Value) -> None:
        d = self.driver
        at = d.at(pointer, self.offset)
        if self.mask is None:
            d.b.store(value, at, d.size)
        else:
            d.b.masked_store(value, at, self.mask, d.size)


class _Walk(Driver):
    """What both directions of time share."""

    def __init__(self, spec: RecurrenceSpec, target: Target) -> None:
        super().__init__(target, _LLVM_TYPES[spec.dtype])
        self.spec, self.form = spec, spec.form
        self.size = itemsize(spec.dtype)
        self.tiles = recurrence_tiles(spec.dtype, target)
        # Two vectors at a time: each operation of a gate waits for the one before.
        self.wide = 2 * self.tiles.lanes
        names = BACKWARD_BUFFERS if spec.gradient else FORWARD_BUFFERS
        self.buffers = {name: self.word("buffers", i, "ptr") for i, name in enumerate(names)}
        self.params = {name: self.word("params", i, "i64") for i, name in enumerate(PARAMS)}
        units, b = self.params["units"], self.b
        self.width = b.mul(units, self.count(self.form.gates))
        self.kept_width = b.mul(units, self.count(self.form.kept))

    # --- arithmetic on sizes ---

    def clamp(self, x: Value, high: Value) -> Value:
        """x brought between 0 and `high`."""
        zero = self.count(0)
        x = self.minimum(x, high)
        return self.b.select(self.b.compare("slt", x, zero), zero, x)

    def panels(self, columns: Value) -> Value:
        """How many panels hold so many columns."""
        width = self.tiles.columns
        return self.b.binary("udiv", self.b.add(columns, self.count(width - 1)), self.count(width))

    def within(self, sequences: Value) -> Value:
        """How many of the first sequences are the block's."""
        inside = self.b.sub(self.minimum(sequences, self.last), self.first)
        return self.clamp(inside, inside)

    def only_if(self, condition: Value) -> tuple:
        """The bounds of a loop that runs once or not at all."""
        return self.count(0), self.b.select(condition, self.count(1), self.count(0)), 1

    # --- the walk ---

    def run(self) -> str:
        """Blocks of sequences; in each, all steps."""
        b, p = self.b, self.params
        loop = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        self.first = self.boundary(loop.counter)
        self.last = self.boundary(b.add(loop.counter, self.count(1)))
        self.begin()
        forwards = b.compare("eq", p["backwards"], self.count(0))
        zero = self.count(0)
        start = b.select(forwards, zero, p["rows"])
        steps = b.begin_loop(zero, p["steps"], 1, [start, zero, zero])
        at, earlier, known = steps.values
        mirrored = b.sub(b.sub(p["steps"], steps.counter), self.count(1))
        time = b.select(forwards, steps.counter, mirrored)
        # Forwards, `at` is where the step's rows begin; backwards, where they end.
        room = b.select(forwards, b.sub(p["rows"], at), at)
        count = self.minimum(self.size_of(time), room)
        row = b.select(forwards, at, b.sub(at, count))
        self.turned = b.compare("ne", b.binary("and", steps.counter, self.count(1)), zero)
        if self.spec.gradient:
            earlier, known = self.one_before(steps.counter, time, row, count, forwards)
        self.step(row, self.within(count), earlier, self.within(known))
        after = b.select(forwards, b.add(at, count), row)
        b.end_loop(steps, [after, row, count])
        self.end()
        b.end_loop(loop)
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def boundary(self, block: Value) -> Value:
        """The first sequence of a block: all have as many sequences or, packed, as many rows."""
        b, p = self.b, self.params
        if not self.form.packed:
            return self.minimum(b.mul(block, p["block"]), p["batch"])
        wanted = b.binary("udiv", b.mul(block, p["rows"]), p["blocks"])
        zero, one = self.count(0), self.count(1)
        search = b.begin_loop(zero, self.count(_HALVINGS), 1, [zero, p["batch"]])
        low, high = search.values
        middle = b.binary("lshr", b.add(low, high), one)
        times = b.begin_loop(zero, p["steps"], 1, [zero])
        rows = b.add(times.values[0], self.minimum(self.size_of(times.counter), middle))
        (rows,) = b.end_loop(times, [rows])
        few = b.binary("and", b.compare("slt", rows, wanted), b.compare("slt", low, high))
        low, high = b.end_loop(
            search, [b.select(few, b.add(middle, one), low), b.select(few, high, middle)]
        )
        return b.select(b.compare("eq", block, p["blocks"]), p["batch"], high)

    def size_of(self, time: Value) -> Value:
        """Sequences of one step."""
        batch = self.params["batch"]
        if not self.form.packed:
            return batch
        pointer = self.b.pointer_offset(self.buffers["sizes"], time, "i64")
        return self.clamp(self.b.load(pointer, "i64", 1, 8), batch)

    def one_before(self, turn, time, row, count, forwards) -> tuple[Value, Value]:
        """(first row, sequences) of the step that was computed before this one; a gradient is
        walked the other way round.  Nothing comes before the first, which is met last.
        """
        b, p = self.b, self.params
        one = self.count(1)
        is_first = b.compare("eq", turn, b.sub(p["steps"], one))
        # In the order of rows it stands after this step, or before it.
        other = b.select(is_first, time, b.select(forwards, b.add(time, one), b.sub(time, one)))
        after = b.add(row, count)
        room = b.select(forwards, b.sub(p["rows"], after), row)
        known = b.select(is_first, self.count(0), self.minimum(self.size_of(other), room))
        return b.select(forwards, after, b.sub(row, known)), known

    def begin(self) -> None:
        """Before a block's first step."""
        raise NotImplementedError

    def step(self, row: Value, count: Value, earlier: Value, known: Value) -> None:
        """One step of the block's first `count` sequences, whose rows begin at `row` + the block's
        first sequence; the step before had `known` of them, likewise from `earlier` on.
        """
        raise NotImplementedError

    def end(self) -> None:
        """After a block's last step."""

    # --- parts of a step ---

    def block_rows(self, name: str, width: Value, row: Value | None = None) -> _Rows:
        """The block's rows of a buffer: of its states, or of a step whose rows begin at `row`."""
        first = self.first if row is None else self.b.add(row, self.first)
        return _Rows(self, self.buffers[name], width, first)

    def copy(self, source: Value, target: Value, count: Value) -> None:
        """So many elements that lie side by side."""
        self.over(count, lambda lanes: lanes.store(lanes.load(source), target))

    def over(self, count: Value, body: Callable[[_Lanes], None]) -> None:
        """Whole vectors, then the rest."""
        b, zero = self.b, self.count(0)
        main = b.binary("and", count, self.count(-self.wide))
        loop = b.begin_loop(zero, main, self.wide)
        body(_Lanes(self, loop.counter, None))
        b.end_loop(loop)
        loop = b.begin_loop(*self.only_if(b.compare("slt", main, count)))
        body(_Lanes(self, main, b.sub(count, main)))
        b.end_loop(loop)

    def product(
        self, a: Value, a_row: Value, panel: Value, c: Value, c_row: Value, count: Value, k: Value,
        added: bool = False,
    ) -> None:  # fmt: skip
        """C[count, columns of a panel] = (C +) A[count, k] @ panel; strides in elements."""
        b, size = self.b, self.count(self.size)
        columns = self.count(self.tiles.columns)
        blocks = b.begin_loop(self.count(0), k, K_BLOCK)
        k0 = blocks.counter
        steps = self.minimum(b.sub(k, k0), self.count(K_BLOCK))
        first = b.compare("eq", k0, self.count(-1 if added else 0))
        source, lines = self.at(a, k0), self.at(panel, b.mul(k0, columns))
        edge = self.count(0)
        for rows in self.row_counts():
            whole = b.binary("udiv", b.sub(count, edge), self.count(rows))
            end = b.add(edge, b.mul(whole, self.count(rows)))
            loop = b.begin_loop(edge, end, rows)
            row = loop.counter
            arguments = [
                self.at(source, b.mul(row, a_row)), b.mul(a_row, size), size,
                lines, b.mul(columns, size),
                self.at(c, b.mul(row, c_row)), b.mul(c_row, size),
                steps, columns, first, b.const(True, "i1"),
                Value("%buffers", "ptr"), Value("%params", "ptr"), row, self.count(0),
            ]  # fmt: skip
            typed = [f"{t} {v.text}" for t, v in zip(ARGUMENT_TYPES, arguments)]
            name = Tile(rows, self.tiles.vectors).name
            b.line(f"call void @{self.spec.name}_{name}({', '.join(typed)})")
            b.end_loop(loop)
            edge = end
        b.end_loop(blocks)

    def row_counts(self) -> list[int]:
        """Rows of the cores that cover any number of them."""
        return [self.tiles.rows, *[rows for rows in _FEW_ROWS if rows < self.tiles.rows]]

    def each_panel(self, columns: Value) -> tuple[LoopHandle, Value]:
        """A loop over panels, and the number of one; every second step begins where the last one
        ended, so that weights twice as large as a cache are half in it.
        """
        b, panels = self.b, self.panels(columns)
        loop = b.begin_loop(self.count(0), panels, 1)
        mirrored = b.sub(b.sub(panels, self.count(1)), loop.counter)
        return loop, b.select(self.turned, mirrored, loop.counter)

    def panel(self, name: str, number: Value, k: Value) -> Value:
        """A panel of packed weights."""
        length = self.b.mul(k, self.count(self.tiles.columns))
        return self.at(self.buffers[name], self.b.mul(number, length))

    def one_minus(self, x: Value) -> Value:
        return self.b.sub(self.b.like(1.0, x), x)

    def slope_of_sigmoid(self, y: Value) -> Value:
        return self.b.mul(y, self.one_minus(y))

    def slope_of_tanh(self, y: Value) -> Value:
        return self.one_minus(self.b.mul(y, y))

    def product_of(self, *factors: Value) -> Value:
        found = factors[0]
        for factor in factors[1:]:
            found = self.b.mul(found, factor)
        return found


class _Forward(_Walk):
    """Outputs, last states, and what is kept for the gradient."""

    def begin(self) -> None:
        b, p = self.b, self.params
        count = b.sub(self.last, self.first)
        names = [("h0", "h", p["outputs"])] + [("c0", "c", p["units"])] * self.form.has_cell
        for source, target, width in names:
            first, last = (self.block_rows(name, width)(self.count(0)) for name in (source, target))
            self.copy(first, last, b.mul(count, width))

    def step(self, row: Value, count: Value, earlier: Value, known: Value) -> None:
        b, p, columns = self.b, self.params, self.tiles.columns
        gates = self.form.gates
        zero, outputs = self.count(0), p["outputs"]
        # The sums of one panel of units, all gates side by side; each block has its own.
        stride = self.count(gates * columns)
        sums = self.block_rows("sums", stride)
        states = self.block_rows("h", outputs)
        loop, block = self.each_panel(p["units"])
        for gate in range(gates):
            number = b.add(b.mul(block, self.count(gates)), self.count(gate))
            panel = self.panel("weight", number, outputs)
            target = self.at(sums(zero), self.count(gate * columns))
            self.product(states(zero), outputs, panel, target, stride, count, outputs)
        unit = b.mul(block, self.count(columns))
        left = self.minimum(b.sub(p["units"], unit), self.count(columns))
        rows = b.begin_loop(zero, count, 1)
        self.units(row, rows.counter, sums(rows.counter), unit, left)
        b.end_loop(rows)
        b.end_loop(loop)
        if self.form.projected:
            self.project(row, count)
        output = self.block_rows("output", outputs, row)
        self.copy(output(zero), states(zero), b.mul(count, outputs))

    def kept_rows(self, row: Value) -> _Rows:
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
        state = self.block_rows("h", p["outputs"])(sequence, unit)
        cell = self.block_rows("c", p["units"])(sequence, unit)
        output = self.block_rows("output", p["outputs"], row)(sequence, unit)
        kept = self.kept_rows(row)(sequence, unit)

        def body(lanes: _Lanes) -> None:
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
            old = cell if self.form.mode == LSTM else state
            after, saved = self.gate(lanes, inputs, products, old)
            for start, value in zip(starts, saved):
                lanes.store(value, self.at(kept, start))
            if not self.form.projected:
                lanes.store(after, output)

        self.over(left, body)

    def gate(
        self, lanes: _Lanes, inputs: list[Value], products: list[Value], old: Value
    ) -> tuple[Value, list[Value]]:
        """(the new h, what is kept)."""
        b = self.b
        if self.form.mode == LSTM:
            sums = [b.add(x, y) for x, y in zip(inputs, products)]
            i, f, o = (sigmoid(b, sums[gate]) for gate in (0, 1, 3))
            g = tanh(b, sums[2])
            now = b.add(b.mul(f, lanes.load(old)), b.mul(i, g))
            lanes.store(now, old)
            after = b.mul(o, tanh(b, now))
            return after, [i, f, g, o, now, *[after] * self.form.projected]
        if self.form.mode == GRU:
            r, z = (sigmoid(b, b.add(inputs[gate], products[gate])) for gate in (0, 1))
            n = tanh(b, b.add(inputs[2], b.mul(r, products[2])))
            after = b.add(b.mul(b.sub(lanes.load(old), n), z), n)
            return after, [r, z, n, products[2]]
        total = b.add(inputs[0], products[0])
        if self.form.mode == TANH:
            return tanh(b, total), []
        zero = b.like(0.0, total)
        # NaN stays.
        return b.select(b.compare("ole", total, zero), zero, total), []


class _Backward(_Walk):
    """Cotangents of gates and initial states, walked from the last step to the first."""

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

    def padded(self, columns: Value) -> Value:
        """Columns up to the end of the last panel."""
        return self.b.mul(self.panels(columns), self.count(self.tiles.columns))

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
        name = "products" if self.form.mode == GRU else "gates"
        products = self.block_rows(name, self.width, row)(zero)
        states = self.block_rows("states", self.padded(p["outputs"]))(zero)
        self.over_panels(
            "weight", products, self.width, states, p["outputs"], count, self.form.mode == GRU
        )

    def over_panels(
        self, weight: str, a: Value, k: Value, c: Value, columns: Value, count: Value, added: bool
    ) -> None:
        """C[count, columns, padded] = (C +) A[count, k] @ the packed weight."""
        b = self.b
        loop, number = self.each_panel(columns)
        panel = self.panel(weight, number, k)
        target = self.at(c, b.mul(number, self.count(self.tiles.columns)))
        self.product(a, k, panel, target, self.padded(columns), count, k, added)
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
        hidden = self.block_rows("hidden", self.padded(p["units"]))(zero)
        self.over_panels("projection", projected(zero), outputs, hidden, p["units"], count, False)

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
        before = self.block_rows("before", p["outputs"], row)(sequence)
        if self.form.has_cell:
            cell = self.block_rows("c", p["units"])(sequence)
            old = self.block_rows("kept", self.kept_width, earlier)(sequence, starts[4])
            initial = self.block_rows("c0", p["units"])(sequence)
            before = b.select(had_step, old, initial)

        def body(lanes: _Lanes) -> None:
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

        self.over(p["units"], body)

    def back_lstm(
        self, lanes: _Lanes, g: Value, saved: list[Value], before: Value, cell: Value
    ) -> list[Value]:
        b = self.b
        i, f, m, o, now = saved
        shown = tanh(b, now)
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


def recurrence_text(spec: RecurrenceSpec, target: Target) -> str:
    """The module of one recurrence: its cores, and the walk over all steps."""
    walk = (_Backward if spec.gradient else _Forward)(spec, target)
    functions, declarations = [], set()
    for rows in walk.row_counts():
        tile = Tile(rows, walk.tiles.vectors)
        name = f"{spec.name}_{tile.name}"
        text, needed = core_function(tile, walk.tiles.lanes, walk.type, target, name=name)
        functions.append(text)
        declarations |= needed
    functions.append(walk.run())
    declarations |= walk.b.declarations
    header = f'target triple = "{target.triple}"\n'
    return header + "\n".join(sorted(declarations)) + "\n\n" + "\n".join(functions)

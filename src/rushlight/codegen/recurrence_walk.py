"""What both directions of a recurrent layer share: the walk over steps, and their products.

Level 7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rushlight.base.target import Target
from rushlight.codegen.driver import Rows
from rushlight.codegen.emit import LoopHandle, Value
from rushlight.codegen.llvm import KERNEL_ARGUMENTS
from rushlight.codegen.microkernel import UNROLLED
from rushlight.codegen.packing import lane_mask
from rushlight.codegen.panel_driver import Asked, PanelDriver
from rushlight.codegen.recurrent_weights import recurrence_tiles
from rushlight.primitives.recurrence import Form

FORWARD_BUFFERS = ("gates", "h0", "c0", "weight", "bias_input", "bias", "projection", "sizes",
                   "output", "h", "c", "kept", "sums", "crew")  # fmt: skip
BACKWARD_BUFFERS = ("g_output", "g_h", "g_c", "h0", "c0", "weight", "projection", "sizes",
                    "output", "kept", "gates", "products", "before", "projected", "h", "c",
                    "states", "hidden", "factors")  # fmt: skip
# steps, batch, rows, units (H), outputs (O); block: sequences of an iteration, of which there are
# `blocks`; backwards: whether rows are walked from the last step to the first; keeps: whether
# `kept` has all rows, or only one for each sequence; threads: of a crew.
PARAMS = ("steps", "batch", "rows", "units", "outputs", "block", "blocks", "backwards", "keeps",
          "threads")  # fmt: skip
# Bytes of a line of a cache.
LINE = 64
# Steps of a search among the sequences of a batch.
_HALVINGS = 32


@dataclass(frozen=True)
class RecurrenceSpec:
    """What the code depends on; sizes are run-time arguments.  form.reverse does not count.

    crew: whether threads take all sequences through the steps together, each some of the units.
    """

    name: str
    dtype: str
    form: Form
    gradient: bool
    crew: bool = False


class Lanes:
    """Vectors of elements, or the masked rest of a row."""

    def __init__(self, driver: Walk, offset: Value, left: Value | None) -> None:
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


class Walk(PanelDriver):
    """What both directions of time share."""

    def __init__(self, spec: RecurrenceSpec, target: Target) -> None:
        super().__init__(spec.name, spec.dtype, recurrence_tiles(spec.dtype, target), target)
        self.spec, self.form = spec, spec.form
        # Two vectors at a time: each operation of a gate waits for the one before.
        self.wide = 2 * self.tiles.lanes
        # What a product asks for at once.
        self.streams = 2 if spec.gradient else 3
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

    def within(self, sequences: Value) -> Value:
        """How many of the first sequences are the block's."""
        inside = self.b.sub(self.minimum(sequences, self.last), self.first)
        return self.clamp(inside, inside)

    # --- the walk ---

    def run(self) -> str:
        """Blocks of sequences; in each, all steps."""
        b = self.b
        loop = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        one = self.count(1)
        self.block(self.boundary(loop.counter), self.boundary(b.add(loop.counter, one)))
        b.end_loop(loop)
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def block(self, first: Value, last: Value) -> None:
        """All steps of some sequences."""
        b, p = self.b, self.params
        self.first, self.last = first, last
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
        self.turn = steps.counter
        self.turned = b.compare("ne", b.binary("and", steps.counter, self.count(1)), zero)
        if self.spec.gradient:
            earlier, known = self.one_before(steps.counter, time, row, count, forwards)
        self.step(row, self.within(count), earlier, self.within(known))
        after = b.select(forwards, b.add(at, count), row)
        b.end_loop(steps, [after, row, count])
        self.end()

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

    def meet(self) -> None:
        """What was written is read by others now, where several threads take a block together."""

    # --- parts of a step ---

    def block_rows(self, name: str, width: Value, row: Value | None = None) -> Rows:
        """The block's rows of a buffer: of its states, or of a step whose rows begin at `row`."""
        first = self.first if row is None else self.b.add(row, self.first)
        return Rows(self, self.buffers[name], width, first)

    def copy(self, source: Value, target: Value, count: Value) -> None:
        """So many elements that lie side by side."""
        self.over(count, lambda lanes: lanes.store(lanes.load(source), target))

    def over(self, count: Value, body: Callable[[Lanes], None]) -> None:
        """Whole vectors, then the rest."""
        b, zero = self.b, self.count(0)
        main = b.binary("and", count, self.count(-self.wide))
        loop = b.begin_loop(zero, main, self.wide)
        body(Lanes(self, loop.counter, None))
        b.end_loop(loop)
        loop = b.begin_loop(*self.only_if(b.compare("slt", main, count)))
        body(Lanes(self, main, b.sub(count, main)))
        b.end_loop(loop)

    def pieces(self, rows: Rows, column: Value) -> Asked:
        """Asks for the columns of a panel from `column` on, in each of a tile's rows."""
        b = self.b

        def asked(row: Value, count: int, past: Value) -> tuple[Value, Value, Value]:
            last = b.add(row, self.count(count - 1))
            stride = b.mul(rows.stride, self.count(self.size))
            return rows(row, column), stride, rows(last, column)

        return asked

    def whole_rows(self, rows: Rows, number: Value, count: Value, k: Value) -> Asked:
        """Asks for a tile's rows from end to end in the course of `count` products of k steps, of
        which this is `number`; only in the later half, for what is asked early is gone again.
        """
        b = self.b
        half = b.binary("lshr", count, self.count(1))
        late = b.sub(count, half)
        number = self.clamp(b.sub(number, half), late)

        def asked(row: Value, tile: int, past: Value) -> tuple[Value, Value, Value]:
            wide = b.mul(rows.stride, self.count(tile * self.size))
            each = b.binary("udiv", wide, late)
            start = b.pointer_offset(rows(row), b.mul(each, number), "i8")
            step = b.binary("udiv", b.mul(each, self.count(UNROLLED)), k)
            last = b.pointer_offset(start, each, "i8")
            past = b.mul(b.binary("udiv", past, self.count(UNROLLED)), step)
            return b.pointer_offset(start, past, "i8"), step, last

        return asked

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

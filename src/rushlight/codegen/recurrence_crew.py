"""Recurrent layers of few sequences: threads share the units of each step instead of sequences.

With few sequences a core of the contraction would have few rows, and every thread would read all
weights at each step.  Here each reads its own panels of them, mostly the same ones at every step,
and meets the others once a step (crew.py).  The states before a step are read from the outputs of
the last one, where nobody writes any more.  The additions, and so the bits, are those of
recurrence.py.  Level 7.
"""

from __future__ import annotations

from rushlight.base.target import Target
from rushlight.codegen.crew import crew_functions
from rushlight.codegen.driver import Rows
from rushlight.codegen.emit import Value
from rushlight.codegen.llvm import KERNEL_ARGUMENTS
from rushlight.codegen.recurrence import Backward, Forward
from rushlight.codegen.recurrence_walk import Lanes, RecurrenceSpec


class CrewForward(Forward):
    """All steps of all sequences, by several threads; padded sequences without a projection."""

    def run(self) -> str:
        """The kernel of the thread whose number the first iteration is."""
        b, zero = self.b, self.count(0)
        self.thread = Value("%begin", "i64")
        # Whether the caller has left the crew.
        self.gone = b.alloca("i64", 1, 8)
        b.store(zero, self.gone, 8)
        self.block(zero, self.params["batch"])
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def begin(self) -> None:
        self.b.line(f"call void @come({self.buffers['crew'].typed})")

    def step(self, row: Value, count: Value, earlier: Value, known: Value) -> None:
        b, outputs, zero = self.b, self.params["outputs"], self.count(0)
        crew, panels = self.buffers["crew"].typed, self.panels(self.params["units"])
        self.is_first = b.compare("eq", self.turn, zero)
        before = b.select(self.is_first, self.buffers["h0"], self.buffers["output"])
        states = Rows(self, before, outputs, b.select(self.is_first, zero, earlier))
        goal = b.mul(b.add(self.turn, self.count(1)), panels)
        is_open = b.effect(f"call i1 @is_open({crew}, {goal.typed})", "i1", 1)
        gone = b.compare("ne", b.load(self.gone, "i64", 1, 8), zero)
        once = b.begin_loop(*self.only_if(b.binary("and", is_open, b.logic_not(gone))))
        loop = b.begin_loop(zero, panels, 1)
        part = self.part(loop.counter, panels)
        claim = f"call i1 @claim({crew}, {part.typed}, {self.turn.typed})"
        claimed = b.begin_loop(*self.only_if(b.effect(claim, "i1", 1)))
        self.panel_of_units(row, count, states, part)
        b.line(f"call void @finish({crew})")
        b.end_loop(claimed)
        b.end_loop(loop)
        stays = b.effect(f"call i1 @stays({crew}, {goal.typed})", "i1", 1)
        b.store(b.select(stays, zero, self.count(1)), self.gone, 8)
        b.end_loop(once)

    def part(self, number: Value, panels: Value) -> Value:
        """The panel that a thread asks for as its so-manieth: two threads come from both ends of
        their part of the panels, so that each mostly meets its own.
        """
        b, one, threads = self.b, self.count(1), self.params["threads"]
        is_odd = b.compare("ne", b.binary("and", self.thread, one), self.count(0))
        pair = b.binary("and", self.thread, self.count(-2))
        low = b.binary("udiv", b.mul(pair, panels), threads)
        high = b.binary("udiv", b.mul(b.add(pair, self.count(2)), panels), threads)
        down = b.add(b.sub(self.minimum(high, panels), one), b.sub(panels, number))
        return b.binary("urem", b.select(is_odd, down, b.add(low, number)), panels)

    def sums(self) -> Rows:
        """Each thread has its own."""
        stride = self.count(self.form.gates * self.tiles.columns)
        first = self.b.mul(self.thread, self.params["batch"])
        return Rows(self, self.buffers["sums"], stride, first)

    def own_states(self, sequence: Value, unit: Value) -> tuple[Value, Value]:
        name, width = ("c", "units") if self.form.has_cell else ("h", "outputs")
        first, later = (self.block_rows(n, self.params[width])(sequence, unit)
                        for n in (name + "0", name))  # fmt: skip
        return self.b.select(self.is_first, first, later), later

    def leave_state(self, lanes: Lanes, after: Value, sequence: Value, unit: Value) -> None:
        lanes.store(after, self.block_rows("h", self.params["outputs"])(sequence, unit))


def recurrence_text(spec: RecurrenceSpec, target: Target) -> str:
    """The module of one recurrence: its cores, and the walk over all steps."""
    if spec.crew:
        crew = CrewForward(spec, target)
        functions, declarations = crew_functions(target)
        return crew.module([functions, crew.run()], declarations)
    walk = (Backward if spec.gradient else Forward)(spec, target)
    return walk.module([walk.run()])

"""Recurrent layers over a grid of threads: a block takes one sequence through all its steps.

The walk is that of `codegen/recurrence.py`; here the elements of a row are shared out over the
threads of a block, which wait for one another where one reads what another wrote.  A thread adds
the products of one column in the order of the contraction cores, so the bits are the CPU's.
Level 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rushlight.codegen.driver import Rows
from rushlight.codegen.emit import LoopHandle, Value
from rushlight.codegen.grid import (
    BLOCK_BARRIER,
    PLACE,
    THREAD,
    VECTOR_TARGET,
    GridKernel,
    collective,
)
from rushlight.codegen.microkernel import K_BLOCK
from rushlight.codegen.panel_driver import Asked
from rushlight.codegen.recurrence import Backward, Forward
from rushlight.codegen.recurrence_walk import (
    BACKWARD_BUFFERS,
    FORWARD_BUFFERS,
    PARAMS,
    Lanes,
    RecurrenceSpec,
    Walk,
)
from rushlight.primitives.recurrence import GRU

# Columns of a panel of packed weights: each thread has one.
THREADS = 128


class _GridWalk(Walk):
    """What a block of threads does otherwise than one thread of the CPU."""

    def __init__(self, spec: RecurrenceSpec) -> None:
        super().__init__(spec, VECTOR_TARGET)
        self.tiles = replace(self.tiles, lanes=THREADS, vectors=1)
        self.wide = 1
        self.thread = self.b.convert("zext", Value(THREAD, "i32"), "i64")
        self.place = self.b.convert("zext", Value(PLACE, "i32"), "i64")

    def word(self, array: str, position: int, type_: str) -> Value:
        """An argument of the kernel."""
        return Value(f"%{array[0]}{position}", type_)

    def lines(self) -> str:
        """The text of the kernel's body."""
        self.block(self.place, self.b.add(self.place, self.count(1)))
        return "\n".join(self.b.regions[0].lines)

    def meet(self) -> None:
        """The threads wait for one another."""
        collective(self.b, "", BLOCK_BARRIER)

    def over(self, count: Value, body: Callable[[Lanes], None]) -> None:
        """Every thread takes each so many-th element."""
        loop = self.b.begin_loop(self.thread, count, THREADS)
        body(Lanes(self, loop.counter, None))
        self.b.end_loop(loop)

    def each_panel(self, columns: Value) -> tuple[LoopHandle, Value]:
        """A loop over panels, and the number of one."""
        loop = self.b.begin_loop(self.count(0), self.panels(columns), 1)
        return loop, loop.counter

    def product(
        self, a: Value, a_row: Value, panel: Value, c: Value, c_row: Value, count: Value, k: Value,
        added: bool | Value = False, ahead: Sequence[Asked] = (), a_step: Value | None = None,
    ) -> None:  # fmt: skip
        """A thread's column of C[count, columns of a panel] = (C +) A[count, k] @ panel."""
        b = self.b
        columns, zero = self.count(THREADS), self.count(0)
        rows = b.begin_loop(zero, count, 1)
        source = self.at(a, b.mul(rows.counter, a_row))
        target = self.at(c, b.mul(rows.counter, c_row), self.thread)
        nothing = b.const(0.0, self.type)
        before = b.load(target, self.type, 1, self.size) if added else nothing
        blocks = b.begin_loop(zero, k, K_BLOCK, [before])
        k0 = blocks.counter
        steps = self.minimum(b.sub(k, k0), self.count(K_BLOCK))
        each = b.begin_loop(zero, steps, 1, [nothing])
        at = b.add(k0, each.counter)
        x = b.load(self.at(source, b.mul(at, a_step) if a_step else at), self.type, 1, self.size)
        y = b.load(self.at(panel, b.mul(at, columns), self.thread), self.type, 1, self.size)
        (total,) = b.end_loop(each, [b.fma(x, y, each.values[0])])
        more = b.add(blocks.values[0], total)
        if not added:
            more = b.select(b.compare("eq", k0, zero), total, more)
        (total,) = b.end_loop(blocks, [more])
        b.store(total, target, self.size)
        b.end_loop(rows)


class _Forward(_GridWalk, Forward):
    pass


class _Backward(_GridWalk, Backward):
    copies = False

    def factors(self, row: Value) -> Rows:
        """They are read where they lie."""
        name = "products" if self.form.mode == GRU else "gates"
        return self.block_rows(name, self.width, row)


def recurrence_kernel(spec: RecurrenceSpec) -> GridKernel:
    """The kernel of a recurrence over sequences, each a block's."""
    walk = (_Backward if spec.gradient else _Forward)(spec)
    body = walk.lines()
    buffers = len(BACKWARD_BUFFERS if spec.gradient else FORWARD_BUFFERS)
    return GridKernel(
        spec.name, buffers, 0, (False,) * len(PARAMS), THREADS, 1, body,
        tuple(sorted(walk.b.declarations)), True, 0, False,
    )  # fmt: skip

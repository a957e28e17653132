"""Operations that are kernels of their own: the means to write them down.  Level 6.

A rule takes a `Maker` and the operation's value and adds nests, which run in order.  An index read
from memory is brought inside its bounds before it is used, and a nest that runs first says whether
that changed it: one flag for each such operand, which the engine looks at after the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rushlight.base.dtypes import bool_, float32
from rushlight.base.shapes import contiguous_strides, numel
from rushlight.base.symbolic import smallest
from rushlight.loopnest.ir import (
    PARALLEL,
    SERIAL,
    VECTOR,
    Accumulator,
    Buffer,
    Cast,
    Const,
    Expr,
    Kernel,
    Let,
    Load,
    Loop,
    Reduce,
    Stmt,
    Store,
    Var,
    call,
    reduce_lanes,
)
from rushlight.lowering.arguments import Arguments
from rushlight.lowering.bounds import known_below
from rushlight.lowering.group import COLUMN_PIECE, FLAT_PIECE, Nest
from rushlight.lowering.position import ZERO
from rushlight.lowering.scalars import HALF
from rushlight.lowering.table import Alone
from rushlight.tape.primitive import VARIADIC
from rushlight.tape.program import OPERATION, SCALAR_LEAF, Program, Value


class Checks:
    """The flags of a plan: `slot` is their buffer's, `count` how many there are.

    done: (slot of an index, size, whether it counts from the end) of what has a flag.
    """

    def __init__(self) -> None:
        self.slot: int | None = None
        self.count = 0
        self.done: set[tuple[int, int, bool]] = set()

    def add(self, program: Program) -> int:
        """The place of a new flag."""
        if self.slot is None:
            self.slot = program.new_value((1,), bool_).slot
        self.count += 1
        return self.count - 1


def nests_alone(value: Value, program: Program, checks: Checks) -> list | None:
    """The nests (and sorts) of an operation that has its own kernels; None if it has not."""
    if value.source != OPERATION or not isinstance(value.primitive.lowering, Alone):
        return None
    row = value.primitive.lowering
    operands = [program.values[slot] for slot in value.inputs]
    if any(not v.dtype.is_lowered for v in (value, *operands)) or value.numel == 0:
        return None
    # Nothing is joined of an empty operand; elsewhere emptiness has rules of its own.
    if value.primitive.arity != VARIADIC and any(v.numel == 0 for v in operands):
        return None
    if row.refuses(value, operands):
        return None
    maker = Maker(program, checks)
    row.rule(maker, value)
    return maker.nests


@dataclass(frozen=True)
class Axis:
    """An axis of a loop: its size, and the step that each walker takes along it."""

    size: int
    steps: tuple[int, ...]


def axes_of(shape: Sequence[int], *strides: Sequence[int]) -> list[Axis]:
    """Axes without those of size 1, at least one; neighbors that all cross as one are joined."""
    found: list[Axis] = []
    for size, *steps in zip(shape, *strides):
        if size == 1:
            continue
        if found and all(s == size * t for s, t in zip(found[-1].steps, steps)):
            found[-1] = Axis(found[-1].size * size, tuple(steps))
        else:
            found.append(Axis(size, tuple(steps)))
    return found or [Axis(1, (0,) * len(strides))]


def split_at(shape: Sequence[int], axis: int) -> tuple[int, int, int]:
    """(elements before the axis, its size, elements after it)."""
    return numel(tuple(shape[:axis])), shape[axis], numel(tuple(shape[axis + 1 :]))


def broadcast_steps(shape: Sequence[int], operand: Sequence[int]) -> list[int]:
    """The strides of a contiguous operand that is broadcast to `shape`."""
    strides = contiguous_strides(tuple(operand))
    steps = [0 if n == 1 else s for n, s in zip(operand, strides)]
    return [0] * (len(shape) - len(steps)) + steps


def _is_one(size: int) -> bool:
    """Whether a size is 1; one that varies is not known to be."""
    return size.__class__ is int and size == 1


class Maker(Arguments):
    """Makes the nests of one operation."""

    def __init__(self, program: Program, checks: Checks) -> None:
        super().__init__()
        self.program = program
        self.checks = checks
        self.nests: list[Nest] = []

    def begin(self) -> None:
        """Forget what was collected for a nest: another one is made from now on."""
        super().begin()
        self.loaded: set[int] = set()
        self.stored: set[int] = set()
        self.lets = 0

    # ---- expressions ---------------------------------------------------------------------------

    def operand(self, value: Value, position: int) -> Value:
        """The operand at `position`."""
        return self.program.values[value.inputs[position]]

    def results(self, value: Value, names: Sequence[str]) -> tuple[dict[str, int], set[str]]:
        """(slots of an operation's results by name, the names of those that the program has);
        others get memory for the run alone."""
        program = self.program
        seen: dict[int, int] = {}
        for slot in program.users[value.slot]:
            seen.setdefault(program.values[slot].index, slot)
        found: dict[str, int] = {}
        for index, (name, output) in enumerate(zip(names, value.outputs)):
            if index in seen:
                found[name] = seen[index]
            else:
                found[name] = program.new_value(output.shape, output.dtype).slot
        return found, {names[index] for index in seen}

    def load(self, value: Value, index: Expr) -> Expr:
        """One element of a value."""
        if value.source == SCALAR_LEAF:
            return self.scalar(value)
        self.loaded.add(value.slot)
        return Load(self.buffer(value.slot), ZERO if value.numel == 1 else index, value.dtype.name)

    def store(self, value: Value, index: Expr, element: Expr) -> Store:
        """Writing one element, converted to the value's dtype."""
        self.stored.add(value.slot)
        dtype = value.dtype.name
        return Store(
            self.buffer(value.slot),
            index,
            element if element.dtype == dtype else Cast(element, dtype),
        )

    def bind(self, element: Expr) -> tuple[Let, Var]:
        """A name for an expression."""
        self.lets += 1
        name = f"v{self.lets}"
        return Let(name, element), Var(name, element.dtype)

    def temporary(self, like: Value) -> Value:
        """Memory of a value's shape in which 16-bit floats have their arithmetic form."""
        dtype = float32 if like.dtype.name in HALF else like.dtype
        return self.program.new_value(like.shape, dtype)

    # ---- indices from memory ---------------------------------------------------------------------

    def checked(self, index: Value, size: int, *, from_end: bool = False) -> None:
        """Adds the nest that sets a flag where an element of `index` is out of bounds."""
        below = known_below(index, self.program)
        if below is not None and below <= size:
            return
        if size.__class__ is int:  # of sizes that vary it is not known which are equal
            asked = index.slot, size, from_end
            if asked in self.checks.done:
                return
            self.checks.done.add(asked)
        self.flagged(index, lambda c: self.bounded(index, c, size, from_end=from_end)[1])

    def flagged(self, operand: Value, wrong: Callable[[Expr], Expr]) -> None:
        """Adds the nest that sets a flag where `wrong`, of the place in an operand, is true."""
        flag = self.checks.add(self.program)
        slot = self.checks.slot
        assert slot is not None
        accumulator = Accumulator(("a",), "or", wrong(Var("c")))
        lanes = reduce_lanes("bool")
        reduce = Reduce("c", self.size(operand.numel), lanes, (), (accumulator,))
        store = self.store(self.program.values[slot], self.size(flag), Var("a", "bool"))
        self.finish((reduce, store), 1)

    def bounded(
        self, index: Value, position: Expr, size: int, *, from_end: bool = False
    ) -> tuple[Expr, Expr]:
        """(an element of `index`, inside its bounds for an axis; whether it was outside).

        from_end: whether negative ones count from the axis's end; else they are outside.
        """
        given = self.load(index, position)
        count = self.size(size)
        counted = given
        if from_end:
            counted = call("where", call("lt", given, ZERO), given + count, given)
        inside = call("maximum", call("minimum", counted, count - Const(1, "int64")), ZERO)
        wrong = call("or", call("lt", counted, ZERO), call("ge", counted, count))
        return inside, wrong

    # ---- loops -----------------------------------------------------------------------------------

    def loops(
        self,
        shared: Sequence[int],
        ordered: Sequence[int],
        inner: int,
        body: Callable[[list[Expr], list[Expr], Expr], Sequence[Stmt]],
        before: Callable[[list[Expr], list[Expr]], Sequence[Stmt]] = lambda shared, ordered: (),
    ) -> None:
        """Adds a nest: `shared` axes among threads, then `ordered` axes in order, then vectors.

        body: function of the indices of the three to statements; before: those that stand outside
        of the vector loop.
        """
        rows = numel(tuple(shared))
        pieces, piece = 1, FLAT_PIECE if not ordered else COLUMN_PIECE
        # Not "more than one", which would be a guard: loops may run once where sizes vary.
        split = rows == 1 and inner != 1
        if split:
            pieces = -(-inner // piece)
        r = Var("r")
        outer: list[Expr] = [ZERO] * len(shared)
        if not split:
            outer = self._decoded(r if rows != 1 else ZERO, shared)
        c = r * Const(piece, "int64") + Var("c") if split else Var("c")
        variables: list[Expr] = [Var(f"k{i}") for i in range(len(ordered))]
        first = tuple(before(outer, variables))
        if inner == 1:
            statements = (*first, *body(outer, variables, ZERO))
        else:
            width = self.size(inner)
            if split:
                width = call("minimum", Const(piece, "int64"), width - r * Const(piece, "int64"))
            loop = Loop("c", width, VECTOR, tuple(body(outer, variables, c)))
            statements = (*first, loop)
        for place in range(len(ordered) - 1, -1, -1):
            statements = (Loop(f"k{place}", self.size(ordered[place]), SERIAL, statements),)
        extent = pieces if split else rows
        if split or rows != 1:
            statements = (Loop("r", self.extent(extent), PARALLEL, statements),)
        work = numel(tuple(ordered)) * (smallest([inner, piece]) if split else inner)
        self.finish(statements, extent, work)

    def _decoded(self, r: Expr, sizes: Sequence[int]) -> list[Expr]:
        result: list[Expr] = [ZERO] * len(sizes)
        rest = r
        for place in range(len(sizes) - 1, -1, -1):
            if _is_one(sizes[place]):
                continue
            if all([_is_one(size) for size in sizes[:place]]):
                result[place] = rest
            else:
                size = self.count(sizes[place])
                result[place] = call("mod", rest, size)
                rest = call("floordiv", rest, size)
        return result

    def place(self, axes: Sequence[Axis], indices: Sequence[Expr], walker: int) -> Expr:
        """Where a walker is, from the index of each axis."""
        total: Expr = ZERO
        for axis, index in zip(axes, indices):
            if axis.steps[walker] != 0:
                total = total + index * self.size(axis.steps[walker])
        return total

    def finish(self, body: Sequence[Stmt], extent: int, work: int = 1) -> None:
        """Adds the nest whose expressions were made since the last one."""
        slots = list(self.buffer_names)
        buffers = tuple(
            Buffer(self.buffer_names[s], self.program.values[s].dtype.name, self._access(s))
            for s in slots
        )
        kernel = Kernel("kernel", buffers, tuple(self.params), tuple(body))
        self.nests.append(Nest(kernel, slots, set(self.stored), self.words, extent, work))
        self.begin()

    def _access(self, slot: int) -> str:
        if slot not in self.stored:
            return "in"
        return "inout" if slot in self.loaded else "out"

    # ---- common nests ----------------------------------------------------------------------------

    def copy(self, source: Value, target: Value) -> None:
        """Adds the nest that fills `target` with the elements of `source`, converted."""
        axes = axes_of(target.shape, broadcast_steps(target.shape, source.shape))
        self.each(axes, lambda at: [self.store(target, at[-1], self.load(source, at[0]))])
        # One element is no loop, and would be copied whatever the extent.
        alike = source.dtype is target.dtype and source.shape == target.shape
        if alike and source.source != SCALAR_LEAF and axes != [Axis(1, (0,))]:
            self.nests[-1].copies = source.slot, target.slot

    def fill(self, target: Value, number: float) -> None:
        """Adds the nest that sets all elements of `target`."""
        constant = Const(number, target.dtype.name)
        self.loops((), (), target.numel, lambda o, k, c: [self.store(target, c, constant)])

    def each(self, axes: list[Axis], body: Callable[[list[Expr]], Sequence[Stmt]]) -> None:
        """Adds the nest over all positions of `axes`.

        body: function of where each walker is, and last the row-major position.
        """
        flat = contiguous_strides(tuple(a.size for a in axes))
        axes = [Axis(a.size, (*a.steps, s)) for a, s in zip(axes, flat)]
        walkers = range(len(axes[0].steps))
        outer = axes[:-1]
        inner = axes[-1]

        def statements(shared, ordered, c) -> Sequence[Stmt]:
            return body([self.place(axes, [*shared, c], w) for w in walkers])

        self.loops([a.size for a in outer], (), inner.size, statements)

"""One loop nest for each group of the schedule.  Level 6.

What a launch must pass is listed beside the kernel: buffers by slot, and words that are fixed by
the plan or read from a scalar leaf.  A row passes through all stages of its group while it is in
cache; what only a later stage of the same row reads lies in scratch memory of one row.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.dtypes import dtype_by_name
from rushlight.base.errors import InternalError
from rushlight.base.shapes import numel
from rushlight.base.symbolic import largest
from rushlight.loopnest.ir import (
    PARALLEL,
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
    Scratch,
    Stmt,
    Store,
    Var,
    call,
    itemsize,
    reduce_lanes,
)
from rushlight.lowering.arguments import Word
from rushlight.lowering.expressions import ExpressionBuilder
from rushlight.lowering.position import ZERO, Position
from rushlight.lowering.scalars import HALF
from rushlight.lowering.table import scalar_rule
from rushlight.schedule.access import Unreachable, reads
from rushlight.schedule.fusion import (
    COLUMNS,
    FULL,
    REDUCED,
    ROW_VALUE,
    SPLIT_PIECE,
    Group,
    Member,
    Schedule,
    is_split,
    reduced_tail,
    tails_of,
)
from rushlight.tape.program import OPERATION, Program, Value

# Elements of one piece of a flat elementwise kernel: small enough to share among threads, large
# enough that its launch does not count.
FLAT_PIECE = 8192
# Columns of a sum over rows that a thread takes at once: whole lines, four vectors of any machine.
COLUMN_PIECE = 64

# Scratch of one kernel: it lies on the stack of a thread and should stay in a first or second
# level of cache.  Longer rows go through memory.
MOST_SCRATCH = 128 << 10

_BOOL_REDUCTION = {"max": "or", "min": "and"}


@dataclass
class Nest:
    """A kernel and its arguments.

    buffers: slots in the order of kernel.buffers; written: those it writes.
    words: the values of kernel.params.
    extent: iterations of the parallel loop (1 without one).
    row_elements: about how many elements one iteration of it handles.
    copies: (slot, slot) of a nest that fills the second with the elements of the first and does
        nothing else; it does nothing at an extent of 0.
    """

    kernel: Kernel
    buffers: list[int]
    written: set[int]
    words: list[Word]
    extent: int
    row_elements: int
    copies: tuple[int, int] | None = None


def can_lower(value: Value, program: Program) -> bool:
    """Whether an operation can be part of a generated kernel."""
    if scalar_rule(value.primitive, value.dtype) is None:
        return False
    if not value.dtype.is_lowered or value.numel == 0:
        return False
    return not any(
        not program.values[s].dtype.is_lowered or program.values[s].numel == 0 for s in value.inputs
    )


class NestBuilder(ExpressionBuilder):
    """Builds the nest of one group.

    stored: members that get memory; kept_row: members whose row lies in scratch, by its name.
    column: the position inside the row that the open loop is at.
    """

    def __init__(self, schedule: Schedule, group: Group) -> None:
        super().__init__(schedule)
        self.group = group
        self.written: set[int] = set()
        self.stored: set[int] = set()
        self.kept_row: dict[int, str] = {}
        self.scratch: list[tuple[str, str]] = []
        self.column: Expr = ZERO
        self._place_members()

    # ---- where members lie ---------------------------------------------------------------------

    def _place_members(self) -> None:
        """Memory for what is live or read by another group; scratch for what a later stage reads.

        Everything else is only bound to a name.
        """
        passed_on: list[tuple[Member, int]] = []
        for slot, member in self.group.members.items():
            readers = self.schedule.readers.get(slot, ())
            if member.value.live or any(group is not self.group for group, _ in readers):
                self.stored.add(slot)
            elif member.role == FULL:
                last = max((reader.stage for _, reader in readers), default=member.stage)
                if last > member.stage:
                    passed_on.append((member, last))
        if passed_on and not self._place_rows(passed_on):
            self.kept_row.clear()
            self.scratch.clear()
            self.stored.update(member.value.slot for member, _ in passed_on)

    def _place_rows(self, passed_on: list[tuple[Member, int]]) -> bool:
        """Rows of scratch, used again after the last stage that reads them; False: too many."""
        free_after: list[int] = []
        for member, last in sorted(passed_on, key=lambda item: item[0].stage):
            dtype = member.value.dtype.name
            place = 0
            while place < len(self.scratch):
                if self.scratch[place][1] == dtype and free_after[place] < member.stage:
                    break
                place += 1
            else:
                self.scratch.append((f"t{place}", dtype))
                free_after.append(last)
            free_after[place] = last
            self.kept_row[member.value.slot] = self.scratch[place][0]
        row_bytes = sum(itemsize(dtype) for _, dtype in self.scratch)
        return row_bytes * self.group.columns <= MOST_SCRATCH

    def element(self, slot: int, position: Position) -> Expr:
        """One element of a value."""
        slot = self.schedule.memory(slot)
        if slot in self.kept_row and slot not in self.bound:
            dtype = self.program.values[slot].dtype.name
            return Load(self.kept_row[slot], self.column, dtype)
        return super().element(slot, position)

    def _keep(self, member: Member, place: Expr) -> list[Stmt]:
        """The statement that puts a computed member where later stages or groups find it."""
        slot = member.value.slot
        if slot in self.kept_row:
            return [Store(self.kept_row[slot], self.column, self.bound[slot])]
        if slot not in self.stored:
            return []
        self.written.add(slot)
        return [Store(self.buffer(slot), place, self.bound[slot])]

    # ---- rows ----------------------------------------------------------------------------------

    def build(self) -> Nest:
        """The nest of the group."""
        if self.group.kind == COLUMNS:
            return self._columns()
        members = list(self.group.members.values())
        flat = not self.group.has_reduction and self.group.rows == 1 and self.group.columns > 1
        if flat:
            return self._flat(members)
        return self._rows(members)

    def _flat(self, members: list[Member]) -> Nest:
        total = self.group.columns
        r, c = Var("r"), Var("c")
        piece = Const(FLAT_PIECE, "int64")
        index = r * piece + c
        count = self.size(total)
        body = self._full_members(members, 0, lambda m: self._flat_position(m, index))
        extent = call("minimum", piece, count - r * piece)
        loop = Loop("r", self._pieces(total), PARALLEL, (Loop("c", extent, VECTOR, tuple(body)),))
        return self._nest((loop,), -(-total // FLAT_PIECE))

    def _pieces(self, total: int) -> Expr:
        return self.extent(-(-total // FLAT_PIECE))

    def _flat_position(self, member: Member, index: Expr) -> Position:
        shape = member.value.shape
        tail = self._tail(member)
        # The axes before the inner ones are of size 1.
        lead: list[Expr] = [ZERO] * (len(shape) - tail)
        return Position(shape, lead, index, tail, index, self.size)

    def _rows(self, members: list[Member]) -> Nest:
        rows, columns = self.group.rows, self.group.columns
        width = self.size(columns)
        r = ZERO if rows == 1 else Var("r")
        body: list[Stmt] = []
        last = max(m.stage for m in members)
        for stage in range(last + 1):
            body += self._stage(members, stage, r, width, columns)
        if rows == 1:
            return self._nest(tuple(body), 1)
        return self._nest((Loop("r", self.size(rows), PARALLEL, tuple(body)),), rows)

    def _stage(self, members, stage: int, r: Expr, width: Expr, columns: int) -> list[Stmt]:
        full = [m for m in members if m.stage == stage and m.role == FULL]
        reduced = [m for m in members if m.stage == stage and m.role == REDUCED]
        name = self.fresh("c")
        c: Expr = ZERO if columns == 1 and not reduced else Var(name)
        self.column = c

        def position(member: Member) -> Position:
            return self._row_position(member, r, c, width)

        statements: list[Stmt] = []
        if reduced:
            statements += self._reduce_loops(full, reduced, name, width, position, stage)
        elif full:
            body = self._full_members(full, stage, position)
            if columns == 1:
                statements += body
            else:
                statements.append(Loop(name, width, VECTOR, tuple(body)))
        for member in full:
            self.bound.pop(member.value.slot, None)
        for member in members:
            if member.stage == stage and member.role == ROW_VALUE:
                statements += self._row_value(member, r)
        return statements

    def _row_position(self, member: Member, r: Expr, c: Expr, width: Expr) -> Position:
        shape = self._domain(member)
        tail = self._tail(member)
        lead = self._decoded(r, shape[: len(shape) - tail])
        return Position(shape, lead, c, tail, r * width + c, self.size)

    def _domain(self, member: Member):
        if member.role == REDUCED:
            return tuple(self.program.values[member.value.inputs[0]].shape)
        return tuple(member.value.shape)

    def _tail(self, member: Member) -> int:
        """The number of inner axes over which everything the member reads is reachable."""
        shape = self._domain(member)
        value = member.value
        if member.role == REDUCED:
            value = self.program.values[value.inputs[0]]
        for tail in reversed(tails_of(shape, self.group.columns)):
            if value.source != OPERATION or (
                value.slot in self.schedule.buffers and member.role == REDUCED
            ):
                return tail
            try:
                reads(self.program, value, self.schedule.buffers.__contains__, tail)
            except Unreachable:
                continue
            return tail
        raise InternalError(f"{value} has no inner loop of {self.group.columns}")

    def _decoded(self, r: Expr, shape) -> list[Expr]:
        """The outer axes' indices from the row number."""
        significant = [a for a, n in enumerate(shape) if n != 1]
        result: list[Expr] = [ZERO] * len(shape)
        rest: Expr = r
        for axis in reversed(significant):
            if axis == significant[0]:
                result[axis] = rest
            else:
                size = self.count(shape[axis])
                result[axis] = call("mod", rest, size)
                rest = call("floordiv", rest, size)
        return result

    def _full_members(self, members, stage: int, position) -> list[Stmt]:
        statements: list[Stmt] = []
        for member in members:
            slot = member.value.slot
            place = position(member)
            name = self.fresh("v")
            statements.append(Let(name, self.computed(member.value, place)))
            self.bound[slot] = Var(name, member.value.dtype.name)
            statements += self._keep(member, place.flat())
        return statements

    def _reduce_loops(self, full, reduced, variable, width, position, stage) -> list[Stmt]:
        """One loop for the reductions of each lane count; the first also makes the full members."""
        statements: list[Stmt] = []
        by_lanes: dict[int, list[Member]] = {}
        for member in reduced:
            by_lanes.setdefault(reduce_lanes(_accumulating(member.value)), []).append(member)
        for lanes, together in by_lanes.items():
            body = self._full_members(full, stage, position)
            if statements:
                body = [s for s in body if not isinstance(s, Store)]
            accumulators = [self._accumulator(m, position(m)) for m in together]
            statements.append(Reduce(variable, width, lanes, tuple(body), tuple(accumulators)))
            for member, accumulator in zip(together, accumulators):
                statements += self._finish_reduction(member, accumulator)
        return statements

    def _accumulator(self, member: Member, position: Position) -> Accumulator:
        value = member.value
        element = self.element(value.inputs[0], position)
        operation = value.primitive.lowering
        if element.dtype == "bool":
            operation = _BOOL_REDUCTION.get(operation, operation)
        if element.dtype in HALF:
            element = Cast(element, "float32")
        if operation in ("argmax", "argmin"):
            if element.dtype == "bool":  # places are sought among numbers
                element = Cast(element, "uint8")
            return Accumulator((self.fresh("m"), self.fresh("i")), operation, element)
        return Accumulator((self.fresh("a"),), operation, element)

    def _finish_reduction(self, member: Member, accumulator: Accumulator) -> list[Stmt]:
        value = member.value
        dtype = "int64" if len(accumulator.names) == 2 else accumulator.value.dtype
        result: Expr = Var(accumulator.names[-1], dtype)
        if dtype != value.dtype.name:
            result = Cast(result, value.dtype.name)
        name = self.fresh("v")
        self.bound[value.slot] = Var(name, value.dtype.name)
        return [Let(name, result), *self._keep(member, ZERO if self.group.rows == 1 else Var("r"))]

    def _row_value(self, member: Member, r: Expr) -> list[Stmt]:
        value = member.value
        shape = tuple(value.shape)
        position = Position(shape, self._decoded(r, shape), None, 0, r, self.size)
        name = self.fresh("v")
        element = self.computed(value, position)
        self.bound[value.slot] = Var(name, value.dtype.name)
        return [Let(name, element), *self._keep(member, r)]

    def split(self, partial: dict[int, Value], pieces: int) -> Nest:
        """The nest that reduces each piece of each row, and makes the full members."""
        rows, columns = self.group.rows, self.group.columns
        members = list(self.group.members.values())
        full = [m for m in members if m.role == FULL]
        reduced = [m for m in members if m.role == REDUCED]
        count, width = self.size(pieces), self.size(columns)
        block = Var("r")
        r = ZERO if rows == 1 else call("floordiv", block, count)
        piece = block if rows == 1 else call("mod", block, count)
        length = Const(SPLIT_PIECE, "int64")
        c = Var("c")
        inside = piece * length + c
        extent = call("minimum", length, width - piece * length)

        def position(member: Member) -> Position:
            shape = self._domain(member)
            tail = self._tail(member)
            lead = self._decoded(r, shape[: len(shape) - tail])
            return Position(shape, lead, inside, tail, r * width + inside, self.size)

        body = self._full_members(full, 0, position)
        accumulators = [self._accumulator(m, position(m)) for m in reduced]
        lanes = reduce_lanes(accumulators[0].value.dtype)
        statements: list[Stmt] = [Reduce("c", extent, lanes, tuple(body), tuple(accumulators))]
        for member, accumulator in zip(reduced, accumulators):
            slot = partial[member.value.slot].slot
            self.written.add(slot)
            result = Var(accumulator.names[0], accumulator.value.dtype)
            statements.append(Store(self.buffer(slot), block, result))
        total = self.size(rows * pieces)
        return self._nest((Loop("r", total, PARALLEL, tuple(statements)),), rows * pieces)

    def join(self, partial: dict[int, Value], pieces: int) -> Nest:
        """The nest that combines the pieces and computes the row values."""
        members = list(self.group.members.values())
        rows = self.group.rows
        r = ZERO if rows == 1 else Var("r")
        count = self.size(pieces)
        body: list[Stmt] = []
        for member in members:
            if member.role != REDUCED:
                continue
            c = Var(self.fresh("c"))
            source = partial[member.value.slot]
            load = Load(self.buffer(source.slot), r * count + c, source.dtype.name)
            operation = member.value.primitive.lowering
            accumulator = Accumulator((self.fresh("a"),), operation, load)
            lanes = reduce_lanes(source.dtype.name)
            body.append(Reduce(c.name, count, lanes, (), (accumulator,)))
            body += self._finish_reduction(member, accumulator)
        for member in members:
            if member.role == ROW_VALUE:
                body += self._row_value(member, r)
        if rows == 1:
            return self._nest(tuple(body), 1)
        return self._nest((Loop("r", self.size(rows), PARALLEL, tuple(body)),), rows)

    # ---- reductions along outer axes -------------------------------------------------------------

    def _columns(self) -> Nest:
        (member,) = self.group.members.values()
        value = member.value
        shape = self._domain(member)
        axes = value.params[0] if isinstance(value.params[0], tuple) else (value.params[0],)
        kept = [a for a in range(len(shape)) if a not in axes]
        inner = kept[-1] if kept and kept[-1] == len(shape) - 1 and shape[-1] > 1 else None
        outer = [a for a in kept if a != inner]
        rows = numel(tuple(shape[a] for a in outer))
        r = ZERO if rows == 1 else Var("r")
        index: list[Expr] = [ZERO] * len(shape)
        for axis, expr in zip(outer, self._decoded(r, tuple(shape[a] for a in outer))):
            index[axis] = expr
        place: Expr = r
        if inner is not None and rows == 1:
            return self._column_pieces(member, shape, list(axes), index, inner)
        if inner is not None:
            index[inner] = Var("c")
            place = r * self.size(shape[inner]) + Var("c")
        body = self._nested_reduction(member, shape, list(axes), index, inner is None)
        result = body.pop()
        self.written.add(value.slot)
        body.append(Store(self.buffer(value.slot), place, result))
        statements: list[Stmt] = body
        if inner is not None:
            statements = [Loop("c", self.size(shape[inner]), VECTOR, tuple(body))]
        if rows == 1:
            return self._nest(tuple(statements), 1)
        return self._nest((Loop("r", self.size(rows), PARALLEL, tuple(statements)),), rows)

    def _column_pieces(self, member, shape, axes, index: list[Expr], inner: int) -> Nest:
        """The columns of a single row of results, shared among threads piece by piece."""
        width = shape[inner]
        piece = Const(COLUMN_PIECE, "int64")
        first = Var("r") * piece
        index[inner] = place = first + Var("c")
        body = self._nested_reduction(member, shape, axes, index, False)
        result = body.pop()
        slot = member.value.slot
        self.written.add(slot)
        body.append(Store(self.buffer(slot), place, result))
        extent = call("minimum", piece, self.size(width) - first)
        columns = Loop("c", extent, VECTOR, tuple(body))
        pieces = -(-width // COLUMN_PIECE)
        return self._nest((Loop("r", self.extent(pieces), PARALLEL, (columns,)),), pieces)

    def _nested_reduction(self, member, shape, axes, index, lanes_inside) -> list:
        """Nested Reduce statements, and last the expression of the result.

        The last axes, where they are reduced, are one axis: its neighbors lie side by side.
        """
        tail = reduced_tail(member.value, shape)
        if tail > 1:
            axes = axes[: len(axes) - tail + 1]
        cut = len(shape) - max(tail, 1)
        sizes = {axis: shape[axis] for axis in axes}
        if tail > 1:
            sizes[cut] = numel(tuple(shape[cut:]))
        variables = {axis: Var(f"k{axis}") for axis in axes}
        for axis, variable in variables.items():
            index[axis] = variable
        position = Position(shape, index, None, 0, None, self.size)
        if tail > 1:
            position = Position(shape, index[:cut], variables[cut], tail, None, self.size)
        accumulator = self._accumulator(member, position)
        operation = accumulator.op
        if len(accumulator.names) == 2:
            (axis,) = axes
            lanes = reduce_lanes(accumulator.value.dtype) if lanes_inside else 1
            name, extent = variables[axis].name, self.size(sizes[axis])
            reduce = Reduce(name, extent, lanes, (), (accumulator,))
            return [reduce, Var(accumulator.names[1], "int64")]
        current: Expr = accumulator.value
        nest: list[Stmt] = []
        for depth, axis in enumerate(reversed(axes)):
            innermost = depth == 0
            lanes = reduce_lanes(current.dtype) if innermost and lanes_inside else 1
            name = self.fresh("a")
            reduce = Reduce(
                variables[axis].name, self.size(sizes[axis]), lanes, tuple(nest),
                (Accumulator((name,), operation, current),),
            )  # fmt: skip
            nest = [reduce]
            current = Var(name, current.dtype)
        if current.dtype != member.value.dtype.name:
            current = Cast(current, member.value.dtype.name)
        return [*nest, current]

    # ---- the kernel ----------------------------------------------------------------------------

    def _nest(self, body: tuple[Stmt, ...], extent: int) -> Nest:
        slots = list(self.buffer_names)
        last = max(m.stage for m in self.group.members.values())
        buffers = tuple(
            Buffer(
                self.buffer_names[slot],
                self.program.values[slot].dtype.name,
                self._access(slot, last),
            )
            for slot in slots
        )
        width = self.size(self.group.columns) if self.scratch else ZERO
        scratch = tuple(Scratch(name, dtype, width) for name, dtype in self.scratch)
        kernel = Kernel("kernel", buffers, tuple(self.params), body, scratch)
        total = largest([1, *[self.program.values[s].numel for s in slots]])
        share = largest([1, total // largest([extent, 1])])
        return Nest(kernel, slots, set(self.written), self.words, extent, share)

    def _access(self, slot: int, last: int) -> str:
        """How a buffer is used; last: the group's last stage."""
        if slot not in self.written:
            return "in"
        member = self.group.members.get(slot)
        if member is None:
            return "out"
        return "inout" if member.stage < last else "out"


def _accumulating(value: Value) -> str:
    """The dtype a reduction accumulates in."""
    name = value.dtype.name
    return "float32" if name in HALF else name


def build_nests(schedule: Schedule, position: int) -> list[Nest]:
    """The nests of the group at `position`, in order of execution."""
    group = schedule.groups[position]
    if is_split(group):
        return _split_nests(schedule, group)
    return [NestBuilder(schedule, group).build()]


# ---- long reductions -----------------------------------------------------------------------------


def _split_nests(schedule: Schedule, group: Group) -> list[Nest]:
    """Pieces of each row first, shared among threads, then the pieces' results.

    The pieces come from the size alone, so that the number of threads changes no bit.
    """
    first = NestBuilder(schedule, group)
    pieces = -(-group.columns // SPLIT_PIECE)
    partial: dict[int, Value] = {}
    for slot, member in group.members.items():
        if member.role == REDUCED:
            dtype = dtype_by_name(_accumulating(member.value))
            partial[slot] = schedule.program.new_value((group.rows, pieces), dtype)
    nests = [first.split(partial, pieces)]
    second = NestBuilder(schedule, group)
    nests.append(second.join(partial, pieces))
    return nests

"""One loop nest for each group of the schedule.  Level 6.

Sizes, strides, offsets and numbers become run-time parameters (0 and 1 stay constants, since they
change the structure), so that kernels of one structure are compiled once.  What a launch must
pass is listed beside the kernel: buffers by slot, and words that are fixed by the plan or read
from a scalar leaf.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.dtypes import dtype_by_name
from rushlight.base.errors import InternalError
from rushlight.base.shapes import contiguous_strides, numel
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
    Param,
    Reduce,
    Stmt,
    Store,
    Var,
    call,
    reduce_lanes,
)
from rushlight.lowering.position import ZERO, Position
from rushlight.lowering.scalars import HALF, applied, as_dtype
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
    tails_of,
)
from rushlight.schedule.program import BUFFER_LEAF, OPERATION, SCALAR_LEAF, Program, Value

# Elements of one piece of a flat elementwise kernel: small enough to share among threads, large
# enough that its launch does not count.
FLAT_PIECE = 8192

_BOOL_REDUCTION = {"max": "or", "min": "and"}


@dataclass(frozen=True)
class Word:
    """One parameter of a launch: a number of the plan, or the scalar leaf at `slot`."""

    value: int | None
    slot: int | None


@dataclass
class Nest:
    """A kernel and its arguments.

    buffers: slots in the order of kernel.buffers; written: those it writes.
    words: the values of kernel.params.
    extent: iterations of the parallel loop (1 without one).
    row_elements: about how many elements one iteration of it handles.
    """

    kernel: Kernel
    buffers: list[int]
    written: set[int]
    words: list[Word]
    extent: int
    row_elements: int


def can_lower(value: Value, program: Program) -> bool:
    """Whether an operation can be part of a generated kernel."""
    if scalar_rule(value.primitive, value.dtype) is None:
        return False
    if value.dtype.is_complex or value.numel == 0:
        return False
    return not any(
        program.values[s].dtype.is_complex or program.values[s].numel == 0 for s in value.inputs
    )


class NestBuilder:
    """Builds the nest of one group."""

    def __init__(self, schedule: Schedule, group: Group) -> None:
        self.schedule = schedule
        self.program = schedule.program
        self.group = group
        self.buffer_names: dict[int, str] = {}
        self.written: set[int] = set()
        self.params: list[Param] = []
        self.words: list[Word] = []
        self.scalars: dict[int, Param] = {}
        self.bound: dict[int, Expr] = {}
        self.names = 0
        self.stored = {slot for slot in group.members if self._needs_memory(slot)}

    # ---- arguments -----------------------------------------------------------------------------

    def size(self, number: int) -> Expr:
        """A size or stride as an expression."""
        if number in (0, 1):
            return Const(number, "int64")
        param = Param(f"n{len(self.params)}")
        self.params.append(param)
        self.words.append(Word(int(number), None))
        return param

    def buffer(self, slot: int) -> str:
        """The name of a value's buffer."""
        return self.buffer_names.setdefault(slot, f"b{len(self.buffer_names)}")

    def scalar(self, value: Value) -> Expr:
        """A scalar leaf as a parameter."""
        param = self.scalars.get(value.slot)
        if param is None:
            name = value.dtype.name
            param = Param(f"s{len(self.params)}", "float32" if name in HALF else name)
            self.params.append(param)
            self.words.append(Word(None, value.slot))
            self.scalars[value.slot] = param
        return as_dtype(param, value.dtype.name)

    def fresh(self, stem: str) -> str:
        """A name not used before in this kernel."""
        self.names += 1
        return f"{stem}{self.names}"

    def _needs_memory(self, slot: int) -> bool:
        """Live, read by another group, or read in a later stage of this one."""
        member = self.group.members[slot]
        if member.value.live:
            return True
        for other in self.schedule.groups:
            for reader in other.members.values():
                if slot in reader.value.inputs or any(s == slot for s, _ in reader.reads):
                    if other is not self.group:
                        return True
                    if member.role == FULL and reader.stage != member.stage:
                        return True
        return False

    # ---- expressions ---------------------------------------------------------------------------

    def element(self, slot: int, position: Position) -> Expr:
        """One element of a value."""
        value = self.program.values[slot]
        if slot in self.bound:
            return self.bound[slot]
        if value.source == SCALAR_LEAF:
            return self.scalar(value)
        if value.source == BUFFER_LEAF or slot in self.schedule.buffers:
            index = ZERO if value.numel == 1 else position.flat()
            return Load(self.buffer(slot), index, value.dtype.name)
        return self.computed(value, position)

    def computed(self, value: Value, position: Position) -> Expr:
        """One element of an operation's result, computed in place."""
        name = value.primitive.name
        if name == "iota":
            return position.flat()
        operand = self.program.values[value.inputs[0]]
        if name == "reshape":
            return self.element(operand.slot, position.reshaped(operand.shape))
        if name == "copy":
            return self.element(operand.slot, position)
        if name == "expand":
            return self.element(operand.slot, position.broadcast_to_operand(operand.shape))
        if name == "segment":
            index = position.flat() + self.size(value.primitive.start)
            inside = Position(operand.shape, None, None, 0, index, self.size)
            return self.element(operand.slot, inside)
        if name == "permute":
            return self.element(operand.slot, self._permuted(value, operand, position))
        if name == "strided_read":
            return self.element(operand.slot, self._window(value, operand, position))
        row = scalar_rule(value.primitive, value.dtype)
        if row is None or isinstance(row, str):
            raise InternalError(f"{value} is not computed in place")
        operands = []
        for slot in value.inputs:
            shape = self.program.values[slot].shape
            operands.append(self.element(slot, position.broadcast_to_operand(shape)))
        return applied(value, row, operands)

    def _permuted(self, value: Value, operand: Value, position: Position) -> Position:
        axes = position.axes()
        inner: list[Expr] = [ZERO] * len(axes)
        for place, axis in enumerate(value.params[0]):
            inner[axis] = axes[place]
        return Position(operand.shape, inner, None, 0, None, self.size)

    def _window(self, value: Value, operand: Value, position: Position) -> Position:
        size, strides = value.params
        offset = self.element(value.inputs[1], position)
        if contiguous_strides(size) == tuple(strides):
            index = offset + position.flat()
        else:
            index = offset
            for axis, (n, stride) in enumerate(zip(size, strides)):
                if n != 1 and stride != 0:
                    index = index + position.axes()[axis] * self.size(stride)
        return Position(operand.shape, None, None, 0, index, self.size)

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
        return self.size(-(-total // FLAT_PIECE))

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
                size = self.size(shape[axis])
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
            if slot in self.stored:
                self.written.add(slot)
                statements.append(Store(self.buffer(slot), place.flat(), self.bound[slot]))
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
        statements: list[Stmt] = [Let(name, result)]
        if value.slot in self.stored:
            self.written.add(value.slot)
            row = ZERO if self.group.rows == 1 else Var("r")
            statements.append(Store(self.buffer(value.slot), row, self.bound[value.slot]))
        return statements

    def _row_value(self, member: Member, r: Expr) -> list[Stmt]:
        value = member.value
        shape = tuple(value.shape)
        position = Position(shape, self._decoded(r, shape), None, 0, r, self.size)
        name = self.fresh("v")
        statements: list[Stmt] = [Let(name, self.computed(value, position))]
        self.bound[value.slot] = Var(name, value.dtype.name)
        if value.slot in self.stored:
            self.written.add(value.slot)
            statements.append(Store(self.buffer(value.slot), r, self.bound[value.slot]))
        return statements

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

    def _nested_reduction(self, member, shape, axes, index, lanes_inside) -> list:
        """Nested Reduce statements, and last the expression of the result."""
        variables = {axis: Var(f"k{axis}") for axis in axes}
        for axis, variable in variables.items():
            index[axis] = variable
        position = Position(shape, index, None, 0, None, self.size)
        accumulator = self._accumulator(member, position)
        operation = accumulator.op
        if len(accumulator.names) == 2:
            (axis,) = axes
            lanes = reduce_lanes(accumulator.value.dtype) if lanes_inside else 1
            name, extent = variables[axis].name, self.size(shape[axis])
            reduce = Reduce(name, extent, lanes, (), (accumulator,))
            return [reduce, Var(accumulator.names[1], "int64")]
        current: Expr = accumulator.value
        nest: list[Stmt] = []
        for depth, axis in enumerate(reversed(axes)):
            innermost = depth == 0
            lanes = reduce_lanes(current.dtype) if innermost and lanes_inside else 1
            name = self.fresh("a")
            reduce = Reduce(
                variables[axis].name, self.size(shape[axis]), lanes, tuple(nest),
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
        buffers = tuple(
            Buffer(
                self.buffer_names[slot],
                self.program.values[slot].dtype.name,
                self._access(slot),
            )
            for slot in slots
        )
        kernel = Kernel("kernel", buffers, tuple(self.params), body)
        total = max((self.program.values[s].numel for s in slots), default=1)
        share = max(1, total // max(extent, 1))
        return Nest(kernel, slots, set(self.written), self.words, extent, share)

    def _access(self, slot: int) -> str:
        if slot not in self.written:
            return "in"
        member = self.group.members.get(slot)
        if member is None:
            return "out"
        last = max(m.stage for m in self.group.members.values())
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

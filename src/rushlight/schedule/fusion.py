"""Form the groups of a program: each group becomes one kernel, or one call of the reference rule.

First the roots are chosen: values that get a buffer.  Everything else is computed in place, inside
the kernels that use it.  Then the roots are gathered, in order, into groups over one domain: a
group reads its own members only at the position where they are computed (elementwise) or at the row
they were reduced over, so each row passes through all its stages while in cache.  Level 5.
"""

from __future__ import annotations

from rushlight.base.errors import InternalError
from rushlight.base.shapes import numel
from rushlight.base.symbolic import which_is_largest
from rushlight.schedule.access import OTHER, ROW, SAME, SCALAR, Unreachable, reads, squeezed
from rushlight.schedule.candidates import Candidates
from rushlight.schedule.roots import choose_roots, operations_in_place
from rushlight.tape.program import BUFFER_LEAF, OPERATION, OUTPUT, Program, Value

FULL, REDUCED, ROW_VALUE = "full", "reduced", "row value"
ROWS, COLUMNS, PRODUCT, OPAQUE = "rows", "columns", "product", "opaque"

# Rows at least this long are reduced in pieces of SPLIT_PIECE, so that few long rows share threads.
SPLIT_FROM = 1 << 16
SPLIT_PIECE = 1 << 14


class Member:
    """A root in a group.  role: FULL, REDUCED or ROW_VALUE; stage: which inner loop makes it."""

    __slots__ = ("value", "role", "stage", "reads")

    def __init__(self, value: Value, role: str, stage: int, reads_: list) -> None:
        self.value = value
        self.role = role
        self.stage = stage
        self.reads = reads_


class Group:
    """Members over one domain.

    kind: ROWS (outer loop over rows, inner loops over `columns` elements), COLUMNS (one reduction
        along outer axes), PRODUCT (one matrix product) or OPAQUE (one operation for the reference
        rule).
    domain: sizes without axes of 1; inner: admissible inner sizes.
    refused: why roots that read this group did not join it.
    """

    __slots__ = ("kind", "domain", "inner", "members", "has_reduction", "refused")

    def __init__(self, kind: str, domain=(), inner=frozenset()) -> None:
        self.kind = kind
        self.domain = domain
        self.inner = inner
        self.members: dict[int, Member] = {}
        self.has_reduction = False
        self.refused: list[tuple[int, str]] = []

    @property
    def columns(self) -> int:
        """Size of the inner loop: the largest admissible."""
        return which_is_largest(self.inner)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return numel(self.domain) // max(self.columns, 1)


# Why the member of a group of one kind, which reads another group, is not part of that one.
_OWN_KIND = {
    PRODUCT: "is a matrix product",
    OPAQUE: "is an operation of its own",
    COLUMNS: "reduces along outer axes",
}
_OTHER_KIND = {
    PRODUCT: "a matrix product stores its result as it is",
    OPAQUE: "an operation of its own takes no others in",
    COLUMNS: "a reduction along outer axes is complete only at its end",
}


def why_apart(own: Group, other: Group) -> str:
    """Why what opens the group `own` did not join `other`, which it reads; a clause."""
    reason = _OWN_KIND.get(own.kind) or _OTHER_KIND.get(other.kind)
    if reason is not None:
        return reason
    if own.domain == other.domain:
        return "also reads what is computed after it"
    sizes, others = (" x ".join(map(str, g.domain)) or "1" for g in (own, other))
    return f"goes over {sizes}, not over {others}"


class Schedule:
    """groups in order of execution; buffers: slots of all values that get memory.

    readers: for each of those slots, the members that read it, with their groups.
    same_memory: reshaped buffers that others ask for as they are -> the slot whose memory is shown.
    """

    __slots__ = ("program", "groups", "buffers", "group_of", "readers", "same_memory")

    def __init__(self, program: Program, groups, buffers, group_of, same_memory) -> None:
        self.program = program
        self.groups = groups
        self.buffers = buffers
        self.group_of = group_of
        self.same_memory: dict[int, int] = same_memory
        self.readers: dict[int, list[tuple[Group, Member]]] = {}
        for group in groups:
            for member in group.members.values():
                read = [slot for slot, _ in member.reads]
                if group.kind == OPAQUE:
                    read = [self.memory(slot) for slot in member.value.inputs]
                for slot in dict.fromkeys(read):
                    self.readers.setdefault(slot, []).append((group, member))

    def memory(self, slot: int) -> int:
        """The slot in whose memory a value lies."""
        return self.same_memory.get(slot, slot)


def is_split(group: Group) -> bool:
    """Whether a group's rows are reduced piece by piece: decided by sizes alone."""
    if group.kind != ROWS or not group.has_reduction or group.columns < SPLIT_FROM:
        return False
    dtypes = {m.value.dtype for m in group.members.values() if m.role == REDUCED}
    return (
        len(dtypes) == 1
        and all(m.stage == 0 for m in group.members.values())
        and all(
            m.value.primitive.splittable and m.value.dtype.name != "bool"
            for m in group.members.values()
            if m.role == REDUCED
        )
    )


def tails_of(shape, inner: int) -> list[int]:
    """Numbers of trailing axes whose sizes multiply to `inner`."""
    found = []
    product = 1
    for count, size in enumerate(reversed(shape), 1):
        product *= size
        if product == inner:
            found.append(count)
    return [0, *found] if inner == 1 else found


def reduced_tail(value: Value, shape) -> int:
    """How many of the last axes of `shape` a reduction goes over: they are reduced as one axis."""
    axes = value.params[0] if isinstance(value.params[0], tuple) else (value.params[0],)
    tail = 0
    while len(shape) - 1 - tail in axes:
        tail += 1
    return tail


def inner_sizes(shape) -> set[int]:
    """All sizes an inner loop over trailing axes can have."""
    sizes = set()
    product = 1
    for size in reversed(shape):
        product *= size
        sizes.add(product)
    return sizes or {1}


class Scheduler:
    """Makes the schedule of one program.

    can_lower: whether an operation can be part of a kernel at all.
    product_source, product_operands: the product that the GEMM computes into a value's memory, if
        it does, and the buffers it reads.
    """

    def __init__(self, program: Program, can_lower, product_source, product_operands) -> None:
        self.program = program
        self.products: dict[int, tuple] = {}
        self.fusable = {v.slot: v.source == OPERATION and can_lower(v, program)
                        for v in program.order}  # fmt: skip
        for value in program.order:
            source = product_source(value, program) if value.source == OPERATION else None
            if source is not None:
                self.products[value.slot] = product_operands(source, program)
                # What a product passes through has no memory of its own.
                self.fusable[source.slot] = True
                self.fusable[value.slot] = False
        self.same_memory: dict[int, int] = {}
        self.candidates = Candidates()
        self.operations: dict[int, int] = {}
        self.roots = choose_roots(program, self.products, self.fusable)

    def run(self) -> Schedule:
        self._make_reachable()
        self.operations = operations_in_place(self.program, self.roots)
        groups: list[Group] = []
        group_of: dict[int, int] = {}
        for value in self.program.order:
            if value.slot in self.roots:
                self._place(value, groups, group_of)
        return Schedule(self.program, groups, self.roots, group_of, self.same_memory)

    # ---- roots ---------------------------------------------------------------------------------

    def is_buffer(self, slot: int) -> bool:
        return slot in self.roots

    def _want_buffer(self, slot: int) -> None:
        if self.program.values[slot].source in (OPERATION, OUTPUT):
            self.roots.add(slot)

    def _make_reachable(self) -> None:
        """Give buffers to operands until an inner loop of one axis can compute every root."""
        pending = [v for v in self.program.order if v.slot in self.roots]
        while pending:
            value = pending.pop()
            if not self.fusable[value.slot]:
                continue
            if self._is_reachable(value):
                continue
            added = False
            for slot in value.inputs:
                operand = self.program.values[slot]
                if operand.source == OPERATION and slot not in self.roots:
                    self.roots.add(slot)
                    pending.append(operand)
                    added = True
            if added:
                pending.append(value)
            else:
                self.fusable[value.slot] = False
                for slot in value.inputs:
                    self._want_buffer(slot)

    def _is_reachable(self, value: Value) -> bool:
        if value.primitive.kind == "reduction" and self._reduces_tail(value):
            return self._reads_for_inner(value, self._reduced_size(value)) is not None
        try:
            self._reads(value, self._least_tail(value))
        except Unreachable:
            return False
        return True

    def _least_tail(self, value: Value) -> int:
        """The shortest inner loop, in axes, that a value can be computed with."""
        domain = self._domain(value)
        tail = min(1, len(domain))
        if value.primitive.kind == "reduction" and not self._reduces_tail(value):
            tail = max(tail, reduced_tail(value, domain))
        return tail

    def _expression(self, value: Value) -> Value:
        """What is evaluated at each position: a reduction's operand, or the value itself."""
        if value.primitive.kind == "reduction":
            return self.program.values[value.inputs[0]]
        return value

    def _domain(self, value: Value):
        return self._expression(value).shape

    def _reads(self, value: Value, tail: int) -> list[tuple[int, str]]:
        expression = self._expression(value)
        if expression is not value:
            if expression.source != OPERATION or expression.slot in self.roots:
                kind = SCALAR if expression.numel == 1 else SAME
                slot = self.same_memory.get(expression.slot, expression.slot)
                return [(slot, kind)] if expression.source != "scalar" else []
        found = reads(self.program, expression, self.is_buffer, tail)
        return [(self.same_memory.get(slot, slot), kind) for slot, kind in found]

    def _reads_for_inner(self, value: Value, inner: int) -> list[tuple[int, str]] | None:
        for tail in reversed(tails_of(self._domain(value), inner)):
            try:
                return self._reads(value, tail)
            except Unreachable:
                continue
        return None

    # ---- groups --------------------------------------------------------------------------------

    def _place(self, value: Value, groups: list[Group], group_of: dict[int, int]) -> None:
        if self._shows_buffer(value):
            slot = value.inputs[0]
            self.same_memory[value.slot] = self.same_memory.get(slot, slot)
            return
        if value.slot in self.products:
            slots = [operand.slot for operand in self.products[value.slot]]
            found = [(self.same_memory.get(slot, slot), OTHER) for slot in slots]
            self._open(Group(PRODUCT), Member(value, FULL, 0, found), groups, group_of)
            return
        if not self.fusable[value.slot]:
            self._open(Group(OPAQUE), Member(value, FULL, 0, []), groups, group_of)
            return
        reduction = value.primitive.kind == "reduction"
        if reduction and not self._reduces_tail(value):
            member = Member(value, REDUCED, 0, self._reads(value, self._least_tail(value)))
            self._open(Group(COLUMNS, squeezed(self._domain(value))), member, groups, group_of)
            return
        read = self._all_reads(value)
        earliest = max([group_of[s] for s in read if s in group_of], default=None)
        domain = squeezed(self._domain(value))
        for position in self.candidates.find(domain, read, reduction, earliest):
            if self._join(value, groups[position], position, group_of):
                break
        else:
            position = len(groups)
            self._open_rows(value, groups, group_of)
        group = groups[position]
        operations = self.operations[value.slot]
        self.candidates.note(position, group, group.members[value.slot], operations)

    def _shows_buffer(self, value: Value) -> bool:
        """Whether a value is a buffer in another shape: its elements lie where they are wanted."""
        if value.live or not self.fusable[value.slot] or value.primitive.name != "reshape":
            return False
        operand = self.program.values[value.inputs[0]]
        return operand.source == BUFFER_LEAF or operand.slot in self.roots

    def _all_reads(self, value: Value) -> list[int]:
        return [slot for slot, _ in self._reads(value, min(1, len(self._domain(value))))]

    def _reduces_tail(self, value: Value) -> bool:
        shape = self._domain(value)
        axes = value.params[0] if isinstance(value.params[0], tuple) else (value.params[0],)
        reduced = [a for a in axes if shape[a] != 1]
        kept = [a for a in range(len(shape)) if a not in axes and shape[a] != 1]
        return not reduced or not kept or min(reduced) > max(kept)

    def _reduced_size(self, value: Value) -> int:
        return numel(self._domain(value)) // max(value.numel, 1) if value.numel else 0

    def _open(self, group: Group, member: Member, groups, group_of) -> None:
        value = member.value
        read = value.inputs if group.kind == OPAQUE else [slot for slot, _ in member.reads]
        for position in sorted({group_of[slot] for slot in read if slot in group_of}):
            other = groups[position]
            # What it was refused for when it was tried is the last entry, if it was tried at all.
            if other.refused and other.refused[-1][0] == value.slot:
                continue
            same_loop = group.kind == ROWS and group.domain == other.domain
            if same_loop and self.candidates.is_full(position):
                other.refused.append((value.slot, "would make a kernel that compiles slowly"))
            else:
                other.refused.append((value.slot, why_apart(group, other)))
        group.members[value.slot] = member
        group_of[value.slot] = len(groups)
        groups.append(group)

    def _open_rows(self, value: Value, groups, group_of) -> None:
        domain = squeezed(self._domain(value))
        allowed = {}
        for inner in self._inner_candidates(value):
            found = self._reads_for_inner(value, inner)
            if found is not None:
                allowed[inner] = found
        if not allowed:
            raise InternalError(f"no inner loop reaches what {value} reads")
        group = Group(ROWS, domain, frozenset(allowed))
        reduction = value.primitive.kind == "reduction"
        group.has_reduction = reduction
        role = REDUCED if reduction else FULL
        reads = allowed[which_is_largest(allowed)]
        self._open(group, Member(value, role, 0, reads), groups, group_of)

    def _inner_candidates(self, value: Value) -> set[int]:
        if value.primitive.kind == "reduction":
            return {self._reduced_size(value)}
        return inner_sizes(self._domain(value))

    def _join(self, value: Value, group: Group, position: int, group_of) -> bool:
        """Add a root to a group if every read of the group's members is at their own position."""
        if self._join_as_row_value(value, group, position, group_of):
            return True
        if squeezed(self._domain(value)) != group.domain:
            return False
        allowed = {}
        for inner in group.inner & self._inner_candidates(value):
            found = self._reads_for_inner(value, inner)
            if found is not None and self._fits(found, group):
                allowed[inner] = found
        if not allowed:
            group.refused.append((value.slot, "reads members at other positions"))
            return False
        found = allowed[which_is_largest(allowed)]
        if not self._shares(value, found, group):
            return False
        stage = 0
        for slot, _ in found:
            member = group.members.get(slot)
            if member is not None:
                stage = max(stage, member.stage + (member.role != FULL))
        if stage > 0 and which_is_largest(allowed) >= SPLIT_FROM:
            group.refused.append((value.slot, "rows are long enough to be reduced in pieces"))
            return False
        reduction = value.primitive.kind == "reduction"
        group.inner = frozenset(allowed)
        group.has_reduction |= reduction
        role = REDUCED if reduction else FULL
        group.members[value.slot] = Member(value, role, stage, found)
        group_of[value.slot] = position
        return True

    def _shares(self, value: Value, found, group: Group) -> bool:
        """Whether one pass over the domain saves reading something twice.

        Unrelated values stay apart: kernels with one purpose are met again and compiled once.
        """
        if group.has_reduction or value.primitive.kind == "reduction":
            return True
        known = set(group.members)
        for member in group.members.values():
            known.update(slot for slot, kind in member.reads if kind != SCALAR)
        return not known or any(slot in known for slot, _ in found)

    def _fits(self, found, group: Group) -> bool:
        for slot, kind in found:
            member = group.members.get(slot)
            if member is None:
                continue
            if member.role == FULL:
                if kind != SAME:
                    return False
            elif kind != ROW and not (kind == SCALAR and group.rows == 1):
                return False
        return True

    def _join_as_row_value(self, value: Value, group: Group, position: int, group_of) -> bool:
        if not group.has_reduction or value.primitive.kind == "reduction":
            return False
        if value.numel != group.rows or len(group.inner) != 1:
            return False
        inner = group.columns
        outer = squeezed(self._row_shape(group.domain, inner))
        if squeezed(value.shape) != outer:
            return False
        try:
            found = self._reads(value, 0)
        except Unreachable:
            return False
        stage = -1
        for slot, kind in found:
            member = group.members.get(slot)
            if member is None:
                continue
            if member.role == FULL or kind not in (SAME, SCALAR):
                return False
            if kind == SCALAR and group.rows != 1:
                return False
            stage = max(stage, member.stage)
        if stage < 0:
            return False  # nothing of this group is read: no reason to be here
        group.members[value.slot] = Member(value, ROW_VALUE, stage, found)
        group_of[value.slot] = position
        return True

    def _row_shape(self, domain, inner: int):
        product = 1
        kept = list(domain)
        # From nothing on, any size but 1 is reached; that it is more need not be asked.
        while kept and (inner != 1 if product == 1 else product < inner):
            product *= kept.pop()
        return tuple(kept)


def make_schedule(program: Program, can_lower, product_source, product_operands) -> Schedule:
    """The schedule of a program; see Scheduler for the arguments."""
    return Scheduler(program, can_lower, product_source, product_operands).run()

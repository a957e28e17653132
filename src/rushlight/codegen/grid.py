"""Loop nest to a kernel over a grid of threads, written once for every device that has them.

The text uses an abstract machine: `%grid.thread`, `%grid.block` and `%grid.blocks` are known, a
barrier and two shuffles stand as lines of their own, each followed by a label.  `codegen/ptx.py`
makes NVIDIA's assembly of it, `codegen/coroutines.py` code of the CPU that runs threads in turn.

A warp is a core with 32 lanes: an iteration of the parallel loop goes to a warp if it reduces over
lanes or has scratch, to a block of 128 threads if it has only vector loops, else to one thread.
Lane t of a vector loop takes t, t+T, ...; a Reduce over L lanes keeps lanes t, t+32, ... in thread
t, folds those, and then shuffles: the tree of the CPU, so the bits are the CPU's.  Level 7.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rushlight.base.target import Target
from rushlight.codegen import scalar_ops
from rushlight.codegen.emit import Emitter, Value
from rushlight.codegen.expressions import Emitted
from rushlight.codegen.llvm import KernelGenerator
from rushlight.loopnest.ir import (
    PARALLEL,
    VECTOR,
    Const,
    Expr,
    Kernel,
    Let,
    Load,
    Loop,
    Op,
    Param,
    Reduce,
    Stmt,
    Store,
    itemsize,
    kind_of,
)
from rushlight.loopnest.visit import walk_expr, walk_stmts

WARP = 32
BLOCK = 128
# Waves of blocks that fill a large card; what is left of the parallel loop the same threads do.
MOST_BLOCKS = 2048
_FAR = 1 << 40

# Words of the abstract machine.
THREAD, PLACE, BLOCKS = "%grid.thread", "%grid.block", "%grid.blocks"
SHARED = "%grid.shared"
# Where a launch finds its table (`grid_joined.py`); and the word at a place of it, of a type.
WORDS, TAKEN = "%grid.words", "grid.taken"
WARP_BARRIER, BLOCK_BARRIER = "grid.warp_barrier", "grid.block_barrier"
# The value of another thread of the warp: so many places further; of the first; and of the one
# whose place differs in the bits of a number.
DOWN, FIRST, ACROSS = "grid.down", "grid.first", "grid.across"
# A warp multiplies 16 x K by K x 8 and adds 16 x 8 in float32: the kind (K is 16 for bf16 and f16,
# 8 for tf32), then a thread's four words of A, two of B, and four sums.
MULTIPLY = "grid.multiply"
# Four warps multiply 64 x 64 by 64 x 128, both of 16 bits in shared memory, and add 64 x 128 in
# float32: the kind, the bytes there at which the 64 and the 128 lines begin, then a thread's sums.
# A line is 128 bytes of steps of k, its pieces of 16 bytes moved by the line's last three bits.
GROUP_MULTIPLY = "grid.group_multiply"
GROUP_SUMS = 64
GROUP_SUMS_TYPE = "{" + ", ".join(["float"] * GROUP_SUMS) + "}"
# What threads wrote to shared memory is there for such a multiplication.
SHARED_IS_READY = "grid.shared_is_ready"

# Ends a load of memory that nobody writes while the kernel runs: it may wait for others.
STEADY = ", !invariant.load !1"

# Intrinsics that every back end turns into instructions of the same meaning.  NVPTX makes an
# approximation of exp2, and aborts the process at exp, log or sin.
SAFE_INTRINSICS = frozenset(
    "fma fabs sqrt floor ceil trunc rint roundeven nearbyint copysign ctpop ctlz cttz abs smax "
    "smin umax umin fshl fshr bswap bitreverse is.fpclass sadd.with.overflow usub.sat uadd.sat "
    "sadd.sat ssub.sat umul.with.overflow smul.with.overflow fptosi.sat fptoui.sat".split()
)

VECTOR_TARGET = Target(
    "grid", "", (), 4, 64, True, 128 << 10, 40 << 20, 40 << 20, 128, 1
)  # fmt: skip


class NoKernel(Exception):
    """A loop nest that no grid kernel is made of; the message says why."""


@dataclass(frozen=True)
class GridKernel:
    """One kernel of the abstract machine.

    buffers, scratch: how many pointers of each it takes, in this order; then `params`, of which
    each says whether it is floating; then the extent of the parallel loop.
    threads: of a block; groups: iterations of the parallel loop that a block takes at a time;
    parts: or blocks that share one.
    body: lines; declarations: of the intrinsics in them; meets: whether threads wait for others.
    shared: bytes that the threads of a block share, which begin at `%grid.shared`.
    architecture: the one instruction set that has its instructions; empty: every one.
    loops: whether threads go on with further iterations where there are more than they are.
    joined: whether it finds its arguments in a table of segments (`grid_joined.py`).
    """

    name: str
    buffers: int
    scratch: int
    params: tuple[bool, ...]
    threads: int
    groups: int
    body: str
    declarations: tuple[str, ...]
    meets: bool
    shared: int = 0
    loops: bool = True
    architecture: str = ""
    joined: bool = False
    parts: int = 1

    def blocks(self, extent: int) -> int:
        """How many blocks run so many iterations."""
        needed = max(1, -(-extent // self.groups)) * self.parts
        return min(needed, MOST_BLOCKS) if self.loops else needed

    def arguments(self) -> list[tuple[str, str]]:
        """(type, name) of each argument."""
        pointers = [("ptr", f"%b{k}") for k in range(self.buffers)]
        pointers += [("ptr", f"%s{k}") for k in range(self.scratch)]
        words = [("double" if f else "i64", f"%p{k}") for k, f in enumerate(self.params)]
        return [*pointers, *words, ("i64", "%extent")]

    def pointer_places(self, words: Sequence[int]) -> list[int]:
        """Which words of a launch are pointers."""
        pointers = self.buffers + self.scratch
        if not self.joined:
            return list(range(pointers))
        count, width = int(words[0]), len(self.arguments())
        rows = range(2 + count, 2 + count + count * width, width)
        return [row + k for row in rows for k in range(pointers)]


def _expressions(stmt: Stmt) -> list[Expr]:
    if isinstance(stmt, Let):
        return [stmt.value]
    if isinstance(stmt, Store):
        return [stmt.index, stmt.value, *([] if stmt.mask is None else [stmt.mask])]
    if isinstance(stmt, Reduce):
        return [stmt.extent, *[acc.value for acc in stmt.accumulators]]
    return [stmt.extent]


# Elements of a long vector loop that a block takes where several share it.
SHARE = 4 * BLOCK
_LONG = 4 * SHARE
# Expressions of a body that is written out for all elements of a share.
_FEW = 200


def _parts_of(kernel: Kernel) -> int:
    """How many blocks share an iteration of the parallel loop: of one that is a long vector loop,
    of a known length at most, all its statements in it."""
    loop = kernel.parallel_loop()
    if loop is None or len(loop.body) != 1:
        return 1
    (inner,) = loop.body
    if not isinstance(inner, Loop) or inner.kind != VECTOR or not isinstance(inner.extent, Op):
        return 1
    most = inner.extent.args[0]
    if inner.extent.name != "minimum" or not isinstance(most, Const) or most.value < _LONG:
        return 1
    statements = list(walk_stmts(inner.body))
    if any(isinstance(s, Loop | Reduce) for s in statements):
        return 1
    if sum(1 for s in statements for e in _expressions(s) for _ in walk_expr(e)) > _FEW:
        return 1
    return int(most.value) // SHARE


def _loaded(statements: list[Stmt]) -> set[str]:
    """The buffers that are read."""
    return {
        part.buffer
        for stmt in statements
        for expr in _expressions(stmt)
        for part in walk_expr(expr)
        if isinstance(part, Load)
    }


class GridGenerator(KernelGenerator):
    """The generator of the CPU with other loops: every value is one thread's."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel, VECTOR_TARGET, False)
        statements = list(walk_stmts(kernel.body))
        reduces = any(isinstance(s, Reduce) and s.lanes > 1 for s in statements)
        vectors = any(isinstance(s, Loop) and s.kind == VECTOR for s in statements)
        if reduces or kernel.scratch:
            self.together, self.groups = WARP, BLOCK // WARP
        elif vectors:
            self.together, self.groups = BLOCK, 1
        else:
            self.together, self.groups = 1, BLOCK
        self.in_vector = False
        self.meets = False
        self.parts = 1
        stored = {s.buffer for s in statements if isinstance(s, Store)}
        # What one thread wrote, another may read: they wait for one another in between.
        self.hands_over = bool(stored & _loaded(statements)) and self.together > 1
        if self.together == BLOCK and not self.hands_over:
            self.parts = _parts_of(kernel)
        self.part = Value("", "i64")
        self.thread = Value("", "i64")
        self.row = Value("", "i64")
        self.turn = Value("", "i64")

    def grid_kernel(self, name: str) -> GridKernel:
        """The kernel.  Raises: NoKernel."""
        kernel, b = self.kernel, self.b
        for k, buffer in enumerate(kernel.buffers):
            self.buffers[buffer.name] = Value(f"%b{k}", "ptr")
        for k, param in enumerate(kernel.params):
            self.params[param.name] = self._parameter(param, k)
        thread = Value(THREAD, "i32")
        self.thread = b.convert(
            "zext", b.binary("and", thread, b.const(self.together - 1, "i32")), "i64"
        )
        shift = self.together.bit_length() - 1
        group = b.binary("lshr", thread, b.const(shift, "i32"))
        groups = b.const(self.groups, "i32")
        place, turn = Value(PLACE, "i32"), Value(BLOCKS, "i32")
        if self.parts > 1:
            part = b.binary("and", place, b.const(self.parts - 1, "i32"))
            self.part = b.convert("zext", part, "i64")
            shift_of_parts = b.const(self.parts.bit_length() - 1, "i32")
            place, turn = (b.binary("lshr", x, shift_of_parts) for x in (place, turn))
        place = b.add(b.mul(place, groups), group)
        self.row = b.convert("zext", place, "i64")
        self.turn = b.convert("zext", b.mul(turn, groups), "i64")
        for k, scratch in enumerate(kernel.scratch):
            extent = self.uniform(scratch.extent)
            self.buffers[scratch.name] = b.pointer_offset(
                Value(f"%s{k}", "ptr"), b.mul(self.row, extent),
                scalar_ops.memory_type(scratch.dtype),
            )  # fmt: skip
        if kernel.parallel_loop() is None:
            # One group does it; the others find nothing to do.
            handle = b.begin_loop(self.row, b.const(1, "i64"), _FAR)
            self.body(kernel.body)
            b.end_loop(handle)
        else:
            self.body(kernel.body)
        for declaration in b.declarations:
            _refuse_unsafe(declaration)
        return GridKernel(
            name, len(kernel.buffers), len(kernel.scratch),
            tuple(kind_of(p.dtype) == "f" for p in kernel.params),
            BLOCK, self.groups, "\n".join(b.regions[0].lines), tuple(sorted(b.declarations)),
            self.meets, parts=self.parts,
        )  # fmt: skip

    def _parameter(self, param: Param, place: int) -> Value:
        floating = kind_of(param.dtype) == "f"
        word = Value(f"%p{place}", "double" if floating else "i64")
        return scalar_ops.cast(self.b, word, "float64" if floating else "int64", param.dtype)

    # --- statements ---

    def loop(self, loop: Loop) -> None:
        b = self.b
        was = self.in_vector
        if loop.kind == PARALLEL:
            handle = b.begin_loop(self.row, Value("%extent", "i64"), _FAR)
            handle.step = self.turn.text  # type: ignore[assignment]
        elif loop.kind == VECTOR and self.parts > 1:
            self.share(loop)
            return
        elif loop.kind == VECTOR and self.together > 1:
            handle = b.begin_loop(self.thread, self.uniform(loop.extent), self.together)
            self.in_vector = True
        else:
            handle = b.begin_loop(b.const(0, "i64"), self.uniform(loop.extent), 1)
        self.env[loop.var] = handle.counter
        self.body(loop.body)
        b.end_loop(handle)
        self.in_vector = was
        if loop.kind == VECTOR and not was:
            self.hand_over()

    def share(self, loop: Loop) -> None:
        """A block's share of a vector loop: whole, all of it at once, so that what it reads is on
        its way together; at the end, one after the other."""
        b = self.b
        extent, zero, one = self.uniform(loop.extent), b.const(0, "i64"), b.const(1, "i64")
        begin = b.mul(self.part, b.const(SHARE, "i64"))
        end = b.add(begin, b.const(SHARE, "i64"))
        first = b.add(begin, self.thread)
        whole = b.compare("sle", end, extent)
        self.in_vector = True
        handle = b.begin_loop(zero, b.select(whole, one, zero), 1)
        for step in range(0, SHARE, BLOCK):
            self.env[loop.var] = b.add(first, b.const(step, "i64"))
            self.body(loop.body)
        b.end_loop(handle)
        stop = b.select(whole, zero, extent)
        handle = b.begin_loop(first, b.select(b.compare("slt", end, stop), end, stop), BLOCK)
        self.env[loop.var] = handle.counter
        self.body(loop.body)
        b.end_loop(handle)
        self.in_vector = False

    def load(self, expr: Load) -> Emitted:
        """Of a buffer that the kernel does not write: nobody does meanwhile, since what a device
        computed is never written over."""
        if expr.mask is not None or expr.buffer not in self.unwritten:
            return super().load(expr)
        b, type_ = self.b, scalar_ops.memory_type(expr.dtype)
        pointer = b.pointer_offset(self.buffers[expr.buffer], self.uniform(expr.index), type_)
        text = f"load {type_}, {pointer.typed}, align {itemsize(expr.dtype)}{STEADY}"
        loaded = b.read(text, [pointer], type_, 1, self.steady(expr.buffer))
        return self.from_memory(loaded, expr.dtype)

    def store(self, stmt: Store) -> None:
        if self.in_vector or self.together == 1:
            super().store(stmt)
            return
        # The same value in all threads: one of them writes it.
        handle = self.b.begin_loop(self.thread, self.b.const(1, "i64"), self.together)
        super().store(stmt)
        self.b.end_loop(handle)
        self.hand_over()

    def hand_over(self) -> None:
        """What was written is there for the other threads of the group."""
        if self.hands_over:
            self.collective("", WARP_BARRIER if self.together == WARP else BLOCK_BARRIER)

    def reduce_lanes(self, stmt: Reduce) -> None:
        b = self.b
        lanes = stmt.lanes
        parts = max(1, lanes // WARP)
        stop = self.uniform(stmt.extent)
        held: list[Value] = []
        for acc in stmt.accumulators:
            held += [first for first in self.start(acc, 1) for _ in range(parts)]
        was, self.in_vector = self.in_vector, True
        main = b.binary("and", stop, b.const(-lanes, "i64"))
        handle = b.begin_loop(b.const(0, "i64"), main, lanes, held)
        values = list(handle.values)
        for part in range(parts):
            place = b.add(self.thread, b.const(WARP * part, "i64"))
            values = self.absorb(stmt, values, part, parts, b.add(handle.counter, place))
        held = b.end_loop(handle, values)
        for part in range(parts):
            first = b.add(main, b.add(self.thread, b.const(WARP * part, "i64")))
            handle = b.begin_loop(first, stop, lanes, held)
            values = self.absorb(stmt, list(handle.values), part, parts, handle.counter)
            held = b.end_loop(handle, values)
        self.in_vector = was
        self.fold_threads(stmt, held, parts)

    def absorb(
        self, stmt: Reduce, held: list[Value], part: int, parts: int, index: Value
    ) -> list[Value]:
        """One element into the accumulators of one part."""
        self.env[stmt.var] = index
        self.body(stmt.body)
        at = 0
        for acc in stmt.accumulators:
            count = len(acc.names)
            old = tuple(held[at + slot * parts + part] for slot in range(count))
            arrived = self.uniform(acc.value)
            new = scalar_ops.combine(self.b, acc.op, acc.value.dtype, old, (arrived, index)[:count])
            for slot, value in enumerate(new):
                held[at + slot * parts + part] = value
            at += parts * count
        return held

    def fold_threads(self, stmt: Reduce, held: list[Value], parts: int) -> None:
        """Upper half of the lanes into the lower half: within threads, then between them."""
        b = self.b
        for acc, current in self.folded_parts(stmt, held, parts):
            distance = min(stmt.lanes, WARP) // 2
            while distance:
                other = tuple(self.shuffled(value, DOWN, distance) for value in current)
                current = scalar_ops.combine(b, acc.op, acc.value.dtype, current, other)
                distance //= 2
            for name, value in zip(acc.names, current):
                self.env[name] = self.shuffled(value, FIRST, 0)

    # --- between threads ---

    def collective(self, result: str, operation: str) -> None:
        """A line that all threads of a group meet at."""
        collective(self.b, result, operation)
        self.meets = True

    def shuffled(self, value: Value, operation: str, distance: int) -> Value:
        """The value of another thread of the warp."""
        self.meets = True
        return shuffled(self.b, value, operation, distance)


def collective(b: Emitter, result: str, operation: str) -> None:
    """A line that threads meet at, and the label of what follows."""
    region = b.regions[-1]
    label = b.fresh("met")
    region.lines.append(f"  {result}{operation} then {label}")
    region.lines.append(f"{label}:")
    region.label = label


def shuffled(b: Emitter, value: Value, operation: str, distance: int) -> Value:
    """The value of another thread of the warp; wider and narrower types by way of 32 bits."""
    if value.type in ("i1", "i8", "i16"):
        wide = shuffled(b, b.convert("zext", value, "i32"), operation, distance)
        return b.convert("trunc", wide, value.type)
    if value.type in ("float", "double"):
        integer = {"float": "i32", "double": "i64"}[value.type]
        bits = shuffled(b, b.convert("bitcast", value, integer), operation, distance)
        return b.convert("bitcast", bits, value.type)
    if value.type == "i64":
        low = shuffled(b, b.convert("trunc", value, "i32"), operation, distance)
        upper = b.convert("trunc", b.binary("lshr", value, b.const(32, "i64")), "i32")
        high = b.convert("zext", shuffled(b, upper, operation, distance), "i64")
        high = b.binary("shl", high, b.const(32, "i64"))
        return b.binary("or", b.convert("zext", low, "i64"), high)
    name = "%" + b.fresh("from")
    collective(b, f"{name} = ", f"{operation} {value.text}, {distance}")
    return Value(name, "i32", 1, b.depth)


def _refuse_unsafe(declaration: str) -> None:
    if not declaration.startswith("declare"):
        return  # a table of constants
    symbol = declaration[declaration.index("@") + 1 : declaration.index("(")]
    name = symbol.removeprefix("llvm.")
    stem = re.sub(r"(\.(v\d+)?(f|i)\d+)+$", "", name)
    if not symbol.startswith("llvm.") or stem not in SAFE_INTRINSICS:
        raise NoKernel(f"{symbol} is no instruction of every device")


def grid_kernel(kernel: Kernel, name: str) -> GridKernel:
    """The kernel of a loop nest, under a name.  Raises: NoKernel."""
    return GridGenerator(replace(kernel, name=name)).grid_kernel(name)

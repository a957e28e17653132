"""The text of one function that works on Python objects: blocks, counts, cells.  Level 9."""

from __future__ import annotations

from typing import NamedTuple

from rushlight.base.errors import InternalError
from rushlight.selfcompile.callable import FunctionLayout
from rushlight.selfcompile.layout import ObjectLayout

OBJECT, INTEGER, TRUTH = "object", "integer", "truth"
FAILED, INTERPRET = "failed", "interpret"


class Value(NamedTuple):
    """kind: OBJECT (a pointer), INTEGER (an i64) or TRUTH (an i1).  name: in the text.

    owned: whether the function has a reference that somebody must take or drop.
    cell: where that reference lies, for the way of errors to find it; None: nowhere.
    """

    kind: str
    name: str
    owned: bool = False
    cell: str | None = None


class Join:
    """A block that several blocks lead to, each with a value."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.incoming: list[tuple[str, str]] = []


class FunctionText:
    """Writes one function.

    Instructions written while no block is open are dropped: nothing leads to them.
    """

    def __init__(self, name: str, layout: ObjectLayout) -> None:
        self.name = name
        self.layout = layout
        self.failure = FAILED  # where an error leads
        self.longest_call = 0
        self.endings: list[str] = []  # what is done before any return
        self._head: list[str] = []
        self._lines: list[str] = []
        self._count = 0
        self._block: str | None = None
        self._targets: set[str] = {FAILED}
        self._cells: list[str] = []
        self._parked: list[str] = []
        self._free: list[str] = []

    # ---- instructions ------------------------------------------------------------------------

    def fresh(self) -> str:
        """A new name."""
        self._count += 1
        return f"%v{self._count}"

    def new_label(self) -> str:
        """A new label."""
        self._count += 1
        return f"l{self._count}"

    @property
    def is_open(self) -> bool:
        """Whether an instruction written now could ever run."""
        return self._block is not None

    def line(self, text: str) -> None:
        """An instruction without a result."""
        if self._block is not None:
            self._lines.append("  " + text)

    def define(self, text: str) -> str:
        """The name of an instruction's result."""
        name = self.fresh()
        self.line(f"{name} = {text}")
        return name

    def begin(self, label: str) -> None:
        """Begin a block, if anything leads there; the one before runs into it."""
        self.jump(label)
        if label in self._targets:
            self._lines.append(f"{label}:")
            self._block = label

    def begin_first(self, label: str) -> None:
        """Begin a block that the function's head leads to."""
        self._targets.add(label)
        self.begin(label)

    def jump(self, label: str) -> None:
        """End the block."""
        if self._block is not None:
            self._targets.add(label)
            self.line(f"br label %{label}")
            self._block = None

    def branch(self, truth: str, yes: str, no: str) -> None:
        """End the block."""
        if self._block is not None:
            self._targets |= {yes, no}
            self.line(f"br i1 {truth}, label %{yes}, label %{no}")
            self._block = None

    def leave(self, value: str) -> None:
        """Return."""
        self.line(f"ret ptr {value}")
        self._block = None

    def join(self) -> Join:
        """A block to be begun by `merge`."""
        return Join(self.new_label())

    def give(self, join: Join, value: str) -> None:
        """End the block; the value goes to the join."""
        if self._block is not None:
            join.incoming.append((value, self._block))
            self.jump(join.label)

    def give_if(self, truth: str, join: Join, value: str, otherwise: str) -> None:
        """The same if a condition holds; else go on at a label."""
        if self._block is not None:
            join.incoming.append((value, self._block))
            self.branch(truth, join.label, otherwise)

    def merge(self, join: Join, kind: str = "ptr") -> str:
        """Begin the join's block; the value that came."""
        if not join.incoming:
            return "poison"
        self.begin(join.label)
        if len(join.incoming) == 1:
            return join.incoming[0][0]
        pairs = ", ".join(f"[{value}, %{block}]" for value, block in join.incoming)
        return self.define(f"phi {kind} {pairs}")

    def variable(self, kind: str) -> str:
        """Memory of the frame, without content."""
        name = self.fresh()
        self._head.append(f"  {name} = alloca {kind}")
        return name

    def place(self, pointer: str, offset: int) -> str:
        """The address at a byte offset."""
        return self.define(f"getelementptr i8, ptr {pointer}, i64 {offset}")

    def at(self, pointer: str, offset: int, kind: str = "ptr") -> str:
        """What lies at a byte offset."""
        return self.define(f"load {kind}, ptr {self.place(pointer, offset)}")

    def load(self, pointer: str, kind: str = "ptr") -> str:
        """What lies there."""
        return self.define(f"load {kind}, ptr {pointer}")

    def store(self, value: str, pointer: str, kind: str = "ptr") -> None:
        """Write there."""
        self.line(f"store {kind} {value}, ptr {pointer}")

    def is_null(self, name: str) -> str:
        """Whether a pointer is null."""
        return self.define(f"icmp eq ptr {name}, null")

    def same(self, x: str, y: str) -> str:
        """Whether two pointers are equal."""
        return self.define(f"icmp eq ptr {x}, {y}")

    # ---- errors ------------------------------------------------------------------------------

    def check(self, name: str) -> None:
        """Leave by the way of errors where a pointer is null."""
        self.fail_if(self.is_null(name))

    def check_status(self, name: str, kind: str = "i32") -> None:
        """The same where an integer is negative."""
        self.fail_if(self.define(f"icmp slt {kind} {name}, 0"))

    def fail_if(self, truth: str) -> None:
        """Leave by the way of errors."""
        going_on = self.new_label()
        self.branch(truth, self.failure, going_on)
        self.begin(going_on)

    def fail(self) -> None:
        """Leave by the way of errors, always."""
        self.jump(self.failure)

    # ---- references --------------------------------------------------------------------------

    def retain(self, name: str) -> None:
        """One more reference to an object."""
        self.line(f"call void @retain(ptr {name})")

    def release(self, name: str) -> None:
        """One reference less."""
        self.line(f"call void @release(ptr {name})")

    def release_any(self, name: str) -> None:
        """The same; null stands for no object."""
        self.line(f"call void @release_any(ptr {name})")

    def end(self) -> None:
        """What is done before a return."""
        for line in self.endings:
            self.line(line)

    def take(self, value: Value) -> str:
        """The object's name, with a reference that now is the taker's."""
        if value.kind != OBJECT:
            raise InternalError(f"{value} is no object")
        if not value.owned:
            self.retain(value.name)
        elif value.cell is not None:
            self.store("null", value.cell)
            self._free.append(value.cell)
        return value.name

    def drop(self, value: Value) -> None:
        """The value is not needed any more."""
        if value.owned:
            self.release(self.take(value))

    def park(self, value: Value) -> Value:
        """The same value, where the way of errors finds its reference."""
        if not value.owned or value.cell is not None:
            return value
        if self._free:
            cell = self._free.pop()
        else:
            cell = self.new_cell()
            self._parked.append(cell)
        self.store(value.name, cell)
        return value._replace(cell=cell)

    def new_cell(self) -> str:
        """A place for a reference, null at first; an error that leaves the function empties it."""
        cell = self.variable("ptr")
        self._head.append(f"  store ptr null, ptr {cell}")
        self._cells.append(cell)
        return cell

    def clear(self, cell: str) -> None:
        """Empty a cell."""
        self.line(f"call void @clear(ptr {cell})")

    def clear_parked(self) -> None:
        """Release what an error left parked."""
        for cell in self._parked:
            self.clear(cell)

    @property
    def cells(self) -> list[str]:
        """All cells so far."""
        return list(self._cells)

    def call(self, function: str, *arguments: str, kind: str = "ptr") -> str:
        """The result of a call; arguments with their types."""
        return self.define(f"call {kind} @{function}({', '.join(arguments)})")

    # ---- the whole ---------------------------------------------------------------------------

    def finished(self) -> str:
        """The function's text: the head, the body, the way of errors."""
        if self._block is not None:
            raise InternalError(f"{self.name} does not end")
        self.begin(FAILED)
        for cell in self._cells:
            self.clear(cell)
        self.end()
        self.leave("null")
        head = [
            f"define ptr @{self.name}(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) {{",
            "entry:",
            # The highest bit says something of the place before the arguments.
            f"  %nargs = and i64 %nargsf, {(1 << 63) - 1}",
            f"  %table_at = getelementptr i8, ptr %self, i64 {FunctionLayout().table}",
            "  %table = load ptr, ptr %table_at",
            f"  %items = getelementptr i8, ptr %table, i64 {self.layout.list_items}",
            "  %constants = load ptr, ptr %items",
            f"  %argv = alloca [{self.longest_call + 1} x ptr]",
            *self._head,
            "  br label %start",
        ]
        return "\n".join([*head, *self._lines, "}"])

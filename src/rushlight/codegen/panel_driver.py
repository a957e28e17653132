"""A driver that multiplies rows by packed panels: the contraction cores over any number of rows.

A panel holds some columns of a matrix, step after step of k, as many columns as a core has; a
matrix of more columns is panel after panel.  Level 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

from rushlight.base.target import Target
from rushlight.codegen.driver import Driver
from rushlight.codegen.emit import Value
from rushlight.codegen.microkernel import (
    ARGUMENT_TYPES,
    K_BLOCK,
    Packed,
    Tile,
    TileSet,
    core_function,
)
from rushlight.loopnest.ir import itemsize

_LLVM_TYPES = {"float32": "float", "float64": "double"}
# Rows of the smaller cores; each costs some 5 ms to compile.
_FEW_ROWS = (4, 2, 1)

# What a product asks for as it goes on, so that nothing waits for it later.  Of the first row of a
# tile, how many there are, and the step of k: (where to begin, bytes to the next, where to end).
Asked = Callable[[Value, int, Value], "tuple[Value, Value, Value]"]


class PanelDriver(Driver):
    """name: of the module, which its cores' names begin with.  streams: what a product asks for at
    once."""

    streams = 0
    # Whether streams are no more than a piece of each row of a tile.
    streams_by_row = False

    def __init__(self, name: str, dtype: str, tiles: TileSet, target: Target) -> None:
        super().__init__(target, _LLVM_TYPES[dtype])
        self.name, self.tiles, self.target = name, tiles, target
        self.size = itemsize(dtype)

    def panels(self, columns: Value) -> Value:
        """How many panels hold so many columns."""
        width = self.tiles.columns
        return self.b.binary("udiv", self.b.add(columns, self.count(width - 1)), self.count(width))

    def padded(self, columns: Value) -> Value:
        """Columns up to the end of the last panel."""
        return self.b.mul(self.panels(columns), self.count(self.tiles.columns))

    def only_if(self, condition: Value) -> tuple:
        """The bounds of a loop that runs once or not at all."""
        return self.count(0), self.b.select(condition, self.count(1), self.count(0)), 1

    def row_counts(self) -> list[int]:
        """Rows of the cores that cover any number of them."""
        return [self.tiles.rows, *[rows for rows in _FEW_ROWS if rows < self.tiles.rows]]

    def product(
        self, a: Value, a_row: Value, panel: Value, c: Value, c_row: Value, count: Value, k: Value,
        added: bool | Value = False, ahead: Sequence[Asked] = (), a_step: Value | None = None,
    ) -> None:  # fmt: skip
        """C[count, columns of a panel] = (C +) A[count, k] @ panel; strides in elements.

        added: whether to add to C, also known at run time.  a_step: between steps of k in A, one
        element unless given.
        """
        b, size = self.b, self.count(self.size)
        columns, one = self.count(self.tiles.columns), self.count(1)
        a_step = a_step or one
        blocks = b.begin_loop(self.count(0), k, K_BLOCK)
        k0 = blocks.counter
        steps = self.minimum(b.sub(k, k0), self.count(K_BLOCK))
        if isinstance(added, Value):
            first = b.binary("and", b.compare("eq", k0, self.count(0)), b.logic_not(added))
        else:
            first = b.compare("eq", k0, self.count(-1 if added else 0))
        source, lines = self.at(a, b.mul(k0, a_step)), self.at(panel, b.mul(k0, columns))
        # Of what only other cores ask for.
        nowhere = Value("null", "ptr")
        edge = self.count(0)
        for rows in self.row_counts():
            whole = self.whole_cores(b.sub(count, edge), rows)
            end = b.add(edge, b.mul(whole, self.count(rows)))
            loop = b.begin_loop(edge, end, rows)
            row = loop.counter
            arguments = [
                self.at(source, b.mul(row, a_row)), b.mul(a_row, size), b.mul(a_step, size),
                lines, b.mul(columns, size),
                self.at(c, b.mul(row, c_row)), b.mul(c_row, size),
                steps, columns, first, b.const(True, "i1"), nowhere,
            ]  # fmt: skip
            for i in range(self.streams):
                nothing = source, self.count(0), source
                arguments += ahead[i](row, rows, k0) if i < len(ahead) else nothing
            types = ARGUMENT_TYPES + ("ptr", "i64", "ptr") * self.streams
            typed = [f"{t} {v.text}" for t, v in zip(types, arguments)]
            name = Tile(rows, self.tiles.vectors).name
            b.line(f"call void @{self.name}_{name}({', '.join(typed)})")
            b.end_loop(loop)
            edge = end
        b.end_loop(blocks)

    def whole_cores(self, left: Value, rows: int) -> Value:
        """How many cores of so many rows are used where so many rows are left.

        A core of one or two rows takes as long as one of four, for its sums wait for each other:
        six and two rows are better computed as four and four.
        """
        b = self.b
        whole = b.binary("udiv", left, self.count(rows))
        if rows != self.tiles.rows or rows % _FEW_ROWS[0] != 2:
            return whole
        over = b.sub(b.sub(left, b.mul(whole, self.count(rows))), self.count(2))
        few = b.binary("and", b.compare("ult", over, self.count(2)),
                       b.compare("ne", whole, self.count(0)))  # fmt: skip
        return b.sub(whole, b.select(few, self.count(1), self.count(0)))

    def cores(self) -> tuple[list[str], set[str]]:
        """The cores that products call, and the declarations they need."""
        functions, declarations = [], set()
        for rows in self.row_counts():
            tile = Tile(rows, self.tiles.vectors)
            text, needed = core_function(
                tile, self.tiles.lanes, self.type, self.target, name=f"{self.name}_{tile.name}",
                streams=self.streams, asks=rows * self.streams_by_row,
                packed=Packed(None, self.tiles.columns),
            )  # fmt: skip
            functions.append(text)
            declarations |= needed
        return functions, declarations

    def module(self, functions: Sequence[str], needed: Set[str] = frozenset()) -> str:
        """The module of these functions and the cores; needed: further declarations."""
        cores, declarations = self.cores()
        declarations |= self.b.declarations | needed
        header = f'target triple = "{self.target.triple}"\n'
        return header + "\n".join(sorted(declarations)) + "\n\n" + "\n".join([*cores, *functions])

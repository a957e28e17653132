"""Matrix products over a grid of threads on Hopper's tensor cores: bfloat16 and float16 by `wgmma`.

A block is two warpgroups of four warps and computes 128 x 128 of C.  It brings 64 steps of k of
both operands into shared memory, 128 bytes a line, swizzled as the instruction reads them: the
16 bytes of a line are moved by the line's last three bits.  While a warpgroup multiplies, the next
pieces are on their way to registers.  Both operands run along k, in lines of whole 16 bytes.  Sums
are float32 and the hardware's own, so they are judged by tolerance; C is rounded once.  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.codegen import scalar_ops
from rushlight.codegen.emit import Value
from rushlight.codegen.grid import (
    GROUP_MULTIPLY,
    GROUP_SUMS,
    GROUP_SUMS_TYPE,
    SHARED,
    SHARED_IS_READY,
    GridKernel,
    collective,
)
from rushlight.codegen.grid_tile import Grid
from rushlight.loopnest.ir import itemsize

# The instruction set that has `wgmma`; later ones do not.
HOPPER = (9, 0)
ARCHITECTURE = "sm_90a"
PARAMS = ("m", "n", "k", "a_row", "b_column", "tiles_m", "tiles_n")
ROWS, COLUMNS, THREADS = 128, 128, 256
GROUP = 128
# Elements of 16 bytes, and of a line of shared memory.
PIECE, STEPS = 8, 64
LINE_BYTES = 128
# Rows of a warpgroup.
GROUP_ROWS = 64
_KINDS = {"bfloat16": "bf16", "float16": "f16"}


@dataclass(frozen=True)
class GridGroupProduct:
    """What the code depends on: the dtype; whether C is float32 and holds the sums as they are."""

    dtype: str
    unrounded: bool = False

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"group_product_{_KINDS[self.dtype]}{'_unrounded' if self.unrounded else ''}"

    @property
    def result(self) -> str:
        """The dtype of C."""
        return "float32" if self.unrounded else self.dtype


class _GroupProduct(Grid):
    def __init__(self, spec: GridGroupProduct) -> None:
        super().__init__(("a", "b", "c", "offsets"), PARAMS, "float")
        self.spec = spec
        b, p = self.b, self.params
        tile, column = self.split(self.place, p["tiles_n"])
        self.batch, row = self.split(tile, p["tiles_m"])
        self.row, self.column = b.mul(row, self.count(ROWS)), b.mul(column, self.count(COLUMNS))
        self.bases = [self.base(i, name) for i, name in enumerate("abc")]
        self.group, self.in_group = self.split(self.thread, GROUP)

    def base(self, matrix: int, name: str) -> Value:
        b = self.b
        index = b.add(b.mul(self.batch, self.count(3)), self.count(matrix))
        offset = b.load(b.pointer_offset(self.buffers["offsets"], index, "i64"), "i64", 1, 8)
        element = "i16" if matrix < 2 else scalar_ops.memory_type(self.spec.result)
        return b.pointer_offset(self.buffers[name], offset, element)

    def text(self) -> str:
        b, p = self.b, self.params
        places = self.places()
        first = [self.piece(place, self.count(0)) for place in places]
        zeros = [b.const(0.0, "float")] * GROUP_SUMS
        loop = b.begin_loop(self.count(0), p["k"], STEPS, [*zeros, *first])
        sums, pieces = list(loop.values[:GROUP_SUMS]), loop.values[GROUP_SUMS:]
        self.meet()
        for (_, _, _, target), piece in zip(places, pieces):
            b.store(piece, b.pointer_offset(Value(SHARED, "ptr"), target, "i8"), 16)
        collective(b, "", SHARED_IS_READY)
        self.meet()
        following = b.add(loop.counter, self.count(STEPS))
        pieces = [self.piece(place, following) for place in places]
        sums = self.multiplied(sums)
        totals = b.end_loop(loop, [*sums, *pieces])[:GROUP_SUMS]
        self.store(totals)
        return self.lines()

    def places(self) -> list[tuple[Value, Value, Value, Value]]:
        """Of each piece of 16 bytes that a thread brings: where its line begins, whether there is
        such a line, the step of k of its first element, and its byte in shared memory."""
        b, p = self.b, self.params
        found = []
        for source, start, bound, stride, shift, count in (
            (self.bases[0], self.row, p["m"], p["a_row"], 0, ROWS),
            (self.bases[1], self.column, p["n"], p["b_column"], ROWS * LINE_BYTES, COLUMNS),
        ):
            for turn in range(count * STEPS // PIECE // THREADS):
                element = b.add(self.thread, self.count(turn * THREADS))
                line, piece = self.split(element, STEPS // PIECE)
                own = b.add(start, line)
                inside = b.compare("slt", own, bound)
                begin = b.mul(b.select(inside, own, self.count(0)), stride)
                swizzled = b.binary("xor", piece, b.binary("and", line, self.count(7)))
                target = b.add(b.mul(line, self.count(LINE_BYTES)), self.count(shift))
                target = b.add(target, b.mul(swizzled, self.count(16)))
                step = b.mul(piece, self.count(PIECE))
                found.append((b.pointer_offset(source, begin, "i16"), inside, step, target))
        return found

    def piece(self, place: tuple[Value, Value, Value, Value], k0: Value) -> Value:
        """Eight elements of a line; zeros beyond the edges."""
        b = self.b
        begin, inside, step, _ = place
        k = b.add(k0, step)
        inside = b.binary("and", inside, b.compare("slt", k, self.params["k"]))
        pointer = b.pointer_offset(begin, b.select(inside, k, self.count(0)), "i16")
        words = b.load(pointer, "i32", 4, 16)
        return b.select(inside, words, b.const(0, "i32", 4))

    def multiplied(self, sums: list[Value]) -> list[Value]:
        """64 rows of a warpgroup times 128 columns, for all steps of the shared pieces."""
        b = self.b
        region = b.regions[-1]
        first = b.convert("trunc", b.mul(self.group, self.count(GROUP_ROWS * LINE_BYTES)), "i32")
        label = b.fresh("met")
        kind = _KINDS[self.spec.dtype]
        operands = ", ".join([first.text, str(ROWS * LINE_BYTES), *[v.text for v in sums]])
        region.lines.append(f"  %{label}.all = {GROUP_MULTIPLY} {kind} {operands} then {label}")
        region.lines.append(f"{label}:")
        region.label = label
        found = []
        for place in range(GROUP_SUMS):
            name = f"%{label}.sum{place}"
            region.lines.append(f"  {name} = extractvalue {GROUP_SUMS_TYPE} %{label}.all, {place}")
            found.append(Value(name, "float", 1, b.depth))
        return found

    def store(self, sums: list[Value]) -> None:
        """Rounded once, into C, whose rows are dense."""
        b, p = self.b, self.params
        warp, lane = self.split(self.in_group, 32)
        down, across = self.split(lane, 4)
        row = b.add(self.row, b.mul(self.group, self.count(GROUP_ROWS)))
        row = b.add(b.add(row, b.mul(warp, self.count(16))), down)
        column = b.add(self.column, b.mul(across, self.count(2)))
        for place, value in enumerate(sums):
            own_row = b.add(row, self.count(8 * (place // 2 % 2)))
            own_column = b.add(column, self.count(8 * (place // 4) + place % 2))
            inside = b.binary(
                "and", b.compare("slt", own_row, p["m"]), b.compare("slt", own_column, p["n"])
            )
            region = self.when(inside)
            rounded = scalar_ops.cast(b, value, "float32", self.spec.result)
            index = b.add(b.mul(own_row, p["n"]), own_column)
            element = scalar_ops.memory_type(self.spec.result)
            target = b.pointer_offset(self.bases[2], index, element)
            b.store(rounded, target, itemsize(self.spec.result))
            b.end_loop(region)


def group_product_kernel(spec: GridGroupProduct) -> GridKernel:
    """The kernel of products of two matrices whose lines run along k, over (batch, tiles)."""
    product = _GroupProduct(spec)
    body = product.text()
    return GridKernel(
        spec.name, 4, 0, (False,) * len(PARAMS), THREADS, 1, body,
        tuple(sorted(product.b.declarations)), True, (ROWS + COLUMNS) * LINE_BYTES, False,
        ARCHITECTURE,
    )  # fmt: skip

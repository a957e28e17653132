"""Matrix products over a grid of threads on tensor cores: bfloat16, float16, and float32 as TF32.

A block of eight warps computes a tile of C.  It brings pieces of A and B into shared memory, both
with k side by side, and each warp multiplies fragments of them by `mma.sync`; while it does, the
next pieces are on their way to registers.  What lies in whole pieces of 16 bytes is read so.  Sums
are float32, in blocks of K_BLOCK steps; within an instruction the hardware has an order of its own,
so a card is judged by tolerance, while the emulator adds in ascending order.  C is rounded once.
Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.codegen import scalar_ops
from rushlight.codegen.emit import Emitter, Value
from rushlight.codegen.grid import MULTIPLY, SHARED, GridKernel
from rushlight.codegen.grid_tile import Grid
from rushlight.codegen.microkernel import K_BLOCK
from rushlight.loopnest.ir import itemsize

# The oldest instruction set whose tensor cores take all three.
TENSOR_CORES = (8, 0)
PARAMS = ("m", "n", "k", "a_row", "a_column", "b_row", "b_column", "tiles_m", "tiles_n")
ROWS, COLUMNS, THREADS = 128, 64, 256
# Columns of a tile where there are many.
MANY_COLUMNS = 128
# Of each fragment: rows of A, columns of B; and how many a warp has of them.
_M, _N = 16, 8
_WARPS_DOWN = 4
_DOWN = ROWS // _M // _WARPS_DOWN
# Bytes of a line of shared memory: of 32 steps of k in 16 bits, or 16 in 32 bits.
_LINE_BYTES = 64
# Lines that begin in different banks: eight lines of four words each meet all 32 of them.
_PITCH_BYTES = _LINE_BYTES + 16
KINDS = {"bfloat16": "bf16", "float16": "f16", "float32": "tf32"}


@dataclass(frozen=True)
class GridTensorProduct:
    """What the code depends on: the dtype; whether lines of A and B run along k, and lie in whole
    pieces of 16 bytes; columns of a tile; whether C is float32 and holds the sums as they are."""

    dtype: str
    a_along_k: bool
    b_along_k: bool
    a_whole: bool = False
    b_whole: bool = False
    columns: int = COLUMNS
    unrounded: bool = False

    @property
    def name(self) -> str:
        """The kernel's name."""
        lines = "".join("k" if along else "r" for along in (self.a_along_k, self.b_along_k))
        whole = "".join("w" if w else "s" for w in (self.a_whole, self.b_whole))
        sums = "_unrounded" if self.unrounded else ""
        return f"tensor_product_{KINDS[self.dtype]}_{lines}_{whole}_{self.columns}{sums}"

    @property
    def result(self) -> str:
        """The dtype of C."""
        return "float32" if self.unrounded else self.dtype


def fragment(b: Emitter, kind: str, words: list[Value], sums: list[Value]) -> list[Value]:
    """One instruction: the four sums that a thread has of 16 x 8."""
    region = b.regions[-1]
    label = b.fresh("met")
    operands = ", ".join(value.text for value in (*words, *sums))
    region.lines.append(f"  %{label}.all = {MULTIPLY} {kind} {operands} then {label}")
    region.lines.append(f"{label}:")
    region.label = label
    found = []
    for place in range(4):
        name = f"%{label}.sum{place}"
        region.lines.append(
            f"  {name} = extractvalue {{float, float, float, float}} %{label}.all, {place}"
        )
        found.append(Value(name, "float", 1, b.depth))
    return found


@dataclass(frozen=True)
class _Piece:
    """So many neighbors of a matrix in a register, and where they go in shared memory."""

    value: Value
    target: Value
    along_k: bool
    elements: int


class _TensorProduct(Grid):
    def __init__(self, spec: GridTensorProduct) -> None:
        super().__init__(("a", "b", "c", "offsets"), PARAMS, "float")
        self.spec = spec
        b, p = self.b, self.params
        self.element = "i32" if spec.dtype == "float32" else "i16"
        self.bytes = 4 if spec.dtype == "float32" else 2
        self.steps = _LINE_BYTES // self.bytes
        self.pitch = _PITCH_BYTES // self.bytes
        # Steps of k that one instruction takes: pairs of 16 bits, or single ones of 32.
        self.each = 16 if self.bytes == 2 else 8
        tile, column = self.split(self.place, p["tiles_n"])
        self.batch, row = self.split(tile, p["tiles_m"])
        self.row = b.mul(row, self.count(ROWS))
        self.column = b.mul(column, self.count(spec.columns))
        self.fragments_across = spec.columns // _N // (THREADS // 32 // _WARPS_DOWN)
        shared = Value(SHARED, "ptr")
        self.lines_of_a = shared
        self.lines_of_b = self.offset(shared, self.count(ROWS * self.pitch))
        self.bases = [self.base(i, name) for i, name in enumerate("abc")]
        warp, lane = self.split(self.thread, 32)
        across, down = self.split(warp, _WARPS_DOWN)
        self.warp_row = b.mul(down, self.count(_DOWN * _M))
        self.warp_column = b.mul(across, self.count(self.fragments_across * _N))
        self.group, self.in_group = self.split(lane, 4)

    @property
    def shared_bytes(self) -> int:
        return (ROWS + self.spec.columns) * _PITCH_BYTES

    def offset(self, pointer: Value, index: Value, of_result: bool = False) -> Value:
        element = scalar_ops.memory_type(self.spec.result) if of_result else self.element
        return self.b.pointer_offset(pointer, index, element)

    def base(self, matrix: int, name: str) -> Value:
        b = self.b
        index = b.add(b.mul(self.batch, self.count(3)), self.count(matrix))
        offset = b.load(b.pointer_offset(self.buffers["offsets"], index, "i64"), "i64", 1, 8)
        return self.offset(self.buffers[name], offset, matrix == 2)

    def text(self) -> str:
        b, p = self.b, self.params
        zeros = [b.const(0.0, "float")] * (_DOWN * self.fragments_across * 4)
        blocks = b.begin_loop(self.count(0), p["k"], K_BLOCK, zeros)
        stop = b.add(blocks.counter, self.count(K_BLOCK))
        stop = b.select(b.compare("slt", stop, p["k"]), stop, p["k"])
        first = [piece.value for piece in self.fetched(blocks.counter)]
        loop = b.begin_loop(blocks.counter, stop, self.steps, [*zeros, *first])
        sums, values = list(loop.values[: len(zeros)]), loop.values[len(zeros) :]
        self.meet()
        pieces = self.fetched(b.add(loop.counter, self.count(self.steps)))
        for piece, value in zip(pieces, values):
            self.keep(piece, value)
        self.meet()
        for step in range(0, self.steps, self.each):
            sums = self.multiplied(step, sums)
        ended = b.end_loop(loop, [*sums, *[piece.value for piece in pieces]])[: len(zeros)]
        is_first = b.compare("eq", blocks.counter, self.count(0))
        totals = [
            b.select(is_first, new, b.add(old, new)) for old, new in zip(blocks.values, ended)
        ]
        self.store(b.end_loop(blocks, totals))
        return self.lines()

    def fetched(self, k0: Value) -> list[_Piece]:
        """What this thread brings of A and B, of the steps that begin at k0."""
        spec, p = self.spec, self.params
        found = []
        for source, lines, along, whole, count, bounds, strides in (
            (self.bases[0], self.lines_of_a, spec.a_along_k, spec.a_whole, ROWS,
             (self.row, p["m"]), (p["a_row"], p["a_column"])),
            (self.bases[1], self.lines_of_b, spec.b_along_k, spec.b_whole, spec.columns,
             (self.column, p["n"]), (p["b_column"], p["b_row"])),
        ):  # fmt: skip
            elements = 16 // self.bytes if whole else 1
            for turn in range(count * self.steps // elements // THREADS):
                place = self.b.add(self.thread, self.count(turn * THREADS))
                line, step = self.place_of(place, along, count, elements)
                found.append(
                    self.piece(source, lines, (line, step), bounds, strides, k0, along, elements)
                )
        return found

    def place_of(
        self, place: Value, along_k: bool, count: int, elements: int
    ) -> tuple[Value, Value]:
        """(line, step) of the first element of a piece; neighbors read neighbors, and store such
        that they fall into different banks."""
        b = self.b
        if along_k:
            line, piece = self.split(place, self.steps // elements)
            return line, b.mul(piece, self.count(elements))
        if elements == 1:
            step, line = self.split(place, count)
            return line, step
        # Sixteen steps side by side; then two pieces of a line, which share 32 bytes.
        high, low = self.split(place, 16)
        half, piece = self.split(high, count // elements)
        step = b.add(b.mul(half, self.count(16)), low)
        return b.mul(piece, self.count(elements)), step

    def piece(
        self, source: Value, lines: Value, place: tuple[Value, Value],
        bounds: tuple[Value, Value], strides: tuple[Value, Value], k0: Value, along_k: bool,
        elements: int,
    ) -> _Piece:  # fmt: skip
        """Neighbors along k, or along the lines of a tile; zeros beyond the edges."""
        b = self.b
        line, step = place
        own, own_k = b.add(bounds[0], line), b.add(k0, step)
        inside = b.binary(
            "and", b.compare("slt", own, bounds[1]), b.compare("slt", own_k, self.params["k"])
        )
        index = b.add(b.mul(own, strides[0]), b.mul(own_k, strides[1]))
        pointer = self.offset(source, b.select(inside, index, self.count(0)))
        if elements == 1:
            value = b.load(pointer, self.element, 1, self.bytes)
            value = b.select(inside, value, b.const(0, self.element))
        else:
            value = b.load(pointer, "i32", 4, 16)
            value = b.select(inside, value, b.const(0, "i32", 4))
        target = self.offset(lines, b.add(b.mul(line, self.count(self.pitch)), step))
        return _Piece(value, target, along_k, elements)

    def keep(self, piece: _Piece, value: Value) -> None:
        """A piece into shared memory, where lines run along k."""
        b = self.b
        if piece.elements == 1:
            b.store(value, piece.target, self.bytes)
        elif piece.along_k:
            b.store(value, piece.target, 16)
        else:
            for number in range(piece.elements):
                word = b.extract(value, number * self.bytes // 4)
                if self.bytes == 2:
                    if number % 2:
                        word = b.binary("lshr", word, b.const(16, "i32"))
                    word = b.convert("trunc", word, "i16")
                target = self.offset(piece.target, self.count(number * self.pitch))
                b.store(word, target, self.bytes)

    def words(self, lines: Value, first: Value, step: int) -> list[Value]:
        """A thread's words of a line: of its place in the group of four, and half a piece later."""
        b = self.b
        per_word = 4 // self.bytes
        start = b.add(
            b.mul(first, self.count(self.pitch)),
            b.add(b.mul(self.in_group, self.count(per_word)), self.count(step)),
        )
        return [
            b.load(self.offset(lines, b.add(start, self.count(half))), "i32", 1, 4)
            for half in (0, self.each // 2)
        ]

    def multiplied(self, step: int, sums: list[Value]) -> list[Value]:
        """All fragments of a warp for the steps of one instruction."""
        b = self.b
        left = []
        for i in range(_DOWN):
            row = b.add(b.add(self.warp_row, self.count(i * _M)), self.group)
            near = self.words(self.lines_of_a, row, step)
            far = self.words(self.lines_of_a, b.add(row, self.count(_M // 2)), step)
            left.append([near[0], far[0], near[1], far[1]])
        right = []
        for j in range(self.fragments_across):
            column = b.add(b.add(self.warp_column, self.count(j * _N)), self.group)
            right.append(self.words(self.lines_of_b, column, step))
        found: list[Value] = []
        for i in range(_DOWN):
            for j in range(self.fragments_across):
                at = 4 * (i * self.fragments_across + j)
                words = [*left[i], *right[j]]
                found += fragment(b, KINDS[self.spec.dtype], words, sums[at : at + 4])
        return found

    def store(self, sums: list[Value]) -> None:
        """Rounded once, into C, whose rows are dense."""
        b, p = self.b, self.params
        for i in range(_DOWN):
            for j in range(self.fragments_across):
                at = 4 * (i * self.fragments_across + j)
                for place, value in enumerate(sums[at : at + 4]):
                    down, across = divmod(place, 2)
                    row = b.add(
                        b.add(self.row, self.warp_row),
                        b.add(self.group, self.count(i * _M + down * _M // 2)),
                    )
                    column = b.add(
                        b.add(self.column, self.warp_column),
                        b.add(b.mul(self.in_group, self.count(2)), self.count(j * _N + across)),
                    )
                    inside = b.binary(
                        "and", b.compare("slt", row, p["m"]), b.compare("slt", column, p["n"])
                    )
                    region = self.when(inside)
                    rounded = scalar_ops.cast(b, value, "float32", self.spec.result)
                    pointer = self.offset(self.bases[2], b.add(b.mul(row, p["n"]), column), True)
                    b.store(rounded, pointer, itemsize(self.spec.result))
                    b.end_loop(region)


def tensor_product_kernel(spec: GridTensorProduct) -> GridKernel:
    """The kernel of products of two matrices on tensor cores, over (batch, tiles)."""
    product = _TensorProduct(spec)
    body = product.text()
    return GridKernel(
        spec.name, 4, 0, (False,) * len(PARAMS), THREADS, 1, body,
        tuple(sorted(product.b.declarations)), True, product.shared_bytes, False,
    )  # fmt: skip

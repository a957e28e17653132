"""What attention's kernels on the CPU share: their arguments, and walks along rows of scores.

Buffers, in memory of their own, are row-major and dense; letters in shapes as in
primitives/attention.py.  Level 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rushlight.base.target import Target
from rushlight.codegen import scalar_ops
from rushlight.codegen.emit import Emitter, Value
from rushlight.codegen.exponential import exp
from rushlight.codegen.microkernel import TileSet, tile_set
from rushlight.codegen.packing import Packer, lane_mask
from rushlight.codegen.panel_driver import PanelDriver
from rushlight.loopnest.ir import itemsize

# Elements of a row that are taken at once, the same on every machine: a sum has so many partial
# sums, which are added half by half.
LANES = {"float32": 32, "float64": 16}
# Keys of a block forward: what is kept of a row is brought up to date so often.
KEYS = 256
# Between rows of scores in memory of our own, so that those a power of two apart do not meet in the
# same few places of a cache.
_GAP_BYTES = 64

FORWARD_BUFFERS = ("q", "k", "v", "mask", "kept", "out", "sums", "panels")
BACKWARD_BUFFERS = ("g", "q", "k", "v", "mask", "kept", "sums", "delta", "of_q", "of_k", "of_v",
                    "partial")  # fmt: skip
# heads of queries, `group` of which share one of keys; rows, columns of the scores; width,
# value_width: features; block: rows of queries at once; blocks: of them, or parts of the keys;
# keys: of a block; members: batch x heads of queries; strides of the mask; scale: a float64.
PARAMS = ("heads", "group", "rows", "columns", "width", "value_width", "block", "blocks", "keys",
          "members", "mask_batch", "mask_head", "mask_row", "scale")  # fmt: skip


@dataclass(frozen=True)
class AttentionSpec:
    """What the code depends on; sizes are run-time arguments.  mask: its dtype, or empty; dropped:
    whether there is a matrix that says which weights are kept."""

    name: str
    dtype: str
    gradient: bool
    causal: bool
    mask: str
    dropped: bool = False


def attention_tiles(dtype: str, target: Target) -> TileSet:
    """The cores; their columns are those of a panel."""
    return tile_set(target, itemsize(dtype))


class Piece:
    """Some elements of a row side by side, as vectors; the last ones of a row are fewer.

    at: the first one's place.  masks: which lanes there are, None if all.
    """

    def __init__(self, driver: AttentionRows, at: Value, left: Value | None) -> None:
        self.driver, self.at = driver, at
        self.width = driver.tiles.lanes
        b = driver.b
        self.starts = [driver.count(n) for n in range(0, driver.lanes, self.width)]
        self.masks: list[Value] | None = None
        if left is not None:
            self.masks = [lane_mask(b, b.sub(left, start), self.width) for start in self.starts]

    def load(self, row: Value, roomy: bool = False, type_: str = "") -> list[Value]:
        """roomy: whether the row has memory up to the end of the piece."""
        b, driver = self.driver.b, self.driver
        type_ = type_ or driver.type
        size = driver.size if type_ == driver.type else 1
        found = []
        for number, start in enumerate(self.starts):
            at = b.pointer_offset(row, b.add(self.at, start), type_)
            if self.masks is None or roomy:
                found.append(b.load(at, type_, self.width, size))
            else:
                found.append(b.masked_load(at, type_, self.masks[number], size))
        return found

    def store(self, values: Sequence[Value], row: Value, roomy: bool = False) -> None:
        """As `load`."""
        b, size = self.driver.b, self.driver.size
        for number, (start, value) in enumerate(zip(self.starts, values)):
            at = self.driver.at(row, b.add(self.at, start))
            if self.masks is None or roomy:
                b.store(value, at, size)
            else:
                b.masked_store(value, at, self.masks[number], size)

    def inside(self, values: list[Value], other: float) -> list[Value]:
        """The values, and another number in lanes that are not there."""
        b = self.driver.b
        if self.masks is None:
            return values
        return [b.select(m, v, b.like(other, v)) for m, v in zip(self.masks, values)]


Body = Callable[[Piece, list[Value]], "list[Value] | None"]


class AttentionRows(PanelDriver):
    """The text of a kernel of attention."""

    def __init__(self, spec: AttentionSpec, names: Sequence[str], target: Target) -> None:
        super().__init__(spec.name, spec.dtype, attention_tiles(spec.dtype, target), target)
        self.spec = spec
        self.lanes = LANES[spec.dtype]
        self.buffers = {name: self.word("buffers", i, "ptr") for i, name in enumerate(names)}
        self.params = {
            name: self.word("params", i, "double" if name == "scale" else "i64")
            for i, name in enumerate(PARAMS)
        }
        scale = self.params["scale"]
        self.scale = scale if self.type == "double" else self.b.convert("fptrunc", scale, "float")
        self.zero, self.one = self.count(0), self.count(1)

    # --- memory ---

    def number(self, value: float) -> Value:
        """A number of the kernel's dtype."""
        return self.b.const(value, self.type)

    def roomy(self, count: Value) -> Value:
        """Elements up to the end of the last panel, and of the last piece."""
        b = self.b
        padded = b.add(self.padded(count), self.count(self.lanes - 1))
        return b.binary("and", padded, self.count(-self.lanes))

    def spaced(self, count: Value) -> Value:
        """Between rows of so many elements."""
        return self.b.add(self.roomy(count), self.count(_GAP_BYTES // self.size))

    def memory(self, *sizes: Value) -> Value:
        """Memory of this call, of the product of sizes, on the stack."""
        found = sizes[0]
        for size in sizes[1:]:
            found = self.b.mul(found, size)
        return self.b.stack(self.type, found, 64)

    def row(self, base: Value, number: Value, stride: Value) -> Value:
        """Where a row begins."""
        return self.at(base, self.b.mul(number, stride))

    def rows_of(self, name: str, member: Value, rows: Value, width: Value) -> Value:
        """Where the matrix of one member of a buffer begins."""
        return self.row(self.buffers[name], member, self.b.mul(rows, width))

    def read(self, pointer: Value) -> Value:
        """One element."""
        return self.b.load(pointer, self.type, 1, self.size)

    def write(self, value: Value, pointer: Value) -> None:
        """As `read`."""
        self.b.store(value, pointer, self.size)

    def clamp(self, x: Value, high: Value) -> Value:
        """x brought between 0 and `high`."""
        x = self.minimum(x, high)
        return self.b.select(self.b.compare("slt", x, self.zero), self.zero, x)

    # --- walks ---

    def over(self, count: Value, body: Body, carried: Sequence[Value] = ()) -> list[Value]:
        """Whole pieces, then the rest; what `body` returns is carried on."""
        b = self.b
        main = b.binary("and", count, self.count(-self.lanes))
        loop = b.begin_loop(self.zero, main, self.lanes, carried)
        found = b.end_loop(loop, body(Piece(self, loop.counter, None), loop.values) or ())
        loop = b.begin_loop(main, count, self.lanes, found)
        rest = Piece(self, loop.counter, b.sub(count, main))
        return b.end_loop(loop, body(rest, loop.values) or ())

    def over_masked(self, count: Value, body: Body, carried: Sequence[Value] = ()) -> list[Value]:
        """As `over`, each piece with masks: half the code, for long bodies."""
        b = self.b
        loop = b.begin_loop(self.zero, count, self.lanes, carried)
        piece = Piece(self, loop.counter, b.sub(count, loop.counter))
        return b.end_loop(loop, body(piece, loop.values) or ())

    def over_roomy(self, start: Value, stop: Value, body: Callable[[Piece], None]) -> None:
        """Whole pieces of a row that has room for them."""
        loop = self.b.begin_loop(start, stop, self.lanes)
        body(Piece(self, loop.counter, None))
        self.b.end_loop(loop)

    def each(self, count: Value, body: Callable[[Value], None]) -> None:
        """A loop over rows."""
        loop = self.b.begin_loop(self.zero, count, 1)
        body(loop.counter)
        self.b.end_loop(loop)

    def cleared(self, base: Value, count: Value) -> None:
        """Fills with zeros; the memory has room for whole pieces."""
        nothing = self.b.const(0.0, self.type, self.tiles.lanes)
        parts = self.lanes // self.tiles.lanes
        self.over_roomy(self.zero, count, lambda p: p.store([nothing] * parts, base))

    def zeros_from(self, row: Value, seen: Value, stop: Value) -> None:
        """Fills a row with zeros behind the piece that holds the last element seen."""
        b = self.b
        start = b.binary("and", b.add(seen, self.count(self.lanes - 1)), self.count(-self.lanes))
        nothing = [b.const(0.0, self.type, self.tiles.lanes)] * (self.lanes // self.tiles.lanes)
        self.over_roomy(start, stop, lambda p: p.store(nothing, row))

    def start(self, value: float) -> list[Value]:
        """The partial results of a reduction before the first element."""
        lanes = self.tiles.lanes
        return [self.b.const(value, self.type, lanes)] * (self.lanes // lanes)

    def folded(self, parts: Sequence[Value], join: Callable[[Value, Value], Value]) -> Value:
        """One number of all lanes, the upper half joined to the lower one again and again."""
        b, held = self.b, list(parts)
        while len(held) > 1:
            half = len(held) // 2
            held = [join(held[i], held[i + half]) for i in range(half)]
        (found,) = held
        while found.width > 2:
            half = found.width // 2
            lower, upper = (b.shuffle(found, found, range(s, s + half)) for s in (0, half))
            found = join(lower, upper)
        return join(b.extract(found, 0), b.extract(found, 1)) if found.width > 1 else found

    def larger(self, x: Value, y: Value) -> Value:
        """The larger of two numbers, the second one where there is no order."""
        return self.b.select(self.b.compare("ogt", x, y), x, y)

    def exponentials(self, values: Sequence[Value]) -> list[Value]:
        """Of vectors."""
        return [exp(self.b, value) for value in values]

    # --- scores ---

    def visible(self, query: Value, first: Value, count: Value) -> Value:
        """How many of `count` keys from the first one on a query sees."""
        if not self.spec.causal:
            return count
        return self.clamp(self.b.sub(self.b.add(query, self.one), first), count)

    def mask_of(self, member: Value) -> Value | None:
        """Where the mask of one head of queries begins."""
        if not self.spec.mask:
            return None
        b, p = self.b, self.params
        batch = b.binary("udiv", member, p["heads"])
        head = b.binary("urem", member, p["heads"])
        start = b.add(b.mul(batch, p["mask_batch"]), b.mul(head, p["mask_head"]))
        return b.pointer_offset(self.buffers["mask"], start, self.mask_type)

    @property
    def mask_type(self) -> str:
        """LLVM's type of the mask's elements."""
        return scalar_ops.memory_type(self.spec.mask)

    def mask_row(self, mask: Value | None, query: Value, key: Value) -> Value | None:
        """Where the mask of a query begins, from a key on."""
        if mask is None:
            return None
        b = self.b
        place = b.add(b.mul(query, self.params["mask_row"]), key)
        return b.pointer_offset(mask, place, self.mask_type)

    def kept_row(self, member: Value, query: Value, key: Value) -> Value | None:
        """Where it is said which weights of a query are kept, from a key on."""
        if not self.spec.dropped:
            return None
        b, p = self.b, self.params
        line = b.add(b.mul(member, p["rows"]), query)
        place = b.add(b.mul(line, p["columns"]), key)
        return b.pointer_offset(self.buffers["kept"], place, "i8")

    def kept(self, piece: Piece, values: list[Value], row: Value | None) -> list[Value]:
        """The values, zero where they are not kept."""
        if row is None:
            return values
        b = self.b
        said = [b.compare("ne", x, b.like(0, x)) for x in piece.load(row, type_="i8")]
        return [b.select(s, x, b.like(0.0, x)) for s, x in zip(said, values)]

    def scored(self, piece: Piece, row: Value, mask: Value | None) -> list[Value]:
        """The scores of products in a row: scaled, masked, minus infinity where there is no key."""
        b = self.b
        found = [b.mul(x, self.scale) for x in piece.load(row, roomy=True)]
        if mask is not None and self.spec.mask == "bool":
            shown = [b.compare("ne", x, b.like(0, x)) for x in piece.load(mask, type_="i8")]
            found = [b.select(s, x, b.like(float("-inf"), x)) for s, x in zip(shown, found)]
        elif mask is not None:
            found = [b.add(x, y) for x, y in zip(found, piece.load(mask))]
        return piece.inside(found, float("-inf"))

    # --- packing and multiplying ---

    def call(self, name: str, *arguments: Value) -> None:
        """A call of one of the module's helpers."""
        listed = ", ".join(f"{v.type} {v.text}" for v in arguments)
        self.b.line(f"call void @{self.name}_{name}({listed})")

    def pack_lines(self, source: Value, width: Value, count: Value, target: Value) -> None:
        """Rows of `width` elements become the columns of panels; what lies behind the last panel is
        written over, as far as `lines_room` says.
        """
        self.call("lines", source, width, count, target)

    def lines_room(self) -> Value:
        """Elements that packing lines may write behind the last panel."""
        return self.count(self.tiles.columns * self.tiles.lanes)

    def pack_rows(
        self, source: Value, width: Value, count: Value, target: Value, steps: Value
    ) -> None:
        """Rows of `width` elements become the steps of panels, which have room for `steps`."""
        self.call("rows", source, width, count, target, steps)

    def multiply(
        self, a: tuple[Value, Value, Value], panels: tuple[Value, Value], c: tuple[Value, Value],
        shape: tuple[Value, Value, Value], added: bool = False,
    ) -> None:  # fmt: skip
        """C[count, columns] = (C +) A[count, k] @ B[k, columns]; shape: (count, columns, k).

        a: where it begins, between its rows, between its steps; panels: where they begin, for how
        many steps they have room; c: where it begins, between its rows.
        """
        self.call("product", *a, *panels, *c, *shape, self.b.const(added, "i1"))


class Helpers(PanelDriver):
    """The functions that the kernels of a module call: `AttentionRows` says what they do."""

    def __init__(self, spec: AttentionSpec, target: Target) -> None:
        super().__init__(spec.name, spec.dtype, attention_tiles(spec.dtype, target), target)
        self.zero = self.count(0)
        self.declarations: set[str] = set()

    def texts(self) -> list[str]:
        """All of them."""
        return [
            self.function(
                "lines", self.lines, "ptr source", "i64 width", "i64 count", "ptr target"
            ),
            self.function(
                "rows", self.rows, "ptr source", "i64 width", "i64 count", "ptr target", "i64 steps"
            ),
            self.function(
                "product", self.whole_product, "ptr a", "i64 a_row", "i64 a_step", "ptr panels",
                "i64 steps", "ptr c", "i64 c_row", "i64 count", "i64 columns", "i64 k", "i1 added",
            ),
        ]  # fmt: skip

    def function(self, name: str, body: Callable[..., None], *arguments: str) -> str:
        """The text of one; arguments: type and name of each."""
        self.b = Emitter(self.target)
        pairs = [argument.split() for argument in arguments]
        body(*[Value("%" + name, type_) for type_, name in pairs])
        self.declarations |= self.b.declarations
        listed = ", ".join(f"{type_} %{name}" for type_, name in pairs)
        return self.b.function(f"{self.name}_{name}", listed, "internal")

    def row(self, base: Value, number: Value, stride: Value) -> Value:
        """Where a row begins."""
        return self.at(base, self.b.mul(number, stride))

    def lines(self, source: Value, width: Value, count: Value, target: Value) -> None:
        """See `pack_lines`.  As many lines at once as a vector has lanes: the code is long."""
        b, columns, lanes = self.b, self.count(self.tiles.columns), self.tiles.lanes
        loop = b.begin_loop(self.zero, count, lanes)
        left = self.minimum(self.count(lanes), b.sub(count, loop.counter))
        within = b.binary("urem", loop.counter, columns)
        panel = self.row(target, b.sub(loop.counter, within), width)
        Packer(b, self.type, lanes).transpose_lines(
            self.row(source, loop.counter, width), width, left, width, self.at(panel, within),
            columns,
        )  # fmt: skip
        b.end_loop(loop)

    def rows(self, source: Value, width: Value, count: Value, target: Value, steps: Value) -> None:
        """See `pack_rows`."""
        b, columns = self.b, self.count(self.tiles.columns)
        loop = b.begin_loop(self.zero, width, self.tiles.columns)
        left = self.minimum(columns, b.sub(width, loop.counter))
        Packer(b, self.type, self.tiles.lanes).copy_panel(
            self.at(source, loop.counter), width, left, count,
            self.row(target, loop.counter, steps), columns, self.tiles.vectors,
        )  # fmt: skip
        b.end_loop(loop)

    def whole_product(
        self, a: Value, a_row: Value, a_step: Value, panels: Value, steps: Value, c: Value,
        c_row: Value, count: Value, columns: Value, k: Value, added: Value,
    ) -> None:  # fmt: skip
        """See `multiply`."""
        b = self.b
        loop = b.begin_loop(self.zero, columns, self.tiles.columns)
        panel = self.row(panels, loop.counter, steps)
        target = self.at(c, loop.counter)
        self.product(a, a_row, panel, target, c_row, count, k, added, (), a_step)
        b.end_loop(loop)

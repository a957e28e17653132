"""Attention over a grid of threads, forward and backward, without a matrix of scores in memory.

softmax(Q K^T scale + mask) V: a block takes some rows of Q and walks over tiles of K and V.  Each
row keeps the largest score so far and the sum of exponentials against it, and what was added up is
scaled down when a larger one comes (Milakov and Gimelshein, 2018; Dao et al., 2022).  Kept for the
gradient: the logarithm of each row's sum.  Backward, scores are computed again: one kernel has rows
of K and V and walks over Q, the other rows of Q and walks over K, so nothing is added by two blocks
and the results are the same at each run.  Tiles that a causal mask hides are not visited.

Dropout: a byte for each score says which weights are kept; the others are zero once their sum was
taken.

Matrices are row-major, (batch, heads, rows, width); heads of K and V may be fewer, each for a group
of those of Q.  A row that may look nowhere gives zeros.  Level 7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rushlight.codegen import scalar_ops
from rushlight.codegen.emit import Value
from rushlight.codegen.grid import GridKernel
from rushlight.codegen.grid_fragments import COLUMNS, OWN, ROWS, Multiplier, TensorCores, Units
from rushlight.codegen.grid_tile import Grid

FORWARD, OF_QUERIES, OF_KEYS = "forward", "of_queries", "of_keys"
# heads: of Q; group: heads of Q that share one of K; rows, columns: of the scores; tiles: pieces of
# the rows that blocks take; distances in the mask of neighbors along its four axes; scale.
PARAMS = (
    "heads", "group", "rows", "columns", "tiles", "mask_batch", "mask_head", "mask_row",
    "mask_column", "scale",
)  # fmt: skip
BUFFERS = {
    FORWARD: ("q", "k", "v", "out", "sums"),
    OF_QUERIES: ("g", "q", "k", "v", "sums", "delta", "of_q"),
    OF_KEYS: ("g", "q", "k", "v", "sums", "delta", "of_k", "of_v"),
}
WIDEST = 128
_INFINITY = float("inf")


@dataclass(frozen=True)
class GridAttention:
    """What the code depends on.

    act: FORWARD, OF_QUERIES or OF_KEYS, gradients of these.  dtype: of Q, K and V; width,
    value_width: of a row of Q and K, and of V.  mask: its dtype, bool or float32; empty: none.
    tensor_cores: whether they multiply: 16 bits, and widths that are whole pieces of 16 bytes.
    dropped: whether some weights are not kept.
    """

    act: str
    dtype: str
    width: int
    value_width: int
    causal: bool
    mask: str
    tensor_cores: bool
    dropped: bool = False

    @property
    def name(self) -> str:
        """The kernel's name."""
        words = [self.act, self.dtype, str(self.width), str(self.value_width)]
        words += ["causal"] * self.causal + [f"masked_{self.mask}"] * bool(self.mask)
        words += ["dropped"] * self.dropped
        return "attention_" + "_".join([*words, "tensor" if self.tensor_cores else "units"])

    @property
    def buffers(self) -> tuple[str, ...]:
        """Names of its pointers, in order."""
        return (*BUFFERS[self.act], *["mask"] * bool(self.mask), *["kept"] * self.dropped)

    @property
    def wide(self) -> bool:
        """Whether rows are so long that fewer of them fit."""
        return max(self.width, self.value_width) > WIDEST // 2

    @property
    def warps(self) -> int:
        """Of a block, 16 rows each; backward, two matrices of them lie in shared memory."""
        return 2 if self.wide and not self.tensor_cores and self.act != FORWARD else 4

    @property
    def rows(self) -> int:
        """Rows of a block."""
        return ROWS * self.warps

    @property
    def tile(self) -> int:
        """Rows of a tile: as many as registers and 48 KB of shared memory hold."""
        if self.tensor_cores:
            return {FORWARD: 64, OF_QUERIES: 32, OF_KEYS: 16 if self.wide else 32}[self.act]
        return 8 if self.wide else (32 if self.act == FORWARD else 16)


class _Attention(Grid):
    """What the three kernels share.  first: the block's first row."""

    def __init__(self, spec: GridAttention) -> None:
        super().__init__(spec.buffers, PARAMS, "float")
        self.spec = spec
        b, p = self.b, self.params
        self.scale = b.convert("fptrunc", Value(f"%p{PARAMS.index('scale')}", "double"), "float")
        self.multiplier: Multiplier = (
            TensorCores(self, spec.dtype, spec.warps)
            if spec.tensor_cores
            else Units(self, spec.dtype, spec.warps, spec.tile)
        )
        member, tile = self.split(self.place, p["tiles"])
        if spec.causal and spec.act != OF_KEYS:
            # The longest ones begin first.
            tile = b.sub(b.sub(p["tiles"], self.count(1)), tile)
        self.member = member
        self.first = b.mul(tile, self.count(spec.rows))

    def base(self, name: str, member: Value, rows: Value, width: int) -> Value:
        """Where the matrix of a head begins."""
        index = self.b.mul(self.b.mul(member, rows), self.count(width))
        return self.multiplier.offset(self.buffers[name], index)

    def number(self, name: str, place: Value) -> Value:
        """A float32 number of each row."""
        return self.b.load(self.b.pointer_offset(self.buffers[name], place, "float"), "float", 1, 4)

    def small(self, x: Value) -> Value:
        """A size in 32 bits."""
        return self.b.convert("trunc", x, "i32")

    def mask_of(self, batch: Value, head: Value) -> Value | None:
        """Where the mask of a head begins."""
        if not self.spec.mask:
            return None
        b, p = self.b, self.params
        index = b.add(b.mul(batch, p["mask_batch"]), b.mul(head, p["mask_head"]))
        type_ = scalar_ops.memory_type(self.spec.mask)
        return b.pointer_offset(self.buffers["mask"], index, type_)

    def scored(self, product: Value, query: Value, key: Value, mask: Value | None) -> Value:
        """A score, minus infinity where the query may not look."""
        b, p = self.b, self.params
        score = b.mul(product, self.scale)
        allowed = b.compare("slt", self.small(key), self.small(p["columns"]))
        if self.spec.causal:
            seen = b.compare("sle", self.small(key), self.small(query))
            allowed = b.binary("and", allowed, seen)
        if mask is not None:
            inside = b.compare("slt", self.small(query), self.small(p["rows"]))
            allowed = b.binary("and", allowed, inside)
            index = b.add(b.mul(query, p["mask_row"]), b.mul(key, p["mask_column"]))
            index = b.select(allowed, index, self.count(0))
            type_ = scalar_ops.memory_type(self.spec.mask)
            size = 1 if self.spec.mask == "bool" else 4
            found = b.load(b.pointer_offset(mask, index, type_), type_, 1, size)
            if self.spec.mask == "bool":
                shown = b.compare("ne", found, b.const(0, "i8"))
                allowed = b.binary("and", allowed, shown)
            else:
                score = b.add(score, found)
        return b.select(allowed, score, b.const(-_INFINITY, "float"))

    def kept(self, x: Value, member: Value, query: Value, key: Value) -> Value:
        """A number that belongs to a weight, zero where dropout takes it."""
        if not self.spec.dropped:
            return x
        b, p = self.b, self.params
        inside = b.binary("and", b.compare("slt", self.small(query), self.small(p["rows"])),
                          b.compare("slt", self.small(key), self.small(p["columns"])))  # fmt: skip
        index = b.add(b.mul(b.add(b.mul(member, p["rows"]), query), p["columns"]), key)
        index = b.select(inside, index, self.count(0))
        found = b.load(b.pointer_offset(self.buffers["kept"], index, "i8"), "i8", 1, 1)
        return b.select(b.compare("ne", found, b.const(0, "i8")), x, b.const(0.0, "float"))

    def function(self, name: str, *arguments: Value) -> Value:
        """A function of the loop-nest language."""
        return scalar_ops.apply(self.b, name, "f", list(arguments))

    def exponential(self, x: Value) -> Value:
        """Beside tensor cores, whose operands have 16 bits, by the card's own instruction, which
        is off by two units in the last place of float32 and takes a tenth of the time."""
        if not self.spec.tensor_cores:
            return self.function("exp", x)
        b = self.b
        return b.intrinsic("exp2", b.mul(x, b.const(math.log2(math.e), "float")))

    def own_rows(self) -> list[Value]:
        """The two rows of which this thread keeps elements."""
        row = self.b.add(self.first, self.multiplier.row)
        return [row, self.b.add(row, self.count(8))]

    def column(self, start: Value, place: int) -> Value:
        """The column of a kept element, of a piece that begins at `start`."""
        step = self.count(COLUMNS * (place // OWN) + place % 2)
        return self.b.add(self.b.add(start, self.multiplier.column), step)

    def store(self, name: str, member: Value, rows: Value, width: int, values: list[Value]) -> None:
        """What threads keep of the block's rows into a matrix."""
        b = self.b
        base = self.base(name, member, rows, width)
        for half, row in enumerate(self.own_rows()):
            region = self.when(b.compare("slt", row, rows))
            line = b.mul(row, self.count(width))
            for piece in range(len(values) // OWN):
                at = OWN * piece + 2 * half
                column = self.column(self.count(0), OWN * piece)
                if isinstance(self.multiplier, TensorCores):
                    if COLUMNS * piece < width:
                        word = self.multiplier.packed(values[at], values[at + 1])
                        place = self.multiplier.offset(base, b.add(line, column))
                        b.store(word, place, 4)
                    continue
                for lane in range(2):
                    self._store_one(base, line, self.column(self.count(0), OWN * piece + lane),
                                    width, values[at + lane])  # fmt: skip
            b.end_loop(region)

    def _store_one(self, base: Value, line: Value, column: Value, width: int, value: Value) -> None:
        b = self.b
        region = self.when(b.compare("slt", column, self.count(width)))
        rounded = scalar_ops.cast(b, value, "float32", self.spec.dtype)
        place = self.multiplier.offset(base, b.add(line, column))
        b.store(rounded, place, 4 if self.multiplier.stored == "float" else 2)
        b.end_loop(region)

    def past_diagonal(self) -> Value:
        """The first column that no row of the block sees."""
        b, p = self.b, self.params
        if not self.spec.causal:
            return p["columns"]
        stop = b.add(self.first, self.count(self.spec.rows))
        return b.select(b.compare("slt", stop, p["columns"]), stop, p["columns"])

    def text(self) -> str:
        """The kernel's body."""
        raise NotImplementedError


class _Forward(_Attention):
    def text(self) -> str:
        """Rows of Q over tiles of K and V."""
        b, p, spec, m = self.b, self.params, self.spec, self.multiplier
        batch, head = self.split(self.member, p["heads"])
        keys = b.binary("udiv", self.member, p["group"])
        mask = self.mask_of(batch, head)
        q = m.rows_of(
            self.base("q", self.member, p["rows"], spec.width), self.first, p["rows"], spec.width
        )
        k = self.base("k", keys, p["columns"], spec.width)
        v = self.base("v", keys, p["columns"], spec.value_width)
        k_tile = m.tile(spec.tile, spec.width, plain=True, turned=False)
        v_tile = m.tile(spec.tile, spec.value_width, plain=False, turned=True)
        lowest, zero = b.const(-_INFINITY, "float"), b.const(0.0, "float")
        found = m.zeros(spec.value_width)
        loop = b.begin_loop(
            self.count(0), self.past_diagonal(), spec.tile, [lowest] * 2 + [zero] * 2 + found
        )
        before, sums, found = loop.values[:2], loop.values[2:4], loop.values[4:]
        self.meet()
        m.bring(k_tile, k, loop.counter, p["columns"])
        m.bring(v_tile, v, loop.counter, p["columns"])
        self.meet()
        rows = self.own_rows()
        scores = [
            self.scored(x, rows[n % OWN // 2], self.column(loop.counter, n), mask)
            for n, x in enumerate(m.products(q, k_tile))
        ]
        tops, weights, new_sums, shrunk = [], scores, [], []
        for half in range(2):
            own = [n for n in range(len(scores)) if n % OWN // 2 == half]
            top = self.larger(before[half], m.over_four([scores[n] for n in own], self.larger))
            tops.append(top)
            # Nothing is taken from minus infinity: all of the row's exponentials are zero then.
            base = b.select(b.compare("oeq", top, lowest), zero, top)
            shrunk.append(self.exponential(b.sub(before[half], base)))
            total = b.mul(sums[half], shrunk[half])
            for n in own:
                weights[n] = self.exponential(b.sub(scores[n], base))
                total = b.add(total, weights[n])
            new_sums.append(total)
        found = [b.mul(x, shrunk[n % OWN // 2]) for n, x in enumerate(found)]
        weights = [
            self.kept(x, self.member, rows[n % OWN // 2], self.column(loop.counter, n))
            for n, x in enumerate(weights)
        ]
        found = m.added(found, weights, v_tile)
        ended = b.end_loop(loop, [*tops, *new_sums, *found])
        self.finish(ended[:2], ended[2:4], ended[4:])
        return self.lines()

    def larger(self, x: Value, y: Value) -> Value:
        """The larger of two scores."""
        return self.b.select(self.b.compare("ogt", x, y), x, y)

    def finish(self, tops: list[Value], parts: list[Value], found: list[Value]) -> None:
        """Divides by the sums, and stores."""
        b, p, spec, m = self.b, self.params, self.spec, self.multiplier
        zero, one = b.const(0.0, "float"), b.const(1.0, "float")
        factors = []
        for half, row in enumerate(self.own_rows()):
            total = m.over_four([parts[half]], b.add)
            empty = b.compare("oeq", total, zero)
            factors.append(b.select(empty, zero, b.div(one, total)))
            logarithm = b.add(tops[half], self.function("log", b.select(empty, one, total)))
            logarithm = b.select(empty, b.const(-_INFINITY, "float"), logarithm)
            writes = b.binary(
                "and", b.compare("slt", row, p["rows"]),
                b.compare("eq", m.in_group, self.count(0)),
            )  # fmt: skip
            region = self.when(writes)
            place = b.add(b.mul(self.member, p["rows"]), row)
            b.store(logarithm, b.pointer_offset(self.buffers["sums"], place, "float"), 4)
            b.end_loop(region)
        found = [b.mul(x, factors[n % OWN // 2]) for n, x in enumerate(found)]
        self.store("out", self.member, p["rows"], spec.value_width, found)


class _Backward(_Attention):
    def of_row(self, member: Value, row: Value) -> tuple[Value, Value]:
        """(logarithm of a query's sum, its delta); beyond the edge no weight is left."""
        b, p = self.b, self.params
        inside = b.compare("slt", row, p["rows"])
        place = b.add(b.mul(member, p["rows"]), b.select(inside, row, self.count(0)))
        total, delta = self.number("sums", place), self.number("delta", place)
        infinity = b.const(_INFINITY, "float")
        # A row that looks nowhere has none either.
        hidden = b.compare("oeq", total, b.const(-_INFINITY, "float"))
        hidden = b.binary("or", hidden, b.logic_not(inside))
        return b.select(hidden, infinity, total), delta

    def slopes(
        self, products: list[Value], arrived: list[Value], places: list[tuple[Value, Value]],
        rows: list[tuple[Value, Value]], mask: Value | None, member: Value,
    ) -> tuple[list[Value], list[Value]]:  # fmt: skip
        """(weights, cotangents of the products) of what threads keep.

        arrived: cotangents of the weights; places: (query, key); rows: of each element's query;
        member: which head of which batch the queries are of.
        """
        b = self.b
        weights, found = [], []
        for product, cotangent, (query, key), (total, delta) in zip(
            products, arrived, places, rows
        ):
            score = self.scored(product, query, key, mask)
            weight = self.exponential(b.sub(score, total))
            # Of a query that is not there the score may be no number, where keys are infinite.
            absent = b.compare("oeq", total, b.const(_INFINITY, "float"))
            weight = b.select(absent, b.const(0.0, "float"), weight)
            weights.append(self.kept(weight, member, query, key))
            cotangent = self.kept(cotangent, member, query, key)
            slope = b.mul(weight, b.sub(cotangent, delta))
            found.append(b.mul(slope, self.scale))
        return weights, found


class _OfQueries(_Backward):
    def text(self) -> str:
        """Rows of Q over tiles of K and V."""
        b, p, spec, m = self.b, self.params, self.spec, self.multiplier
        batch, head = self.split(self.member, p["heads"])
        keys = b.binary("udiv", self.member, p["group"])
        mask = self.mask_of(batch, head)
        q, g = (
            m.rows_of(self.base(n, self.member, p["rows"], w), self.first, p["rows"], w)
            for n, w in (("q", spec.width), ("g", spec.value_width))
        )
        k = self.base("k", keys, p["columns"], spec.width)
        v = self.base("v", keys, p["columns"], spec.value_width)
        k_tile = m.tile(spec.tile, spec.width, plain=True, turned=True)
        v_tile = m.tile(spec.tile, spec.value_width, plain=True, turned=False)
        own = self.own_rows()
        known = [self.of_row(self.member, row) for row in own]
        loop = b.begin_loop(self.count(0), self.past_diagonal(), spec.tile, m.zeros(spec.width))
        self.meet()
        m.bring(k_tile, k, loop.counter, p["columns"])
        m.bring(v_tile, v, loop.counter, p["columns"])
        self.meet()
        products, arrived = m.products(q, k_tile), m.products(g, v_tile)
        halves = [n % OWN // 2 for n in range(len(products))]
        places = [(own[h], self.column(loop.counter, n)) for n, h in enumerate(halves)]
        known_rows = [known[h] for h in halves]
        _, slopes = self.slopes(products, arrived, places, known_rows, mask, self.member)
        found = b.end_loop(loop, m.added(list(loop.values), slopes, k_tile))
        self.store("of_q", self.member, p["rows"], spec.width, found)
        return self.lines()


class _OfKeys(_Backward):
    def text(self) -> str:
        """Rows of K and V over tiles of Q, of all heads that share them."""
        b, p, spec, m = self.b, self.params, self.spec, self.multiplier
        groups = b.binary("udiv", p["heads"], p["group"])
        batch, _ = self.split(self.member, groups)
        k, v = (
            m.rows_of(self.base(n, self.member, p["columns"], w), self.first, p["columns"], w)
            for n, w in (("k", spec.width), ("v", spec.value_width))
        )
        q_tile = m.tile(spec.tile, spec.width, plain=True, turned=True)
        g_tile = m.tile(spec.tile, spec.value_width, plain=True, turned=True)
        own = self.own_rows()
        of_k, of_v = m.zeros(spec.width), m.zeros(spec.value_width)
        start = self.count(0)
        if spec.causal:
            # A query before the first key of the block sees none of its keys.
            start = b.mul(b.binary("udiv", self.first, self.count(spec.tile)),
                          self.count(spec.tile))  # fmt: skip
        heads = b.begin_loop(self.count(0), p["group"], 1, [*of_k, *of_v])
        queries = b.add(b.mul(self.member, p["group"]), heads.counter)
        head = b.binary("urem", queries, p["heads"])
        mask = self.mask_of(batch, head)
        q = self.base("q", queries, p["rows"], spec.width)
        g = self.base("g", queries, p["rows"], spec.value_width)
        loop = b.begin_loop(start, p["rows"], spec.tile, heads.values)
        self.meet()
        m.bring(q_tile, q, loop.counter, p["rows"])
        m.bring(g_tile, g, loop.counter, p["rows"])
        self.meet()
        products, arrived = m.products(k, q_tile), m.products(v, g_tile)
        columns = {n: self.column(loop.counter, n) for n in range(len(products)) if n % OWN < 2}
        known = {n: self.of_row(queries, column) for n, column in columns.items()}
        # Elements of one column: n and n + 2.
        at = [n - 2 if n % OWN > 1 else n for n in range(len(products))]
        places = [(columns[c], own[n % OWN // 2]) for n, c in enumerate(at)]
        known_rows = [known[c] for c in at]
        weights, slopes = self.slopes(products, arrived, places, known_rows, mask, queries)
        size = len(of_k)
        of_v = m.added(list(loop.values[size:]), weights, g_tile)
        of_k = m.added(list(loop.values[:size]), slopes, q_tile)
        found = b.end_loop(heads, b.end_loop(loop, [*of_k, *of_v]))
        self.store("of_k", self.member, p["columns"], spec.width, found[:size])
        self.store("of_v", self.member, p["columns"], spec.value_width, found[size:])
        return self.lines()


_ACTS = {FORWARD: _Forward, OF_QUERIES: _OfQueries, OF_KEYS: _OfKeys}


def attention_kernel(spec: GridAttention) -> GridKernel:
    """The kernel of one act, over (batch, heads, tiles of rows)."""
    attention = _ACTS[spec.act](spec)
    body = attention.text()
    return GridKernel(
        spec.name, len(spec.buffers), 0, tuple(name == "scale" for name in PARAMS),
        attention.multiplier.threads, 1, body, tuple(sorted(attention.b.declarations)), True,
        attention.multiplier.taken, False,
    )  # fmt: skip

"""Attention on the CPU in blocks that stay in cache: the matrix of scores is never written down.

Forward, a step packs keys and values of each head into panels, block of keys by block.  Then an
iteration is some rows of queries: for each block of keys their products, what those are as weights,
and the weights' products with values.  Of each row the largest score and the sum of exponentials so
far are kept, and what was found is shrunk when a larger score comes; the division by the sum comes
last (Dao et al., FlashAttention).  Backward, an iteration is one head of keys, or a part of them:
it packs a block of keys, goes along the queries, and adds up the cotangents of the block's keys and
values; those of the queries are added up in memory.  Keys that no query of a block sees are left
out.

The order of additions: products as of the contraction cores, blocks of keys in ascending order; a
sum over a row as of `AttentionRows.folded`.  It depends on shapes alone.  Level 7.
"""

from __future__ import annotations

import math

from rushlight.base.target import Target
from rushlight.codegen.attention_rows import (
    BACKWARD_BUFFERS,
    FORWARD_BUFFERS,
    AttentionRows,
    AttentionSpec,
    Helpers,
    Piece,
)
from rushlight.codegen.emit import Value
from rushlight.codegen.exponential import log
from rushlight.codegen.llvm import KERNEL_ARGUMENTS

_BEGIN, _END = Value("%begin", "i64"), Value("%end", "i64")


class _Packing(AttentionRows):
    """Keys and values in panels."""

    def blocks_of_keys(self, count: Value) -> Value:
        """How many blocks hold so many keys."""
        b, keys = self.b, self.params["keys"]
        return b.binary("udiv", b.add(count, b.sub(keys, self.one)), keys)

    def block_of_panels(self, member: Value, block: Value) -> tuple[Value, Value]:
        """Where one block of keys lies in the panels, and the block's values."""
        b, p = self.b, self.params
        blocks = self.blocks_of_keys(p["columns"])
        of_keys = b.mul(self.padded(p["keys"]), p["width"])
        of_values = b.mul(self.padded(p["value_width"]), p["keys"])
        number = b.add(b.mul(member, blocks), block)
        keys = self.row(self.buffers["panels"], number, b.add(of_keys, of_values))
        return keys, self.at(keys, of_keys)

    def pack(self) -> str:
        """Packs blocks of keys and their values."""
        b, p = self.b, self.params
        loop = b.begin_loop(_BEGIN, _END, 1)
        member = b.binary("udiv", loop.counter, p["blocks"])
        block = b.binary("urem", loop.counter, p["blocks"])
        first = b.mul(block, p["keys"])
        count = self.minimum(p["keys"], b.sub(p["columns"], first))
        k = self.row(self.rows_of("k", member, p["columns"], p["width"]), first, p["width"])
        wide = p["value_width"]
        v = self.row(self.rows_of("v", member, p["columns"], wide), first, wide)
        keys, values = self.block_of_panels(member, block)
        self.pack_lines(k, p["width"], count, keys)
        self.pack_rows(v, wide, count, values, p["keys"])
        b.end_loop(loop)
        return b.function(self.spec.name + "_pack", KERNEL_ARGUMENTS)


class _Forward(_Packing):
    def attend(self) -> str:
        """Some rows of queries over all keys that they see."""
        b, p = self.b, self.params
        stride = self.spaced(p["keys"])
        self.scores = self.memory(p["block"], stride), stride
        wide = self.roomy(p["value_width"])
        self.found = self.memory(p["block"], wide), wide
        # Of each row: the largest score so far and with this block, what is taken from scores, by
        # what all before is shrunk, and the sum of exponentials.
        names = ("top", "new", "base", "shrunk", "total")
        self.of_row = {name: self.memory(self.roomy(p["block"])) for name in names}
        loop = b.begin_loop(_BEGIN, _END, 1)
        member = b.binary("udiv", loop.counter, p["blocks"])
        # The last rows see most, and come first.
        number = b.sub(b.sub(p["blocks"], self.one), b.binary("urem", loop.counter, p["blocks"]))
        first = b.mul(number, p["block"])
        count = self.minimum(p["block"], b.sub(p["rows"], first))
        self.block_of_rows(member, first, count)
        b.end_loop(loop)
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def block_of_rows(self, member: Value, first: Value, count: Value) -> None:
        """`count` rows from the first one on."""
        b, p = self.b, self.params
        of_keys = b.binary("udiv", member, p["group"])
        mask = self.mask_of(member)
        q = self.row(self.rows_of("q", member, p["rows"], p["width"]), first, p["width"])
        lowest, none = self.start(-math.inf), self.start(0.0)
        self.over_roomy(self.zero, count, lambda x: x.store(lowest, self.of_row["top"]))
        self.over_roomy(self.zero, count, lambda x: x.store(none, self.of_row["total"]))
        self.cleared(self.found[0], b.mul(count, self.found[1]))
        last = p["columns"]
        if self.spec.causal:
            last = self.minimum(last, b.add(first, count))
        blocks = b.begin_loop(self.zero, self.blocks_of_keys(last), 1)
        start = b.mul(blocks.counter, p["keys"])
        keys = self.minimum(p["keys"], b.sub(last, start))
        k, v = self.block_of_panels(of_keys, blocks.counter)
        self.multiply((q, p["width"], self.one), (k, p["width"]), self.scores,
                      (count, keys, p["width"]))  # fmt: skip
        self.weights(member, (first, count), (start, keys), mask)
        self.multiply((*self.scores, self.one), (v, p["keys"]), self.found,
                      (count, p["value_width"], keys), added=True)  # fmt: skip
        b.end_loop(blocks)
        self.finish(member, first, count)

    def weights(
        self, member: Value, queries: tuple[Value, Value], of_keys: tuple[Value, Value],
        mask: Value | None,
    ) -> None:  # fmt: skip
        """Makes weights of a block's products, and shrinks what was found before.

        queries, of_keys: the first one, and how many.
        """
        b, infinity = self.b, math.inf
        (first, count), (start, keys) = queries, of_keys
        scores, stride = self.scores
        top, new, base, shrunk, total = self.of_row.values()

        def largest(row: Value) -> None:
            query = b.add(first, row)
            seen, line = self.visible(query, start, keys), self.row(scores, row, stride)
            shown = self.mask_row(mask, query, start)

            def body(piece: Piece, held: list[Value]) -> list[Value]:
                found = self.scored(piece, line, shown)
                piece.store(found, line, roomy=True)
                return [self.larger(x, y) for x, y in zip(found, held)]

            held = self.over(seen, body, self.start(-infinity))
            self.write(self.larger(self.folded(held, self.larger), self.read(self.at(top, row))),
                       self.at(new, row))  # fmt: skip

        def brought_up(piece: Piece) -> None:
            before, now = piece.load(top), piece.load(new)
            # Nothing is taken from minus infinity: all of the row's exponentials are zero then.
            hidden = [b.compare("oeq", x, b.like(-infinity, x)) for x in now]
            taken = [b.select(h, b.like(0.0, x), x) for h, x in zip(hidden, now)]
            piece.store(self.exponentials([b.sub(x, y) for x, y in zip(before, taken)]), shrunk)
            piece.store(taken, base)
            piece.store(now, top)

        def weighed(row: Value) -> None:
            query = b.add(first, row)
            seen, line = self.visible(query, start, keys), self.row(scores, row, stride)
            said = self.kept_row(member, query, start)
            taken = self.read(self.at(base, row))

            def body(piece: Piece, held: list[Value]) -> list[Value]:
                found = [b.sub(x, taken) for x in piece.load(line, roomy=True)]
                found = piece.inside(self.exponentials(found), 0.0)
                piece.store(self.kept(piece, found, said), line, roomy=True)
                return [b.add(x, y) for x, y in zip(held, found)]

            held = self.over_masked(seen, body, self.start(0.0))
            self.zeros_from(line, seen, keys)
            place = self.at(total, row)
            before = b.mul(self.read(place), self.read(self.at(shrunk, row)))
            self.write(b.add(before, self.folded(held, b.add)), place)

        self.each(count, largest)
        self.over_roomy(self.zero, count, brought_up)
        self.each(count, weighed)
        later = b.begin_loop(*self.only_if(b.compare("sgt", start, self.zero)))
        self.each(count, lambda row: self.shrink(self.row(self.found[0], row, self.found[1]), row))
        b.end_loop(later)

    def shrink(self, line: Value, row: Value) -> None:
        """Multiplies what was found for a row."""
        b, factor = self.b, self.read(self.at(self.of_row["shrunk"], row))

        def body(piece: Piece) -> None:
            piece.store([b.mul(x, factor) for x in piece.load(line)], line)

        self.over_roomy(self.zero, self.params["value_width"], body)

    def finish(self, member: Value, first: Value, count: Value) -> None:
        """Divides by the sums, and stores."""
        b, p, wide = self.b, self.params, self.params["value_width"]
        factors = self.of_row["shrunk"]
        sums = self.at(self.row(self.buffers["sums"], member, p["rows"]), first)

        def of_rows(piece: Piece) -> None:
            totals, tops = (piece.load(self.of_row[name]) for name in ("total", "top"))
            logarithms, inverses = [], []
            for total, top in zip(totals, tops):
                one, zero = b.like(1.0, total), b.like(0.0, total)
                empty = b.compare("oeq", total, zero)
                some = b.select(empty, one, total)
                inverses.append(b.select(empty, zero, b.div(one, some)))
                logarithms.append(b.add(top, log(b, some)))
            piece.store(inverses, factors)
            piece.store(logarithms, self.of_row["new"])

        self.over_roomy(self.zero, count, of_rows)
        self.over(count, lambda x, _: x.store(x.load(self.of_row["new"], roomy=True), sums))
        out = self.row(self.rows_of("out", member, p["rows"], wide), first, wide)

        def stored(row: Value) -> None:
            factor = self.read(self.at(factors, row))
            line, target = self.row(self.found[0], row, self.found[1]), self.row(out, row, wide)

            def body(piece: Piece, held: list[Value]) -> None:
                piece.store([b.mul(x, factor) for x in piece.load(line, roomy=True)], target)

            self.over(wide, body)

        self.each(count, stored)


class _Backward(AttentionRows):
    def go_back(self) -> str:
        """Cotangents of some keys and values, and what these keys give those of the queries."""
        b, p = self.b, self.params
        width, wide, keys, block = p["width"], p["value_width"], p["keys"], p["block"]
        lines = self.padded(keys)
        # The block's keys and values as columns, and keys as rows; what is found of them.
        self.key_lines, self.value_lines = (
            self.memory(b.add(b.mul(lines, size), self.lines_room())) for size in (width, wide)
        )
        self.key_rows = self.memory(keys, self.roomy(width))
        self.of_keys = self.memory(keys, self.roomy(width)), self.roomy(width)
        self.of_values = self.memory(keys, self.roomy(wide)), self.roomy(wide)
        # Weights and their cotangents; queries and cotangents of results as rows.
        stride = self.spaced(keys)
        self.weights = self.memory(block, stride), stride
        self.slopes = self.memory(block, stride), stride
        self.query_rows = self.memory(block, self.roomy(width))
        self.given_rows = self.memory(block, self.roomy(wide))
        self.of_queries = self.memory(block, self.roomy(width)), self.roomy(width)
        loop = b.begin_loop(_BEGIN, _END, 1)
        member = b.binary("udiv", loop.counter, p["blocks"])
        part = b.binary("urem", loop.counter, p["blocks"])
        self.part_of_keys(member, part)
        b.end_loop(loop)
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def part_of_keys(self, member: Value, part: Value) -> None:
        """All blocks of a part."""
        b, p = self.b, self.params
        width, wide, keys, columns = p["width"], p["value_width"], p["keys"], p["columns"]
        queries = b.mul(member, p["group"])
        elements = b.mul(b.mul(p["members"], p["rows"]), width)
        partial = self.row(self.buffers["partial"], part, elements)
        target = self.row(partial, queries, b.mul(p["rows"], width))
        self.empty(target, b.mul(b.mul(p["group"], p["rows"]), width))
        blocks = b.binary("udiv", b.add(columns, b.sub(keys, self.one)), keys)
        begin, end = (
            b.binary("udiv", b.mul(blocks, x), p["blocks"]) for x in (part, b.add(part, self.one))
        )
        loop = b.begin_loop(begin, end, 1)
        first = b.mul(loop.counter, keys)
        count = self.minimum(keys, b.sub(columns, first))
        k = self.row(self.rows_of("k", member, columns, width), first, width)
        v = self.row(self.rows_of("v", member, columns, wide), first, wide)
        self.pack_lines(k, width, count, self.key_lines)
        self.pack_lines(v, wide, count, self.value_lines)
        self.pack_rows(k, width, count, self.key_rows, keys)
        for base, stride in (self.of_keys, self.of_values):
            self.cleared(base, b.mul(count, stride))
        heads = b.begin_loop(queries, b.add(queries, p["group"]), 1)
        self.along_queries(heads.counter, first, count, partial)
        b.end_loop(heads)
        found = (("of_k", width, self.of_keys), ("of_v", wide, self.of_values))
        for name, size, (base, stride) in found:
            out = self.row(self.rows_of(name, member, columns, size), first, size)
            self.each(count, self.copied((base, stride), (out, size), size))
        b.end_loop(loop)

    def empty(self, target: Value, count: Value) -> None:
        """Fills memory of others with zeros."""
        nothing = self.start(0.0)
        self.over(count, lambda piece, _: piece.store(nothing, target))

    def copied(self, source: tuple[Value, Value], target: tuple[Value, Value], width: Value):
        """What copies a row of memory that has room; both: where they begin, between rows."""

        def row_(number: Value) -> None:
            line, out = (self.row(base, number, stride) for base, stride in (source, target))
            self.over(width, lambda piece, _: piece.store(piece.load(line, roomy=True), out))

        return row_

    def along_queries(self, member: Value, start: Value, keys: Value, partial: Value) -> None:
        """One head of queries over a block of keys."""
        b, p = self.b, self.params
        width, wide, block = p["width"], p["value_width"], p["block"]
        mask = self.mask_of(member)
        q, target = (
            self.row(base, member, b.mul(p["rows"], width)) for base in (self.buffers["q"], partial)
        )
        g = self.rows_of("g", member, p["rows"], wide)
        known = [self.row(self.buffers[name], member, p["rows"]) for name in ("sums", "delta")]
        # A query before the block's first key sees none of its keys.
        begin = b.binary("udiv", start, block) if self.spec.causal else self.zero
        blocks = b.binary("udiv", b.add(p["rows"], b.sub(block, self.one)), block)
        if self.spec.causal:
            blocks = b.select(b.compare("slt", start, p["rows"]), blocks, begin)
        loop = b.begin_loop(begin, blocks, 1)
        first = b.mul(loop.counter, block)
        count = self.minimum(block, b.sub(p["rows"], first))
        seen = self.visible(b.sub(b.add(first, count), self.one), start, keys)
        queries, given = self.row(q, first, width), self.row(g, first, wide)
        one = self.one
        self.multiply((queries, width, one), (self.key_lines, width), self.weights,
                      (count, seen, width))  # fmt: skip
        self.multiply((given, wide, one), (self.value_lines, wide), self.slopes,
                      (count, seen, wide))  # fmt: skip
        lines = [self.at(base, first) for base in known]

        def slope(row: Value) -> None:
            query = b.add(first, row)
            shown = self.mask_row(mask, query, start)
            said = self.kept_row(member, query, start)
            self.sloped(row, (self.visible(query, start, seen), seen), (shown, said), lines)

        self.each(count, slope)
        self.pack_rows(queries, width, count, self.query_rows, block)
        self.pack_rows(given, wide, count, self.given_rows, block)
        for (base, stride), rows, found, size in (
            (self.weights, self.given_rows, self.of_values, wide),
            (self.slopes, self.query_rows, self.of_keys, width),
        ):
            self.multiply((base, one, stride), (rows, block), found, (seen, size, count), True)
        self.multiply((*self.slopes, one), (self.key_rows, p["keys"]), self.of_queries,
                      (count, width, seen))  # fmt: skip
        out = self.row(target, first, width)

        def added(row: Value) -> None:
            line, goal = self.row(*self._row_of_queries(row)), self.row(out, row, width)

            def body(piece: Piece, _: list[Value]) -> None:
                pairs = zip(piece.load(goal), piece.load(line, roomy=True))
                piece.store([b.add(x, y) for x, y in pairs], goal)

            self.over(width, body)

        self.each(count, added)
        b.end_loop(loop)

    def sloped(
        self, row: Value, keys: tuple[Value, Value], masks: tuple[Value | None, Value | None],
        known: list[Value],
    ) -> None:  # fmt: skip
        """A row's products as weights, and those with values as cotangents of its products.

        keys: how many the row sees, and of how many all is written; masks: of its scores, and which
        weights are kept; known: the logarithms of sums and the deltas of the block's rows.
        """
        b = self.b
        seen, written = keys
        of_scores, of_slopes = (self.row(x, row, s) for x, s in (self.weights, self.slopes))
        total, delta = (self.read(self.at(base, row)) for base in known)
        hidden = b.compare("oeq", total, self.number(-math.inf))
        total = b.select(hidden, self.number(math.inf), total)

        def body(piece: Piece, _: list[Value]) -> None:
            scores = self.scored(piece, of_scores, masks[0])
            weights = self.exponentials([b.sub(x, total) for x in scores])
            weights = piece.inside(weights, 0.0)
            arrived = self.kept(piece, piece.load(of_slopes, roomy=True), masks[1])
            slopes = [b.mul(w, b.sub(x, delta)) for w, x in zip(weights, arrived)]
            piece.store(self.kept(piece, weights, masks[1]), of_scores, roomy=True)
            piece.store(piece.inside([b.mul(x, self.scale) for x in slopes], 0.0), of_slopes,
                        roomy=True)  # fmt: skip

        self.over_masked(seen, body)
        for line in (of_scores, of_slopes):
            self.zeros_from(line, seen, written)

    def _row_of_queries(self, row: Value) -> tuple[Value, Value, Value]:
        base, stride = self.of_queries
        return base, row, stride

    def fold(self) -> str:
        """Adds up what the parts of the keys give the queries."""
        b, p = self.b, self.params
        elements = b.mul(b.mul(p["members"], p["rows"]), p["width"])
        size = b.mul(p["rows"], p["width"])
        loop = b.begin_loop(_BEGIN, _END, 1)
        place = b.mul(loop.counter, size)
        target = self.at(self.buffers["of_q"], place)
        source = self.at(self.buffers["partial"], place)

        def body(piece: Piece, _: list[Value]) -> None:
            parts = b.begin_loop(self.one, p["blocks"], 1, piece.load(source))
            more = piece.load(self.row(source, parts.counter, elements))
            found = b.end_loop(parts, [b.add(x, y) for x, y in zip(parts.values, more)])
            piece.store(found, target)

        self.over(size, body)
        b.end_loop(loop)
        return b.function(self.spec.name + "_fold", KERNEL_ARGUMENTS)


def attention_names(spec: AttentionSpec) -> list[str]:
    """The module's kernels: of packing and attending, or of going back and adding up."""
    first, last = ("", "_fold") if spec.gradient else ("_pack", "")
    return [spec.name + first, spec.name + last]


def attention_text(spec: AttentionSpec, target: Target) -> str:
    """The module of one kind of attention."""
    helpers = Helpers(spec, target)
    if spec.gradient:
        back, adding = (_Backward(spec, BACKWARD_BUFFERS, target) for _ in range(2))
        functions = [back.go_back(), adding.fold(), *helpers.texts()]
        return back.module(functions, adding.b.declarations | helpers.declarations)
    packing = _Packing(spec, FORWARD_BUFFERS, target)
    forward = _Forward(spec, FORWARD_BUFFERS, target)
    functions = [packing.pack(), forward.attend(), *helpers.texts()]
    return forward.module(functions, packing.b.declarations | helpers.declarations)

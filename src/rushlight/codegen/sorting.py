"""Stable sorting of rows by their keys' digits: positions in ascending or descending order.

Elements become unsigned keys of the same order (NaN is the largest, both zeros are equal), and
keys with their positions are distributed by 8 bits at a time, from the lowest.  Digits that are
equal in a whole row cost nothing; the last one that is not writes the order.  A word holds 32 bits
of a key and the position, so that each element is moved by one store; of longer keys the upper half
takes the place of the lower one when that has been sorted by.

Many rows are shared out whole: ``<name>``.  Few long ones are cut into pieces, and each act is a
kernel over the pieces of all rows: ``<name>_keys``, for each digit ``<name>_count`` and
``<name>_move``, where a piece begins to write after the equal digits of the pieces before it, and
between the halves of keys ``<name>_upper``.  The order is the same, since there is only one that is
stable.  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rushlight.base.target import Target
from rushlight.codegen.driver import Driver
from rushlight.codegen.emit import Emitter, Value, bits_of
from rushlight.codegen.llvm import KERNEL_ARGUMENTS
from rushlight.loopnest.ir import itemsize, kind_of

# Of each group of rows, or of each row that is cut: two buffers of words for one row, and a table
# of TABLE_WORDS words for each piece.
BUFFERS = ("x", "order", "words", "tables")
PARAMS = ("rows", "groups", "size", "inner", "pieces", "digit")
DIGIT_BITS = 8
_DIGITS = 1 << DIGIT_BITS
# The counts of a piece's digits, and the bits in which its keys differ from the row's first.
TABLE_WORDS = _DIGITS + 1
# The lower half of a word is the position, the upper one a part of the key.
HALF_BITS = 32
_POSITION = (1 << HALF_BITS) - 1
# dtype name -> bits of an infinite float
_INFINITY = {
    "float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF << 52,
}  # fmt: skip


@dataclass(frozen=True)
class SortSpec:
    """What the code depends on.  cut: rows are cut into pieces."""

    name: str
    dtype: str
    descending: bool
    cut: bool


def digits_of(dtype: str) -> int:
    """How many digits a key has."""
    return itemsize(dtype) * 8 // DIGIT_BITS


def function_names(spec: SortSpec) -> list[str]:
    """The kernels of a sort's module."""
    if not spec.cut:
        return [spec.name]
    return [f"{spec.name}_{act}" for act in _acts(spec)]


def _acts(spec: SortSpec) -> tuple[str, ...]:
    if not spec.cut:
        return ("",)
    acts = ("keys", "count", "move")
    return (*acts, "upper") if digits_of(spec.dtype) * DIGIT_BITS > HALF_BITS else acts


@dataclass(frozen=True)
class _Row:
    """One row: where its elements are, its working memory, and the part of it to walk."""

    start: Value
    words: Value
    first: Value
    stop: Value


def sort_key(b: Emitter, spec: SortSpec, x: Value) -> Value:
    """An unsigned number in the order of the elements, from the bits of one."""
    kind, bits = kind_of(spec.dtype), bits_of(x.type)
    sign = b.const(1 << (bits - 1), x.type)
    if kind == "i":
        x = b.binary("xor", x, sign)
    elif kind in ("f", "s"):
        size = b.binary("and", x, b.const((1 << (bits - 1)) - 1, x.type))
        zero, ones = b.const(0, x.type), b.const(-1, x.type)
        negative = b.binary("and", b.compare("slt", x, zero), b.compare("ne", size, zero))
        flipped = b.select(negative, b.logic_not(x), b.binary("or", size, sign))
        infinity = b.const(_INFINITY[spec.dtype], x.type)
        x = b.select(b.compare("ugt", size, infinity), ones, flipped)
    return b.logic_not(x) if spec.descending else x


class _Sorter(Driver):
    def __init__(self, spec: SortSpec, target: Target) -> None:
        super().__init__(target, "i64")
        self.spec = spec
        self.bits = 8 * itemsize(spec.dtype)
        self.memory_type = f"i{self.bits}"
        self.buffers = {name: self.word("buffers", i, "ptr") for i, name in enumerate(BUFFERS)}
        self.params = {name: self.word("params", i, "i64") for i, name in enumerate(PARAMS)}

    def place(self, base: Value, index: Value, type_: str) -> Value:
        return self.b.pointer_offset(base, index, type_)

    def load(self, base: Value, index: Value, type_: str = "i64") -> Value:
        return self.b.load(self.place(base, index, type_), type_, 1, bits_of(type_) // 8)

    def store(self, value: Value, base: Value, index: Value) -> None:
        self.b.store(value, self.place(base, index, value.type), bits_of(value.type) // 8)

    # --- the kernels ---

    def whole_rows(self) -> str:
        """Groups of rows, each group with working memory for one row."""
        b, p = self.b, self.params
        counts = b.alloca("i64", _DIGITS, 64)
        groups = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        group = groups.counter
        first = b.binary("udiv", b.mul(group, p["rows"]), p["groups"])
        after = b.mul(b.add(group, self.count(1)), p["rows"])
        rows = b.begin_loop(first, b.binary("udiv", after, p["groups"]), 1)
        row = self.row(rows.counter, group, self.count(0), p["size"])
        differing = self.make_keys(row)
        digits = b.begin_loop(self.count(0), self.count(self.bits), DIGIT_BITS, [self.count(0)])
        shift, (turn,) = digits.counter, digits.values
        if self.bits > HALF_BITS:
            halfway = b.compare("eq", shift, self.count(HALF_BITS))
            upper = b.binary("and", halfway, self.differs_above(differing))
            self.take_upper(self.only_if(upper, row), turn)
        counted, last = self.wanted(shift, differing)
        part = self.only_if(counted, row)
        self.count_digits(part, shift, turn, counts)
        self.add_counts(counts)
        self.move(part, shift, turn, counts, last)
        b.end_loop(digits, [b.select(counted, b.sub(self.count(1), turn), turn)])
        b.end_loop(rows)
        b.end_loop(groups)
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def pieces(self, act: str) -> str:
        """One act on the pieces of rows, each row with working memory of its own."""
        b, p = self.b, self.params
        counts = b.alloca("i64", _DIGITS, 64) if act == "move" else None
        loop = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        number = b.binary("udiv", loop.counter, p["pieces"])
        piece = b.binary("urem", loop.counter, p["pieces"])
        first = b.binary("udiv", b.mul(p["size"], piece), p["pieces"])
        after = b.mul(p["size"], b.add(piece, self.count(1)))
        row = self.row(number, number, first, b.binary("udiv", after, p["pieces"]))
        tables = self.at(
            self.buffers["tables"], b.mul(b.mul(number, p["pieces"]), self.count(TABLE_WORDS))
        )
        table = self.at(tables, b.mul(piece, self.count(TABLE_WORDS)))
        if act == "keys":
            self.store(self.make_keys(row), table, self.count(_DIGITS))
        else:
            shift = p["digit"]
            differing = self.differing_of(tables)
            counted, last = self.wanted(shift, differing)
            turn = self.turn(shift, differing)
            if act == "upper":
                self.take_upper(self.only_if(self.differs_above(differing), row), turn)
            elif counts is None:
                self.count_digits(self.only_if(counted, row), shift, turn, table)
            else:
                self.begin_after(tables, piece, counts)
                self.move(self.only_if(counted, row), shift, turn, counts, last)
        b.end_loop(loop)
        return b.function(f"{self.spec.name}_{act}", KERNEL_ARGUMENTS)

    def row(self, number: Value, memory: Value, first: Value, stop: Value) -> _Row:
        """Row `number`, with the working memory `memory`."""
        b, p = self.b, self.params
        # Rows may lie beside each other: element i is `inner` away from element i - 1.
        outer = b.binary("udiv", number, p["inner"])
        start = b.add(
            b.mul(b.mul(outer, p["inner"]), p["size"]), b.binary("urem", number, p["inner"])
        )
        twice = b.mul(b.mul(memory, self.count(2)), p["size"])
        return _Row(start, self.at(self.buffers["words"], twice), first, stop)

    def only_if(self, condition: Value, row: _Row) -> _Row:
        """The row, or nothing of it."""
        return replace(row, stop=self.b.select(condition, row.stop, row.first))

    # --- keys ---

    def element_key(self, row: _Row, index: Value) -> Value:
        place = self.b.add(row.start, self.b.mul(index, self.params["inner"]))
        key = sort_key(self.b, self.spec, self.load(self.buffers["x"], place, self.memory_type))
        return self.b.convert("zext", key, "i64")

    def make_keys(self, row: _Row) -> Value:
        """Fills the first buffer; gives the bits in which keys differ from the row's first."""
        b = self.b
        reference = self.element_key(row, self.count(0))
        loop = b.begin_loop(row.first, row.stop, 1, [self.count(0)])
        key = self.element_key(row, loop.counter)
        # The upper half of a long key is lost here, and computed again.
        high = b.binary("shl", key, self.count(HALF_BITS))
        self.store(b.binary("or", high, loop.counter), row.words, loop.counter)
        differing = b.binary("or", loop.values[0], b.binary("xor", key, reference))
        return b.end_loop(loop, [differing])[0]

    def take_upper(self, row: _Row, turn: Value) -> None:
        """The upper halves of the keys instead of the lower ones, which have been sorted by."""
        b = self.b
        words = self.at(row.words, b.mul(turn, self.params["size"]))
        loop = b.begin_loop(row.first, row.stop, 1)
        position = b.binary("and", self.load(words, loop.counter), self.count(_POSITION))
        upper = b.binary("and", self.element_key(row, position), self.count(~_POSITION))
        self.store(b.binary("or", upper, position), words, loop.counter)
        b.end_loop(loop)

    # --- which digits ---

    def differs(self, differing: Value, shift: Value) -> Value:
        """Whether the digit at `shift` is one to distribute by.

        In a row of equal keys the lowest is: somebody must write the order.
        """
        b, zero = self.b, self.count(0)
        digit = b.binary("and", b.binary("lshr", differing, shift), self.count(_DIGITS - 1))
        none = b.binary("and", b.compare("eq", differing, zero), b.compare("eq", shift, zero))
        return b.binary("or", b.compare("ne", digit, zero), none)

    def wanted(self, shift: Value, differing: Value) -> tuple[Value, Value]:
        """(whether to distribute by this digit, whether none above it follows)."""
        b = self.b
        # Two shifts: one by all bits of a word is not defined.
        above = b.binary("lshr", b.binary("lshr", differing, shift), self.count(DIGIT_BITS))
        return self.differs(differing, shift), b.compare("eq", above, self.count(0))

    def differs_above(self, differing: Value) -> Value:
        """Whether the upper halves of keys differ."""
        upper = self.b.binary("lshr", differing, self.count(HALF_BITS))
        return self.b.compare("ne", upper, self.count(0))

    def turn(self, shift: Value, differing: Value) -> Value:
        """Which of the two buffers holds the words before this digit: 0 or 1."""
        b = self.b
        moves = self.count(0)
        for lower in range(0, self.bits - DIGIT_BITS, DIGIT_BITS):
            before = b.compare("slt", self.count(lower), shift)
            moved = b.binary("and", before, self.differs(differing, self.count(lower)))
            moves = b.binary("xor", moves, b.convert("zext", moved, "i64"))
        return moves

    def differing_of(self, tables: Value) -> Value:
        """The differing bits of a whole row."""
        b = self.b
        loop = b.begin_loop(self.count(0), self.params["pieces"], 1, [self.count(0)])
        place = b.add(b.mul(loop.counter, self.count(TABLE_WORDS)), self.count(_DIGITS))
        return b.end_loop(loop, [b.binary("or", loop.values[0], self.load(tables, place))])[0]

    # --- distribution ---

    def digit(self, word: Value, shift: Value) -> Value:
        b = self.b
        within = b.binary("and", shift, self.count(HALF_BITS - 1))
        above = b.binary("lshr", word, b.add(within, self.count(HALF_BITS)))
        return b.binary("and", above, self.count(_DIGITS - 1))

    def count_digits(self, row: _Row, shift: Value, turn: Value, counts: Value) -> None:
        b = self.b
        clear = b.begin_loop(self.count(0), self.count(_DIGITS), 1)
        self.store(self.count(0), counts, clear.counter)
        b.end_loop(clear)
        words = self.at(row.words, b.mul(turn, self.params["size"]))
        loop = b.begin_loop(row.first, row.stop, 1)
        digit = self.digit(self.load(words, loop.counter), shift)
        self.store(b.add(self.load(counts, digit), self.count(1)), counts, digit)
        b.end_loop(loop)

    def add_counts(self, counts: Value) -> None:
        """Counts become the places where each digit's elements begin."""
        b = self.b
        loop = b.begin_loop(self.count(0), self.count(_DIGITS), 1, [self.count(0)])
        (total,) = loop.values
        found = self.load(counts, loop.counter)
        self.store(total, counts, loop.counter)
        b.end_loop(loop, [b.add(total, found)])

    def begin_after(self, tables: Value, piece: Value, counts: Value) -> None:
        """The places where the digits of one piece begin, from the counts of all pieces."""
        b = self.b
        digits = b.begin_loop(self.count(0), self.count(_DIGITS), 1, [self.count(0)])
        (total,) = digits.values
        others = b.begin_loop(self.count(0), self.params["pieces"], 1, [total, total])
        here, after = others.values
        place = b.add(b.mul(others.counter, self.count(TABLE_WORDS)), digits.counter)
        found = self.load(tables, place)
        before = b.select(b.compare("slt", others.counter, piece), found, self.count(0))
        here, after = b.end_loop(others, [b.add(here, before), b.add(after, found)])
        self.store(here, counts, digits.counter)
        b.end_loop(digits, [after])

    def move(self, row: _Row, shift: Value, turn: Value, counts: Value, last: Value) -> None:
        """Words go to the other buffer, or at the last digit their positions to the order."""
        b, p = self.b, self.params
        offset = b.mul(turn, p["size"])
        words = self.at(row.words, offset)
        to_words = self.at(row.words, b.sub(p["size"], offset))
        for condition, ends in ((b.logic_not(last), False), (last, True)):
            loop = b.begin_loop(row.first, b.select(condition, row.stop, row.first), 1)
            word = self.load(words, loop.counter)
            digit = self.digit(word, shift)
            place = self.load(counts, digit)
            self.store(b.add(place, self.count(1)), counts, digit)
            if ends:
                target = b.add(row.start, b.mul(place, p["inner"]))
                position = b.binary("and", word, self.count(_POSITION))
                self.store(position, self.buffers["order"], target)
            else:
                self.store(word, to_words, place)
            b.end_loop(loop)


def sort_text(spec: SortSpec, target: Target) -> str:
    """The module of one sort."""
    functions, declarations = [], set()
    for act in _acts(spec):
        sorter = _Sorter(spec, target)
        functions.append(sorter.pieces(act) if act else sorter.whole_rows())
        declarations |= sorter.b.declarations
    header = f'target triple = "{target.triple}"\n' + "\n".join(sorted(declarations))
    return header + "\n\n" + "\n".join(functions)

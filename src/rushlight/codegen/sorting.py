"""Stable sorting of rows by their keys' digits: positions in ascending or descending order.

Elements become unsigned keys of the same order (NaN is the largest, both zeros are equal), and
pairs of key and position are distributed by 8 bits at a time, from the lowest.  Digits that are
equal in a whole row cost a count only.  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.target import Target
from rushlight.codegen.emit import Emitter, Value, bits_of
from rushlight.codegen.llvm import KERNEL_ARGUMENTS
from rushlight.loopnest.ir import itemsize, kind_of

# The parallel loop runs over groups of rows; each group has two buffers of keys and two of
# positions, for one row at a time.
BUFFERS = ("x", "order", "keys", "positions")
PARAMS = ("rows", "groups", "size", "inner")
_DIGIT_BITS = 8
_DIGITS = 1 << _DIGIT_BITS
# dtype name -> bits of an infinite float
_INFINITY = {
    "float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF << 52,
}  # fmt: skip


@dataclass(frozen=True)
class SortSpec:
    """What the code depends on."""

    name: str
    dtype: str
    descending: bool


def key_bytes(dtype: str) -> int:
    """Bytes of a key in memory."""
    return max(4, itemsize(dtype))


class _Sorter:
    def __init__(self, spec: SortSpec, target: Target) -> None:
        self.spec = spec
        self.b = Emitter(target)
        self.bits = 8 * itemsize(spec.dtype)
        self.memory_type = f"i{self.bits}"
        self.key_type = f"i{8 * key_bytes(spec.dtype)}"
        self.buffers = {name: self.word("buffers", i, "ptr") for i, name in enumerate(BUFFERS)}
        self.params = {name: self.word("params", i, "i64") for i, name in enumerate(PARAMS)}

    def word(self, array: str, position: int, type_: str) -> Value:
        b = self.b
        slot = b.pointer_offset(Value("%" + array, "ptr"), b.const(position, "i64"), "i64")
        return b.load(slot, type_, 1, 8)

    def count(self, number: int) -> Value:
        return self.b.const(number, "i64")

    def at(self, base: Value, index: Value, type_: str) -> Value:
        return self.b.pointer_offset(base, index, type_)

    def load(self, base: Value, index: Value, type_: str) -> Value:
        return self.b.load(self.at(base, index, type_), type_, 1, bits_of(type_) // 8)

    def store(self, value: Value, base: Value, index: Value) -> None:
        self.b.store(value, self.at(base, index, value.type), bits_of(value.type) // 8)

    # --- the kernel ---

    def run(self) -> str:
        b, p = self.b, self.params
        counts = b.alloca("i64", _DIGITS, 64)
        groups = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        group = groups.counter
        twice = b.mul(b.mul(group, self.count(2)), p["size"])
        keys = self.at(self.buffers["keys"], twice, self.key_type)
        positions = self.at(self.buffers["positions"], twice, "i32")
        first = b.binary("udiv", b.mul(group, p["rows"]), p["groups"])
        after = b.mul(b.add(group, self.count(1)), p["rows"])
        rows = b.begin_loop(first, b.binary("udiv", after, p["groups"]), 1)
        # Rows that lie beside each other: element i of a row is `inner` away from element i - 1.
        outer = b.binary("udiv", rows.counter, p["inner"])
        start = b.add(
            b.mul(b.mul(outer, p["inner"]), p["size"]), b.binary("urem", rows.counter, p["inner"])
        )
        self.make_keys(start, keys, positions)
        self.write(start, self.distribute(keys, positions, counts))
        b.end_loop(rows)
        b.end_loop(groups)
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def make_keys(self, start: Value, keys: Value, positions: Value) -> None:
        b, p = self.b, self.params
        loop = b.begin_loop(self.count(0), p["size"], 1)
        place = b.add(start, b.mul(loop.counter, p["inner"]))
        key = self.key(self.load(self.buffers["x"], place, self.memory_type))
        self.store(b.convert("zext", key, self.key_type), keys, loop.counter)
        self.store(b.convert("trunc", loop.counter, "i32"), positions, loop.counter)
        b.end_loop(loop)

    def key(self, x: Value) -> Value:
        """An unsigned number in the order of the elements."""
        b, kind = self.b, kind_of(self.spec.dtype)
        sign = b.const(1 << (self.bits - 1), x.type)
        if kind == "i":
            x = b.binary("xor", x, sign)
        elif kind in ("f", "s"):
            size = b.binary("and", x, b.const((1 << (self.bits - 1)) - 1, x.type))
            zero, ones = b.const(0, x.type), b.const(-1, x.type)
            negative = b.binary("and", b.compare("slt", x, zero), b.compare("ne", size, zero))
            flipped = b.select(negative, b.logic_not(x), b.binary("or", size, sign))
            infinity = b.const(_INFINITY[self.spec.dtype], x.type)
            x = b.select(b.compare("ugt", size, infinity), ones, flipped)
        return b.logic_not(x) if self.spec.descending else x

    def distribute(self, keys: Value, positions: Value, counts: Value) -> Value:
        """Sorts by each digit in turn; gives the buffer that holds the positions at the end."""
        b, p = self.b, self.params
        other_keys = self.at(keys, p["size"], self.key_type)
        other_positions = self.at(positions, p["size"], "i32")
        carried = [keys, other_keys, positions, other_positions]
        digits = b.begin_loop(self.count(0), self.count(self.bits), _DIGIT_BITS, carried)
        shift = b.convert("trunc", digits.counter, self.key_type)
        from_keys, to_keys, from_positions, to_positions = digits.values
        self.count_digits(from_keys, shift, counts)
        first = self.digit(self.load(from_keys, self.count(0), self.key_type), shift)
        equal = b.compare("eq", self.load(counts, first, "i64"), p["size"])
        size = b.select(equal, self.count(0), p["size"])
        self.add_counts(counts)
        loop = b.begin_loop(self.count(0), size, 1)
        key = self.load(from_keys, loop.counter, self.key_type)
        digit = self.digit(key, shift)
        place = self.load(counts, digit, "i64")
        self.store(b.add(place, self.count(1)), counts, digit)
        self.store(key, to_keys, place)
        self.store(self.load(from_positions, loop.counter, "i32"), to_positions, place)
        b.end_loop(loop)
        pairs = [(from_keys, to_keys), (from_positions, to_positions)]
        swapped = [b.select(equal, x, y) for pair in pairs for x, y in (pair, pair[::-1])]
        return b.end_loop(digits, swapped)[2]

    def digit(self, key: Value, shift: Value) -> Value:
        b = self.b
        low = b.binary("and", b.binary("lshr", key, shift), b.const(_DIGITS - 1, key.type))
        return b.convert("zext", low, "i64")

    def count_digits(self, keys: Value, shift: Value, counts: Value) -> None:
        b = self.b
        clear = b.begin_loop(self.count(0), self.count(_DIGITS), 1)
        self.store(self.count(0), counts, clear.counter)
        b.end_loop(clear)
        loop = b.begin_loop(self.count(0), self.params["size"], 1)
        digit = self.digit(self.load(keys, loop.counter, self.key_type), shift)
        self.store(b.add(self.load(counts, digit, "i64"), self.count(1)), counts, digit)
        b.end_loop(loop)

    def add_counts(self, counts: Value) -> None:
        """Counts become the places where each digit's elements begin."""
        b = self.b
        loop = b.begin_loop(self.count(0), self.count(_DIGITS), 1, [self.count(0)])
        (total,) = loop.values
        found = self.load(counts, loop.counter, "i64")
        self.store(total, counts, loop.counter)
        b.end_loop(loop, [b.add(total, found)])

    def write(self, start: Value, positions: Value) -> None:
        b, p = self.b, self.params
        loop = b.begin_loop(self.count(0), p["size"], 1)
        position = b.convert("zext", self.load(positions, loop.counter, "i32"), "i64")
        place = b.add(start, b.mul(loop.counter, p["inner"]))
        self.store(position, self.buffers["order"], place)
        b.end_loop(loop)


def sort_text(spec: SortSpec, target: Target) -> str:
    """The module of one sort."""
    sorter = _Sorter(spec, target)
    text = sorter.run()
    declarations = "\n".join(sorted(sorter.b.declarations))
    return f'target triple = "{target.triple}"\n{declarations}\n\n{text}'

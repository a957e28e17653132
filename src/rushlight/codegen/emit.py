"""Writes LLVM IR as text: values, nested regions, loops.

Two jobs that a middle-end would do later are done while writing, because running passes costs
more than the rest of a compile: an instruction already written is reused (value numbering), and a
pure instruction is placed in the outermost region where its operands exist (loop-invariant code
leaves its loop at once).  Values know the depth of the region that defines them.  Nothing here
knows the loop-nest IR.  Level 7.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from rushlight.base.target import Target

FLOAT_TYPES = ("float", "double")
_BITS = {"i1": 1, "i8": 8, "i16": 16, "i32": 32, "i64": 64, "half": 16, "float": 32, "double": 64}
_SUFFIX = {"half": "f16", "float": "f32", "double": "f64"}
_X86_SUFFIX = {"float": "ps", "double": "pd"}
_WIDEST_BITS = 512
_CURRENT_ROUNDING = 4  # of x86 instructions that take a rounding mode


def bits_of(type_: str) -> int:
    """Bits of a scalar LLVM type; integers may be of any size."""
    known = _BITS.get(type_)
    return int(type_[1:]) if known is None else known


class Value:
    """An SSA name or a constant: scalar type, lanes, and the depth of its region."""

    __slots__ = ("depth", "text", "type", "width")

    def __init__(self, text: str, type_: str, width: int = 1, depth: int = 0) -> None:
        self.text = text
        self.type = type_
        self.width = width
        self.depth = depth

    @property
    def full_type(self) -> str:
        return self.type if self.width == 1 else f"<{self.width} x {self.type}>"

    @property
    def typed(self) -> str:
        return f"{self.full_type} {self.text}"

    @property
    def is_float(self) -> bool:
        return self.type in FLOAT_TYPES

    def at_depth(self, depth: int) -> Value:
        return Value(self.text, self.type, self.width, depth)


class _Region:
    """Straight-line text in the making: its lines, its known values, its current block."""

    __slots__ = ("known", "label", "lines")

    def __init__(self, label: str) -> None:
        self.lines: list[str] = []
        self.known: dict[str, str] = {}
        self.label = label


@dataclass
class LoopHandle:
    """An open loop: its counter and the values carried from one iteration to the next."""

    start: Value
    stop: Value
    step: int
    carried: list[Value]
    counter: Value
    values: list[Value]
    header: str
    body: str
    exit: str


def constant_text(value: float | int | bool, type_: str) -> str:
    """A literal of a scalar type; floats as the hex of their double, exact for both widths."""
    if type_ in FLOAT_TYPES:
        number = float(value)
        if type_ == "float":
            number = _to_float32(number)
        return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    if type_ == "i1":
        return "true" if value else "false"
    bits = bits_of(type_)
    number = int(value) & ((1 << bits) - 1)
    return str(number - (1 << bits) if number >> (bits - 1) else number)


def _to_float32(number: float) -> float:
    try:
        return struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


class Emitter:
    """Builds the text of one function; regions nest as loops do."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.declarations: set[str] = set()
        self.regions = [_Region("entry")]
        self._names = 0

    # --- regions and text ---

    @property
    def depth(self) -> int:
        return len(self.regions) - 1

    def fresh(self, prefix: str = "v") -> str:
        self._names += 1
        return f"{prefix}{self._names}"

    def line(self, text: str) -> None:
        """A line with an effect, in the innermost region."""
        self.regions[-1].lines.append("  " + text)

    def place(self, text: str, depth: int) -> str:
        """A pure instruction: reused if any enclosing region knows it, else written at depth."""
        for region in self.regions[: depth + 1]:
            found = region.known.get(text)
            if found is not None:
                return found
        name = "%" + self.fresh()
        region = self.regions[depth]
        region.known[text] = name
        region.lines.append(f"  {name} = {text}")
        return name

    # --- constants ---

    def const(self, value: float | int | bool, type_: str, width: int = 1) -> Value:
        text = constant_text(value, type_)
        if width > 1:
            if text in ("0", "false", "0x0000000000000000"):
                text = "zeroinitializer"
            else:
                text = f"splat ({type_} {text})"
        return Value(text, type_, width)

    def like(self, value: float | int | bool, x: Value) -> Value:
        """A constant of x's type and width."""
        return self.const(value, x.type, x.width)

    def vector_constant(self, values: Sequence[int | float], type_: str) -> Value:
        items = ", ".join(f"{type_} {constant_text(v, type_)}" for v in values)
        return Value(f"<{items}>", type_, len(values))

    # --- pure instructions ---

    def pure(self, text: str, operands: Sequence[Value], type_: str, width: int) -> Value:
        depth = max([v.depth for v in operands], default=0)
        return Value(self.place(text, depth), type_, width, depth)

    def splat(self, x: Value, width: int) -> Value:
        if x.width == width:
            return x
        if not x.text.startswith("%"):
            text = x.text if x.text == "zeroinitializer" else f"splat ({x.type} {x.text})"
            if x.text in ("0", "false", "0x0000000000000000"):
                text = "zeroinitializer"
            return Value(text, x.type, width)
        vector = f"<{width} x {x.type}>"
        first = self.pure(f"insertelement {vector} poison, {x.typed}, i64 0", [x], x.type, width)
        return self.pure(
            f"shufflevector {first.typed}, {vector} poison, <{width} x i32> zeroinitializer",
            [first], x.type, width,
        )  # fmt: skip

    def _together(self, *values: Value) -> list[Value]:
        width = max(v.width for v in values)
        return [self.splat(v, width) for v in values]

    def binary(self, opcode: str, x: Value, y: Value) -> Value:
        x, y = self._together(x, y)
        return self.pure(f"{opcode} {x.typed}, {y.text}", [x, y], x.type, x.width)

    def add(self, x: Value, y: Value) -> Value:
        return self.binary("fadd" if x.is_float else "add", x, y)

    def sub(self, x: Value, y: Value) -> Value:
        return self.binary("fsub" if x.is_float else "sub", x, y)

    def mul(self, x: Value, y: Value) -> Value:
        return self.binary("fmul" if x.is_float else "mul", x, y)

    def div(self, x: Value, y: Value) -> Value:
        return self.binary("fdiv", x, y)

    def neg(self, x: Value) -> Value:
        if x.is_float:
            return self.pure(f"fneg {x.typed}", [x], x.type, x.width)
        return self.binary("sub", self.like(0, x), x)

    def logic_not(self, x: Value) -> Value:
        return self.binary("xor", x, self.like(-1, x))

    def compare(self, predicate: str, x: Value, y: Value) -> Value:
        x, y = self._together(x, y)
        opcode = "fcmp" if x.is_float else "icmp"
        text = f"{opcode} {predicate} {x.typed}, {y.text}"
        return self.pure(text, [x, y], "i1", x.width)

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        condition, x, y = self._together(condition, x, y)
        text = f"select {condition.typed}, {x.typed}, {y.typed}"
        return self.pure(text, [condition, x, y], x.type, x.width)

    def convert(self, opcode: str, x: Value, type_: str) -> Value:
        if x.type == type_:
            return x
        full = type_ if x.width == 1 else f"<{x.width} x {type_}>"
        return self.pure(f"{opcode} {x.typed} to {full}", [x], type_, x.width)

    def intrinsic(self, name: str, *args: Value, result: str | None = None) -> Value:
        """A pure LLVM intrinsic overloaded on its first operand (and result, if it differs)."""
        args_ = self._together(*args)
        x = args_[0]
        type_ = result or x.type
        full = type_ if x.width == 1 else f"<{x.width} x {type_}>"
        suffixes = [self._mangle(x.type, x.width)]
        if result is not None:
            suffixes.insert(0, self._mangle(result, x.width))
        symbol = f"@llvm.{name}.{'.'.join(suffixes)}"
        self.declarations.add(f"declare {full} {symbol}({', '.join(a.full_type for a in args_)})")
        text = f"call {full} {symbol}({', '.join(a.typed for a in args_)})"
        return self.pure(text, args_, type_, x.width)

    @staticmethod
    def _mangle(type_: str, width: int) -> str:
        scalar = _SUFFIX.get(type_, type_)
        return scalar if width == 1 else f"v{width}{scalar}"

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        return self.intrinsic("fma", x, y, z)

    def fabs(self, x: Value) -> Value:
        return self.intrinsic("fabs", x)

    def copysign(self, x: Value, sign: Value) -> Value:
        """x with the sign of another number, by its bits.

        LLVM's intrinsic folds the conversions of both operands into itself and can then ask for a
        double to half conversion in one step, for which the machine has no instruction.
        """
        integer = {"float": "i32", "double": "i64"}[x.type]
        top = 1 << (bits_of(x.type) - 1)
        magnitude, other = [self.convert("bitcast", v, integer) for v in (x, sign)]
        magnitude = self.binary("and", magnitude, self.like(top - 1, magnitude))
        other = self.binary("and", other, self.like(top, other))
        return self.convert("bitcast", self.binary("or", magnitude, other), x.type)

    def scaled(self, x: Value, power: Value) -> Value | None:
        """x * 2^power, rounded once, by AVX-512's instruction; None where there is none for x."""
        if not self.target.scales_by_powers or x.width * bits_of(x.type) != _WIDEST_BITS:
            return None
        full = x.full_type
        mask = f"i{max(x.width, 8)}"
        symbol = f"@llvm.x86.avx512.mask.scalef.{_X86_SUFFIX[x.type]}.{_WIDEST_BITS}"
        self.declarations.add(f"declare {full} {symbol}({full}, {full}, {full}, {mask}, i32)")
        operands = f"{x.typed}, {power.typed}, {x.typed}, {mask} -1, i32 {_CURRENT_ROUNDING}"
        return self.pure(f"call {full} {symbol}({operands})", [x, power], x.type, x.width)

    def shuffle(self, x: Value, y: Value, lanes: Sequence[int]) -> Value:
        mask = ", ".join(f"i32 {lane}" for lane in lanes)
        text = f"shufflevector {x.typed}, {y.typed}, <{len(lanes)} x i32> <{mask}>"
        return self.pure(text, [x, y], x.type, len(lanes))

    def extract(self, x: Value, lane: int) -> Value:
        if x.width == 1:
            return x
        return self.pure(f"extractelement {x.typed}, i64 {lane}", [x], x.type, 1)

    # --- memory ---

    def pointer_offset(self, base: Value, index: Value, type_: str) -> Value:
        text = f"getelementptr {type_}, {base.typed}, {index.typed}"
        return self.pure(text, [base, index], "ptr", max(base.width, index.width))

    def effect(self, text: str, type_: str, width: int) -> Value:
        """An instruction that must stay where it stands, such as a load."""
        name = "%" + self.fresh()
        self.line(f"{name} = {text}")
        return Value(name, type_, width, self.depth)

    def read(
        self, text: str, operands: Sequence[Value], type_: str, width: int, steady: int | None
    ) -> Value:
        """A load.  steady: outermost region it may move to, if its memory does not change."""
        if steady is None:
            return self.effect(text, type_, width)
        depth = max(steady, *[v.depth for v in operands])
        return Value(self.place(text, depth), type_, width, depth)

    def load(
        self, pointer: Value, type_: str, width: int, align: int, steady: int | None = None
    ) -> Value:
        full = type_ if width == 1 else f"<{width} x {type_}>"
        text = f"load {full}, {pointer.typed}, align {align}"
        return self.read(text, [pointer], type_, width, steady)

    def store(self, value: Value, pointer: Value, align: int) -> None:
        self.line(f"store {value.typed}, {pointer.typed}, align {align}")

    def masked_load(
        self, pointer: Value, type_: str, mask: Value, align: int, steady: int | None = None
    ) -> Value:
        full, mangled = f"<{mask.width} x {type_}>", self._mangle(type_, mask.width)
        symbol = f"@llvm.masked.load.{mangled}.p0"
        self.declarations.add(f"declare {full} {symbol}(ptr, i32, {mask.full_type}, {full})")
        call = f"call {full} {symbol}({pointer.typed}, i32 {align}, {mask.typed}, {full} "
        text = call + "zeroinitializer)"
        return self.read(text, [pointer, mask], type_, mask.width, steady)

    def masked_store(self, value: Value, pointer: Value, mask: Value, align: int) -> None:
        mangled = self._mangle(value.type, value.width)
        symbol = f"@llvm.masked.store.{mangled}.p0"
        self.declarations.add(
            f"declare void {symbol}({value.full_type}, ptr, i32, {mask.full_type})"
        )
        self.line(f"call void {symbol}({value.typed}, {pointer.typed}, i32 {align}, {mask.typed})")

    def gather(
        self, pointers: Value, type_: str, mask: Value, align: int, steady: int | None = None
    ) -> Value:
        width = pointers.width
        full, mangled = f"<{width} x {type_}>", self._mangle(type_, width)
        symbol = f"@llvm.masked.gather.{mangled}.v{width}p0"
        self.declarations.add(
            f"declare {full} {symbol}({pointers.full_type}, i32, {mask.full_type}, {full})"
        )
        call = f"call {full} {symbol}({pointers.typed}, i32 {align}, {mask.typed}, {full} "
        text = call + "zeroinitializer)"
        return self.read(text, [pointers, mask], type_, width, steady)

    def scatter(self, value: Value, pointers: Value, mask: Value, align: int) -> None:
        width = pointers.width
        symbol = f"@llvm.masked.scatter.{self._mangle(value.type, width)}.v{width}p0"
        self.declarations.add(
            f"declare void {symbol}({value.full_type}, {pointers.full_type}, i32, {mask.full_type})"
        )
        self.line(f"call void {symbol}({value.typed}, {pointers.typed}, i32 {align}, {mask.typed})")

    def prefetch(self, pointer: Value, soon: bool = True) -> None:
        """Asks for a line: one that will be read and written soon, or one that the second cache
        is to have.
        """
        symbol = "@llvm.prefetch.p0"
        self.declarations.add(f"declare void {symbol}(ptr, i32, i32, i32)")
        hints = "i32 1, i32 3, i32 1" if soon else "i32 0, i32 2, i32 1"
        self.line(f"call void {symbol}({pointer.typed}, {hints})")

    def alloca(self, type_: str, count: int, align: int) -> Value:
        """Stack memory, made once at the function's entry."""
        name = "%" + self.fresh("stack")
        self.regions[0].lines.insert(0, f"  {name} = alloca [{count} x {type_}], align {align}")
        return Value(name, "ptr")

    def stack(self, type_: str, count: Value, align: int) -> Value:
        """Stack memory of a size known at run time; only outside of loops."""
        return self.effect(f"alloca {type_}, {count.typed}, align {align}", "ptr", 1)

    # --- loops ---

    def begin_loop(
        self, start: Value, stop: Value, step: int, carried: Sequence[Value] = ()
    ) -> LoopHandle:
        """Opens ``for (i = start; i < stop; i += step)``; carried values become phis."""
        depth = self.depth + 1
        header, body, exit_ = self.fresh("head"), self.fresh("body"), self.fresh("exit")
        counter = Value("%" + self.fresh("i"), "i64", 1, depth)
        values = [Value("%" + self.fresh("acc"), v.type, v.width, depth) for v in carried]
        handle = LoopHandle(start, stop, step, list(carried), counter, values, header, body, exit_)
        self.regions.append(_Region(handle.body))
        return handle

    def end_loop(self, handle: LoopHandle, updated: Sequence[Value] = ()) -> list[Value]:
        """Closes the loop; gives the carried values as they are after it."""
        following = self.fresh("next")
        self.line(f"%{following} = add nsw i64 {handle.counter.text}, {handle.step}")
        self.line(f"br label %{handle.header}")
        inner = self.regions.pop()
        outer = self.regions[-1]
        before, latch = outer.label, inner.label
        lines = outer.lines
        lines.append(f"  br label %{handle.header}")
        lines.append(f"{handle.header}:")
        lines.append(
            f"  {handle.counter.text} = phi i64 [ {handle.start.text}, %{before} ], "
            f"[ %{following}, %{latch} ]"
        )
        for value, first, new in zip(handle.values, handle.carried, updated):
            lines.append(
                f"  {value.text} = phi {value.full_type} [ {first.text}, %{before} ], "
                f"[ {new.text}, %{latch} ]"
            )
        check = self.fresh("more")
        lines.append(f"  %{check} = icmp slt i64 {handle.counter.text}, {handle.stop.text}")
        lines.append(f"  br i1 %{check}, label %{handle.body}, label %{handle.exit}")
        lines.append(f"{handle.body}:")
        lines.extend(inner.lines)
        lines.append(f"{handle.exit}:")
        outer.label = handle.exit
        return [value.at_depth(self.depth) for value in handle.values]

    # --- the finished function ---

    def attributes(self) -> str:
        bits = self.target.vector_bytes * 8
        text = "nounwind"
        if self.target.architecture == "x86_64":
            text += f' "prefer-vector-width"="{bits}" "min-legal-vector-width"="{bits}"'
        return text

    def function(self, name: str, arguments: str, linkage: str = "") -> str:
        """The text of the whole function; the open region must be the outermost."""
        body = "\n".join(self.regions[0].lines)
        head = f"define {linkage} void".replace("  ", " ")
        return (
            f"{head} @{name}({arguments}) {self.attributes()} {{\nentry:\n{body}\n  ret void\n}}\n"
        )

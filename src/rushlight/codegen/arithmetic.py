"""What a GEMM multiplies and adds: how operands lie in panels, and one step of the sum.

A panel is made of units, each of which is a vector lane wide.  A float32 or float64 is a unit of
one step of k.  Where the machine adds several narrow products to one lane at once, a unit holds
that many steps: two bfloat16, two 16-bit or four 8-bit integers.  Elsewhere narrow operands are
widened as they are packed.

bfloat16: `vdpbf16ps` adds the product of the upper halves, then that of the lower halves, each by a
fused multiply-add rounded to nearest, so the earlier step stands in the upper half and the sum has
the order and the bits of float32 arithmetic.  Only denormal operands and sums differ: the
instruction takes them for zeros.  Integers are exact in all of them.  Level 7.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from rushlight.base.target import Target
from rushlight.codegen import scalar_ops
from rushlight.codegen.emit import Emitter, Value, bits_of
from rushlight.loopnest.ir import kind_of

FUSED, WIDE, BRAIN_PAIRS, SHORT_PAIRS, BYTE_QUADS = (
    "fused", "wide", "bfloat16 pairs", "16-bit pairs", "8-bit quads",
)  # fmt: skip
# A GEMM of this dtype multiplies uint8 by int8 and adds in int32.
BYTES = "uint8"
# GEMMs of 16-bit floats whose C is float32 and holds the sums as they are.
UNROUNDED = {"bfloat16_unrounded": "bfloat16", "float16_unrounded": "float16"}
# GEMMs whose operands are always packed: they are converted or joined on the way.
NARROW = ("bfloat16", "float16", *UNROUNDED, BYTES)


@dataclass(frozen=True)
class Arithmetic:
    """stored: dtypes of A, B and C in memory.  group: steps of k in a unit.

    unit: LLVM's type of a unit.  total: dtype of the sums.  method: how a unit is multiplied.
    """

    stored: tuple[str, str, str]
    group: int
    unit: str
    total: str
    method: str

    @property
    def unit_bytes(self) -> int:
        return bits_of(self.unit) // 8

    @property
    def step_bytes(self) -> int:
        """Bytes that one step of k takes in a panel."""
        return self.unit_bytes // self.group

    @property
    def is_packed(self) -> bool:
        """Whether operands cannot be read where they lie."""
        return self.method != FUSED

    @property
    def is_rounded(self) -> bool:
        """Whether C holds less than the sums, which then lie elsewhere until they are finished."""
        return self.total != self.stored[2]

    def type_of(self, matrix: int) -> str:
        """LLVM's type of the elements of A, B or C."""
        return scalar_ops.memory_type(self.stored[matrix])

    def multiply_add(self, b: Emitter, x: Value, y: Value, total: Value) -> Value:
        """A unit of A times one of B, added to a sum; vectors."""
        if self.method == FUSED or self.unit == "float":
            return b.fma(x, y, total)
        if self.method == WIDE:
            return b.add(b.mul(x, y), total)
        if self.method == BRAIN_PAIRS:
            pairs = [recast(b, v, "bfloat", 2 * v.width) for v in (x, y)]
            name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * x.width}"
            return named(b, name, [total, *pairs], "float", x.width)
        if self.method == BYTE_QUADS:
            name = f"llvm.x86.avx512.vpdpbusd.{32 * x.width}"
            return named(b, name, [total, x, y], "i32", x.width)
        shorts = [recast(b, v, "i16", 2 * v.width) for v in (x, y)]
        name = {16: "llvm.x86.avx512.pmaddw.d.512", 8: "llvm.x86.avx2.pmadd.wd"}[x.width]
        return b.add(named(b, name, shorts, "i32", x.width), total)

    def unit_of_line(self, b: Emitter, x: Value, stored: str) -> Value:
        """Neighbors along k, ``group`` to a lane, as units."""
        lanes = x.width // self.group
        if self.method == WIDE:
            return scalar_ops.cast(b, x, stored, self.total)
        if self.method == SHORT_PAIRS:
            x = b.convert("sext" if kind_of(stored) == "i" else "zext", x, "i16")
        units = recast(b, x, "i32", lanes)
        if self.method == BRAIN_PAIRS:
            return b.intrinsic("fshl", units, units, b.like(16, units))
        return units

    def unit_of_steps(self, b: Emitter, steps: Sequence[Value], stored: str) -> Value:
        """``group`` following steps of k, each a vector along the other axis, as units."""
        if self.method == WIDE:
            return scalar_ops.cast(b, steps[0], stored, self.total)
        width = 32 // self.group
        # A bfloat16's earlier step is the upper half.
        ordered = steps[::-1] if self.method == BRAIN_PAIRS else steps
        units = None
        for place, step in enumerate(ordered):
            if self.method == SHORT_PAIRS:
                step = b.convert("sext" if kind_of(stored) == "i" else "zext", step, "i16")
            wide = b.convert("zext", step, "i32")
            if place:
                wide = b.binary("shl", wide, b.like(place * width, wide))
            units = wide if units is None else b.binary("or", units, wide)
        assert units is not None
        return units

    def finished(self, b: Emitter, total: Value) -> Value:
        """A sum as C holds it."""
        return scalar_ops.cast(b, total, self.total, self.stored[2])


def recast(b: Emitter, x: Value, type_: str, width: int) -> Value:
    """The same bits as another number of lanes."""
    return b.pure(f"bitcast {x.typed} to <{width} x {type_}>", [x], type_, width)


def named(b: Emitter, name: str, operands: Sequence[Value], type_: str, width: int) -> Value:
    """A pure intrinsic of one machine."""
    full = f"<{width} x {type_}>"
    types = ", ".join(v.full_type for v in operands)
    b.declarations.add(f"declare {full} @{name}({types})")
    text = f"call {full} @{name}({', '.join(v.typed for v in operands)})"
    return b.pure(text, operands, type_, width)


@functools.cache
def arithmetic_of(dtype: str, target: Target) -> Arithmetic:
    """How a GEMM of this dtype is computed on a machine: decided by its features alone."""
    if dtype not in NARROW:
        type_ = scalar_ops.register_type(dtype)
        return Arithmetic((dtype, dtype, dtype), 1, type_, dtype, FUSED)
    if dtype != BYTES:
        read = UNROUNDED.get(dtype, dtype)
        stored = (read, read, "float32" if dtype in UNROUNDED else dtype)
        if read == "bfloat16" and target.vector_bytes == 64 and target.has("avx512bf16"):
            return Arithmetic(stored, 2, "i32", "float32", BRAIN_PAIRS)
        return Arithmetic(stored, 1, "float", "float32", WIDE)
    stored = ("uint8", "int8", "int32")
    vnni = {64: "avx512vnni", 32: "avxvnni"}.get(target.vector_bytes, "")
    if target.has(vnni):
        return Arithmetic(stored, 4, "i32", "int32", BYTE_QUADS)
    if target.vector_bytes >= 32 and target.architecture == "x86_64":
        return Arithmetic(stored, 2, "i32", "int32", SHORT_PAIRS)
    return Arithmetic(stored, 1, "i32", "int32", WIDE)


@functools.cache
def plain(type_: str) -> Arithmetic:
    """Fused multiply-adds of one of LLVM's float types."""
    dtype = {"float": "float32", "double": "float64"}[type_]
    return Arithmetic((dtype, dtype, dtype), 1, type_, dtype, FUSED)

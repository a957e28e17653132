"""IR of one kernel: expressions, statements, kernels; frozen and free of LLVM.

A kernel takes buffers (base pointer and dtype) and parameters (run-time integers and floats:
sizes, strides, offsets, scalars), so one kernel serves every size.  Indices count elements from a
buffer's base pointer.  Sharing is said by name: a value used twice is bound by ``Let``; an
expression tree is otherwise evaluated where it stands.

Loop kinds: ``serial`` runs in order; the iterations of ``vector`` and ``parallel`` loops are
independent (no iteration reads what another writes).  ``Reduce`` has one fixed tree, given by its
extent and ``lanes`` alone: element i goes to lane ``i % lanes`` in ascending order, then the upper
half of the lanes is combined into the lower half until one is left.  float16 and bfloat16 are
storage types: they are loaded, stored, selected and cast, and arithmetic is done in float32.
Level 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

SERIAL = "serial"
VECTOR = "vector"
PARALLEL = "parallel"
LOOP_KINDS = (SERIAL, VECTOR, PARALLEL)

# dtype name: (bits in memory, kind); kinds: b bool, u unsigned, i signed, f float, s storage float
DTYPES: dict[str, tuple[int, str]] = {
    "bool": (8, "b"),
    "uint8": (8, "u"),
    "uint16": (16, "u"),
    "uint32": (32, "u"),
    "uint64": (64, "u"),
    "int8": (8, "i"),
    "int16": (16, "i"),
    "int32": (32, "i"),
    "int64": (64, "i"),
    "float16": (16, "s"),
    "bfloat16": (16, "s"),
    "float32": (32, "f"),
    "float64": (64, "f"),
}

# Lanes of a Reduce over a contiguous axis: 256 bytes of accumulators, four AVX-512 registers,
# whatever the machine, so that every machine adds in the same order.
REDUCE_BYTES = 256


def reduce_lanes(dtype: str) -> int:
    """The fixed number of lanes of a vectorized Reduce that accumulates in this dtype."""
    return REDUCE_BYTES // max(4, itemsize(dtype))


def itemsize(dtype: str) -> int:
    """Bytes of one element in memory."""
    return DTYPES[dtype][0] // 8


def kind_of(dtype: str) -> str:
    """b bool, u unsigned, i signed, f float, s float that is only stored."""
    return DTYPES[dtype][1]


# Scalar operations: name -> (arity, operand kinds, result).  Result "same" is the dtype of the
# operands, "bool" a truth value.  ``where`` is checked apart: (bool, x, x) -> x.
_FLOAT, _REAL, _INT, _ANY = "f", "fiu", "iu", "fiub"
OPS: dict[str, tuple[int, str, str]] = {}


def _declare(names: str, arity: int, kinds: str, result: str = "same") -> None:
    for name in names.split():
        OPS[name] = (arity, kinds, result)


_declare("add sub mul", 2, _REAL)
_declare("neg abs sign", 1, _REAL)
_declare("div pow atan2 copysign fdim hypot", 2, _FLOAT)
_declare("fma", 3, _FLOAT)  # only where one rounding is the meaning: inside contractions
_declare("floordiv mod fmod", 2, _REAL)  # mod takes the divisor's sign, fmod the dividend's
_declare("maximum minimum", 2, _ANY)  # NaN if either operand is NaN
_declare("fmax fmin", 2, _FLOAT)  # the other operand if one is NaN
_declare("eq ne lt le gt ge", 2, _ANY, "bool")
_declare("and or xor", 2, "iub")
_declare("not", 1, "iub")
_declare("shl shr", 2, _INT)
_declare("isnan isinf isfinite signbit", 1, _FLOAT, "bool")
_declare("floor ceil trunc round sqrt rsqrt reciprocal", 1, _FLOAT)
_declare("exp exp2 expm1 log log2 log10 log1p", 1, _FLOAT)
_declare("sin cos tan asin acos atan", 1, _FLOAT)
_declare("sinh cosh tanh asinh acosh atanh", 1, _FLOAT)
_declare("sigmoid softplus_unit erf erfc erfinv lgamma digamma", 1, _FLOAT)
_declare("nextafter", 2, _FLOAT)
_declare("gcd intpow", 2, _INT)  # intpow truncates the reciprocals of negative exponents
# Thread and word's number (4 thread + number), its call, the seed -> a word of 32 bits.
_declare("philox", 3, "u")
OPS["where"] = (3, "any", "same")

# Operations that are defined on one dtype of their kind alone.
ONLY_ON = {"philox": "uint64"}


def is_defined_on(name: str, dtype: str) -> bool:
    """Whether an operation but `where` takes operands of a dtype."""
    return kind_of(dtype) in OPS[name][1] and ONLY_ON.get(name, dtype) == dtype


REDUCTIONS = ("sum", "prod", "max", "min", "and", "or", "argmax", "argmin")


# --- expressions ------------------------------------------------------------------------------


class _Arithmetic:
    """``+ - *`` on expressions, folding the constants 0 and 1 of integer index arithmetic."""

    __slots__ = ()

    def __add__(self, other: ExprOrInt) -> Expr:
        return _fold("add", self, other)

    def __radd__(self, other: ExprOrInt) -> Expr:
        return _fold("add", other, self)

    def __sub__(self, other: ExprOrInt) -> Expr:
        return _fold("sub", self, other)

    def __mul__(self, other: ExprOrInt) -> Expr:
        return _fold("mul", self, other)

    def __rmul__(self, other: ExprOrInt) -> Expr:
        return _fold("mul", other, self)


@dataclass(frozen=True, slots=True)
class Const(_Arithmetic):
    """A number known when the kernel is made; part of the kernel's identity."""

    value: float | int | bool
    dtype: str


@dataclass(frozen=True, slots=True)
class Param(_Arithmetic):
    """A number given at launch: an integer or float scalar, a size, a stride, an offset.

    counts: whether it is a number of elements, and so at least 1.
    """

    name: str
    dtype: str = "int64"
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Var(_Arithmetic):
    """A name bound by Let, Loop or Reduce."""

    name: str
    dtype: str = "int64"


@dataclass(frozen=True, slots=True)
class Load(_Arithmetic):
    """One element of a buffer; where ``mask`` is false, memory is not touched and it is zero."""

    buffer: str
    index: Expr
    dtype: str
    mask: Expr | None = None


@dataclass(frozen=True, slots=True)
class Op(_Arithmetic):
    """A scalar operation of the OPS table."""

    name: str
    args: tuple[Expr, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Cast(_Arithmetic):
    """Conversion: to bool is ``x != 0``; float to integer truncates, saturates, NaN gives 0."""

    arg: Expr
    dtype: str


Expr = Const | Param | Var | Load | Op | Cast
ExprOrInt = Expr | int


def as_expr(value: _Arithmetic | int) -> Expr:
    """An int becomes an int64 constant; an expression stays itself."""
    if isinstance(value, int):
        return Const(value, "int64")
    return cast("Expr", value)


def _fold(name: str, x: _Arithmetic | int, y: _Arithmetic | int) -> Expr:
    lhs, rhs = as_expr(x), as_expr(y)
    if lhs.dtype != "int64":
        return Op(name, (lhs, rhs), lhs.dtype)
    known_l = lhs.value if isinstance(lhs, Const) else None
    known_r = rhs.value if isinstance(rhs, Const) else None
    if known_l is not None and known_r is not None:
        result = {"add": known_l + known_r, "sub": known_l - known_r, "mul": known_l * known_r}
        return Const(int(result[name]), "int64")
    if name == "mul":
        if known_l == 0 or known_r == 0:
            return Const(0, "int64")
        if known_l == 1:
            return rhs
        if known_r == 1:
            return lhs
    elif known_r == 0:
        return lhs
    elif name == "add" and known_l == 0:
        return rhs
    return Op(name, (lhs, rhs), "int64")


def call(name: str, *args: ExprOrInt) -> Op:
    """An operation with its result dtype filled in from the OPS table."""
    exprs = tuple(as_expr(arg) for arg in args)
    if name == "where":
        return Op(name, exprs, exprs[1].dtype)
    result = OPS[name][2]
    return Op(name, exprs, exprs[0].dtype if result == "same" else result)


# --- statements -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Let:
    """Binds a name to a value for the statements that follow in the same body and below it."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Store:
    """Writes one element; where ``mask`` is false nothing is written."""

    buffer: str
    index: Expr
    value: Expr
    mask: Expr | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """``for var in range(extent)``; kind is serial, vector or parallel."""

    var: str
    extent: Expr
    kind: str
    body: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Accumulator:
    """One reduced value.  argmax and argmin bind two names, value and int64 position, and take
    the first position among equals; a NaN wins over every number."""

    names: tuple[str, ...]
    op: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Reduce:
    """Runs ``body`` for each var in range(extent) and binds the reduced values after it.

    ``lanes`` 1 adds in ascending order; otherwise it must be a power of two, and the Reduce is
    itself the vectorized loop: it may not stand inside a vector loop, and its body has no loops.
    """

    var: str
    extent: Expr
    lanes: int
    body: tuple[Stmt, ...]
    accumulators: tuple[Accumulator, ...]


Stmt = Let | Store | Loop | Reduce


@dataclass(frozen=True, slots=True)
class Buffer:
    """A pointer argument; access is ``in``, ``out`` or ``inout``."""

    name: str
    dtype: str
    access: str


@dataclass(frozen=True, slots=True)
class Scratch:
    """Memory of the running thread for one call of the kernel: ``extent`` elements, unset."""

    name: str
    dtype: str
    extent: Expr


@dataclass(frozen=True, slots=True)
class Kernel:
    """One compiled unit: arguments in calling order, a body, and scratch memory.

    An iteration of the parallel loop finds in scratch only what it wrote there itself.  A parallel
    loop may only stand at the top of the body, once; the statements before it are Lets, repeated
    by every worker.
    """

    name: str
    buffers: tuple[Buffer, ...]
    params: tuple[Param, ...]
    body: tuple[Stmt, ...]
    scratch: tuple[Scratch, ...] = ()

    def parallel_loop(self) -> Loop | None:
        """The loop whose range is shared out among workers, if there is one."""
        for stmt in self.body:
            if isinstance(stmt, Loop) and stmt.kind == PARALLEL:
                return stmt
        return None


def accumulator_dtypes(accumulator: Accumulator) -> tuple[str, ...]:
    """The dtypes of the names an accumulator binds."""
    if accumulator.op in ("argmax", "argmin"):
        return (accumulator.value.dtype, "int64")
    return (accumulator.value.dtype,)

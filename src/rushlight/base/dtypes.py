"""Element types, their promotion, and the process-wide default dtype.

A `DType` is a singleton compared by identity.  `category` orders the kinds as PyTorch's promotion
does: bool < integer < floating < complex.  bfloat16, complex32 and the floats of eight bits have no
NumPy type: their arrays hold the bits as unsigned integers and are widened by whoever computes with
them.  Level 0.
"""

from __future__ import annotations

import numpy as np

from rushlight.base.float8 import narrow_float8, widen_float8
from rushlight.base.hot import hot

BOOL, INTEGRAL, FLOATING, COMPLEX = range(4)


@hot
class DType:
    """One element type; `repr` reads as PyTorch's so that printed text can be pasted back."""

    __slots__ = (
        "name",
        "aliases",
        "numpy",
        "compute",
        "itemsize",
        "category",
        "is_floating_point",
        "is_complex",
        "is_signed",
        "rank",
        "is_inexact",
        "is_lowered",
    )

    def __init__(self, name, numpy_type, category, rank, *, signed=True, aliases=(), compute=None):
        self.name = name
        self.aliases = aliases
        self.numpy = np.dtype(numpy_type)
        # The NumPy type arithmetic is done in; differs from `numpy` for halves and their pairs.
        self.compute = np.dtype(compute or numpy_type)
        self.itemsize = self.numpy.itemsize
        self.category = category
        self.is_floating_point = category == FLOATING
        self.is_complex = category == COMPLEX
        self.is_inexact = category >= FLOATING
        self.is_signed = signed
        self.rank = rank
        # Whether generated kernels compute with it; the reference executor does with all.
        self.is_lowered = category < COMPLEX and not name.startswith(("float8", "q"))

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self):
        return (dtype_by_name, (self.name,))

    def __copy__(self) -> DType:
        return self

    def __deepcopy__(self, memo) -> DType:
        return self

    def to_real(self) -> DType:
        """The floating type of the real part of a complex type; other types are returned as is."""
        return _REAL_OF.get(self, self)

    def to_complex(self) -> DType:
        """The complex type whose parts have this floating type."""
        if self.is_complex:
            return self
        if self not in _COMPLEX_OF:
            raise TypeError(f"to_complex: {self} has no complex counterpart")
        return _COMPLEX_OF[self]


# PyTorch's name for the class, which programs print and compare.
DType.__name__ = DType.__qualname__ = "dtype"
dtype = DType

bool_ = DType("bool", np.bool_, BOOL, 0, signed=False)
uint8 = DType("uint8", np.uint8, INTEGRAL, 1, signed=False)
int8 = DType("int8", np.int8, INTEGRAL, 2)
int16 = DType("int16", np.int16, INTEGRAL, 3, aliases=("short",))
int32 = DType("int32", np.int32, INTEGRAL, 4, aliases=("int",))
int64 = DType("int64", np.int64, INTEGRAL, 5, aliases=("long",))
float16 = DType("float16", np.float16, FLOATING, 6, aliases=("half",), compute=np.float32)
bfloat16 = DType("bfloat16", np.uint16, FLOATING, 7, compute=np.float32)
# 16-bit floats, whose arithmetic is float32's.
HALVES = (float16, bfloat16)
float32 = DType("float32", np.float32, FLOATING, 8, aliases=("float",))
float64 = DType("float64", np.float64, FLOATING, 9, aliases=("double",))
complex32 = DType("complex32", np.uint32, COMPLEX, 10, aliases=("chalf",), compute=np.complex64)
complex64 = DType("complex64", np.complex64, COMPLEX, 11, aliases=("cfloat",))
complex128 = DType("complex128", np.complex128, COMPLEX, 12, aliases=("cdouble",))
# Memory of other programs: they have arithmetic of their own, but no promotion with other integers.
uint16 = DType("uint16", np.uint16, INTEGRAL, 13, signed=False)
uint32 = DType("uint32", np.uint32, INTEGRAL, 14, signed=False)
uint64 = DType("uint64", np.uint64, INTEGRAL, 15, signed=False)
UNPROMOTED = frozenset({uint16, uint32, uint64})
# Ways to keep numbers in a byte; no other dtype and none of the others has a common one with them.
FLOAT8 = tuple(
    DType(name, np.uint8, FLOATING, 16 + place, signed=signed, compute=np.float32)
    for place, (name, signed) in enumerate(
        (
            ("float8_e4m3fn", True),
            ("float8_e5m2", True),
            ("float8_e4m3fnuz", True),
            ("float8_e5m2fnuz", True),
            ("float8_e8m0fnu", False),
        )
    )
)
float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz, float8_e8m0fnu = FLOAT8
# Integers that stand for numbers; the tensors that hold them know how (tensor/quantized_tensor.py).
quint8 = DType("quint8", np.uint8, INTEGRAL, 21, signed=False)
qint8 = DType("qint8", np.int8, INTEGRAL, 22)
qint32 = DType("qint32", np.int32, INTEGRAL, 23)
CODES = {quint8: uint8, qint8: int8, qint32: int32}
# Their arrays hold bits, which NumPy takes for another type.
BITS = frozenset({bfloat16, complex32, *FLOAT8})


class UnheldDType(DType):
    """A dtype that programs name in tables and compare with; no tensor here holds one."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        self.name, self.aliases = name, ()
        self.category, self.rank = INTEGRAL, 32
        self.is_floating_point = self.is_complex = self.is_inexact = self.is_lowered = False
        self.is_signed = not name.startswith(("q", "u"))
        self.itemsize = 1

    @property
    def numpy(self):
        raise TypeError(f"{self}: no tensor here is of this dtype; use int8 or uint8 with a scale")

    compute = numpy


UNHELD = tuple(
    UnheldDType(name)
    for name in "quint4x2 quint2x4 bits8 bits16 bits1x8 bits2x4 bits4x2".split()
    + [f"{kind}{count}" for kind in ("int", "uint") for count in range(1, 8)]
)

ALL_DTYPES = (
    bool_,
    uint8,
    int8,
    int16,
    int32,
    int64,
    float16,
    bfloat16,
    float32,
    float64,
    complex32,
    complex64,
    complex128,
    uint16,
    uint32,
    uint64,
)
_BY_NAME = {d.name: d for d in (*ALL_DTYPES, *FLOAT8, *CODES)} | {
    a: d for d in ALL_DTYPES for a in d.aliases
}
_REAL_OF = {complex32: float16, complex64: float32, complex128: float64}
_COMPLEX_OF = {float16: complex32, bfloat16: complex64, float32: complex64, float64: complex128}
_FROM_NUMPY = {d.numpy: d for d in ALL_DTYPES if d not in BITS}


def dtype_by_name(name: str) -> DType:
    """The dtype called `name` ("float32", "long", ...).  Raises: TypeError if there is none."""
    found = _BY_NAME.get(name)
    if found is None:
        raise TypeError(f"dtype: no dtype is called {name!r}; known: {', '.join(_BY_NAME)}")
    return found


_OF_PYTHON_TYPE = {bool: bool_, int: int64, float: float64, complex: complex128}


def dtype_argument(value):
    """A `dtype=` argument, where Python's own number types stand for dtypes too."""
    return _OF_PYTHON_TYPE.get(value, value) if isinstance(value, type) else value


def dtype_of_numpy(numpy_type: np.dtype) -> DType:
    """The dtype of a NumPy array's type.  Raises: TypeError for types tensors cannot hold."""
    found = _FROM_NUMPY.get(numpy_type.newbyteorder("="))
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{numpy_type.type.__name__}. "
            "The only supported types are: float64, float32, float16, complex64, complex128, "
            "int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
        )
    return found


def _promote_pair(x: DType, y: DType) -> DType:
    if x is y:
        return x
    if x.category > y.category:
        x, y = y, x
    if y.category == COMPLEX:
        if x.category < FLOATING:
            return y
        wide = x.to_complex()
        return wide if wide.rank > y.rank else y
    if x.category == FLOATING:
        # The two 16-bit floats have no common 16-bit type.
        if {x, y} == {float16, bfloat16}:
            return float32
        return x if x.rank > y.rank else y
    if x.category != y.category:
        return y
    low, high = (x, y) if x.rank < y.rank else (y, x)
    if low is uint8 and high is int8:
        return int16
    return high


def _promotes(x: DType, y: DType) -> bool:
    """Whether two dtypes have a common one: the wide unsigned ones only with floating ones."""
    pair = {x, y}
    if x is y or not pair & UNPROMOTED:
        return True
    return any(dtype.is_floating_point for dtype in pair)


_PROMOTION = {
    (x, y): _promote_pair(x, y) for x in ALL_DTYPES for y in ALL_DTYPES if _promotes(x, y)
} | {(x, x): x for x in FLOAT8}


def promote_types(x: DType, y: DType) -> DType:
    """The smallest dtype both can be converted to.  Source: torch.promote_types."""
    try:
        return _PROMOTION[x, y]
    except KeyError:
        if x in FLOAT8 or y in FLOAT8:
            raise RuntimeError(
                "Promotion for Float8 Types is not supported, attempted to promote "
                f"{x.name} and {y.name}; convert one of them first, with to(dtype)"
            ) from None
        if isinstance(x, DType) and isinstance(y, DType):
            raise RuntimeError(
                "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
                f"{x.name} and {y.name}; convert one of them first, with to(dtype)"
            ) from None
        raise TypeError(f"promote_types: expected two dtypes, got {x!r} and {y!r}") from None


def can_cast(source: DType, target: DType) -> bool:
    """Whether PyTorch casts implicitly: never to a lower category, nor from bool-less to bool."""
    return source.category <= target.category


class _Defaults:
    __slots__ = ("floating",)

    def __init__(self) -> None:
        self.floating = float32


_DEFAULTS = _Defaults()


def get_default_dtype() -> DType:
    """The dtype of floating results that nothing else decides (float32 unless set)."""
    return _DEFAULTS.floating


def set_default_dtype(dtype: DType) -> None:
    """Set the default floating dtype.  Raises: TypeError unless `dtype` is floating."""
    if not isinstance(dtype, DType) or not dtype.is_floating_point:
        raise TypeError(
            f"only floating-point types are supported as the default type, got {dtype!r}"
        )
    _DEFAULTS.floating = dtype


def default_complex() -> DType:
    """The complex dtype that corresponds to the default floating dtype."""
    return _DEFAULTS.floating.to_complex()


def dtype_of_number(value) -> DType:
    """The dtype a Python number gets when a tensor is made from it."""
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int64
    if isinstance(value, (float, np.floating)):
        return _DEFAULTS.floating
    if isinstance(value, (complex, np.complexfloating)):
        return default_complex()
    raise TypeError(f"expected a number, got {type(value).__name__}")


@hot
def widen(array: np.ndarray, dtype: DType) -> np.ndarray:
    """Storage form to arithmetic form: 16-bit floats become float32, the rest is unchanged."""
    if dtype is bfloat16:
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype is float16:
        return array.astype(np.float32)
    if dtype is complex32:
        return _widen_pairs(array)
    if dtype in FLOAT8:
        return widen_float8(array, dtype.name)
    return array


def _widen_pairs(array: np.ndarray) -> np.ndarray:
    parts = np.ascontiguousarray(array).reshape(array.shape)[..., None].view(np.float16)
    wide = np.empty(array.shape, np.complex64)
    wide.real, wide.imag = parts[..., 0], parts[..., 1]
    return wide


def _narrow_pairs(array: np.ndarray) -> np.ndarray:
    wide = np.asarray(array, np.complex64)
    parts = np.empty((*wide.shape, 2), np.float16)
    with np.errstate(all="ignore"):
        parts[..., 0], parts[..., 1] = wide.real, wide.imag
    return parts.view(np.uint32)[..., 0]


def narrow(array, dtype: DType) -> np.ndarray:
    """Arithmetic form to storage form, rounding to nearest even."""
    if dtype is bfloat16:
        return _float32_to_bfloat16(np.asarray(array, np.float32))
    if dtype is complex32:
        return _narrow_pairs(array)
    if dtype in FLOAT8:
        return narrow_float8(array, dtype.name)
    array = np.asarray(array)
    if array.dtype != dtype.numpy:
        with np.errstate(all="ignore"):
            return array.astype(dtype.numpy)
    return array


def _float32_to_bfloat16(array: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(array).view(np.uint32).reshape(array.shape)
    # Adding 0x7fff plus the lowest kept bit rounds to nearest, ties to even.
    rounded = (bits + (((bits >> np.uint32(16)) & np.uint32(1)) + np.uint32(0x7FFF))) >> np.uint32(
        16
    )
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
    return np.where(np.isnan(array), quiet, rounded).astype(np.uint16)

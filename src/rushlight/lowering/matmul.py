"""What a matrix product asks of the GEMM: sizes, strides and batch offsets.  Level 6."""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.shapes import contiguous_strides, numel
from rushlight.lowering.scalars import HALF
from rushlight.schedule.views import StridedOperand, strided_operand
from rushlight.tape.program import Program, Value

# The dtype of a product of uint8 by int8, whose C is int32.
BYTES = "uint8"
# Its C holds the sums of 16-bit floats as they are.
UNROUNDED = "unrounded_matmul"
# Rows of bytes at most for which a matrix of bytes is read where it lies.
_FEW_ROWS = 16


@dataclass(frozen=True)
class Product:
    """C[i] = A[i] @ B[i] for each batch i; strides and steps in elements.

    batch: sizes of the batch's axes; batch_steps: along each, how far A, B and C go on.
    stored: the dtype of the matrix that a vector is multiplied by, if it is not `dtype`.
    unrounded: C holds the sums in float32, and A and B 16-bit floats of `dtype`.
    """

    dtype: str
    a: int
    b: int
    c: int
    m: int
    n: int
    k: int
    a_strides: tuple[int, int]
    b_strides: tuple[int, int]
    batch: tuple[int, ...] = ()
    batch_steps: tuple[tuple[int, int, int], ...] = ()
    stored: str = ""
    unrounded: bool = False

    @property
    def arithmetic(self) -> str:
        """What the GEMM's code is made for: the dtype, and whether sums are rounded to it."""
        return f"{self.dtype}_unrounded" if self.unrounded else self.dtype

    @property
    def batches(self) -> int:
        """How many products there are."""
        return numel(self.batch)

    @property
    def is_vector(self) -> bool:
        """Whether C is one row or one column, and a kernel for such products computes it."""
        if self.dtype == BYTES:
            return self.m == 1 and self.is_few_bytes
        return self.m == 1 or self.n == 1

    @property
    def is_few_bytes(self) -> bool:
        """Whether it has few rows of bytes, and lines along k: then nothing is packed."""
        along_k = self.a_strides[1] == 1 and self.b_strides[0] == 1
        return self.dtype == BYTES and along_k and 1 <= self.m <= _FEW_ROWS

    def transposed(self) -> Product:
        """The same product of one row or column, seen as C' = B' @ A'."""
        steps = tuple((b, a, c) for a, b, c in self.batch_steps)
        return Product(
            self.dtype, self.b, self.a, self.c, self.n, self.m, self.k,
            self.b_strides[::-1], self.a_strides[::-1], self.batch, steps, self.stored,
        )  # fmt: skip


def matmul_operands(value: Value, program: Program) -> tuple[StridedOperand, StridedOperand]:
    """The two operands as they lie in memory; B has a stride of 1 along one of its axes, and so has
    an A of 16-bit floats or bytes, which is packed.

    Where one of them is a vector, it has a stride of 1, and the other one along one axis.
    """
    first = strided_operand(program, value.inputs[0])
    second = strided_operand(program, value.inputs[1])
    m, n = value.shape[-2:]
    transpose_x, transpose_y = value.params
    if m == 1 and not _is_dense_vector(first, -2 if transpose_x else -1):
        first = _whole(program, value.inputs[0])
    if not _has_unit_stride(second):
        second = _whole(program, value.inputs[1])
    packed = value.dtype.name in (*HALF, "int32") or value.primitive.name == UNROUNDED
    if packed and not _has_unit_stride(first):
        first = _whole(program, value.inputs[0])
    if n == 1 < m:
        if not _has_unit_stride(first):
            first = _whole(program, value.inputs[0])
        if not _is_dense_vector(second, -1 if transpose_y else -2):
            second = _whole(program, value.inputs[1])
    return first, second


def _whole(program: Program, slot: int) -> StridedOperand:
    """The value itself, contiguous, instead of the memory it is a view of."""
    whole = program.values[slot]
    return StridedOperand(whole.slot, tuple(whole.shape), contiguous_strides(whole.shape))


def _is_dense_vector(operand: StridedOperand, axis: int) -> bool:
    return operand.shape[axis] == 1 or operand.strides[axis] == 1


def _has_unit_stride(operand: StridedOperand) -> bool:
    return 1 in operand.strides[-2:]


def matrix_of(value: Value) -> int | None:
    """Which operand is the matrix that a vector is multiplied by; None for a product of two."""
    m, n = value.shape[-2:]
    if m == 1:
        return 1
    return 0 if n == 1 else None


def product_of(
    value: Value,
    x: StridedOperand,
    y: StridedOperand,
    target: Value,
    stored: str = "",
    narrow: str = "",
) -> Product:
    """The request for one matmul of the operands as they lie, into `target`.

    narrow: the dtype of both operands, if `target` takes their sums unrounded.
    """
    transpose_x, transpose_y = value.params
    m, n = value.shape[-2:]
    k = x.shape[-2] if transpose_x else x.shape[-1]
    batch = tuple(value.shape[:-2])
    whole = contiguous_strides((*batch, m, n))[: len(batch)]
    steps = tuple(zip(_batch_steps(batch, x), _batch_steps(batch, y), whole))
    dtype = BYTES if target.dtype.name == "int32" else narrow or target.dtype.name
    return Product(
        dtype, x.slot, y.slot, target.slot, m, n, k,
        _matrix_strides(x, transpose_x), _matrix_strides(y, transpose_y), batch, steps, stored,
        bool(narrow),
    )  # fmt: skip


def _matrix_strides(operand: StridedOperand, transposed: bool) -> tuple[int, int]:
    row, column = operand.strides[-2:]
    rows, columns = operand.shape[-2:]
    # An axis of size 1 may have any stride: one that the GEMM likes.
    if columns == 1 and row != 1:
        column = 1
    elif rows == 1 and column != 1:
        row = 1
    return (column, row) if transposed else (row, column)


def _batch_steps(batch, operand: StridedOperand) -> tuple[int, ...]:
    lead = len(batch) - (len(operand.shape) - 2)
    return (0,) * lead + tuple(
        0 if n == 1 else s for n, s in zip(operand.shape[:-2], operand.strides[:-2])
    )

"""Matrix products: matmul and its family, linear, bilinear.  Level 11.

Everything is the primitive `matmul`, whose flags say that an operand is stored transposed, so that
a Linear is two records and no copy.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import HALVES, bool_, float32, int8, int16, int32, uint8
from rushlight.base.hot import hot
from rushlight.base.shapes import broadcast_shapes, numel
from rushlight.ops.arithmetic import add, mul
from rushlight.ops.formats import row_major
from rushlight.ops.former_order import product_of_former
from rushlight.ops.promotion import check_tensor, is_number, to_dtype
from rushlight.ops.spelling import in_place, spelled
from rushlight.primitives import movement as mv
from rushlight.primitives.contraction import byte_matmul, unrounded_matmul
from rushlight.primitives.contraction import matmul as product
from rushlight.primitives.elementwise import add as p_add
from rushlight.primitives.elementwise import cast, conj
from rushlight.primitives.elementwise import mul as p_mul
from rushlight.primitives.reduction import reduce_sum
from rushlight.tensor.apply import apply1, apply2
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor


def _check_rank(name: str, x, rank: int, what: str) -> None:
    check_tensor(name, x, what)
    if len(x._node.shape) != rank:
        raise RuntimeError(
            f"{name}: expected {what} to be a {rank}-D tensor, got {len(x._node.shape)}-D of shape "
            f"{list(x._node.shape)}"
        )


def _check_dtypes(name: str, x: Tensor, y: Tensor) -> None:
    if x._node.dtype is not y._node.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {x._node.dtype} != "
            f"{y._node.dtype}; {name} does not promote, convert one with .to(dtype)"
        )


@spelled(method=True, out=True)
@hot
def matmul(input, other) -> Tensor:
    """Matrix product.  Shapes: (..., m, k) @ (..., k, n) -> (..., m, n); a vector counts as one row
    on the left and one column on the right, and its axis vanishes.  Dtypes: equal.

    Raises: RuntimeError if the inner sizes or the dtypes differ.  Source: torch.matmul.

    >>> import rushlight as rl
    >>> a = rl.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> rl.linalg.matmul(a, a)
    tensor([[ 5.,  5.],
            [ 5., 10.]])
    """
    check_tensor("matmul", input)
    check_tensor("matmul", other, "other")
    x_shape, y_shape = input._node.shape, other._node.shape
    x_rank, y_rank = len(x_shape), len(y_shape)
    if x_rank == 2 and y_rank == 2:
        return apply2(product, input, other, (False, False))
    if x_rank == 0 or y_rank == 0:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {x_rank}D and {y_rank}D"
        )
    if x_rank == 1 and y_rank == 1:
        return dot(input, other)
    x = mv.reshape(input, (1, *x_shape)) if x_rank == 1 else input
    y = mv.reshape(other, (*y_shape, 1)) if y_rank == 1 else other
    if y_rank <= 2 and x_rank > 2:
        # One matrix on the right: the batch is more rows.
        return _rows_times(x, y, y_rank == 1)
    result = apply2(product, x, y, (False, False))
    if x_rank == 1 or y_rank == 1:
        kept = list(result._node.shape)
        del kept[-2 if x_rank == 1 else -1]
        result = mv.reshape(result, tuple(kept))
    return named(result, _product_label(x_rank, y_rank))


@hot
def _product_label(x_rank: int, y_rank: int) -> str:
    """What PyTorch's matmul ends in for these ranks."""
    if x_rank <= 2 and y_rank <= 2:
        return "SqueezeBackward4" if x_rank == 1 else "MvBackward0"
    return "UnsafeViewBackward0"


@hot
def _rows_times(x: Tensor, y: Tensor, drop_last: bool) -> Tensor:
    shape = x._node.shape
    batch, k = shape[:-1], shape[-1]
    rows = mv.reshape(x, (numel(batch), k))
    result = apply2(product, rows, y, (False, False))
    shape = batch if drop_last else (*batch, y._node.shape[-1])
    return named(mv.reshape(result, shape), "UnsafeViewBackward0")


@hot
def _matmul_operator(self, other):
    return matmul(self, other) if isinstance(other, Tensor) else NotImplemented


def _reflected_matmul(self, other):
    return matmul(other, self) if isinstance(other, Tensor) else NotImplemented


Tensor.__matmul__ = _matmul_operator
Tensor.__rmatmul__ = _reflected_matmul
Tensor.__imatmul__ = in_place(matmul, "__imatmul__")


@spelled(method=True, out=True)
def mm(input, mat2) -> Tensor:
    """Product of two matrices, without broadcasting.  Source: torch.mm."""
    return _mm(input, mat2, product)


def _mm(input, mat2, multiply) -> Tensor:
    _check_rank("mm", input, 2, "input")
    _check_rank("mm", mat2, 2, "mat2")
    return multiply(input, mat2, False, False)


@spelled(out=True)
def _int_mm(input, mat2) -> Tensor:
    """Product of two int8 matrices.  Shapes: (m, k) @ (k, n) -> (m, n).  Dtypes: int8 -> int32.

    Raises: RuntimeError for other dtypes or ranks.  Source: torch._int_mm.
    """
    _check_rank("_int_mm", input, 2, "self")
    _check_rank("_int_mm", mat2, 2, "mat2")
    for name, x in (("self", input), ("mat2", mat2)):
        if x._node.dtype is not int8:
            raise RuntimeError(
                f"_int_mm: expected {name} to have dtype int8, got {x._node.dtype}; convert it "
                "with .to(torch.int8)"
            )
    # The machine multiplies unsigned by signed bytes: 128 more of one is 128 times the other's sum.
    shifted = to_dtype(add(to_dtype(input, int16), 128), uint8)
    sums = reduce_sum(to_dtype(mat2, int32), (0,), True)
    return add(byte_matmul(shifted, mat2, False, False), mul(sums, -128))


@spelled(method=True, out=True)
def bmm(input, mat2) -> Tensor:
    """Products of two batches of matrices.  Shapes: (b, m, k), (b, k, n).  Source: torch.bmm."""
    return named(_bmm(input, mat2, product), "BmmBackward0")


def _bmm(input, mat2, multiply) -> Tensor:
    _check_rank("bmm", input, 3, "batch1")
    _check_rank("bmm", mat2, 3, "batch2")
    b, _, k = input._node.shape
    if mat2._node.shape[:2] != (b, k):
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{b}, {k}] but got: "
            f"{list(mat2._node.shape[:2])}."
        )
    return multiply(input, mat2, False, False)


def mv_(input, vec) -> Tensor:
    """Matrix times vector.  Source: torch.mv."""
    return named(_mv(input, vec, product), "MvBackward0")


def _mv(input, vec, multiply) -> Tensor:
    _check_rank("mv", input, 2, "input")
    _check_rank("mv", vec, 1, "vec")
    n = vec._node.shape[0]
    if input._node.shape[1] != n:
        raise RuntimeError(f"size mismatch, got input ({list(input._node.shape)}), vec ({n})")
    found = multiply(input, mv.reshape(vec, (n, 1)), False, False)
    return mv.reshape(found, (input._node.shape[0],))


mv_.__name__ = mv_.__qualname__ = "mv"
mv_ = spelled(method=True, out=True)(mv_)


@spelled(method=True, out=True)
def dot(input, other) -> Tensor:
    """Sum of the products of two vectors.  Source: torch.dot."""
    check_tensor("dot", input)
    check_tensor("dot", other, "tensor")
    if input.ndim != 1 or other.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {other.ndim}D tensors")
    if input._node.dtype is not other._node.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {input._node.dtype} and "
            f"{other._node.dtype}"
        )
    n, m = input._node.shape[0], other._node.shape[0]
    if n != m:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{n}] and src [{m}] to have the same "
            f"number of elements, but got {n} and {m} elements respectively"
        )
    return named(reduce_sum(p_mul(input, other), (0,), False), "DotBackward0")


@spelled(method=True, out=True)
def vdot(input, other) -> Tensor:
    """Dot product with the first vector conjugated.  Source: torch.vdot."""
    check_tensor("vdot", input)
    return dot(conj(input) if input._node.dtype.is_complex else input, other)


@spelled(method=True, out=True, aliases=("ger",))
def outer(input, vec2) -> Tensor:
    """All products of two vectors.  Shapes: (n,), (m,) -> (n, m).  Source: torch.outer."""
    _check_rank("outer", input, 1, "self")
    _check_rank("outer", vec2, 1, "vec2")
    return mul(mv.reshape(input, (input._node.shape[0], 1)), vec2)


@spelled(method=True, out=True)
def inner(input, other) -> Tensor:
    """Sums of products along the last axes.  Source: torch.inner."""
    check_tensor("inner", input)
    check_tensor("inner", other, "other")
    if input.ndim == 0 or other.ndim == 0:
        return mul(input, other)
    _check_dtypes("inner", input, other)
    *rows, k = input._node.shape
    *columns, inner_size = other._node.shape
    if k != inner_size:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input._node.shape)} and {list(other._node.shape)}"
        )
    found = product(
        mv.reshape(input, (numel(rows), k)), mv.reshape(other, (numel(columns), k)), False, True
    )
    return mv.reshape(found, (*rows, *columns))


# ---- scaled sums of products ---------------------------------------------------------------------


def _combined(name: str, input, found: Tensor, beta, alpha, dtype=None) -> Tensor:
    """beta * input + alpha * found.  With beta 0 the input's NaN and infinities do not spread.

    dtype: of the result and of `input`, if `found` holds sums that are not rounded to it yet.
    """
    check_tensor(name, input)
    unrounded = dtype is not None
    dtype = dtype or found._node.dtype
    for label, value in (("beta", beta), ("alpha", alpha)):
        if not is_number(value):
            raise TypeError(f"{name}(): argument '{label}' must be Number")
    if broadcast_shapes(input._node.shape, found._node.shape) != found._node.shape:
        raise RuntimeError(
            f"{name}: input of shape {list(input._node.shape)} does not expand to "
            f"{list(found._node.shape)}"
        )
    if input._node.dtype is not dtype:
        raise RuntimeError(
            f"{name}: self and mat2 must have the same dtype, but got {input._node.dtype} and "
            f"{dtype}"
        )
    if not dtype.is_inexact:  # PyTorch converts the factors to the operands' type
        beta, alpha = int(beta), int(alpha)
    if alpha != 1:
        found = p_mul(found, found._scalar(alpha))
    if beta != 0:
        added = cast(input, float32) if unrounded else input
        found = p_add(added if beta == 1 else p_mul(added, added._scalar(beta)), found)
    found = cast(found, dtype) if unrounded else found
    return found if beta == 0 else row_major(found)


def _sums_of(multiply, x, y) -> tuple[Tensor, Any]:
    """A product whose sums are not rounded yet, and the dtype it will have; else it and None."""
    check_tensor("matmul", x)
    dtype = x._node.dtype
    if dtype in HALVES:  # sums are float32, and rounded only when something was added
        return multiply(x, y, unrounded_matmul), dtype
    return multiply(x, y, product), None


@spelled(method=True, inplace=True, out=True)
def addmm(input, mat1, mat2, *former, beta=1, alpha=1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2).  Source: torch.addmm."""
    if former:
        parts = product_of_former("addmm", input, mat1, mat2, *former)
        input, mat1, mat2, beta, alpha = parts
    found, dtype = _sums_of(_mm, mat1, mat2)
    return named(_combined("addmm", input, found, beta, alpha, dtype), "AddmmBackward0")


@spelled(method=True, inplace=True, out=True)
def addmv(input, mat, vec, *former, beta=1, alpha=1) -> Tensor:
    """beta * input + alpha * (mat @ vec).  Source: torch.addmv."""
    if former:
        parts = product_of_former("addmv", input, mat, vec, *former)
        input, mat, vec, beta, alpha = parts
    found, dtype = _sums_of(_mv, mat, vec)
    return named(_combined("addmv", input, found, beta, alpha, dtype), "AddmvBackward0")


@spelled(method=True, inplace=True, out=True)
def addr(input, vec1, vec2, *former, beta=1, alpha=1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2).  Dtypes: promoted.  Source: torch.addr."""
    if former:
        parts = product_of_former("addr", input, vec1, vec2, *former)
        input, vec1, vec2, beta, alpha = parts
    found = outer(vec1, vec2)
    dtype = input._node.dtype
    if dtype is bool_ and found._node.dtype is bool_:
        found = found if alpha else p_mul(found, found._scalar(False))
        return p_add(input, found) if beta else found
    if alpha != 1:
        found = mul(found, alpha)
    if beta == 0:
        common = add(input, found)._node.dtype
        return mv.expand(to_dtype(found, common), found._node.shape)
    return add(mul(input, beta) if beta != 1 else input, found)


@spelled(method=True, inplace=True, out=True)
def baddbmm(input, batch1, batch2, *former, beta=1, alpha=1) -> Tensor:
    """beta * input + alpha * bmm(batch1, batch2).  Source: torch.baddbmm."""
    if former:
        parts = product_of_former("baddbmm", input, batch1, batch2, *former)
        input, batch1, batch2, beta, alpha = parts
    sums, dtype = _sums_of(_bmm, batch1, batch2)
    found = _combined("baddbmm", input, sums, beta, alpha, dtype)
    return named(found, "BaddbmmBackward0")


@spelled(method=True, inplace=True, out=True)
def addbmm(input, batch1, batch2, *former, beta=1, alpha=1) -> Tensor:
    """beta * input + alpha * the sum of the batch's products.  Source: torch.addbmm."""
    if former:
        parts = product_of_former("addbmm", input, batch1, batch2, *former)
        input, batch1, batch2, beta, alpha = parts
    sums, dtype = _sums_of(_bmm, batch1, batch2)
    found = reduce_sum(sums, (0,), False)
    return named(_combined("addbmm", input, found, beta, alpha, dtype), "AddbmmBackward0")


@spelled(out=True)
def chain_matmul(*matrices) -> Tensor:
    """Product of two or more matrices, from the left.  Source: torch.chain_matmul."""
    return multi_dot(matrices)


def multi_dot(tensors) -> Tensor:
    """Product of matrices in the order that needs the fewest multiplications.

    The first and last may be vectors.  Source: torch.linalg.multi_dot.

    >>> import rushlight as rl
    >>> a = rl.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> rl.linalg.multi_dot([a, a])
    tensor([[ 5.,  5.],
            [ 5., 10.]])
    """
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    first, last = tensors[0].ndim == 1, tensors[-1].ndim == 1
    for position, x in enumerate(tensors):
        edge = position in (0, len(tensors) - 1)
        if x.ndim != 2 and not (edge and x.ndim == 1):
            raise RuntimeError(f"multi_dot(): tensor {position} must be 2D but got {x.ndim}D")
    if first:
        tensors[0] = mv.reshape(tensors[0], (1, *tensors[0]._node.shape))
    if last:
        tensors[-1] = mv.reshape(tensors[-1], (*tensors[-1]._node.shape, 1))
    found = _cheapest_chain(tensors)
    shape = found._node.shape
    if first or last:
        shape = shape[1:] if first else shape
        shape = shape[:-1] if last else shape
        found = mv.reshape(found, shape)
    return found


def _cheapest_chain(tensors: list[Tensor]) -> Tensor:
    """The matrix-chain order by dynamic programming; chains are short."""
    sizes = [x._node.shape[0] for x in tensors] + [tensors[-1]._node.shape[1]]
    count = len(tensors)
    cost = {(i, i): 0 for i in range(count)}
    split = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            options = [
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            ]
            cost[i, j], split[i, j] = min(options)

    def multiply(i: int, j: int) -> Tensor:
        if i == j:
            return tensors[i]
        k = split[i, j]
        return mm(multiply(i, k), multiply(k + 1, j))

    return multiply(0, count - 1)


# ---- layers --------------------------------------------------------------------------------------


@hot
def linear(input, weight, bias=None) -> Tensor:
    """input @ weight.T + bias.  Shapes: (..., i), (o, i), (o,) -> (..., o); a weight of shape (i,)
    gives (...).  Raises: RuntimeError if sizes or dtypes do not fit.

    Source: torch.nn.functional.linear.
    """
    shape = input._node.shape
    weight_shape = weight._node.shape
    if len(shape) == 2 and len(weight_shape) == 2:
        if bias is None:
            return apply2(product, input, weight, (False, True))
        if input._node.dtype in HALVES:
            return named(_linear_of_halves(input, weight, bias), "AddmmBackward0")
        found = apply2(product, input, weight, (False, True))
        return named(apply2(p_add, found, bias), "AddmmBackward0")
    if not shape:
        raise RuntimeError("linear: the input must be at least 1D, but it is 0D")
    if len(weight_shape) == 1:
        found = matmul(input, weight)
    elif bias is not None and input._node.dtype in HALVES:
        rows = apply1(mv.reshape, input, ((numel(shape[:-1]), shape[-1]),))
        found = _linear_of_halves(rows, weight, bias)
        found = apply1(mv.reshape, found, ((*shape[:-1], weight_shape[0]),))
        return named(found, "ViewBackward0")
    else:
        rows = apply1(mv.reshape, input, ((numel(shape[:-1]), shape[-1]),))
        found = apply2(product, rows, weight, (False, True))
        found = apply1(mv.reshape, found, ((*shape[:-1], weight_shape[0]),))
    if bias is None:
        return named(found, "UnsafeViewBackward0" if len(shape) > 1 else "SqueezeBackward4")
    return named(apply2(p_add, found, bias), "ViewBackward0")


def _linear_of_halves(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """rows @ weight.T + bias of 16-bit floats: the sum is rounded once.  Shapes: (r, i), (o, i)."""
    dtype = rows._node.dtype
    if bias._node.dtype is not dtype:
        raise RuntimeError(
            f"linear: the input and the bias must have the same dtype, but got {dtype} and "
            f"{bias._node.dtype}; convert one with .to(dtype)"
        )
    sums = apply2(unrounded_matmul, rows, weight, (False, True))
    shifted = apply2(p_add, sums, apply1(cast, bias, (float32,)))
    return apply1(cast, shifted, (dtype,))


def bilinear(input1, input2, weight, bias=None) -> Tensor:
    """x1 A_o x2 + b_o for each output o.  Shapes: (..., i), (..., j), (o, i, j) -> (..., o).

    Source: torch.nn.functional.bilinear.
    """
    outputs, first, second = weight._node.shape
    batch = input1._node.shape[:-1]
    if input1._node.shape[-1] != first or input2._node.shape[-1] != second:
        raise RuntimeError(
            f"bilinear: sizes {input1._node.shape[-1]} and {input2._node.shape[-1]} do not match "
            f"the weight's {first} and {second}"
        )
    rows = numel(batch)
    x1 = mv.reshape(input1, (rows, first))
    x2 = mv.reshape(input2, (rows, second))
    # (rows, i) @ (i, o * j) -> (rows, o, j), then the sum over j with x2.
    flat = mv.reshape(mv.permute(weight, (1, 0, 2)), (first, outputs * second))
    partial = mv.reshape(product(x1, flat, False, False), (rows, outputs, second))
    found = reduce_sum(p_mul(partial, mv.reshape(x2, (rows, 1, second))), (2,), False)
    found = mv.reshape(found, (*batch, outputs))
    return found if bias is None else p_add(found, bias)

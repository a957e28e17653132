"""Elementwise operations on sparse tensors.

In: sparse tensors, with numbers, other sparse tensors or dense ones.  Out: sparse tensors where
zeros stay zeros, dense ones where PyTorch's are.  Level: sparse (12).
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base import formats
from rushlight.base.dtypes import DType
from rushlight.ops.joining import cat as joined
from rushlight.sparse.structure import (
    COO,
    at_keys,
    by_coordinates,
    coalesce,
    coo,
    in_form,
    keys_of,
    sparse_shape,
    to_dense,
)
from rushlight.tensor.sparse_tensor import FUNCTIONS, SparseTensor, array_of, index_tensor
from rushlight.tensor.tensor import Tensor

# Functions of one operand that leave zeros zero.
ZERO_TO_ZERO = (
    "abs angle arcsin arcsinh arctan arctanh asin asinh atan atanh ceil conj_physical deg2rad erf "
    "erfinv expm1 floor frac isinf isnan isneginf isposinf log1p nan_to_num rad2deg relu round sgn "
    "sign signbit sin sinh sqrt square tan tanh trunc absolute fix"
).split()
# Of them, those that are the same for each summand: coordinates may repeat.
LINEAR = ("neg", "negative", "positive", "conj", "real", "imag", "clone")


def is_number(value: Any) -> bool:
    """A Python number, or a dense tensor without axes."""
    if isinstance(value, Tensor):
        return not isinstance(value, SparseTensor) and not value._node.shape
    return isinstance(value, (numbers.Number, np.number))


def _same_shape(operation: str, x: Tensor, y: Tensor) -> None:
    if x._node.shape != y._node.shape:
        raise RuntimeError(
            f"{operation}: expected sizes of 'self' and 'other' to match, but "
            f"{list(x._node.shape)} != {list(y._node.shape)}"
        )


def of_elements(name: str) -> Callable[..., SparseTensor]:
    """The function `name` on the elements; coordinates that repeat add up before."""

    def function(input: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
        x = coalesce(input) if input.form is COO else input
        return x.with_elements(getattr(x.elements, name)(*args, **kwargs))

    function.__name__ = function.__qualname__ = name
    return function


def of_summands(name: str) -> Callable[..., SparseTensor]:
    """The function `name` on the elements as they are."""

    def function(input: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
        return input.with_elements(getattr(input.elements, name)(*args, **kwargs))

    function.__name__ = function.__qualname__ = name
    return function


# ---- sums ----------------------------------------------------------------------------------------


def add(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """input + alpha other.

    Raises: RuntimeError for a sparse tensor by coordinates plus a dense one, as PyTorch; the dense
    one comes first.  Source: torch.add.
    """
    if not isinstance(input, SparseTensor):
        return _dense_plus_sparse(input, other, alpha)
    if not isinstance(other, SparseTensor):
        if input.form is COO or not isinstance(other, Tensor):
            raise RuntimeError(
                "add(sparse, dense) is not supported. Use add(dense, sparse) instead."
            )
        return to_dense(input) + (other if alpha == 1 else other * alpha)
    _same_shape("add", input, other)
    x, y = by_coordinates(input), by_coordinates(other)
    if x.sparse_axes != y.sparse_axes:
        raise RuntimeError(
            "add: expected 'self' and 'other' to have the same number of sparse dimensions"
        )
    right = y.elements if alpha == 1 else y.elements * alpha
    if _at_same_places(x, y):
        made = x.with_elements(x.elements + right, x.coalesced or y.coalesced)
        return in_form(made, input.form) if input.form is not COO else made
    places = np.concatenate([array_of(x.places[0]), array_of(y.places[0])], axis=1)
    left = x.elements
    if left.dtype is not right.dtype:
        wide = (left[:0] + right[:0]).dtype
        left, right = left.to(wide), right.to(wide)
    both = coo(places, joined([left, right], 0), x._node.shape, False)
    if (x.coalesced and y.coalesced) or input.form is not COO:
        return in_form(both, input.form)
    return both


def _at_same_places(x: SparseTensor, y: SparseTensor) -> bool:
    if x.places[0] is y.places[0]:
        return True
    mine, others = array_of(x.places[0]), array_of(y.places[0])
    return mine.shape == others.shape and bool((mine == others).all())


def _dense_plus_sparse(dense: Tensor, other: SparseTensor, alpha: Any) -> Tensor:
    _same_shape("add", dense, other)
    x = by_coordinates(other)
    elements = x.elements if alpha == 1 else x.elements * alpha
    wide = (dense.reshape(-1)[:0] + elements.reshape(-1)[:0]).dtype
    extent = sparse_shape(x)
    count = int(np.prod(extent, dtype=np.int64))
    flat = dense.to(wide).reshape(count, *dense._node.shape[len(extent) :])
    summed = flat.index_add(0, index_tensor(keys_of(x)), elements.to(wide))
    return summed.reshape(dense._node.shape)


def sub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha other.  Source: torch.sub."""
    return add(input, other, alpha=-alpha)


def add_(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """`add` in place; a dense tensor changes at the sparse one's places."""
    if isinstance(self, SparseTensor):
        summed = add(self, other, alpha=alpha)
        assert isinstance(summed, SparseTensor)
        return self.turn_into(_of_dtype(summed, self.dtype))
    return self.copy_(_dense_plus_sparse(self, other, alpha))


def sub_(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """`sub` in place."""
    return add_(self, other, alpha=-alpha)


def _of_dtype(x: SparseTensor, dtype: DType) -> SparseTensor:
    if x.dtype is dtype:
        return x
    if x.dtype.is_inexact and not dtype.is_inexact:
        raise RuntimeError(
            f"result type {x.dtype} can't be cast to the desired output type {dtype}"
        )
    return x.with_elements(x.elements.to(dtype))


# ---- products ------------------------------------------------------------------------------------


def mul(input: Tensor, other: Any) -> SparseTensor:
    """Elementwise product; nonzero only where both are.  Source: torch.mul."""
    if not isinstance(input, SparseTensor):
        return mul(other, input)
    if is_number(other):
        return input.with_elements(input.elements * other)
    _same_shape("mul", input, other)
    if not isinstance(other, SparseTensor):
        x = by_coordinates(input)
        return input.with_elements(x.elements * at_keys(other, x, keys_of(x)))
    x, y = by_coordinates(input), coalesce(by_coordinates(other))
    if x.sparse_axes != y.sparse_axes:
        raise RuntimeError("mul: the operands must have the same number of sparse axes")
    mine, others = keys_of(x), keys_of(y)
    place = np.searchsorted(others, mine)
    inside = place < others.size
    inside[inside] = others[place[inside]] == mine[inside]
    kept = np.flatnonzero(inside)
    left = x.elements.index_select(0, index_tensor(kept))
    right = y.elements.index_select(0, index_tensor(place[kept]))
    places = array_of(x.places[0])[:, kept]
    return in_form_of(coo(places, left * right, x._node.shape, x.coalesced), input)


def in_form_of(x: SparseTensor, like: SparseTensor) -> SparseTensor:
    """By coordinates as it is; compressed where `like` is."""
    return x if like.form is COO else in_form(x, like.form)


def div(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> SparseTensor:
    """Quotient by a number.  Raises: RuntimeError for other divisors.  Source: torch.div."""
    if not isinstance(input, SparseTensor) or not is_number(other):
        shape = list(other._node.shape) if isinstance(other, Tensor) else "[]"
        raise RuntimeError(
            "Sparse division requires a scalar or zero-dim dense tensor divisor (got shape "
            f"{shape} for divisor)"
        )
    x = input if rounding_mode is None or input.form is not COO else coalesce(input)
    return x.with_elements(x.elements.div(other, rounding_mode=rounding_mode))


def floor_divide(input: SparseTensor, other: Any) -> SparseTensor:
    """Quotient by a number, rounded down.  Source: torch.floor_divide."""
    return div(input, other, rounding_mode="floor")


def pow(input: SparseTensor, exponent: Any) -> SparseTensor:
    """Elements to a power other than zero.

    Raises: RuntimeError for zero, which would make zeros ones.  Source: torch.pow.
    """
    if not isinstance(input, SparseTensor) or not is_number(exponent) or not exponent:
        raise RuntimeError(
            "pow: a sparse tensor can be raised to a number other than zero; use to_dense()"
        )
    x = coalesce(input) if input.form is COO else input
    return x.with_elements(x.elements.pow(exponent))


def mul_(self: SparseTensor, other: Any) -> SparseTensor:
    """`mul` in place."""
    return self.turn_into(_of_dtype(mul(self, other), self.dtype))


def div_(self: SparseTensor, other: Any, *, rounding_mode: str | None = None) -> SparseTensor:
    """`div` in place."""
    return self.turn_into(_of_dtype(div(self, other, rounding_mode=rounding_mode), self.dtype))


def pow_(self: SparseTensor, exponent: Any) -> SparseTensor:
    """`pow` in place."""
    return self.turn_into(pow(self, exponent))


def _in_place(name: str) -> Callable[..., SparseTensor]:
    def function(self: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
        if name not in LINEAR and self.form is COO and not self.coalesced:
            raise RuntimeError(f"{name}_ requires coalesced input")
        return self.turn_into(FUNCTIONS[name](self, *args, **kwargs))

    function.__name__ = function.__qualname__ = name + "_"
    return function


# ---- values as a whole ---------------------------------------------------------------------------


def zeros_like(input: SparseTensor, **options: Any) -> Tensor:
    """A sparse tensor of the shape without elements.  Source: torch.zeros_like."""
    if options.get("layout") is formats.strided:
        return to_dense(input) * 0
    dtype = options.get("dtype") or input.dtype
    none = index_tensor(np.zeros(0))
    elements = input.elements.detach().index_select(0, none).to(dtype)
    if options.get("requires_grad"):
        elements.requires_grad_()
    if input.form is COO:
        places = np.zeros((input.sparse_axes, 0))
        return coo(places, elements, input._node.shape, True)
    begins = index_tensor(np.zeros(input.places[0].shape[0]))
    return SparseTensor(input.form, (begins, none), elements, input._node.shape, True)


def zero_(self: SparseTensor) -> SparseTensor:
    """Forget all elements."""
    made = zeros_like(self)
    assert isinstance(made, SparseTensor)
    return self.turn_into(made)


def copy_(self: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """The values of another tensor of the shape, in place."""
    if not isinstance(self, SparseTensor):
        return self.copy_(to_dense(source))
    _same_shape("copy_", self, source)
    if not isinstance(source, SparseTensor):
        raise RuntimeError(
            "copy_() between dense and sparse Tensors is not implemented! Found self type = "
            "torch.sparse.FloatTensor and src type = torch.FloatTensor; use source.to_sparse()"
        )
    return self.turn_into(in_form_of(source.with_elements(source.elements.to(self.dtype)), self))


def any_of(input: SparseTensor) -> Tensor:
    """Whether an element is not zero.  Source: torch.any."""
    x = coalesce(input) if input.form is COO else input
    return x.elements.any()


for _name in ZERO_TO_ZERO:
    FUNCTIONS[_name] = of_elements(_name)
for _name in LINEAR:
    FUNCTIONS[_name] = of_summands(_name)
for _name in (*ZERO_TO_ZERO, "neg", "negative"):
    FUNCTIONS[_name + "_"] = _in_place(_name)
FUNCTIONS.update(
    {
        "add": add, "add_": add_, "sub": sub, "sub_": sub_, "subtract": sub, "mul": mul,
        "mul_": mul_, "multiply": mul, "div": div, "div_": div_, "true_divide": div, "divide": div,
        "floor_divide": floor_divide, "pow": pow, "pow_": pow_, "zeros_like": zeros_like,
        "empty_like": zeros_like, "zero_": zero_, "copy_": copy_, "any": any_of,
    }
)  # fmt: skip

"""What distributions share: broadcasting of parameters, odds, values computed once.  Level 12.

Source: torch.distributions.utils.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from rushlight.base.dtypes import get_default_dtype
from rushlight.base.limits import finfo
from rushlight.ops.creation import ones, tensor, zeros
from rushlight.ops.histogram import tril_indices
from rushlight.ops.random import normal
from rushlight.ops.shaping import broadcast_tensors
from rushlight.tensor.block_call import replayed
from rushlight.tensor.grad_mode import enable_grad
from rushlight.tensor.tensor import Tensor

euler_constant = 0.57721566490153286060  # of Euler and Mascheroni

__all__ = [
    "broadcast_all", "logits_to_probs", "clamp_probs", "probs_to_logits", "lazy_property",
    "tril_matrix_to_vec", "vec_to_tril_matrix",
]  # fmt: skip


def is_number(value: object) -> bool:
    """Whether a parameter was given as a Python number."""
    return isinstance(value, (int, float, complex))


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape.

    Dtypes: numbers take that of the first tensor, or the default dtype where all are numbers.
    Raises: ValueError if one is neither number nor tensor.
    """
    if not all(isinstance(value, Tensor) or is_number(value) for value in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects "
            f"implementing __torch_function__, got {[type(value).__name__ for value in values]}"
        )
    dtype = next((x.dtype for x in values if isinstance(x, Tensor)), get_default_dtype())
    tensors = [x if isinstance(x, Tensor) else tensor(x, dtype=dtype) for x in values]
    return tuple(broadcast_tensors(*tensors))


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Tensor:
    """Normal numbers of mean 0 and variance 1."""
    return normal(zeros(tuple(shape), dtype=dtype), ones(tuple(shape), dtype=dtype))


def _sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """The sum over the last `dim` axes."""
    if dim == 0:
        return value
    return value.reshape(tuple(value.shape)[:-dim] + (-1,)).sum(-1)


@replayed
def normalized_probs(probs: Tensor) -> Tensor:
    """Weights along the last axis divided by their sum."""
    return probs / probs.sum(-1, keepdim=True)


@replayed
def normalized_logits(logits: Tensor) -> Tensor:
    """Logarithms along the last axis moved so that the sum of their exponentials is 1."""
    return logits - logits.logsumexp(-1, keepdim=True)


@replayed
def log_prob_of_category(logits: Tensor, value: Tensor) -> Tensor:
    """The logarithm of the probability of each index.

    Shapes: logits (*batch, categories), value (*sample, *batch) -> (*sample, *batch).
    """
    index, logits = broadcast_tensors(value.long().unsqueeze(-1), logits)
    return logits.gather(-1, index[..., :1]).squeeze(-1)


@replayed
def entropy_of_categories(logits: Tensor, probs: Tensor) -> Tensor:
    """The entropy in nats.  Shapes: (*batch, categories) twice -> (*batch)."""
    # Probability 0 contributes nothing, also where its logarithm is infinite.
    return -(logits.clamp(min=finfo(logits.dtype).min) * probs).sum(-1)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities from log-odds (binary), or from logarithms that need not be normalized."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities moved off 0 and 1 by the dtype's epsilon, so that logarithms are finite."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


@replayed
def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """The inverse of `logits_to_probs`, up to normalization; probabilities are clamped."""
    clamped = clamp_probs(probs)
    if not is_binary:
        return clamped.log()
    return clamped.log() - (-clamped).log1p()


class lazy_property:  # noqa: N801 - PyTorch's name
    """An attribute computed at its first use, with gradients, and kept in the instance."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        functools.update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, obj_type: Any = None) -> Any:
        if instance is None:
            return _lazy_property_and_property(self.wrapped)
        with enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class _lazy_property_and_property(lazy_property, property):  # noqa: N801 - PyTorch's name
    """What the class shows, so that tools that look for properties find one."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        property.__init__(self, wrapped)


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The lower triangle, row by row.  Shapes: (..., n, n) -> (..., number of elements).

    Raises: ValueError if `diag` names no diagonal of the matrix.
    """
    n = mat.shape[-1]
    if diag < -n or diag >= n:
        raise ValueError(
            f"tril_matrix_to_vec: diag ({diag}) provided is outside [{-n}, {n - 1}], the diagonals "
            f"of a matrix of size {n}"
        )
    rows, columns = tril_indices(n, n, diag)
    return mat[..., rows, columns]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """The lower triangular matrix whose triangle, row by row, is `vec`.

    Raises: ValueError if no matrix has as many elements there.
    """
    length = vec.shape[-1]
    discriminant = (1 + 2 * diag) ** 2 + 8 * length + 4 * abs(diag) * (diag + 1)
    n = (-(1 + 2 * diag) + math.sqrt(discriminant)) / 2
    rounding = finfo(vec.dtype).eps
    if not round(n) - n <= rounding:
        raise ValueError(
            f"vec_to_tril_matrix: the size of last dimension is {length}, which cannot be "
            "expressed as the lower triangular part of a square D x D matrix."
        )
    size = round(n)
    matrix = zeros((*vec.shape[:-1], size, size), dtype=vec.dtype)
    rows, columns = tril_indices(size, size, diag)
    matrix[..., rows, columns] = vec
    return matrix


def enumerated(values: Tensor, batch_shape: Any, expand: bool) -> Tensor:
    """A vector of values along a new first axis in front of `batch_shape`."""
    values = values.view((-1,) + (1,) * len(batch_shape))
    return values.expand((-1, *batch_shape)) if expand else values

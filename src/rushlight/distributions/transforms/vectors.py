"""Transforms to simplices and triangular matrices.  Level 12.

Source: torch.distributions.transforms.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight.base.limits import finfo
from rushlight.distributions import constraints
from rushlight.distributions.transforms.elementwise import _clipped_sigmoid
from rushlight.distributions.transforms.transform import StatelessTransform, Transform
from rushlight.distributions.utils import tril_matrix_to_vec, vec_to_tril_matrix
from rushlight.ops.activation import logsigmoid, softplus
from rushlight.ops.creation import ones
from rushlight.ops.linalg import cholesky
from rushlight.ops.ranges import eye
from rushlight.ops.short_time import pad
from rushlight.tensor.tensor import Size, Tensor


class SoftmaxTransform(StatelessTransform):
    """softmax over the last axis; the inverse is the logarithm, as the map is not one to one."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        weights = (x - x.max(-1, True)[0]).exp()
        return weights / weights.sum(-1, True)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        return _of_at_least(1, shape)

    def inverse_shape(self, shape: Any) -> Any:
        return _of_at_least(1, shape)


def _of_at_least(axes: int, shape: Any) -> Any:
    if len(shape) < axes:
        raise ValueError(f"Too few dimensions on input: {len(shape)}, at least {axes} needed")
    return shape


class StickBreakingTransform(StatelessTransform):
    """n numbers to n + 1 shares: each breaks its part off what is left of a stick."""

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def _offset(self, number: int, like: Tensor) -> Tensor:
        """So that zeros give equal shares."""
        return number - ones(number, dtype=like.dtype).cumsum(-1)

    def _call(self, x: Tensor) -> Tensor:
        offset = self._offset(x.shape[-1] + 1, x)[..., :-1] + 0
        share = _clipped_sigmoid(x - offset.log())
        left = (1 - share).cumprod(-1)
        return pad(share, [0, 1], value=1) * pad(left, [1, 0], value=1)

    def _inverse(self, y: Tensor) -> Tensor:
        cropped = y[..., :-1]
        offset = self._offset(y.shape[-1], y)[..., :-1]
        rest = (1 - cropped.cumsum(-1)).clamp(min=finfo(y.dtype).tiny)
        return cropped.log() - rest.log() + offset.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        x = x - self._offset(x.shape[-1] + 1, x)[..., :-1].log()
        return (-x + logsigmoid(x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        _of_at_least(1, shape)
        return Size((*shape[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Any) -> Any:
        _of_at_least(1, shape)
        return Size((*shape[:-1], shape[-1] - 1))


class LowerCholeskyTransform(StatelessTransform):
    """Square matrices to lower triangular ones with a positive diagonal."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(StatelessTransform):
    """Square matrices to positive definite ones, through a Cholesky factor."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Tensor) -> Tensor:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(cholesky(y))


class CorrCholeskyTransform(Transform):
    """n (n - 1) / 2 numbers to the Cholesky factor of a correlation matrix of size n.

    tanh makes partial correlations of the numbers; row by row each takes its share of what is left
    of the row's unit length.
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        x = x.tanh()
        eps = finfo(x.dtype).eps
        partial = vec_to_tril_matrix(x.clamp(min=-1 + eps, max=1 - eps), diag=-1)
        squares = partial**2
        left = (1 - squares).sqrt().cumprod(-1)
        whole = partial + eye(partial.shape[-1], dtype=partial.dtype)
        return whole * pad(left[..., :-1], [1, 0], value=1)

    def _inverse(self, y: Tensor) -> Tensor:
        left = 1 - (y * y).cumsum(-1)
        shifted = pad(left[..., :-1], [1, 0], value=1)
        below = tril_matrix_to_vec(y, diag=-1)
        partial = below / tril_matrix_to_vec(shifted, diag=-1).sqrt()
        # atanh, in the form that keeps its digits near 1
        return (partial.log1p() - partial.neg().log1p()) / 2

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, intermediates: Any = None) -> Tensor:
        left = 1 - (y * y).cumsum(-1)
        # What is left after the first elements of each row, behind its first one.
        of_rows = 0.5 * tril_matrix_to_vec(left, diag=-2).log().sum(-1)
        of_tanh = -2 * (x + softplus(-2 * x) - math.log(2.0)).sum(-1)
        return of_rows + of_tanh

    def forward_shape(self, shape: Any) -> Any:
        _of_at_least(1, shape)
        number = shape[-1]
        size = round((0.25 + 2 * number) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != number:
            raise ValueError(
                "Input is not a flattened lower-diagonal number: "
                f"{number} is not n (n - 1) / 2 for any n"
            )
        return Size((*shape[:-1], size, size))

    def inverse_shape(self, shape: Any) -> Any:
        _of_at_least(2, shape)
        if shape[-2] != shape[-1]:
            raise ValueError(f"Input is not square: {tuple(shape[-2:])}")
        size = shape[-1]
        return Size((*shape[:-2], size * (size - 1) // 2))

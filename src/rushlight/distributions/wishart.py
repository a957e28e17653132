"""Wishart distribution: random covariances.  Level 12.

Source: torch.distributions.Wishart; sampling by Bartlett's decomposition.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from rushlight.base.limits import finfo
from rushlight.distributions import constraints
from rushlight.distributions.chi2 import Chi2
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.multivariate_normal import _precision_to_scale_tril, chosen_matrix
from rushlight.distributions.utils import is_number, lazy_property
from rushlight.ops.comparison import where
from rushlight.ops.creation import tensor
from rushlight.ops.histogram import tril_indices
from rushlight.ops.linalg import cholesky, cholesky_solve, slogdet
from rushlight.ops.random import randn
from rushlight.ops.ranges import arange, eye
from rushlight.ops.shaping import broadcast_shapes
from rushlight.ops.special import mvlgamma
from rushlight.tensor.tensor import Size, Tensor

__all__ = ["Wishart"]


def _mvdigamma(x: Tensor, p: int) -> Tensor:
    """The derivative of the logarithm of the multivariate gamma function."""
    if not x.gt((p - 1) / 2).all():
        raise AssertionError(f"Wrong domain for multivariate digamma function of order {p}.")
    return (x.unsqueeze(-1) - arange(p, dtype=x.dtype) * 0.5).digamma().sum(-1)


def _clamp_above_eps(x: Tensor) -> Tensor:
    return x.clamp(min=finfo(x.dtype).eps)


class Wishart(ExponentialFamily):
    """Scatter matrices of `df` normal vectors with the given covariance.

    Give one of `covariance_matrix`, its inverse or its Cholesky factor.
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    @property
    def arg_constraints(self) -> dict[str, Any]:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Any = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        name, matrix = chosen_matrix(covariance_matrix, precision_matrix, scale_tril)
        if is_number(df):
            batch_shape = Size(matrix.shape[:-2])
            self.df = tensor(df, dtype=matrix.dtype)
        else:
            batch_shape = broadcast_shapes(tuple(matrix.shape)[:-2], tuple(df.shape))
            self.df = df.expand(batch_shape)
        event_shape = matrix.shape[-2:]
        if self.df.le(event_shape[-1] - 1).any():
            raise ValueError(
                f"Value of df={df} expected to be greater than ndim - 1 = {event_shape[-1] - 1}."
            )
        setattr(self, name, matrix.expand((*batch_shape, -1, -1)))
        super().__init__(batch_shape, event_shape, validate_args=validate_args)
        if self.df.lt(event_shape[-1]).any():
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for "
                "ndim - 1 < df < ndim.",
                stacklevel=2,
            )
        if scale_tril is not None:
            self._unbroadcasted_scale_tril = scale_tril
        elif covariance_matrix is not None:
            self._unbroadcasted_scale_tril = cholesky(covariance_matrix)
        else:
            self._unbroadcasted_scale_tril = _precision_to_scale_tril(precision_matrix)
        self._dist_chi2 = self._diagonal_distribution(batch_shape)

    def _diagonal_distribution(self, batch_shape: Any) -> Chi2:
        size = self._event_shape[-1]
        falling = arange(size, dtype=self._unbroadcasted_scale_tril.dtype)
        return Chi2(self.df.unsqueeze(-1) - falling.expand((*batch_shape, -1)))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Wishart, _instance)
        batch_shape = Size(batch_shape)
        shape = batch_shape + self.event_shape
        for name in ("covariance_matrix", "scale_tril", "precision_matrix"):
            if name in self.__dict__:
                new.__dict__[name] = self.__dict__[name].expand(shape)
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril.expand(shape)
        new.df = self.df.expand(batch_shape)
        self._finish_expanded(new, batch_shape)
        new._dist_chi2 = new._diagonal_distribution(batch_shape)
        return new

    def _full(self, matrix: Tensor) -> Tensor:
        return matrix.expand((*self._batch_shape, *self._event_shape))

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance."""
        return self._full(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The vectors' covariance."""
        factor = self._unbroadcasted_scale_tril
        return self._full(factor @ factor.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """Its inverse."""
        identity = eye(self._event_shape[-1], dtype=self._unbroadcasted_scale_tril.dtype)
        return self._full(cholesky_solve(identity, self._unbroadcasted_scale_tril))

    @property
    def mean(self) -> Tensor:
        return self.df.view((*self._batch_shape, 1, 1)) * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        factor = where(factor <= 0, float("nan"), factor)
        return factor.view((*self._batch_shape, 1, 1)) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        products = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self.df.view((*self._batch_shape, 1, 1)) * (v.pow(2) + products)

    def _bartlett_sampling(self, sample_shape: Any = ()) -> Tensor:
        size = self._event_shape[-1]
        diagonal = _clamp_above_eps(self._dist_chi2.rsample(sample_shape).sqrt())
        noise = diagonal.diag_embed(dim1=-2, dim2=-1)
        rows, columns = tril_indices(size, size, offset=-1)
        shape = (*sample_shape, *self._batch_shape, size * (size - 1) // 2)
        below = randn(shape, dtype=noise.dtype)
        noise[..., rows, columns] = below
        chol = self._unbroadcasted_scale_tril @ noise
        return chol @ chol.mT

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Tensor:
        """Covariances; those that came out singular are drawn again, a few times.

        max_try_correction: how often; more often for small matrices unless given.
        """
        if max_try_correction is None:
            max_try_correction = 3 if self._event_shape[-1] < 10 else 1
        sample_shape = Size(sample_shape)
        # PyTorch takes its first draw for singular where it is not and draws once more; following
        # it keeps the stream, and the second draw is as good as the first.
        self._bartlett_sampling(sample_shape)
        sample = self._bartlett_sampling(Size((sample_shape.numel(),)))
        is_singular = self._is_singular(sample)
        if is_singular.any():
            warnings.warn("Singular sample detected.", stacklevel=2)
            for _ in range(max_try_correction - 1):
                again = self._bartlett_sampling(Size((int(is_singular.sum()),)))
                sample[is_singular] = again
                is_singular[is_singular.clone()] = self._is_singular(again)
                if not is_singular.any():
                    break
        return sample.reshape(self._extended_shape(sample_shape))

    def _is_singular(self, samples: Tensor) -> Tensor:
        """For each index of the first axis, whether a member of the batch is singular."""
        return ~self.support.check(samples).reshape(samples.shape[0], -1).all(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        nu = self.df
        size = self._event_shape[-1]
        log_det = 2 * self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        whitened = cholesky_solve(value, self._unbroadcasted_scale_tril)
        trace = whitened.diagonal(dim1=-2, dim2=-1).sum(-1)
        return (
            -mvlgamma(nu / 2, p=size)
            - 0.5 * nu * (log_det + size * math.log(2))
            + (nu - size - 1) / 2 * slogdet(value).logabsdet
            - trace / 2
        )

    def entropy(self) -> Tensor:
        nu = self.df
        size = self._event_shape[-1]
        log_det = 2 * self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return (
            (size + 1) * (0.5 * log_det + size * math.log(2) / 2)
            + mvlgamma(nu / 2, p=size)
            - (nu - size - 1) / 2 * _mvdigamma(nu / 2, p=size)
            + nu * size / 2
        )

    @property
    def _natural_params(self) -> tuple[Tensor, Tensor]:
        return 0.5 * self.df, -0.5 * self.precision_matrix

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:
        size = self._event_shape[-1]
        return x * (-slogdet(-2 * y).logabsdet + size * math.log(2)) + mvlgamma(x, p=size)

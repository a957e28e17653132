"""Initial values of parameters: PyTorch's `torch.nn.init`.

In: a tensor, usually a Parameter, and a recipe's numbers. Out: the same tensor, filled in place
without a gradient being recorded. Random recipes give PyTorch's numbers for the same seed.
Level 12.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable

import numpy as np

from rushlight.base.dtypes import narrow, widen
from rushlight.ops.creation import value_of
from rushlight.ops.generator import Generator, engine_of
from rushlight.ops.random_fill import Draw, drawn, normal_draw, preserved_strides, uniform_draw
from rushlight.rng.discrete import permutation
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.storage import write
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

#: Gains that keep the variance of activations.  Source: PyTorch's table; selu's is empirical.
_GAINS = {
    "linear": 1,
    "conv1d": 1,
    "conv2d": 1,
    "conv3d": 1,
    "conv_transpose1d": 1,
    "conv_transpose2d": 1,
    "conv_transpose3d": 1,
    "sigmoid": 1,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}

#: Below this share of accepted normal numbers uniform proposals take over in `trunc_normal_`.
_REJECTION_SHARE = 0.3


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights before `nonlinearity` are enlarged.

    param: the negative slope of leaky_relu (0.01 unless given).
    Raises: ValueError for an unknown name or a slope that is no number.
    """
    if nonlinearity != "leaky_relu":
        if nonlinearity not in _GAINS:
            raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
        return _GAINS[nonlinearity]
    slope = 0.01 if param is None else param
    if isinstance(slope, bool) or not isinstance(slope, (int, float)):
        raise ValueError(f"negative_slope {slope} not a valid number")
    return math.sqrt(2.0 / (1 + slope**2))


# ---- values without structure ------------------------------------------------------------------


@no_grad()
def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with numbers uniform in [a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with normal numbers."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(tensor, 0.0)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with normal numbers restricted to [a, b] by drawing again what lies outside.

    Warns if `mean` is more than two deviations outside [a, b].
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    draws = _Draws(tensor, generator)
    accepted = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    if accepted > _REJECTION_SHARE:
        return _store(tensor, _redrawn_normals(draws, mean, std, a, b))
    return _store(tensor, _accepted_uniforms(draws, mean, std, a, b))


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


class _Draws:
    """Fresh numbers of a tensor's shape, dtype and order of axes, as arrays to compute with."""

    def __init__(self, tensor: Tensor, generator: Generator | None) -> None:
        self.dtype = tensor.dtype
        self._shape = tensor._node.shape
        self._strides = preserved_strides(tensor)
        self._engine = engine_of("trunc_normal_", generator)

    def normal(self, mean: float, std: float) -> np.ndarray:
        return self._values(normal_draw(self._engine, self.dtype, mean, std))

    def uniform(self, low: float, high: float) -> np.ndarray:
        return self._values(uniform_draw(self._engine, self.dtype, low, high))

    def stored(self, values: np.ndarray) -> np.ndarray:
        """`values` rounded to the dtype."""
        return widen(narrow(values, self.dtype), self.dtype)

    def _values(self, draw: Draw) -> np.ndarray:
        return widen(value_of(drawn(self._shape, self._strides, self.dtype, draw)), self.dtype)


def _redrawn_normals(draws: _Draws, mean: float, std: float, a: float, b: float) -> np.ndarray:
    low, high = draws.stored(np.asarray([a, b], draws.dtype.compute))
    values = draws.normal(mean, std)
    while True:
        outside = (values < low) | (values > high)
        if not outside.any():
            return values
        values = np.where(outside, draws.normal(mean, std), values)


def _accepted_uniforms(draws: _Draws, mean: float, std: float, a: float, b: float) -> np.ndarray:
    """Uniform proposals, accepted with the normal density relative to its peak within [a, b]."""
    mode = max(a, min(mean, b))
    peak = -0.5 * ((mode - mean) / std) ** 2
    values = draws.uniform(a, b)
    waiting = _rejected(draws, values, mean, std, peak)
    while waiting.any():
        proposals = draws.uniform(a, b)
        values = np.where(waiting, proposals, values)
        waiting = waiting & _rejected(draws, proposals, mean, std, peak)
    return values


def _rejected(
    draws: _Draws, proposals: np.ndarray, mean: float, std: float, peak: float
) -> np.ndarray:
    number = draws.dtype.compute.type
    # Rounded after each step, as the in-place operations of PyTorch's recipe are.
    scaled = draws.stored(draws.stored(proposals - number(mean)) / number(std))
    density = draws.stored(draws.stored(scaled * scaled) * number(-0.5))
    density = draws.stored(density - number(peak))
    with np.errstate(divide="ignore"):
        return draws.stored(np.log(draws.uniform(0.0, 1.0))) > density


@no_grad()
def _store(tensor: Tensor, values: np.ndarray) -> Tensor:
    """Write an array of the tensor's shape into it, rounded to its dtype."""
    stored = np.array(narrow(values, tensor.dtype), order="C")
    return write(tensor, tensor_from_numpy(stored, tensor.dtype))


# ---- identities --------------------------------------------------------------------------------


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity.  Raises: ValueError unless it has two dimensions."""
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _store(tensor, np.eye(*tensor._node.shape, dtype=tensor.dtype.compute))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution's weight so that it passes its input through, within each group.

    Raises: ValueError unless it has 3 to 5 dimensions and a multiple of `groups` channels.
    """
    shape = tensor._node.shape
    if len(shape) not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if shape[0] % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    per_group = shape[0] // groups
    passed = np.arange(min(per_group, shape[1]))
    values = np.zeros(shape, tensor.dtype.compute)
    center = tuple(size // 2 for size in shape[2:])
    for group in range(groups):
        places = (group * per_group + passed, passed, *center)
        values[places] = 1
    return _store(tensor, values)


# ---- scaled by fan -----------------------------------------------------------------------------


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs each output has, and how many outputs each input."""
    shape = tensor._node.shape
    if len(shape) < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    receptive_field = math.prod(shape[2:])
    return shape[1] * receptive_field, shape[0] * receptive_field


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of {['fan_in', 'fan_out']}")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return fan_in if mode == "fan_in" else fan_out


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform within ±gain √(6 / (fan_in + fan_out)).  Source: Glorot and Bengio 2010."""
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal of deviation gain √(2 / (fan_in + fan_out)).  Source: Glorot and Bengio 2010."""
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform within ±gain √(3 / fan); `a` is leaky_relu's slope.  Source: He et al. 2015."""
    if 0 in tensor._node.shape:
        _warn_no_elements()
        return tensor
    # The order of these roundings decides the last bit of every bound.
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal of deviation gain / √fan; `a` is leaky_relu's slope.  Source: He et al. 2015."""
    if 0 in tensor._node.shape:
        _warn_no_elements()
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _warn_no_elements() -> None:
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)


# ---- structured --------------------------------------------------------------------------------


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Fill with `gain` times a matrix of orthonormal rows or columns, axes from 1 on flattened.

    Raises: ValueError for fewer than two dimensions.
    Source: Saxe et al. 2013; signs of the QR factors after Mezzadri 2006.
    """
    shape = tensor._node.shape
    if len(shape) < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if 0 in shape:
        return tensor
    if tensor.dtype.itemsize < 4:
        raise RuntimeError(
            f"orthogonal_: a QR factorization needs float32 or float64, got {tensor.dtype}; "
            "initialize in float32 and convert"
        )
    rows = shape[0]
    columns = math.prod(shape[1:])
    draw = normal_draw(engine_of("orthogonal_", generator), tensor.dtype, 0.0, 1.0)
    matrix = value_of(drawn((rows, columns), None, tensor.dtype, draw))
    wide = rows < columns
    q, r = np.linalg.qr(matrix.T if wide else matrix)
    q = q * np.sign(np.diagonal(r))
    values = (q.T if wide else q).reshape(shape)
    return _store(tensor, values * tensor.dtype.compute.type(gain))


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Fill a matrix with normal numbers and a share `sparsity` of zeros in each column.

    The zeros' places come from the default generator, as in PyTorch.
    Raises: ValueError unless it has two dimensions.  Source: Martens 2010.
    """
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor._node.shape
    zeros = math.ceil(sparsity * rows)
    normal_(tensor, 0.0, std, generator)
    values = widen(value_of(tensor), tensor.dtype).copy()
    for column in range(columns):
        values[permutation(engine_of("sparse_", None), rows)[:zeros], column] = 0
    return _store(tensor, values)


# ---- former names, kept for old programs -------------------------------------------------------


def _deprecated(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    new_name = function.__name__
    old_name = new_name[:-1]

    @functools.wraps(function)
    def initialize(*args: object, **kwargs: object) -> Tensor:
        warnings.warn(
            f"`nn.init.{old_name}` is now deprecated in favor of `nn.init.{new_name}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    initialize.__name__ = initialize.__qualname__ = old_name
    initialize.__doc__ = f"The former name of `{new_name}`."
    return initialize


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)

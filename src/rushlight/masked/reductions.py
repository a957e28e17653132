"""Reductions and normalisations that leave out masked elements.  Source: torch.masked.  Level 12.

`mask` is true where an element counts.  A masked element stands for the reduction's identity, so
where all are masked the result is that identity (NaN for means).
"""

from __future__ import annotations

import math

from rushlight.base.dtypes import bool_, float32, get_default_dtype, int64
from rushlight.base.limits import iinfo
from rushlight.base.shapes import wrap_axis
from rushlight.ops import activation, extremum, magnitude, reduction, scan, statistics
from rushlight.ops.arithmetic import sub, true_divide
from rushlight.ops.binary import logaddexp as _logaddexp
from rushlight.ops.comparison import choose
from rushlight.ops.promotion import to_dtype
from rushlight.tensor.tensor import Tensor

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp",
    "logsumexp", "mean", "median", "norm", "normalize", "prod", "softmax", "softmin", "std", "sum",
    "var",
]  # fmt: skip


def _axes(dim, rank: int) -> tuple[int, ...]:
    """Distinct axes; all for None and ().  Raises: RuntimeError if one is repeated."""
    if dim is None or dim == ():
        return tuple(range(rank))
    given = (dim,) if isinstance(dim, int) else tuple(dim)
    found = [wrap_axis(d, rank) for d in given]
    if len(set(found)) != len(found):
        raise RuntimeError(f"dim={found[0]} appears multiple times in the list of dims")
    return tuple(found) if rank else ()


def _counts(x: Tensor, mask) -> Tensor:
    """The mask in x's shape; true everywhere without one."""
    if mask is None:
        return x.new_ones(tuple(x.shape), dtype=bool_)
    return to_dtype(mask, bool_).expand(x.shape)


def _filled(x: Tensor, mask, value) -> Tensor:
    """x with `value` where it is masked."""
    if mask is None:
        return x
    return choose(_counts(x, mask), x, x.new_full((), value))


def _lowest(dtype):
    if dtype.is_inexact:
        return -math.inf
    return False if dtype is bool_ else iinfo(dtype).min


def _highest(dtype):
    if dtype.is_inexact:
        return math.inf
    return True if dtype is bool_ else iinfo(dtype).max


def _accumulated(x: Tensor, dtype) -> Tensor:
    return to_dtype(x, reduction.accumulating_dtype(x, dtype))


def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:  # noqa: A001
    """Sum of the elements that count; 0 for none."""
    x = _filled(_accumulated(input, dtype), mask, 0)
    return reduction.sum(x, _axes(dim, x.ndim), keepdim, dtype=x.dtype)


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Product of the elements that count; 1 for none."""
    x = _filled(_accumulated(input, dtype), mask, 1)
    for axis in sorted(_axes(dim, x.ndim), reverse=True):
        x = reduction.prod(x, axis, keepdim, dtype=x.dtype)
    return x


def cumsum(input, dim, *, dtype=None, mask=None) -> Tensor:
    """Running sum, masked elements adding nothing."""
    dtype = dtype or input.dtype
    return scan.cumsum(_filled(to_dtype(input, dtype), mask, 0), dim, dtype=dtype)


def cumprod(input, dim, *, dtype=None, mask=None) -> Tensor:
    """Running product, masked elements being 1."""
    dtype = dtype or input.dtype
    return scan.cumprod(_filled(to_dtype(input, dtype), mask, 1), dim, dtype=dtype)


def amax(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Largest element that counts."""
    x = to_dtype(input, dtype or input.dtype)
    return reduction.amax(_filled(x, mask, _lowest(x.dtype)), _axes(dim, x.ndim), keepdim)


def amin(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Smallest element that counts."""
    x = to_dtype(input, dtype or input.dtype)
    return reduction.amin(_filled(x, mask, _highest(x.dtype)), _axes(dim, x.ndim), keepdim)


def argmax(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Index of the largest element that counts, in the dtype of the values (as PyTorch has it)."""
    x = to_dtype(input, dtype or input.dtype)
    found = extremum.argmax(_filled(x, mask, _lowest(x.dtype)), dim, keepdim)
    return to_dtype(found, x.dtype)


def argmin(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Index of the smallest element that counts, in the dtype of the values."""
    x = to_dtype(input, dtype or input.dtype)
    found = extremum.argmin(_filled(x, mask, _highest(x.dtype)), dim, keepdim)
    return to_dtype(found, x.dtype)


def _inexact(name: str, input, dtype) -> Tensor:
    x = to_dtype(input, dtype or input.dtype)
    if not x.dtype.is_inexact:
        raise ValueError(
            f"{name}(): Could not infer output dtype. Input dtype must be either a floating point "
            f"or complex dtype. Got: {x.dtype}"
        )
    return x


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Mean of the elements that count; NaN for none."""
    x = _inexact("mean", input, dtype)
    axes = _axes(dim, x.ndim)
    total = reduction.sum(_filled(x, mask, 0), axes, keepdim)
    count = reduction.sum(to_dtype(_counts(x, mask), int64), axes, keepdim)
    return true_divide(total, count)


def median(input, dim: int = -1, *, keepdim: bool = False, dtype=None, mask=None) -> Tensor:
    """Lower median of the elements that count; NaN for none."""
    x = _inexact("median", input, dtype)
    if x.ndim == 0:
        x = x.reshape((1,))
        return statistics.nanmedian(_filled(x, mask, math.nan), 0).values
    if mask is None:
        return statistics.median(x, dim, keepdim).values
    return statistics.nanmedian(_filled(x, mask, math.nan), dim, keepdim).values


def _spread(input, dim, unbiased, correction, keepdim, dtype, mask) -> Tensor:
    if isinstance(unbiased, bool) and correction is not None:
        raise RuntimeError("both unbiased and correction cannot be given")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    target = dtype or (input.dtype if input.dtype.is_inexact else float32)
    x = to_dtype(input, target)
    axes = _axes(dim, x.ndim)
    count = reduction.sum(to_dtype(_counts(x, mask), int64), axes, True)
    middle = true_divide(reduction.sum(_filled(x, mask, 0), axes, True), count)
    centered = sub(x, middle)
    square = centered * centered.conj() if x.dtype.is_complex else centered * centered
    total = reduction.sum(_filled(square, mask, 0), axes, keepdim)
    if x.dtype.is_complex:
        total = total.real
    if not keepdim:
        count = count.reshape(total.shape)
    free = sub(count, correction).clamp(min=0)
    return true_divide(total, free)


def _in_dtype(found: Tensor, input, dtype) -> Tensor:
    """A complex input's real spread, in the complex dtype, as PyTorch has it."""
    target = dtype or input.dtype
    return to_dtype(found, target) if target.is_inexact else found


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None
        ) -> Tensor:  # fmt: skip
    """Variance of the elements that count."""
    found = _spread(input, dim, unbiased, correction, keepdim, dtype, mask)
    return _in_dtype(found, input, dtype)


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None
        ) -> Tensor:  # fmt: skip
    """Standard deviation of the elements that count."""
    found = magnitude.root(_spread(input, dim, unbiased, correction, keepdim, dtype, mask))
    return _in_dtype(found, input, dtype)


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The ord-norm of the elements that count."""
    x = _inexact("norm", input, dtype)
    x = _filled(x, mask, math.inf if ord < 0 else 0)
    return magnitude.vector_norm(x, ord, _axes(dim, x.ndim), keepdim)


def normalize(input, ord: float, dim: int, *, eps: float = 1e-12, dtype=None, mask=None) -> Tensor:
    """Elements that count, divided by their norm (at least eps); 0 where masked."""
    x = _inexact("normalize", input, dtype)
    size = norm(x, ord, dim, keepdim=True, mask=mask)
    return true_divide(_filled(x, mask, 0), size.clamp(min=eps))


def softmax(input, dim: int, *, dtype=None, mask=None) -> Tensor:
    """softmax over the elements that count; 0 where masked."""
    x = _inexact("softmax", input, dtype)
    return activation.softmax(_filled(x, mask, -math.inf), dim)


def log_softmax(input, dim: int, *, dtype=None, mask=None) -> Tensor:
    """log of softmax over the elements that count; -inf where masked."""
    x = _inexact("log_softmax", input, dtype)
    return activation.log_softmax(_filled(x, mask, -math.inf), dim)


def softmin(input, dim: int, *, dtype=None, mask=None) -> Tensor:
    """softmin over the elements that count; 0 where masked."""
    x = _inexact("softmin", input, dtype)
    return activation.softmin(_filled(x, mask, math.inf), dim)


def logsumexp(input, dim=None, *, keepdim: bool = False, dtype=None, mask=None) -> Tensor:
    """log of the sum of exp of the elements that count; -inf for none."""
    target = dtype or input.dtype
    x = to_dtype(input, target if target.is_inexact else get_default_dtype())
    found = reduction.logsumexp(_filled(x, mask, -math.inf), _axes(dim, x.ndim), keepdim)
    return to_dtype(found, target)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None) -> Tensor:
    """log(exp(input) + exp(other)), masked elements standing for -inf."""
    x = to_dtype(input, dtype or input.dtype)
    y = to_dtype(other, dtype or other.dtype)
    return _logaddexp(_filled(x, input_mask, -math.inf), _filled(y, other_mask, -math.inf))

"""Tensors some of whose elements do not count, and reductions of them, as `torch.masked`.

Level 12.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.masked import functions as functions
from rushlight.masked import reductions
from rushlight.masked.masked_tensor import MaskedTensor
from rushlight.tensor.tensor import Tensor

__all__ = [
    "MaskedTensor", "amax", "amin", "argmax", "argmin", "as_masked_tensor", "cumprod", "cumsum",
    "is_masked_tensor", "log_softmax", "logaddexp", "logsumexp", "masked_tensor", "mean", "median",
    "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip


def _opened(function: Callable) -> Callable:
    """The function, for masked tensors too: it is given their data, and their mask with its own."""

    @functools.wraps(function)
    def call(input: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
        if isinstance(input, MaskedTensor):
            mask = input.mask if mask is None else input.mask & mask
            input = input.held
        return function(input, *args, mask=mask, **kwargs)

    return call


amax = _opened(reductions.amax)
amin = _opened(reductions.amin)
argmax = _opened(reductions.argmax)
argmin = _opened(reductions.argmin)
cumprod = _opened(reductions.cumprod)
cumsum = _opened(reductions.cumsum)
log_softmax = _opened(reductions.log_softmax)
logaddexp = reductions.logaddexp
logsumexp = _opened(reductions.logsumexp)
mean = _opened(reductions.mean)
median = _opened(reductions.median)
norm = _opened(reductions.norm)
normalize = _opened(reductions.normalize)
prod = _opened(reductions.prod)
softmax = _opened(reductions.softmax)
softmin = _opened(reductions.softmin)
std = _opened(reductions.std)
sum = _opened(reductions.sum)  # noqa: A001 - PyTorch's name
var = _opened(reductions.var)


def masked_tensor(data: Tensor, mask: Tensor, requires_grad: bool = False) -> MaskedTensor:
    """A masked tensor of copies of `data` and `mask`, a leaf.

    mask: boolean, of the shape of `data`, true where an element counts.
    """
    return MaskedTensor(data, mask, requires_grad)


def as_masked_tensor(data: Tensor, mask: Tensor) -> MaskedTensor:
    """A masked tensor through which gradients flow to `data`; they are 0 where it is masked."""
    return MaskedTensor._from_values(data, mask)


def is_masked_tensor(obj: Any, /) -> bool:
    """Whether it is a masked tensor."""
    return isinstance(obj, MaskedTensor)
